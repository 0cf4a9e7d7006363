//! Applying what a task did, and taking it back: all of it or some, once, and never over what somebody else has done.

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::types::TaskApply;
use flightdeck_tests::{TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Session;
use super::tasks::is_clean;
use crate::chats::Script;

/// A text of so many lines.
fn lines(count: usize) -> String {
    (1..=count).map(|number| format!("line {number}\n")).collect()
}

/// What the mock makes of them: a change near the beginning, one in the middle, and one near the end.
fn changed() -> String {
    lines(90).replace("line 5\n", "line five\n").replace("line 45\n", "line forty-five\n").replace("line 85\n", "")
}

/// A session in which a task has changed two files, one of them in three places.
async fn changing(database: flightdeck_tests::Kind) -> Result<(TestServer, Session, Uuid)> {
    let steps = json!([
        {"write": {"path": "long.txt", "text": changed()}},
        {"write": {"path": "new.txt", "text": "new\n"}},
        {"say": "Done."},
    ]);
    let script = Script::new(&format!("turns = [{{ steps = {} }}]", toml(&steps)))?;
    let server = TestServer::with(script.apply(TestOptions::new(database))).await?;
    let session = Session::open(&server).await?;
    session.repository.write("long.txt", lines(90))?;
    session.repository.commit("Add lines")?;
    let task = session.ready(&server, "change it").await?;
    Ok((server, session, task))
}

/// JSON that has no null in it, as TOML.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries: Vec<_> = map.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        plain => plain.to_string(),
    }
}

for_each_database! {
    async fn all_of_it_is_committed_once_however_often_it_is_asked_for(database) {
        let (server, session, task) = changing(database).await?;
        let repository = &session.repository;
        repository.write("mine.txt", "not committed\n")?;
        let before = repository.head()?;
        let request = session.apply(task, &json!({"commitMessage": "Change it\n\nFor good reasons."}));
        let applied = server.send(&request).await?.success()?;
        ensure!(applied["commit"] == repository.head()? && applied["base"] == before, "{applied}");
        ensure!(repository.git(&["log", "-1", "--format=%B"])?.starts_with("Change it\n\nFor good reasons.\n"), "another message");
        ensure!(repository.read("long.txt") == Some(changed()) && repository.read("new.txt").is_some(), "the files are old");
        ensure!(repository.status()? == "?? mine.txt", "{}", repository.status()?);
        for again in [request.clone(), session.apply(task, &json!({})), session.apply(task, &json!({"select": []}))] {
            let again = server.send(&again).await?.success()?;
            ensure!(again == applied, "{again} is another receipt than {applied}");
        }
        ensure!(repository.log()?.len() == 3, "{:?}", repository.log()?);
        let found = server.send(&session.get(format!("/api/tasks/{task}"))).await?.success()?;
        ensure!(found["status"] == "applied" && found["commit"] == applied["commit"], "{found}");
        let other = session.apply(task, &json!({"select": [{"file": "new.txt", "hunks": []}]}));
        server.send(&other).await?.refused("task_applied")?;
        is_clean(repository).await?;
    }

    async fn many_at_once_commit_once(database) {
        let (server, session, task) = changing(database).await?;
        let request = session.apply(task, &json!({"commitMessage": "Change it"}));
        let answers = futures_util::future::try_join_all((0..16).map(|_| server.send(&request))).await?;
        let mut receipts = Vec::new();
        for answer in answers {
            // Who meets another at work may be told so.
            if answer.code() != "repository_busy" {
                receipts.push(answer.success()?);
            }
        }
        ensure!(!receipts.is_empty() && receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
        ensure!(session.repository.log()?.len() == 3, "{:?}", session.repository.log()?);
    }

    async fn one_of_two_selections_at_once_is_committed(database) {
        let (server, session, task) = changing(database).await?;
        let one = session.apply(task, &json!({"select": [{"file": "new.txt", "hunks": []}], "commitMessage": "One"}));
        let other = session.apply(task, &json!({"select": [{"file": "long.txt", "hunks": [0]}], "commitMessage": "Other"}));
        let (one, other) = tokio::try_join!(server.send(&one), server.send(&other))?;
        let codes = [one.code(), other.code()];
        ensure!(codes.iter().filter(|code| code.is_empty()).count() == 1, "{codes:?}");
        ensure!(codes.iter().any(|code| code == "task_applied" || code == "repository_busy"), "{codes:?}");
        ensure!(session.repository.log()?.len() == 3, "{:?}", session.repository.log()?);
    }

    async fn some_of_it_is_committed_and_the_rest_is_not(database) {
        let (server, session, task) = changing(database).await?;
        let repository = &session.repository;
        let body = json!({"select": [{"file": "long.txt", "hunks": [2, 0]}], "commitMessage": "Some of it"});
        server.send(&session.apply(task, &body)).await?.success()?;
        let wanted = lines(90).replace("line 5\n", "line five\n").replace("line 85\n", "");
        ensure!(repository.read("long.txt").as_deref() == Some(&*wanted), "{:?}", repository.read("long.txt"));
        ensure!(repository.read("new.txt").is_none() && repository.status()?.is_empty(), "{}", repository.status()?);
        // The same selection, written otherwise, is the same.
        let same = json!({"select": [{"file": "long.txt", "hunks": [0, 2]}]});
        server.send(&session.apply(task, &same)).await?.success()?;
        ensure!(repository.log()?.len() == 3, "{:?}", repository.log()?);
    }

    async fn what_is_selected_has_to_be_there(database) {
        let (server, session, task) = changing(database).await?;
        for select in [
            json!([{"file": "long.txt", "hunks": [3]}]),
            json!([{"file": "long.txt", "hunks": [0, 99]}]),
            json!([{"file": "missing.txt", "hunks": []}]),
            json!([{"file": "../long.txt", "hunks": []}]),
            json!([{"file": "", "hunks": []}]),
            json!([{"file": "new.txt", "hunks": []}, {"file": "missing.txt", "hunks": [0]}]),
        ] {
            let request = session.apply(task, &json!({"select": select}));
            server.send(&request).await?.refused("selection_unknown").with_context(|| select.to_string())?;
        }
        for body in [json!({"select": 1}), json!({"select": [1]}), json!({"select": [{"file": "a"}]}), json!({"commitMessage": ""}),
            json!({"select": [{"file": "a", "hunks": [-1]}]}), json!({"commitMessage": "a\u{0}b"})]
        {
            server.send(&session.apply(task, &body)).await?.refused("invalid_request").with_context(|| body.to_string())?;
        }
        ensure!(session.repository.log()?.len() == 2 && session.repository.status()?.is_empty(), "something was changed");
    }

    async fn what_does_not_fit_any_more_changes_nothing(database) {
        let (server, session, task) = changing(database).await?;
        let repository = &session.repository;
        repository.write("long.txt", lines(90).replace("line 45\n", "line XLV\n"))?;
        repository.commit("Romanise")?;
        let before = repository.head()?;
        let answer = server.send(&session.apply(task, &json!({}))).await?;
        let refused = answer.refused("patch_conflict")?;
        ensure!(refused.to_string().contains("long.txt"), "it is not said which: {refused}");
        ensure!(repository.head()? == before && repository.status()?.is_empty(), "something was changed");
        ensure!(repository.read("new.txt").is_none(), "half of it was applied");
        // What still fits can be taken.
        let body = json!({"select": [{"file": "long.txt", "hunks": [0, 2]}, {"file": "new.txt", "hunks": []}]});
        let applied = server.send(&session.apply(task, &body)).await?.success()?;
        ensure!(applied["base"] == before, "{applied}");
        let now = repository.read("long.txt").unwrap_or_default();
        ensure!(now.contains("line five") && now.contains("line XLV") && !now.contains("line 85\n"), "{now}");
    }

    /// A file that somebody has changed and not committed is theirs.
    async fn what_is_not_committed_is_not_lost(database) {
        let (server, session, task) = changing(database).await?;
        let repository = &session.repository;
        let mine = lines(90).replace("line 44\n", "line 44, which I am writing\n");
        repository.write("long.txt", &mine)?;
        repository.write("other.txt", "staged\n")?;
        repository.git(&["add", "other.txt"])?;
        let refused = server.send(&session.apply(task, &json!({}))).await?;
        if refused.status == 200 {
            // Where both fit, both are there.
            let now = repository.read("long.txt").unwrap_or_default();
            ensure!(now.contains("which I am writing") && now.contains("line five"), "{now}");
        } else {
            refused.refused("patch_conflict")?;
            ensure!(repository.read("long.txt") == Some(mine), "it was changed");
        }
        // Nobody's half-finished work is committed along.
        let committed = repository.git(&["log", "-1", "--name-only", "--format="])?;
        ensure!(!committed.contains("other.txt"), "{committed}");
        ensure!(repository.status()?.contains("A  other.txt"), "{}", repository.status()?);
    }

    async fn what_was_applied_can_be_taken_back_and_applied_again(database) {
        let (server, session, task) = changing(database).await?;
        let repository = &session.repository;
        let mut socket = session.follow(&server).await?;
        let anyone = server.client();
        let applied = anyone.cockpit().apply_task(&task, &TaskApply::default()).bearer(session.token.clone()).await?;
        repository.write("later.txt", "later\n")?;
        repository.commit("Something later")?;
        let reverted = anyone.cockpit().revert_task(&task).bearer(session.token.clone()).await?;
        ensure!(reverted.commit == repository.head()? && reverted.commit != applied.commit, "{reverted:?}");
        ensure!(repository.read("long.txt") == Some(lines(90)) && repository.read("new.txt").is_none(), "it is still there");
        ensure!(repository.read("later.txt").is_some() && repository.status()?.is_empty(), "something else was changed");
        let again = anyone.cockpit().revert_task(&task).bearer(session.token.clone()).await?;
        ensure!(again.commit == reverted.commit, "{again:?}");
        let found = server.send(&session.get(format!("/api/tasks/{task}"))).await?.success()?;
        ensure!(found["status"] == "ready", "{found}");
        let once_more = server.send(&session.apply(task, &json!({"commitMessage": "Again"}))).await?.success()?;
        ensure!(once_more["commit"] == repository.head()?, "{once_more}");
        ensure!(repository.read("long.txt") == Some(changed()), "it is not there");
        let mut told = Vec::new();
        while told.iter().filter(|phase| *phase == "applied").count() < 2 {
            told.push(socket.until("status").await?["phase"].as_str().unwrap_or_default().to_owned());
        }
        let last = &told[told.len() - 3..];
        ensure!(last == ["applied", "ready", "applied"], "{told:?}");
    }

    async fn what_was_changed_since_is_not_taken_back(database) {
        let (server, session, task) = changing(database).await?;
        server.send(&session.apply(task, &json!({}))).await?.success()?;
        session.repository.write("new.txt", "newer\n")?;
        session.repository.commit("Newer")?;
        let before = session.repository.head()?;
        server.send(&session.revert(task)).await?.refused("patch_conflict")?;
        ensure!(session.repository.head()? == before && session.repository.status()?.is_empty(), "something was changed");
        let found = server.send(&session.get(format!("/api/tasks/{task}"))).await?.success()?;
        ensure!(found["status"] == "applied", "{found}");
    }

    /// Hooks are the repository's word on what may be committed; what they say reaches who asked.
    async fn hooks_run_and_may_refuse(database) {
        let (server, session, task) = changing(database).await?;
        let repository = &session.repository;
        repository.refuse_commits("no commits on Mondays")?;
        let before = repository.head()?;
        let refused = server.send(&session.apply(task, &json!({}))).await?.refused("commit_refused")?;
        ensure!(refused.to_string().contains("no commits on Mondays"), "{refused}");
        ensure!(repository.head()? == before && repository.status()?.is_empty(), "{}", repository.status()?);
        repository.hook("pre-commit", "#!/bin/sh\nexit 0\n")?;
        repository.hook("commit-msg", "#!/bin/sh\necho 'Reviewed-by: a hook' >> \"$1\"\n")?;
        server.send(&session.apply(task, &json!({"commitMessage": "Change it"}))).await?.success()?;
        let message = repository.git(&["log", "-1", "--format=%B"])?;
        ensure!(message.contains("Reviewed-by: a hook"), "{message}");
    }

    async fn the_author_is_whom_the_settings_say(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_COMMIT_AUTHOR", "Flight Deck <deck@example.org>");
        let server = TestServer::with(options).await?;
        let session = Session::open(&server).await?;
        let task = session.ready(&server, "edit hello.txt hello").await?;
        server.send(&session.apply(task, &json!({}))).await?.success()?;
        let author = session.repository.git(&["log", "-1", "--format=%an <%ae>"])?;
        ensure!(author == "Flight Deck <deck@example.org>", "{author}");
        // Without a message, it is made from the instruction.
        ensure!(session.repository.log()?[0].contains("edit hello.txt hello"), "{:?}", session.repository.log()?);
    }

    /// Files outside are not a repository's, however an agent names them.
    #[cfg(unix)]
    async fn a_link_in_the_way_leads_nowhere(database) {
        let (server, session, task) = changing(database).await?;
        let folder = tempfile::tempdir()?;
        let victim = folder.path().join("victim.txt");
        std::fs::write(&victim, "mine\n")?;
        std::os::unix::fs::symlink(&victim, session.repository.path().join("new.txt"))?;
        let answer = server.send(&session.apply(task, &json!({}))).await?;
        ensure!(std::fs::read_to_string(&victim)? == "mine\n", "it was written to: {}", answer.json());
        answer.refused("patch_conflict")?;
    }
}
