//! What has changed in a session's repository: everything, under its right name, and nothing is touched by looking.

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::generated::cockpit::GetGitDiffParameters;
use flightdeck_sdk::types::PatchType;
use flightdeck_tests::{TestServer, for_each_database};
use serde_json::{Value, json};

use super::Session;

async fn diff(server: &TestServer, session: &Session, base: Option<&str>) -> Result<Value> {
    let base = base.map(|base| url::form_urlencoded::Serializer::new(String::new()).append_pair("base", base).finish());
    let target = base.map_or("/api/git/diff".to_owned(), |base| format!("/api/git/diff?{base}"));
    server.send(&session.get(target)).await?.success()
}

fn file<'a>(diff: &'a Value, name: &str) -> Result<&'a Value> {
    let patches = diff["patches"].as_array().context("there are patches")?;
    let found = patches.iter().find(|patch| patch["file"] == name);
    found.with_context(|| format!("{name:?} is not among {:?}", names(diff)))
}

fn names(diff: &Value) -> Vec<String> {
    let patches = diff["patches"].as_array().into_iter().flatten();
    patches.map(|patch| patch["file"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A text of so many lines.
fn lines(count: usize) -> String {
    (1..=count).map(|number| format!("line {number}\n")).collect()
}

for_each_database! {
    async fn every_kind_of_change_is_there(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let repository = &session.repository;
        repository.write("gone.txt", "gone\n")?;
        repository.write("old name.txt", lines(30))?;
        repository.write("long.txt", lines(100))?;
        repository.write("binary.bin", b"\0\x01\x02")?;
        repository.write(".gitignore", "ignored/\n")?;
        repository.commit("Add files")?;
        ensure!(names(&diff(&server, &session, None).await?).is_empty(), "nothing has changed yet");

        std::fs::remove_file(repository.path().join("gone.txt"))?;
        std::fs::rename(repository.path().join("old name.txt"), repository.path().join("new name.txt"))?;
        repository.write("long.txt", lines(100).replace("line 5\n", "line five\n").replace("line 90\n", ""))?;
        repository.write("binary.bin", b"\0\x03\x04")?;
        repository.write("ignored/x.txt", "x\n")?;
        repository.write("untracked/deep/a.txt", "a\nb")?;
        repository.write("empty.txt", "")?;
        repository.write("staged.txt", "staged\n")?;
        repository.git(&["add", "staged.txt"])?;
        let before = (repository.status()?, std::fs::read(repository.path().join(".git/index"))?);
        let all = diff(&server, &session, None).await?;
        ensure!(before == (repository.status()?, std::fs::read(repository.path().join(".git/index"))?), "looking changed it");

        ensure!(names(&all).len() == 7, "{:?}", names(&all));
        ensure!(file(&all, "gone.txt")?["type"] == "deleted", "{all}");
        ensure!(file(&all, "staged.txt")?["type"] == "added", "{all}");
        ensure!(file(&all, "empty.txt")?["type"] == "added", "{all}");
        let renamed = file(&all, "new name.txt")?;
        ensure!(renamed["oldFile"] == "old name.txt", "{renamed}");
        let binary = file(&all, "binary.bin")?;
        ensure!(binary["binary"] == true && binary["hunks"] == json!([]), "{binary}");
        let long = file(&all, "long.txt")?;
        ensure!(long["type"] == "modified" && long["content"] == long["patch"], "{long}");
        let hunks = long["hunks"].as_array().context("hunks")?;
        ensure!(hunks.len() == 2, "{long}");
        ensure!(hunks[0]["startOld"] == 2 && hunks[0]["lenOld"] == 7 && hunks[0]["lenNew"] == 7, "{}", hunks[0]);
        ensure!(hunks[1]["lenOld"] == 7 && hunks[1]["lenNew"] == 6, "{}", hunks[1]);
        let first = hunks[0]["lines"].as_array().context("lines")?;
        ensure!(first.contains(&json!("-line 5")) && first.contains(&json!("+line five")) && first.len() == 8, "{first:?}");
        let unended = file(&all, "untracked/deep/a.txt")?["hunks"][0]["lines"].clone();
        ensure!(unended == json!(["+a", "+b", "\\ No newline at end of file"]), "{unended}");
        ensure!(all["base"] == repository.head()?, "{all}");
        let again = diff(&server, &session, None).await?;
        ensure!(again["digest"] == all["digest"], "the same changes have another digest");
        repository.write("staged.txt", "staged otherwise\n")?;
        let other = diff(&server, &session, None).await?;
        ensure!(other["digest"] != all["digest"], "other changes have the same digest");
    }

    /// A patch is what git takes: applied to the commit, it gives the files that are there.
    async fn a_patch_can_be_applied_by_git(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let repository = &session.repository;
        repository.write("a.txt", lines(50))?;
        repository.write("crlf.txt", "a\r\nb\r\n")?;
        repository.commit("Add files")?;
        repository.write("a.txt", lines(50).replace("line 25", "line twenty-five"))?;
        repository.write("crlf.txt", "a\r\nc\r\n")?;
        repository.write("new folder/ä ö.txt", "no end")?;
        repository.write("bytes.bin", [0, 159, 146, 150, 10])?;
        let all = diff(&server, &session, None).await?;
        let patches = all["patches"].as_array().context("there are patches")?;
        let text: String = patches.iter().filter_map(|patch| patch["patch"].as_str()).collect();
        let other = server.repository()?;
        other.write("a.txt", lines(50))?;
        other.write("crlf.txt", "a\r\nb\r\n")?;
        other.commit("Add files")?;
        other.write(".git/all.patch", &text)?;
        other.git(&["apply", ".git/all.patch"]).with_context(|| text.clone())?;
        for name in ["a.txt", "crlf.txt", "new folder/ä ö.txt", "bytes.bin"] {
            let (there, here) = (std::fs::read(other.path().join(name))?, std::fs::read(repository.path().join(name))?);
            ensure!(there == here, "{name} is {there:?} instead of {here:?}");
        }
    }

    async fn odd_names_are_names(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let odd = [
            "a b.txt", " leading", "trailing ", "-n", "--output=x", "ä.txt", "日本.txt", "a\"b", "a'b", "a\\b", "a\tb", "a\nb",
            "a => b", "{a => b}", "a/b -> c", ":(top)x", ":!x", "*", "[x]", "$(id)", ";id", "&", "#x", "dev/null", "a b/c d",
            "\u{1f680}",
        ];
        for name in odd {
            session.repository.write(name, "x\n")?;
        }
        let all = diff(&server, &session, None).await?;
        for name in odd {
            let patch = file(&all, name)?;
            ensure!(patch["type"] == "added" && patch["hunks"][0]["lines"] == json!(["+x"]), "{name:?}: {patch}");
        }
        ensure!(names(&all).len() == odd.len(), "{:?}", names(&all));
    }

    #[cfg(unix)]
    async fn what_is_no_plain_file_is_not_followed(database) {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::{PermissionsExt, symlink};
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let path = session.repository.path();
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("secret.txt"), "what nobody may see\n")?;
        symlink(folder.path().join("secret.txt"), path.join("link"))?;
        symlink(folder.path(), path.join("folder"))?;
        symlink("nowhere", path.join("dangling"))?;
        std::fs::write(path.join(std::ffi::OsStr::from_bytes(b"bytes-\xff.txt")), "x\n")?;
        std::fs::set_permissions(path.join("README.md"), std::fs::Permissions::from_mode(0o755))?;
        let all = diff(&server, &session, None).await?;
        ensure!(!all.to_string().contains("what nobody may see"), "a link was followed: {all}");
        for name in ["link", "folder", "dangling", "README.md"] {
            file(&all, name)?;
        }
        ensure!(names(&all).iter().any(|name| name.contains("bytes-")), "{:?}", names(&all));
        // Nobody waits for a pipe that nobody writes to.
        let made = std::process::Command::new("mkfifo").arg(path.join("pipe")).status()?;
        ensure!(made.success(), "no pipe was made");
        diff(&server, &session, None).await?;
    }

    async fn a_base_is_a_commit_a_branch_or_a_tag(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let repository = &session.repository;
        let first = repository.head()?;
        repository.git(&["tag", "v1"])?;
        repository.git(&["tag", "-a", "v1-annotated", "-m", "One"])?;
        repository.git(&["branch", "feature/one"])?;
        repository.write("two.txt", "2\n")?;
        let second = repository.commit("Say two")?;
        repository.write("three.txt", "3\n")?;
        for base in [first.as_str(), &first[..10], "v1", "v1-annotated", "feature/one", "refs/heads/feature/one", "HEAD~1"] {
            let all = diff(&server, &session, Some(base)).await.with_context(|| base.to_owned())?;
            ensure!(names(&all) == ["three.txt", "two.txt"] && all["base"] == first, "{base}: {all}");
        }
        for base in [second.as_str(), "HEAD", "main"] {
            let all = diff(&server, &session, Some(base)).await?;
            ensure!(names(&all) == ["three.txt"] && all["base"] == second, "{base}: {all}");
        }
        let by_sdk = GetGitDiffParameters::default().with_base("v1");
        let all = server.client().cockpit().get_git_diff(&by_sdk).bearer(session.token.clone()).await?;
        ensure!(all.patches.len() == 2 && all.patches[0].r#type == PatchType::Added, "{all:?}");
    }

    /// What is no name must not be an option, or two of them.
    async fn what_is_no_base_is_refused(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        for base in [
            "nothing", "--output=stolen.txt", "-p", "--no-index", "--ext-diff", "HEAD --stat", "HEAD;id", "$(id)", "HEAD\n--stat", "..",
            "HEAD..main", "main...HEAD", "^HEAD", "HEAD:README.md", ":README.md", "0000000000000000000000000000000000000000", "@{-1}",
            " HEAD", "ä",
        ] {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("base", base).finish();
            let answer = server.send(&session.get(format!("/api/git/diff?{query}"))).await?;
            ensure!(["base_unknown", "invalid_request"].contains(&answer.code().as_str()), "{base:?}: {}", answer.json());
        }
        for query in ["base=", "base=%00", &format!("base={}", "x".repeat(201))] {
            let answer = server.send(&session.get(format!("/api/git/diff?{query}"))).await?;
            ensure!(["base_unknown", "invalid_request"].contains(&answer.code().as_str()), "{query}: {}", answer.json());
        }
        ensure!(session.repository.status()?.is_empty(), "{}", session.repository.status()?);
    }

    /// Whoever can write a repository's settings, as an agent can, must not have programs run by who looks at it.
    async fn nothing_that_a_repository_names_is_run(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let repository = &session.repository;
        let folder = tempfile::tempdir()?;
        let marker = folder.path().join("marker");
        let script = folder.path().join("script.sh");
        std::fs::write(&script, format!("#!/bin/sh\necho \"$0 $*\" >> {}\ncat 2>/dev/null\n", marker.display()))?;
        std::process::Command::new("chmod").arg("+x").arg(&script).status()?;
        let script = script.to_str().context("a plain name")?;
        repository.write(".gitattributes", "*.txt diff=evil filter=evil\n")?;
        repository.write("a.txt", "a\n")?;
        repository.commit("Add a")?;
        for (name, value) in [
            ("diff.external", script),
            ("diff.evil.command", script),
            ("diff.evil.textconv", script),
            ("core.fsmonitor", script),
            ("core.pager", script),
            ("pager.diff", script),
            ("core.sshCommand", script),
            ("core.editor", script),
            ("alias.diff", &format!("!{script}")),
        ] {
            repository.git(&["config", name, value])?;
        }
        std::fs::write(repository.path().join("a.txt"), "b\n")?;
        let all = diff(&server, &session, None).await?;
        ensure!(names(&all) == ["a.txt"], "{all}");
        let ran = std::fs::read_to_string(&marker).unwrap_or_default();
        ensure!(ran.is_empty(), "it ran {ran}");
    }

    async fn a_repository_may_be_in_any_state(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let repository = &session.repository;
        repository.git(&["checkout", "--quiet", "--detach"])?;
        repository.write("a.txt", "a\n")?;
        ensure!(names(&diff(&server, &session, None).await?) == ["a.txt"], "detached");
        repository.git(&["checkout", "--quiet", "-b", "other"])?;
        repository.commit("Say a")?;
        repository.git(&["checkout", "--quiet", "main"])?;
        repository.write("a.txt", "b\n")?;
        repository.commit("Say b")?;
        ensure!(repository.git(&["merge", "--quiet", "other"]).is_err(), "there is no conflict");
        let all = diff(&server, &session, None).await?;
        ensure!(names(&all) == ["a.txt"] && all.to_string().contains("<<<<<<<"), "{all}");
    }
}
