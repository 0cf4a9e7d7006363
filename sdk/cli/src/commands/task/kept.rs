//! `flightdeck task`: the tasks of earlier runs, for which the credential file keeps their sessions' tokens.

use anyhow::Result;
use flightdeck_sdk::ErrorCode;
use flightdeck_sdk::types::{Task, TaskStatus};

use super::work::Work;
use super::{Wish, is_person, say_applied, settle, show};
use crate::cli::TaskCommand;
use crate::commands::Scene;
use crate::commands::find::{Typed, fits, short, typed};
use crate::commands::person::{Interrupts, lines};
use crate::config::{Credentials, KeptTask};
use crate::exit::Failure;
use crate::term::{self, Colour, Table};

pub(in crate::commands) async fn take_up(scene: &Scene, command: Option<TaskCommand>) -> Result<()> {
    match command.unwrap_or(TaskCommand::List) {
        TaskCommand::List => list(scene).await,
        TaskCommand::Show { id } => show_one(scene, &id).await,
        TaskCommand::Apply { id, message, yes } => {
            let (work, kept) = find(scene, &id)?;
            let person = is_person(scene) && !yes;
            let patches = work.patches(kept.task_id).await?;
            let wish = if person { Wish::Review } else { Wish::Everything };
            let mut lines = person.then(lines);
            let mut interrupts = Interrupts::new()?;
            settle(scene, &work, kept.task_id, &patches, wish, message, &mut lines, &mut interrupts).await
        }
        TaskCommand::Revert { id } => {
            let (work, kept) = find(scene, &id)?;
            say_applied(scene, "reverted", &work.revert(kept.task_id).await?)
        }
        TaskCommand::Cancel { id } => {
            let (work, kept) = find(scene, &id)?;
            let task = work.cancel(kept.task_id).await?;
            work.end(scene).await?;
            if scene.json { term::say_json(&task) } else { say_status(scene, &task) }
        }
    }
}

/// The task that a person means.
fn find(scene: &Scene, word: &str) -> Result<(Work, KeptTask)> {
    let credentials = Credentials::read(&scene.effective.places)?;
    let part = match word {
        "last" => None,
        _ => Some(match typed(word)? {
            Typed::Whole(id) => id.simple().to_string(),
            Typed::Part(part) => part,
        }),
    };
    let fitting = |task: &&KeptTask| part.as_ref().is_none_or(|part| fits(task.task_id, part));
    let mut found: Vec<_> = credentials.tasks(&scene.effective.url.0).filter(fitting).collect();
    let kept = found.pop().cloned();
    if let (Some(kept), Some(other), Some(_)) = (&kept, found.last(), &part) {
        let (one, two) = (other.task_id, kept.task_id);
        return Err(Failure::usage(format!("{word:?} means more than one task, {one} and {two}; give more letters")));
    }
    let kept = kept.ok_or_else(|| {
        Failure::usage(format!("no task {word:?} was started from here; `flightdeck task list` shows those that were"))
    })?;
    Ok((Work::of(scene, &kept)?, kept))
}

async fn list(scene: &Scene) -> Result<()> {
    let credentials = Credentials::read(&scene.effective.places)?;
    let mut tasks: Vec<(Task, String)> = Vec::new();
    for kept in credentials.tasks(&scene.effective.url.0) {
        let work = Work::of(scene, kept)?;
        match work.task(kept.task_id).await {
            Ok(task) => tasks.push((task, kept.repo.clone())),
            Err(error) if error.code().is_some_and(is_gone) => work.forget(scene)?,
            Err(error) => return Err(error.into()),
        }
    }
    tasks.reverse();
    if scene.json {
        return term::say_json(&tasks.iter().map(|(task, _)| task).collect::<Vec<_>>());
    }
    if tasks.is_empty() {
        return term::say("No task is kept; `flightdeck run` starts one.");
    }
    let now = term::now();
    let mut table = Table::new(&["ID", "STATUS", "LAST", "REPOSITORY", "INSTRUCTION"]);
    for (task, repo) in &tasks {
        table.row(vec![
            (short(task.task_id), Some(Colour::Accent)),
            (term::line(task.status.as_str()), None),
            (term::ago(task.updated_at, now), None),
            (term::line(repo), None),
            (term::line(&task.instruction), None),
        ]);
    }
    term::print(&table.render(scene.theme, term::width()))
}

/// Its session is over, and it went with it.
fn is_gone(code: &ErrorCode) -> bool {
    matches!(code, ErrorCode::SessionNotFound | ErrorCode::TaskNotFound | ErrorCode::CredentialInvalid)
}

async fn show_one(scene: &Scene, word: &str) -> Result<()> {
    let (work, kept) = find(scene, word)?;
    let task = work.task(kept.task_id).await?;
    if scene.json {
        return term::say_json(&task);
    }
    say_status(scene, &task)?;
    if !matches!(task.status, TaskStatus::Ready | TaskStatus::Applied) {
        return Ok(());
    }
    show::patches(scene.theme, &work.patches(kept.task_id).await?, true)
}

fn say_status(scene: &Scene, task: &Task) -> Result<()> {
    let status = scene.theme.paint(Colour::Strong, &term::line(task.status.as_str()));
    term::say(&format!("{}  {status}  {}", short(task.task_id), term::line(&task.instruction)))?;
    match task.error.value() {
        Some(error) => term::say(&term::block(error, "  ")),
        None => Ok(()),
    }
}
