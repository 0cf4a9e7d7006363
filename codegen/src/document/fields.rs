//! Reads a mapping keyword by keyword. The keywords that were asked for are the ones that are allowed; [`Fields::close`]
//! reports every other, so a reader cannot forget to refuse something.

use super::Reader;
use crate::diagnostic::{Code, Problems};
use crate::source::{Entry, Located, Node, Span, Value};

/// A mapping that is being read.
pub struct Fields<'a> {
    /// Where faults of the whole mapping are shown.
    pub at: Span,
    what: &'static str,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Starts to read `node`, which is a `what` (with its article). Reports and answers `None` if it is no mapping.
    pub fn open(reader: &mut Reader<'_>, node: &'a Node, at: Span, what: &'static str) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self { at, what, entries, asked: Vec::new() }),
            _ => {
                wrong_kind(reader.problems, node, at, what, "a mapping");
                None
            }
        }
    }

    /// The entry of a keyword, if it is there. From now on the keyword is known.
    pub fn get(&mut self, key: &'static str) -> Option<&'a Entry> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether a keyword is there, without allowing it.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The entry of a keyword that must be there.
    pub fn need(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<&'a Entry> {
        let entry = self.get(key);
        if entry.is_none() {
            let message = format!("{} needs the keyword `{key}`", self.what);
            reader.problems.report(Code::MissingKeyword, self.at, message, format!("add `{key}:`"));
        }
        entry
    }

    /// A text, if it is there.
    pub fn text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Located<String>> {
        self.get(key).and_then(|entry| text(reader, entry))
    }

    /// A text that must be there.
    pub fn need_text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Located<String>> {
        self.need(reader, key).and_then(|entry| text(reader, entry))
    }

    /// A text, trimmed; empty if it is not there.
    pub fn prose(&mut self, reader: &mut Reader<'_>, key: &'static str) -> String {
        self.text(reader, key).map_or_else(String::new, |text| text.value.trim().to_owned())
    }

    /// A text that a reader of the documentation needs.
    pub fn need_prose(&mut self, reader: &mut Reader<'_>, key: &'static str) -> String {
        let there = self.has(key);
        let prose = self.prose(reader, key);
        let well_formed = self.get(key).is_none_or(|entry| entry.value.as_text().is_some());
        if prose.is_empty() && well_formed {
            let word = if there { "empty" } else { "missing" };
            let at = self.get(key).map_or(self.at, |entry| entry.key_at);
            reader.problems.report(
                Code::MissingDescription,
                at,
                format!("the {key} of {} is {word}", self.what),
                "say in a sentence what it is for; it becomes documentation in every SDK",
            );
        }
        prose
    }

    /// A keyword that is `true` or absent. Answers its place where it is set.
    pub fn flag(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Span> {
        let entry = self.get(key)?;
        if matches!(entry.value.value, Value::Boolean(true)) {
            return Some(entry.key_at);
        }
        reader.problems.report(
            Code::WrongValue,
            entry.value.at,
            format!("`{key}` is `true` or absent"),
            format!("write `{key}: true`, or leave it out"),
        );
        None
    }

    /// A boolean, if it is there.
    pub fn boolean(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<bool> {
        let entry = self.get(key)?;
        match entry.value.value {
            Value::Boolean(value) => Some(value),
            _ => {
                wrong_kind(reader.problems, &entry.value, entry.value.at, &format!("`{key}`"), "true or false");
                None
            }
        }
    }

    /// A list, if it is there.
    pub fn list(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<&'a [Node]> {
        let entry = self.get(key)?;
        let list = entry.value.as_list();
        if list.is_none() {
            wrong_kind(reader.problems, &entry.value, entry.value.at, &format!("`{key}`"), "a list");
        }
        list
    }

    /// A list of texts, empty if it is not there.
    pub fn texts(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Vec<Located<String>> {
        let items = self.list(reader, key).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| match item.as_text() {
                Some(text) => Some(Located::new(text.to_owned(), item.at)),
                None => {
                    let what = format!("an item of `{key}`");
                    wrong_kind(reader.problems, item, item.at, &what, "a text (quote it if it looks like one)");
                    None
                }
            })
            .collect()
    }

    /// Ends the reading: whatever was not asked for is not part of the profile.
    pub fn close(self, reader: &mut Reader<'_>) {
        for entry in self.entries {
            if self.asked.iter().any(|asked| *asked == entry.key) {
                continue;
            }
            if let Some(hint) = refused(&entry.key) {
                let message = format!("the profile leaves `{}` out", entry.key);
                reader.problems.report(Code::RefusedKeyword, entry.key_at, message, hint);
                continue;
            }
            let hint = match crate::names::nearest(&entry.key, self.asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("{} takes {}", self.what, listing(&self.asked)),
            };
            let message = format!("unknown keyword `{}` in {}", entry.key, self.what);
            reader.problems.report(Code::UnknownKeyword, entry.key_at, message, hint);
        }
    }
}

/// Reports a value of the wrong kind.
pub fn wrong_kind(problems: &mut Problems, node: &Node, at: Span, what: &str, wanted: &str) {
    problems.report(Code::WrongKind, at, format!("{what} is {}", node.kind()), format!("it has to be {wanted}"));
}

/// The text of an entry.
pub fn text(reader: &mut Reader<'_>, entry: &Entry) -> Option<Located<String>> {
    if let Some(text) = entry.value.as_text() {
        return Some(Located::new(text.to_owned(), entry.value.at));
    }
    let what = format!("`{}`", entry.key);
    wrong_kind(
        reader.problems,
        &entry.value,
        entry.value.at,
        &what,
        "a text (quote it if it looks like something else)",
    );
    None
}

/// `a, b and c`, each in backquotes.
pub fn listing(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// What to write instead of a keyword that the profile leaves out on purpose.
fn refused(key: &str) -> Option<&'static str> {
    Some(match key {
        "allOf" => "write the properties out in one object; composition does not survive in every language",
        "anyOf" => "only `anyOf: [{$ref: ...}, {type: \"null\"}]` is known; a choice is a union with a discriminator",
        "oneOf" => "a union is a file of its own: `oneOf` references with a `discriminator`",
        "not" | "if" | "then" | "else" | "dependentSchemas" | "dependentRequired" => {
            "no client can keep this; check it in the server and give it an error code"
        }
        "patternProperties" | "propertyNames" | "unevaluatedProperties" => {
            "a map is `type: object` with `additionalProperties: <scalar or $ref>`"
        }
        "additionalProperties" => "leave it out: readers ignore unknown fields, writers never send them",
        "nullable" => "write `type: [string, \"null\"]`, or `anyOf: [{$ref: ...}, {type: \"null\"}]`",
        "prefixItems" | "contains" | "unevaluatedItems" => "a list has items of one type; a tuple is an object",
        "uniqueItems" | "multipleOf" | "exclusiveMinimum" | "exclusiveMaximum" | "minProperties" | "maxProperties"
        | "minContains" | "maxContains" => "check it in the server and give it an error code",
        "example" | "examples" => "examples are files: examples/<surface>/<operationId>.yaml",
        "readOnly" | "writeOnly" => "what is read and what is written are two types",
        "$defs" | "definitions" => "every type has a file of its own in schemas/",
        "$schema" | "$id" | "$anchor" | "$dynamicRef" | "title" => "leave it out: the file's name is the type's name",
        "contentEncoding" | "contentMediaType" => "say in the description what the text holds",
        "callbacks" | "links" | "externalDocs" | "style" | "explode" | "allowReserved" | "allowEmptyValue" => {
            "leave it out: the profile has one way for each"
        }
        _ => return None,
    })
}
