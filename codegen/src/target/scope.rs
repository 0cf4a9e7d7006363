//! One place where names must differ. Two names of the spec that become the same identifier are an error that shows
//! both; nothing is renamed silently, because a name is part of what users depend on.

use anyhow::{Result, bail};
use indexmap::IndexMap;

/// The identifiers given out in one place.
pub(crate) struct Scope {
    place: String,
    taken: IndexMap<String, String>,
}

impl Scope {
    /// `place` completes "… of …" in a message, e.g. "the fields of Run (spec/schemas/Run.yaml)".
    pub(crate) fn new(place: impl Into<String>) -> Self {
        Self { place: place.into(), taken: IndexMap::new() }
    }

    /// Gives out `identifier` for `name`, as the spec has it.
    pub(crate) fn claim(&mut self, identifier: String, name: &str) -> Result<String> {
        if let Some(earlier) = self.taken.insert(identifier.clone(), name.to_owned()) {
            bail!("{earlier:?} and {name:?} both become `{identifier}` among {}; rename one of them", self.place);
        }
        Ok(identifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collision_shows_both_names_and_the_place() {
        let mut scope = Scope::new("the fields of Run");
        scope.claim("run_id".to_owned(), "run_id").expect("the first is free");
        let error = scope.claim("run_id".to_owned(), "runId").expect_err("the second is not");
        let expected = "\"run_id\" and \"runId\" both become `run_id` among the fields of Run; rename one of them";
        assert_eq!(error.to_string(), expected);
    }
}
