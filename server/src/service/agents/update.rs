//! What an agent tells while it works.

use flightdeck_api::support::JsonObject;
use tokio::sync::oneshot;

/// One thing that an agent tells.
#[derive(Debug)]
pub enum Update {
    /// The agent's own name for its session, by which it can be taken up again.
    Session(String),
    /// A piece of what it says.
    Text(String),
    /// What it said is complete; the next piece belongs to another message.
    EndOfText,
    /// A piece of what it thinks.
    Thought(String),
    /// Its plan, whole.
    Plan(Vec<Step>),
    /// What it does, for a status line.
    Status(String),
    /// It uses a tool.
    ToolCall(ToolCall),
    /// What a tool said.
    ToolResult(ToolResult),
    /// It changes a file.
    Patch(Patch),
    /// It asks before it does something, and waits for the answer.
    Permission(Permission),
    /// The turn is over. Comes once for each prompt, unless the agent ends before.
    TurnEnd(TurnEnd),
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub content: String,
    pub progress: Progress,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Pending,
    InProgress,
    Completed,
}

/// A use of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The agent's id of the call.
    pub id: String,
    /// The agent's name of the tool.
    pub name: String,
    /// Empty if the agent does not say.
    pub input: JsonObject,
}

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call's id.
    pub id: String,
    pub content: String,
    pub is_error: bool,
}

/// A change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    pub path: String,
    /// A unified diff.
    pub diff: String,
}

/// A question, and where its answer goes. An answer that is dropped counts as [`Answer::Withdrawn`].
#[derive(Debug)]
pub struct Permission {
    pub question: Question,
    pub answer: oneshot::Sender<Answer>,
}

/// What an agent wants to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The call's id, if the agent says which call it is about.
    pub tool_use_id: Option<String>,
    pub tool_name: String,
    /// What a person reads: the command, or what the tool would do.
    pub command: String,
    /// `command`, `edit` and so on; what an approval calls its kind.
    pub kind: String,
    /// The evidence: what the tool would be given.
    pub input: JsonObject,
}

/// What a person said to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Do it. The note is for agents that can read one.
    Allow { note: Option<String> },
    /// Don't, and why.
    Deny { note: Option<String> },
    /// Nobody will answer: the turn was cancelled, or the time is up.
    Withdrawn,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnEnd {
    pub outcome: Outcome,
    /// In US dollars, of this turn.
    pub cost: Option<f64>,
    /// Of this turn.
    pub usage: Option<Usage>,
}

impl TurnEnd {
    /// An end of which no more is known.
    #[must_use]
    pub const fn of(outcome: Outcome) -> Self {
        Self { outcome, cost: None, usage: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    Cancelled,
    /// Why, for a person.
    Failed(String),
}

/// Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
}
