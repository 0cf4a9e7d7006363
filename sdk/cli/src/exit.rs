//! How a command ends: the exit codes, and which failure leads to which.

use std::fmt;
use std::process::ExitCode;

use flightdeck_sdk::{Error as SdkError, ErrorCode};

/// The exit codes. They are documented in the README and in `--help`; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It failed, or a check of `doctor` did.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// There is no credential, or the server does not accept it.
    NotPaired = 3,
    /// The server gave no answer.
    Unreachable = 4,
    /// Somebody else decided first, and differently.
    Conflict = 5,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure that knows its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
        Self::new(Exit::Usage, message).into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code of any failure.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    match error.downcast_ref::<SdkError>() {
        Some(SdkError::Connection { .. } | SdkError::Timeout { .. }) => Exit::Unreachable,
        Some(SdkError::Credentials { .. }) => Exit::NotPaired,
        Some(SdkError::Api(refusal)) if refusal.code == ErrorCode::DeviceRequired => Exit::NotPaired,
        Some(SdkError::Api(refusal)) => match refusal.status {
            401 => Exit::NotPaired,
            409 => Exit::Conflict,
            502..=504 => Exit::Unreachable,
            _ => Exit::Failed,
        },
        _ => Exit::Failed,
    }
}

/// A failure in words, with its causes. Not yet safe for a terminal.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    match error.downcast_ref::<SdkError>().and_then(SdkError::as_api) {
        Some(refusal) => {
            let mut text = refusal.message.clone();
            for detail in &refusal.details {
                text.push_str(&format!("\n  {}: {}", detail.path, detail.message));
            }
            if !refusal.action.is_empty() {
                text.push_str(&format!("\n  {}", refusal.action));
            }
            text.push_str(&format!("\n  ({}, HTTP {}", refusal.code.as_str(), refusal.status));
            if let Some(request_id) = &refusal.request_id {
                text.push_str(&format!(", request {request_id}"));
            }
            text.push(')');
            text
        }
        None => format!("{error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_code() {
        assert_eq!(exit_of(&anyhow::anyhow!("anything")), Exit::Failed);
        assert_eq!(exit_of(&Failure::usage("what")), Exit::Usage);
        let wrapped = Failure::new(Exit::Conflict, "late");
        assert_eq!(exit_of(&anyhow::Error::from(wrapped).context("while deciding")), Exit::Conflict);
        let unreachable = SdkError::Connection { server: "s".into(), maybe_delivered: false, source: "no".into() };
        assert_eq!(exit_of(&unreachable.into()), Exit::Unreachable);
    }
}
