//! What a person sees of a task.

use std::io::Write as _;

use anyhow::Result;
use flightdeck_sdk::sockets::cockpit::CockpitServerMessage;
use flightdeck_sdk::types::{CockpitOutput, CockpitStatus, OutputKind, PatchSet, PatchType, TaskStatus};
use uuid::Uuid;

use super::review::Change;
use crate::commands::Scene;
use crate::commands::find::short;
use crate::term::{self, Colour, Theme};

/// Shows a task's progress as it comes.
pub(super) struct Show {
    theme: Theme,
    beside: Theme,
    json: bool,
    /// What the agent says is progress, not the result: where the result is read by a program, it is told beside it.
    aside: bool,
    /// Text has been written that no line's end follows yet.
    midline: bool,
    /// The message of which a piece came last.
    message: Option<Uuid>,
    phase: Option<TaskStatus>,
}

impl Show {
    pub(super) fn new(scene: &Scene, person: bool) -> Self {
        let (theme, beside) = (scene.theme, Theme::for_stderr());
        Self { theme, beside, json: scene.json, aside: !person, midline: false, message: None, phase: None }
    }

    /// Says what is not the agent's, beside it.
    pub(super) fn remark(&mut self, text: &str) {
        if !self.json {
            let _nobody_reads = self.end_line();
        }
        term::remark(&self.beside.paint(Colour::Quiet, &term::line(text)));
    }

    pub(super) fn status(&mut self, status: &CockpitStatus) {
        if self.json || self.phase.as_ref() == Some(&status.phase) {
            return;
        }
        self.phase = Some(status.phase.clone());
        // The others are told by what comes of them.
        if matches!(status.phase, TaskStatus::Planning | TaskStatus::Running) {
            self.remark(&format!("{} …", status.phase.as_str()));
        }
    }

    pub(super) fn question(&mut self, id: Uuid, tool: &str, command: &str) -> Result<()> {
        if self.json {
            return Ok(());
        }
        let theme = if self.aside { self.beside } else { self.theme };
        let head = format!("{} asks ({}):", term::line(tool), short(id));
        self.line(&format!("{}\n{}", theme.paint(Colour::Warning, &head), term::block(command, "  ")))
    }

    pub(super) fn how_to_answer(&mut self, id: Uuid, person: bool) {
        if person {
            self.remark("y [note] to allow it, n [note] to refuse; or decide on another device");
        } else {
            self.remark(&format!(
                "it waits: another device answers, or `flightdeck approvals approve {id}` (or `deny`) in a paired folder; in a \
                 terminal, `run` asks here, and `--yes` allows everything"
            ));
        }
    }

    pub(super) fn output(&mut self, output: &CockpitOutput) -> Result<()> {
        // A tool may say nothing.
        if self.json || output.content.is_empty() {
            return Ok(());
        }
        let theme = if self.aside { self.beside } else { self.theme };
        match output.kind {
            OutputKind::Message => {
                // Each message begins on a line of its own.
                if self.message != output.message_id {
                    self.end_line()?;
                    self.message = output.message_id;
                }
                self.text(&output.content)
            }
            OutputKind::User => self
                .line(&theme.paint(Colour::Strong, &format!("› {}", term::block(&output.content, "  ").trim_start()))),
            // Not what the agent says; it would drown that.
            OutputKind::Thought => Ok(()),
            OutputKind::Status => {
                self.remark(&format!("{} …", output.content));
                Ok(())
            }
            _ => self.line(&theme.paint(Colour::Accent, &term::block(&output.content, "  "))),
        }
    }

    /// A piece of text, as it comes.
    fn text(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let safe = term::block(text, "");
        if self.aside {
            let _nobody_reads = write!(std::io::stderr().lock(), "{safe}");
        } else {
            term::print(&safe)?;
        }
        self.midline = !text.ends_with('\n');
        Ok(())
    }

    pub(super) fn end_line(&mut self) -> Result<()> {
        if std::mem::take(&mut self.midline) { self.put("") } else { Ok(()) }
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.end_line()?;
        self.put(text)
    }

    fn put(&self, text: &str) -> Result<()> {
        if self.aside {
            term::remark(text);
            return Ok(());
        }
        term::say(text)
    }
}

/// One message, for programs: as it is on the wire.
pub(super) fn as_json(message: &CockpitServerMessage) -> Result<()> {
    let value = match message {
        CockpitServerMessage::Status(message) => serde_json::to_value(message)?,
        CockpitServerMessage::Patch(message) => serde_json::to_value(message)?,
        CockpitServerMessage::Output(message) => serde_json::to_value(message)?,
        CockpitServerMessage::Error(message) => serde_json::to_value(message)?,
        _ => return Ok(()),
    };
    json_line(message.tag().unwrap_or_default(), &value)
}

/// One line for programs: a value, and what it is.
pub(super) fn json_line(kind: &str, value: &serde_json::Value) -> Result<()> {
    let mut line = serde_json::Map::new();
    line.insert("type".to_owned(), kind.into());
    line.extend(value.as_object().cloned().unwrap_or_default());
    term::say_json_line(&line)
}

/// One change, with its file.
pub(super) fn change(theme: Theme, change: Change<'_>) -> Result<()> {
    let file = change.file;
    let what = match file.r#type {
        PatchType::Added => "new file",
        PatchType::Deleted => "deleted",
        _ => "changed",
    };
    let mut head = format!("{what}  {}", term::line(&file.file));
    if let Some(old) = file.old_file.value() {
        head = format!("{head}  (was {})", term::line(old));
    }
    let hunk = change.hunk.and_then(|hunk| file.hunks.get(hunk));
    if let (Some(at), true) = (change.hunk, file.hunks.len() > 1) {
        head = format!("{head}  {}/{}", at + 1, file.hunks.len());
    }
    term::say(&theme.paint(Colour::Strong, &head))?;
    if change.hunk.unwrap_or(0) == 0 {
        // What is applied beside the lines, and can be dangerous: a file that can be run, or that is a link.
        let modes =
            file.content.lines().take_while(|line| !line.starts_with("@@")).filter(|line| line.contains("mode 1"));
        modes.take(2).try_for_each(|line| term::say(&format!("  {}", term::line(line))))?;
    }
    match hunk {
        Some(hunk) => {
            let place = format!("@@ -{},{} +{},{} @@", hunk.start_old, hunk.len_old, hunk.start_new, hunk.len_new);
            term::say(&theme.paint(Colour::Accent, &place))?;
            hunk.lines.iter().try_for_each(|line| say_line(theme, line))
        }
        None if file.binary => term::say("  (binary)"),
        None => lines(&file.content).try_for_each(|line| say_line(theme, line)),
    }
}

/// All changes. For a person with colours; for a program exactly as git takes them.
pub(super) fn patches(theme: Theme, set: &PatchSet, person: bool) -> Result<()> {
    for file in &set.patches {
        if person {
            lines(&file.content).try_for_each(|line| say_line(theme, line))?;
        } else {
            term::print(&file.content)?;
            if !file.content.ends_with('\n') {
                term::say("")?;
            }
        }
    }
    Ok(())
}

/// Lines with all that is in them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.strip_suffix('\n').unwrap_or(text).split('\n')
}

fn say_line(theme: Theme, line: &str) -> Result<()> {
    // Otherwise lines that end differently would look the same.
    let (line, end) = line.strip_suffix('\r').map_or((line, ""), |line| (line, "␍"));
    let safe = format!("{}{end}", term::block(line, ""));
    let colour = match line.as_bytes().first() {
        Some(b'+') => Colour::Good,
        Some(b'-') => Colour::Bad,
        Some(b'@') => Colour::Accent,
        _ => return term::say(&safe),
    };
    term::say(&theme.paint(colour, &safe))
}
