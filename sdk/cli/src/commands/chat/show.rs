//! What a person sees of a chat.

use std::io::Write as _;

use anyhow::Result;
use flightdeck_sdk::sockets::chats::ChatsServerMessage;
use flightdeck_sdk::types::{ChatAssistantMessage, ChatResult, ChatRole, PlanStatus};
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
    shown: Shown,
}

/// How much of the last message has been shown: after a reconnect it comes again from its beginning.
#[derive(Default)]
struct Shown {
    message_id: Uuid,
    bytes: u64,
}

impl Shown {
    /// What is new of a piece.
    fn rest<'p>(&mut self, piece: &'p ChatAssistantMessage) -> &'p str {
        if self.message_id != piece.message_id {
            *self = Self { message_id: piece.message_id, bytes: 0 };
        }
        let known = usize::try_from(self.bytes.saturating_sub(piece.offset)).unwrap_or(usize::MAX);
        self.bytes = self.bytes.max(piece.offset + piece.content.len() as u64);
        piece.content.get(known..).unwrap_or_default()
    }
}

impl<'a> Show<'a> {
    pub(super) fn new(scene: &'a Scene) -> Self {
        Self { scene, beside: Theme::for_stderr(), midline: false, shown: Shown::default() }
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
                let rest = self.shown.rest(piece);
                self.text(rest)?;
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
                let command = term::block(&question.command, "  ");
                let head = format!("{} asks ({}):", term::line(&question.tool_name), short(question.approval_id));
                self.line(&format!("{}\n{command}", theme.paint(Colour::Warning, &head)))?;
                self.remark("y [note] to allow it, n [note] to refuse; or decide on another device");
                Ok(())
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

    #[test]
    fn what_comes_again_is_shown_once() {
        let piece = |message, offset, text: &str| {
            ChatAssistantMessage::new(text, "chat", Uuid::nil(), Uuid::from_u128(message), offset)
        };
        let mut shown = Shown::default();
        let mut rest = |piece: ChatAssistantMessage| shown.rest(&piece).to_owned();
        assert_eq!(rest(piece(1, 0, "hä")), "hä");
        // After a reconnect.
        assert_eq!(rest(piece(1, 0, "hälf")), "lf");
        assert_eq!(rest(piece(1, 0, "hä")), "");
        assert_eq!(rest(piece(1, 5, "way")), "way");
        assert_eq!(rest(piece(2, 0, "hä")), "hä");
    }
}
