//! What changed between two protocols, and what an existing client makes of it.
//!
//! An existing client is one that was built with an SDK of the older protocol: it ignores fields that it does not know,
//! keeps enum values, union variants, messages and codes that it does not know, and sends what it always sent. Names count too, because
//! every SDK is generated from them.

pub mod catalogue;
pub mod direction;
pub mod limits;
pub mod operations;
pub mod sockets;
pub mod types;

use std::fmt::Write as _;

use serde::Serialize;

use crate::ir::Protocol;

/// What a change does to existing clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Some stop working, or no longer compile.
    Breaking,
    /// They go on as before.
    Compatible,
    /// Only words changed.
    Documentation,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    pub verdict: Verdict,
    /// What changed, e.g. `operation listRuns` or `type Run, field status`.
    pub subject: String,
    pub message: String,
}

/// Collects the differences.
#[derive(Debug, Default)]
pub struct Changes {
    found: Vec<Change>,
}

impl Changes {
    /// Adds a difference.
    pub fn add(&mut self, verdict: Verdict, subject: &str, message: impl Into<String>) {
        self.found.push(Change { verdict, subject: subject.to_owned(), message: message.into() });
    }

    /// Adds a difference of words, if there is one.
    pub fn words(&mut self, subject: &str, what: &str, old: &str, new: &str) {
        if old != new {
            self.add(Verdict::Documentation, subject, format!("the {what} changed"));
        }
    }

    /// Adds the codes that something can answer or end with now, or cannot any more. Clients keep codes that they do not
    /// know.
    pub fn codes(&mut self, subject: &str, verb: &str, old: &[String], new: &[String]) {
        for code in old.iter().filter(|code| !new.contains(code)) {
            self.add(Verdict::Compatible, subject, format!("does not {verb} `{code}` any more"));
        }
        for code in new.iter().filter(|code| !old.contains(code)) {
            self.add(Verdict::Compatible, subject, format!("can {verb} `{code}` now"));
        }
    }

    /// Adds a word about the deprecation, if it changed.
    pub fn deprecation(&mut self, subject: &str, old: bool, new: bool) {
        match (old, new) {
            (false, true) => self.add(Verdict::Compatible, subject, "is deprecated now"),
            (true, false) => self.add(Verdict::Compatible, subject, "is not deprecated any more"),
            _ => {}
        }
    }
}

/// Every difference, the breaking ones first.
pub fn compare(old: &Protocol, new: &Protocol) -> Vec<Change> {
    let mut changes = Changes::default();
    for (what, before, after) in [
        ("title", &old.title, &new.title),
        ("version", &old.version, &new.version),
        ("description", &old.description, &new.description),
    ] {
        changes.words("protocol", what, before, after);
    }
    operations::compare(old, new, &mut changes);
    sockets::compare(old, new, &mut changes);
    types::compare(old, new, &mut changes);
    catalogue::compare(old, new, &mut changes);
    let mut found = changes.found;
    found.sort();
    found.dedup();
    found
}

/// The differences as a person reads them, ending with a count.
pub fn render(changes: &[Change]) -> String {
    let mut out = String::new();
    for change in changes {
        let word = match change.verdict {
            Verdict::Breaking => "breaking",
            Verdict::Compatible => "compatible",
            Verdict::Documentation => "documentation",
        };
        let _ = writeln!(out, "{word:<14}{}: {}", change.subject, change.message);
    }
    let count = |verdict| changes.iter().filter(|change| change.verdict == verdict).count();
    let _ = writeln!(
        out,
        "{} breaking, {} compatible, {} of words only",
        count(Verdict::Breaking),
        count(Verdict::Compatible),
        count(Verdict::Documentation)
    );
    out
}

/// A type as the spec would write it.
pub fn type_name(ty: &crate::ir::Type) -> String {
    use crate::ir::Type;
    match ty {
        Type::String => "string".to_owned(),
        Type::Uuid => "uuid".to_owned(),
        Type::DateTime => "date-time".to_owned(),
        Type::Uri => "uri".to_owned(),
        Type::Int64Text => "64-bit integer as text".to_owned(),
        Type::Integer => "integer".to_owned(),
        Type::Unsigned => "unsigned integer".to_owned(),
        Type::Int32 => "32-bit integer".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::JsonObject => "JSON object".to_owned(),
        Type::Json => "JSON value".to_owned(),
        Type::List { item } => format!("list of {}", type_name(item)),
        Type::Map { value } => format!("map of {}", type_name(value)),
        Type::Named { name } => name.clone(),
    }
}
