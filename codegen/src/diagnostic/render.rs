//! Diagnostics as text for a person, and as JSON for a program.
//!
//! Excerpts come from files that anybody may have written, so control characters never reach the terminal.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Code, Diagnostic, Severity};
use crate::source::{Sources, Span};

/// How many characters of a long line are shown.
const EXCERPT_WIDTH: usize = 110;

/// The diagnostics as a person reads them, ending with a count.
pub fn human(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        one(&mut out, diagnostic, sources);
        out.push('\n');
    }
    let errors = diagnostics.iter().filter(|d| d.code.severity() == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    let _ = writeln!(out, "{}, {}", count(errors, "error"), count(warnings, "warning"));
    out
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn one(out: &mut String, diagnostic: &Diagnostic, sources: &Sources) {
    let severity = match diagnostic.code.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let _ = writeln!(out, "{severity}[{}]: {}", diagnostic.code.as_str(), printable(&diagnostic.message));
    let related = diagnostic.related.iter().map(|(at, _)| at.line);
    let margin = related.chain([diagnostic.at.line]).max().unwrap_or(1).to_string().len();
    place(out, margin, "-->", diagnostic.at, "", sources);
    for (at, word) in &diagnostic.related {
        place(out, margin, ":::", *at, word, sources);
    }
    if !diagnostic.hint.is_empty() {
        let _ = writeln!(out, "{:margin$} = hint: {}", "", printable(&diagnostic.hint));
    }
}

/// `--> file:line:column` and, where the file has such a line, the line with a caret under the place.
fn place(out: &mut String, margin: usize, arrow: &str, at: Span, word: &str, sources: &Sources) {
    let _ = writeln!(out, "{:margin$}{arrow} {}", "", location(at, sources));
    let Some(line) = sources.line(at) else {
        if !word.is_empty() {
            let _ = writeln!(out, "{:margin$} = {}", "", printable(word));
        }
        return;
    };
    let characters: Vec<char> = line.chars().map(visible).collect();
    let column = (at.column as usize).saturating_sub(1).min(characters.len());
    let first = column.saturating_sub(EXCERPT_WIDTH / 2);
    let first = if characters.len() <= EXCERPT_WIDTH { 0 } else { first };
    let last = characters.len().min(first + EXCERPT_WIDTH);
    let shown: String = characters[first..last].iter().collect();
    let carets = "^".repeat((at.length as usize).clamp(1, (last - column).max(1)));
    let indent = column - first;
    let gap = if word.is_empty() { "" } else { " " };
    let _ = writeln!(out, "{:margin$} |", "");
    let _ = writeln!(out, "{:margin$} | {}", at.line, shown.trim_end());
    let _ = writeln!(out, "{:margin$} | {:indent$}{carets}{gap}{}", "", "", printable(word));
}

/// `file:line:column`, clickable in most terminals.
fn location(at: Span, sources: &Sources) -> String {
    format!("{}:{}:{}", printable(&sources.shown_path(at.file)), at.line, at.column)
}

fn visible(character: char) -> char {
    if character == '\t' {
        ' '
    } else if character.is_control() || is_direction_mark(character) {
        '\u{fffd}'
    } else {
        character
    }
}

/// Marks that reorder what a terminal shows.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

#[derive(Serialize)]
struct JsonDiagnostic<'a> {
    code: Code,
    severity: Severity,
    meaning: &'static str,
    message: &'a str,
    #[serde(flatten)]
    place: JsonPlace,
    hint: &'a str,
    related: Vec<JsonRelated<'a>>,
}

#[derive(Serialize)]
struct JsonPlace {
    file: String,
    line: u32,
    column: u32,
    length: u32,
}

#[derive(Serialize)]
struct JsonRelated<'a> {
    message: &'a str,
    #[serde(flatten)]
    place: JsonPlace,
}

/// The diagnostics as a JSON array.
///
/// # Errors
/// Only if serialisation itself fails, which would be a fault of this program.
pub fn json(diagnostics: &[Diagnostic], sources: &Sources) -> serde_json::Result<String> {
    let place =
        |at: Span| JsonPlace { file: sources.shown_path(at.file), line: at.line, column: at.column, length: at.length };
    let list: Vec<JsonDiagnostic<'_>> = diagnostics
        .iter()
        .map(|diagnostic| JsonDiagnostic {
            code: diagnostic.code,
            severity: diagnostic.code.severity(),
            meaning: diagnostic.code.meaning(),
            message: &diagnostic.message,
            place: place(diagnostic.at),
            hint: &diagnostic.hint,
            related: (diagnostic.related.iter())
                .map(|(at, message)| JsonRelated { message, place: place(*at) })
                .collect(),
        })
        .collect();
    serde_json::to_string_pretty(&list)
}
