//! What is wrong with a spec, said so that it can be mended: a stable code, a sentence, the place, a hint.
//!
//! Stages report into [`Problems`] and go on, so that one run shows everything. How a diagnostic looks on a terminal
//! or as JSON is in [`render`]; which codes exist is in [`code`].

pub mod code;
pub mod render;

pub use code::{Code, Severity};

use crate::source::Span;

/// One fault of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub at: Span,
    /// What is wrong, as a fragment that starts in lower case.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Other places that belong to the fault, each with a word about its part in it.
    pub related: Vec<(Span, String)>,
}

/// Collects the faults of a run.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Diagnostic>,
}

impl Problems {
    /// Adds a fault with one place.
    pub fn report(&mut self, code: Code, at: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.report_with(code, at, message, hint, Vec::new());
    }

    /// Adds a fault that shows other places too.
    pub fn report_with(
        &mut self,
        code: Code,
        at: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
        related: Vec<(Span, String)>,
    ) {
        self.found.push(Diagnostic { code, at, message: message.into(), hint: hint.into(), related });
    }

    /// Whether anything was found that forbids going on.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|problem| problem.code.severity() == Severity::Error)
    }

    /// How many faults were found so far.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether nothing was found so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Everything found, by place and then by code. Files are numbered in the order of their names, so a place sorts
    /// as its file's name does.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by(|a, b| (a.at, a.code, &a.message).cmp(&(b.at, b.code, &b.message)));
        self.found.dedup();
        self.found
    }
}
