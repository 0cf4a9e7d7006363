//! What git refuses, in the catalogue's codes.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;

use crate::service::repo::{ApplyError, RepoError};

/// Why a repository could not be read.
pub(super) fn of_reading(error: &RepoError) -> ApiError {
    let code = match error {
        RepoError::BaseUnknown(_) | RepoError::NoCommit => ErrorCode::BaseUnknown,
        RepoError::DiffTooLarge { .. } | RepoError::TooMuch { .. } => ErrorCode::DiffTooLarge,
        RepoError::Git { .. } | RepoError::TimedOut { .. } | RepoError::IndexRefused => ErrorCode::GitFailed,
        RepoError::NoGit(_) | RepoError::Io { .. } => {
            tracing::error!(%error, "git can't be used");
            ErrorCode::GitFailed
        }
        _ => ErrorCode::RepositoryInvalid,
    };
    ApiError::new(code).detail(path_of(code), error.to_string())
}

/// Why a change was not put in or taken out.
pub(super) fn of_applying(error: &ApplyError) -> ApiError {
    let (code, path) = match error {
        ApplyError::Conflict { file, hunk, .. } => (ErrorCode::PatchConflict, place(file, *hunk)),
        ApplyError::OtherBranch { .. } | ApplyError::CheckedOut { .. } => {
            (ErrorCode::PatchConflict, "branch".to_owned())
        }
        ApplyError::SelectionUnknown { file, hunk } => (ErrorCode::SelectionUnknown, place(file, *hunk)),
        ApplyError::NothingToApply => (ErrorCode::SelectionUnknown, "/select".to_owned()),
        ApplyError::Unfit(_) => (ErrorCode::SelectionUnknown, "/commitMessage".to_owned()),
        ApplyError::Busy(_) => (ErrorCode::RepositoryBusy, "repository".to_owned()),
        ApplyError::Hook { .. } => (ErrorCode::CommitRefused, "hook".to_owned()),
        ApplyError::Repo(_) => (ErrorCode::GitFailed, "git".to_owned()),
    };
    ApiError::new(code).detail(path, error.to_string())
}

/// A file, and one of its hunks, as a selection names them.
fn place(file: &str, hunk: Option<usize>) -> String {
    hunk.map_or_else(|| file.to_owned(), |hunk| format!("{file}#{hunk}"))
}

const fn path_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BaseUnknown => "base",
        ErrorCode::RepositoryInvalid => "repo",
        _ => "git",
    }
}
