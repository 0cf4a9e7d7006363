use std::path::Path;

use super::{Agent, AgentError, Setup};

pub(super) async fn start(_script: Option<&Path>, _setup: Setup) -> Result<Box<dyn Agent>, AgentError> {
    Err(AgentError::Refused(String::new()))
}
