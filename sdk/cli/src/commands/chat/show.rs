//! What a person sees of a chat.

use std::io::Write as _;

use anyhow::Result;
use flightdeck_sdk::sockets::chats::ChatsServerMessage;
use flightdeck_sdk::types::{ChatResult, ChatRole, PlanStatus};
use uuid::Uuid;

use crate::commands::Scene;
use crate::commands::find::short;
use crate::term::{self, Colour, Theme};

/// Shows messages as they come.
pub(super) struct Show<'a> {
    scene: &'a Scene,
    beside: Theme,
    /// Text has been written that no line's end follows yet.
    midline: bool,
    /// The agent's message that came last, and how many bytes of it are shown.
    said: Option<(Uuid, u64)>,
}

impl<'a> Show<'a> {
    pub(super) fn new(scene: &'a Scene) -> Self {
        Self { scene, beside: Theme::for_stderr(), midline: false, said: None }
    }

    /// Says what is not the agent's, beside it.
    pub(super) fn remark(&mut self, text: &str) {
        if self.midline && !self.scene.json {
            let _ = self.end_line();
        }
        term::remark(&self.beside.paint(Colour::Quiet, &term::line(text)));
    }

    pub(super) fn message(&mut self, message: &ChatsServerMessage) -> Result<()> {
        let theme = self.scene.theme;
        match message {
            ChatsServerMessage::History(history) => {
                if !history.complete {
                    self.remark("what was said before is not shown");
                }
                for message in &history.messages {
                    let mark = if message.role == ChatRole::User { "›" } else { " " };
                    self.line(&format!("{mark} {}", term::block(&message.content, "  ").trim_start()))?;
                }
                Ok(())
            }
            ChatsServerMessage::UserMessage(said) => {
                let said = term::block(&said.content, "  ");
                self.line(&theme.paint(Colour::Strong, &format!("› {}", said.trim_start())))
            }
            ChatsServerMessage::AssistantMessage(piece) => {
                let new = self.new_of(piece.message_id, piece.offset, &piece.content);
                self.text(new)?;
                if piece.seq.is_some() { self.end_line() } else { Ok(()) }
            }
            ChatsServerMessage::MessageFinished(_) => self.end_line(),
            ChatsServerMessage::AgentStatus(status) => {
                self.remark(&format!("{} …", status.message));
                Ok(())
            }
            ChatsServerMessage::Plan(plan) => {
                for entry in &plan.entries {
                    let (mark, colour) = match entry.status {
                        PlanStatus::Completed => ("✓", Colour::Good),
                        PlanStatus::InProgress => ("▸", Colour::Accent),
                        _ => ("·", Colour::Quiet),
                    };
                    self.line(&format!("{} {}", theme.paint(colour, mark), term::line(&entry.content)))?;
                }
                Ok(())
            }
            ChatsServerMessage::ToolUse(tool) => {
                let input = serde_json::to_string(&tool.tool_input).unwrap_or_default();
                let input = term::cut(&term::line(&input), 100);
                self.line(&theme.paint(Colour::Accent, &format!("⚙ {} {input}", term::line(&tool.tool_name))))
            }
            ChatsServerMessage::ToolResult(result) => {
                let colour = if result.is_error { Colour::Bad } else { Colour::Quiet };
                self.line(&theme.paint(colour, &term::block(&result.content, "  ")))
            }
            ChatsServerMessage::Patch(patch) => self.line(&term::block(&patch.diff, "  ")),
            ChatsServerMessage::ApprovalRequest(question) => {
                self.question(question.approval_id, &question.tool_name, &question.command)
            }
            ChatsServerMessage::ApprovalResolved(answer) => {
                let note = answer.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
                self.remark(&format!("{}{note}", answer.status.as_str().to_lowercase()));
                Ok(())
            }
            ChatsServerMessage::Result(result) => {
                let said = over(result);
                self.remark(&said);
                Ok(())
            }
            ChatsServerMessage::Error(fault) => self.line(&theme.paint(Colour::Bad, &term::block(&fault.error, ""))),
            _ => Ok(()),
        }
    }

    pub(super) fn question(&mut self, approval_id: Uuid, tool: &str, command: &str) -> Result<()> {
        let head = format!("{} asks ({}):", term::line(tool), short(approval_id));
        let head = self.scene.theme.paint(Colour::Warning, &head);
        self.line(&format!("{head}\n{}", term::block(command, "  ")))?;
        self.remark("y [note] to allow it, n [note] to refuse; or decide on another device");
        Ok(())
    }

    /// What of a piece is not shown yet: after a reconnect a message may come from its beginning once more.
    fn new_of<'p>(&mut self, message_id: Uuid, offset: u64, piece: &'p str) -> &'p str {
        let shown = self.said.filter(|(said, _)| *said == message_id).map_or(0, |(_, bytes)| bytes);
        let known = usize::try_from(shown.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.said = Some((message_id, shown.max(offset + piece.len() as u64)));
        piece.get(known..).unwrap_or_default()
    }

    /// A piece of text, as it comes.
    fn text(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        term::print(&clean(text))?;
        std::io::stdout().flush()?;
        self.midline = !text.ends_with('\n');
        Ok(())
    }

    fn end_line(&mut self) -> Result<()> {
        if std::mem::take(&mut self.midline) { term::say("") } else { Ok(()) }
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.end_line()?;
        term::say(text)
    }
}

/// A text of several lines without what could steer the terminal.
fn clean(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => format!("{}\n", term::line(line)),
            None => term::line(line),
        })
        .collect()
}

/// How a turn ended, in a few words.
fn over(result: &ChatResult) -> String {
    let mut parts = vec![result.status.as_str().to_owned()];
    if let Some(took) = result.duration_ms {
        parts.push(format!("{}.{} s", took / 1_000, took % 1_000 / 100));
    }
    if let Some(cost) = result.cost {
        parts.push(format!("${cost:.4}"));
    }
    if let Some(usage) = &result.usage {
        parts.push(format!("{} tokens read, {} written", usage.input_tokens, usage.output_tokens));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2J\nb"), "a␛[2J\nb");
    }
}
