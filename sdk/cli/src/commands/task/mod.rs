//! `flightdeck run` and `flightdeck task`: an agent changes a repository, and a person decides what is committed.
//!
//! `work` is the session and its calls, `follow` a task that goes on, `review` which changes are wanted, `show` what a
//! person sees, `kept` the tasks of earlier runs.

mod follow;
mod kept;
mod review;
mod show;
mod work;

use std::io::IsTerminal as _;

use anyhow::Result;
use flightdeck_sdk::types::{PatchSet, SessionCreate, Task, TaskApplied, TaskContext, TaskCreate, TaskStatus};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::find::short;
use super::person::{Interrupts, lines, next, typed_before};
use super::{Scene, session};
use crate::cli::RunArguments;
use crate::exit::{Exit, Failure};
use crate::term::{self, Colour};
use follow::Follow;
use review::{Answer, Chosen, Review};
use work::Work;

pub(super) use kept::take_up;

/// What is to become of a task's patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Review,
    Everything,
    /// They are printed.
    Nothing,
}

pub(super) async fn run(scene: &Scene, arguments: RunArguments) -> Result<()> {
    let person = is_person(scene);
    let wish = match (arguments.apply, arguments.no_apply) {
        (true, _) => Wish::Everything,
        (_, true) => Wish::Nothing,
        _ if person => Wish::Review,
        _ => Wish::Nothing,
    };
    let repo = session::repository(scene, &arguments.repo)?;
    let created = session::open(scene, &SessionCreate::new(repo.clone())).await?;
    let work = Work::new(scene, created.session_id, created.token.as_str().into())?;
    // One that lives as long as the run: none may be lost before it, or between two looks.
    let mut interrupts = Interrupts::new()?;
    // Before the task, so that as little as possible of what its agent says is missed.
    let socket = follow::events(work.client(), &work).await?;
    let task = match work.start(&wanted(&arguments)).await {
        Ok(task) => task,
        Err(error) => {
            work.end(scene).await?;
            return Err(error);
        }
    };
    let id = task.task_id;
    work.keep(scene, id, &repo)?;
    let mut lines = person.then(lines);
    let follow = Follow::new(scene, &work, socket, id, person, arguments.yes);
    let task = match follow.run(&mut lines, &mut interrupts).await {
        Ok(task) => task,
        Err(error) => {
            if error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit == Exit::Interrupted) {
                work.end(scene).await?;
            } else {
                term::remark(&format!("The task may go on: `flightdeck task show {}` shows it.", short(id)));
            }
            return Err(error);
        }
    };
    if let Some(failure) = failed(&task) {
        work.end(scene).await?;
        return Err(failure.into());
    }
    let patches = work.patches(id).await?;
    if patches.patches.is_empty() {
        work.end(scene).await?;
        return if scene.json { say_patches(&patches) } else { term::say("The agent is done, and changed nothing.") };
    }
    settle(scene, &work, id, &patches, wish, arguments.message, &mut lines, &mut interrupts).await
}

/// Somebody is there to be asked, and sees the question.
fn is_person(scene: &Scene) -> bool {
    !scene.json && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

fn wanted(arguments: &RunArguments) -> TaskCreate {
    let mut wanted = TaskCreate::new(arguments.instruction.join(" "));
    if let Some(branch) = &arguments.branch {
        wanted = wanted.with_branch(branch.clone());
    }
    if let Some(agent) = &arguments.agent {
        wanted = wanted.with_agent(agent.clone());
    }
    if !arguments.file.is_empty() || !arguments.hint.is_empty() {
        let context = TaskContext::default().with_files(arguments.file.clone()).with_hints(arguments.hint.clone());
        wanted = wanted.with_context(context);
    }
    wanted
}

/// How a task ended that has nothing to be applied.
fn failed(task: &Task) -> Option<Failure> {
    match task.status {
        TaskStatus::Failed => {
            let why = task.error.value().map_or("the server does not say why", String::as_str);
            Some(Failure::new(Exit::Failed, format!("the task failed: {why}")))
        }
        TaskStatus::Cancelled => Some(Failure::new(Exit::Interrupted, "the task was cancelled; nothing was changed")),
        _ => None,
    }
}

/// Does with a task's patches what is wished.
#[expect(clippy::too_many_arguments, reason = "they are what a run consists of, and used here only")]
async fn settle(
    scene: &Scene,
    work: &Work,
    id: Uuid,
    patches: &PatchSet,
    wish: Wish,
    message: Option<String>,
    lines: &mut Option<mpsc::Receiver<String>>,
    interrupts: &mut Interrupts,
) -> Result<()> {
    let chosen = match wish {
        Wish::Everything => Chosen::Everything,
        Wish::Nothing => {
            if scene.json {
                say_patches(patches)?;
            } else {
                show::patches(scene.theme, patches, std::io::stdout().is_terminal())?;
            }
            Chosen::Nothing
        }
        Wish::Review => match ask(scene, patches, lines, interrupts).await? {
            Some(chosen) => chosen,
            None => {
                let id = short(id);
                let left = format!(
                    "nothing was applied; `flightdeck task apply {id}` goes on, `flightdeck task cancel {id}` drops it"
                );
                return Err(Failure::new(Exit::Interrupted, left).into());
            }
        },
    };
    match work.apply(id, patches, chosen, message).await {
        Ok(Some(applied)) => say_applied(scene, "applied", &applied),
        Ok(None) => {
            let id = short(id);
            term::remark(&format!(
                "Nothing was applied. `flightdeck task apply {id}` applies it later, `flightdeck task cancel {id}` drops it."
            ));
            Ok(())
        }
        Err(error) => {
            let id = short(id);
            let code = error.downcast_ref::<flightdeck_sdk::Error>().and_then(flightdeck_sdk::Error::code);
            // What was applied stays as it is.
            if code.is_some_and(|code| code.as_str() == "task_applied") {
                term::remark(&format!(
                    "Something of it is applied already: `flightdeck task revert {id}` takes that back first."
                ));
            } else {
                term::remark(&format!("Nothing was lost: `flightdeck task apply {id}` tries it again."));
            }
            Err(error)
        }
    }
}

/// Asks about each change. `None`: the person pressed Ctrl-C.
async fn ask(
    scene: &Scene,
    patches: &PatchSet,
    lines: &mut Option<mpsc::Receiver<String>>,
    interrupts: &mut Interrupts,
) -> Result<Option<Chosen>> {
    let mut review = Review::new(patches);
    while let Some(change) = review.next() {
        // What was typed before a change was shown is no answer to it.
        typed_before(lines);
        show::change(scene.theme, change)?;
        let answer = loop {
            let what = if change.hunk.is_some() { "this change" } else { "this file's change" };
            term::print(&scene.theme.paint(Colour::Accent, &format!("Apply {what} [y,n,a,d,q,?]? ")))?;
            let line = tokio::select! {
                line = next(lines) => line,
                () = interrupts.next() => {
                    term::say("")?;
                    return Ok(None);
                }
            };
            // Whoever leaves has not said yes.
            let Some(line) = line else { break Answer::Quit };
            match Answer::read(&line) {
                Some(answer) => break answer,
                None => term::remark(
                    "y apply it, n leave it out, a apply it and the rest of the file, d leave out it and the rest of the \
                     file, q leave out all that is left",
                ),
            }
        };
        review.answer(answer);
    }
    Ok(Some(review.chosen()))
}

fn say_patches(patches: &PatchSet) -> Result<()> {
    show::json_line("patches", &serde_json::to_value(patches)?)
}

fn say_applied(scene: &Scene, what: &str, applied: &TaskApplied) -> Result<()> {
    if scene.json {
        return show::json_line(what, &serde_json::to_value(applied)?);
    }
    let branch = applied.branch.value().map_or_else(|| "no branch".to_owned(), |branch| term::line(branch));
    let tick = scene.theme.paint(Colour::Good, "✓");
    term::say(&format!("{tick} {what}: commit {} on {branch}", term::line(&applied.commit)))?;
    if what == "applied" {
        let id = short(applied.task_id);
        term::remark(&format!("`flightdeck task revert {id}` takes it back."));
    }
    Ok(())
}
