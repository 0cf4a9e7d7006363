//! `asyncapi/close-codes.yaml`: why a socket ends, and what its client does then.

use indexmap::IndexMap;

use super::Reader;
use super::fields::{Fields, wrong_kind};
use crate::diagnostic::Code;
use crate::ir::Reconnect;
use crate::source::{Entry, FileId, Located, Node, Span, Value};

/// A row of the table.
#[derive(Debug)]
pub struct CloseCodeDocument {
    pub name: Located<String>,
    /// Absent where it is not sound; that has been reported.
    pub code: Option<Located<u16>>,
    /// Absent where it is not sound; that has been reported.
    pub reconnect: Option<Reconnect>,
    pub message: String,
    pub action: String,
}

/// Reads the table.
pub fn read(reader: &mut Reader<'_>, file: FileId, root: &Node) -> IndexMap<String, CloseCodeDocument> {
    let Some(entries) = root.as_map() else {
        let at = Span::start_of(file);
        wrong_kind(reader.problems, root, at, "the table of close codes", "a mapping of names");
        return IndexMap::new();
    };
    entries.iter().filter_map(|entry| Some((entry.key.clone(), one(reader, entry)?))).collect()
}

fn one(reader: &mut Reader<'_>, entry: &Entry) -> Option<CloseCodeDocument> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "a close code")?;
    let code = fields.need(reader, "code").and_then(|entry| number(reader, entry));
    let reconnect = fields.need_text(reader, "reconnect").and_then(|text| reconnect(reader, &text));
    let message = fields.need_prose(reader, "message");
    let action = fields.need_prose(reader, "action");
    fields.close(reader);
    Some(CloseCodeDocument { name: Located::new(entry.key.clone(), entry.key_at), code, reconnect, message, action })
}

/// Whether a server may end a socket with this number. Three of the protocol's own are never sent, one is the client's,
/// and 3000 to 3999 belong to whoever registers them.
const fn may_be_sent(number: i64) -> bool {
    matches!(number, 1000..=1003 | 1007..=1009 | 1011..=1013 | 4000..=4999)
}

fn number(reader: &mut Reader<'_>, entry: &Entry) -> Option<Located<u16>> {
    match entry.value.value {
        Value::Integer(number) if may_be_sent(number) => {
            u16::try_from(number).ok().map(|number| Located::new(number, entry.value.at))
        }
        Value::Integer(number) => {
            let message = format!("a server does not close with {number}");
            let hint = "a code of our own is from 4000 to 4999; the protocol's are 1000 to 1003, 1007 to 1009 and 1011 to 1013";
            reader.problems.report(Code::CloseCodeRange, entry.value.at, message, hint);
            None
        }
        _ => {
            wrong_kind(reader.problems, &entry.value, entry.value.at, "`code`", "a whole number");
            None
        }
    }
}

fn reconnect(reader: &mut Reader<'_>, text: &Located<String>) -> Option<Reconnect> {
    match text.value.as_str() {
        "resume" => Some(Reconnect::Resume),
        "fresh" => Some(Reconnect::Fresh),
        "never" => Some(Reconnect::Never),
        other => {
            let message = format!("no way `{other}` to reconnect");
            let hint = "a client goes on where it was (`resume`), begins anew (`fresh`), or stops (`never`)";
            reader.problems.report(Code::WrongValue, text.at, message, hint);
            None
        }
    }
}
