//! What every agent can do, whatever it speaks.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::process::Supervisor;
use super::update::Update;

/// One session with an agent. One turn at a time: [`Agent::prompt`], then [`Agent::next`] until the turn's end.
#[async_trait]
pub trait Agent: Send {
    /// Begins a turn.
    ///
    /// # Errors
    /// If the agent is gone.
    async fn prompt(&mut self, text: &str) -> Result<(), AgentError>;

    /// What the agent tells next. Loses nothing when dropped before it completes.
    ///
    /// # Errors
    /// If the agent is gone, or says what can't be understood. Nothing more comes then.
    async fn next(&mut self) -> Result<Update, AgentError>;

    /// When it said something last, if only to itself: much of what programs say is no update, but a sign of life.
    fn last_heard(&self) -> Instant;

    /// Asks the agent to end its turn. Its end comes as any other, soon; whoever can't wait closes the agent.
    async fn cancel(&mut self);

    /// Ends the agent and every process that it started.
    async fn close(self: Box<Self>);
}

/// Where an agent works, and how.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its working directory, which exists.
    pub cwd: PathBuf,
    /// The agent's own name of a session to take up, as [`Update::Session`] told it.
    pub resume: Option<String>,
    /// Starts its processes.
    pub supervisor: Supervisor,
    /// How long it may take until it is ready for a prompt.
    pub patience: Duration,
}

/// Why an agent does not do what it should. The texts are for the person who talks with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// Its program is not on this machine, or can't be run.
    #[error("`{program}` can't be started: {problem}. Install it on the server's machine, or name another agent.")]
    NotStarted { program: String, problem: String },
    /// It was not ready in time.
    #[error("The agent was not ready after {seconds} seconds.{last_words}")]
    NotReady { seconds: u64, last_words: String },
    /// It ended by itself.
    #[error("The agent's program ended{how}.{last_words}")]
    Ended { how: String, last_words: String },
    /// It refused, or said what can't be understood.
    #[error("{0}")]
    Refused(String),
}
