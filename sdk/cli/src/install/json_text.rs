//! Surgery on a JSON text: insert and remove members and items, and leave every other byte as it is. A parser that
//! reads and a writer that writes would also reorder, reindent and renumber what is not ours.
//!
//! The text must be valid JSON; `Document::parse` makes sure.

use std::ops::Range;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

/// A JSON text with the places of its values.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    text: &'a str,
    pub(crate) root: Node,
}

/// A value and its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Range<usize>,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Object(Vec<Member>),
    Array(Vec<Node>),
    Scalar,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Where the name begins.
    start: usize,
    pub(crate) value: Node,
}

impl Member {
    fn place(&self) -> Range<usize> {
        self.start..self.value.place.end
    }
}

impl Node {
    /// The last member of that name: the one that counts where a name is there twice.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        match &self.kind {
            Kind::Object(members) => members.iter().rev().find(|member| member.name == name),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The places of what is in it.
    fn parts(&self) -> Vec<Range<usize>> {
        match &self.kind {
            Kind::Object(members) => members.iter().map(Member::place).collect(),
            Kind::Array(items) => items.iter().map(|item| item.place.clone()).collect(),
            Kind::Scalar => Vec::new(),
        }
    }
}

impl<'a> Document<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// It is not JSON; the message names line and column.
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        serde_json::from_str::<serde::de::IgnoredAny>(text).context("it is not valid JSON")?;
        let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
        scanner.blank();
        let root = scanner.value().context("it is not valid JSON")?;
        Ok(Self { text, root })
    }

    /// The value at a place.
    pub(crate) fn value(&self, node: &Node) -> Value {
        let text = self.text.get(node.place.clone()).unwrap_or_default();
        serde_json::from_str(text).unwrap_or(Value::Null)
    }

    /// The text with something more at the end of an object or array. `name` is for objects.
    pub(crate) fn insert(&self, into: &Node, name: Option<&str>, value: &impl Serialize) -> String {
        let style = Style::of(self.text, &self.root);
        let parts = into.parts();
        let own_indent = line_indent(self.text, into.place.start);
        let indent = parts.first().map_or_else(
            || format!("{own_indent}{}", style.unit),
            |first| line_indent(self.text, first.start).to_owned(),
        );
        let spread = match (parts.first(), style.spread) {
            (Some(first), _) => self.text.get(into.place.start..first.start).is_some_and(|gap| gap.contains('\n')),
            (None, spread) => spread,
        };
        let mut piece = String::new();
        if let Some(name) = name {
            piece.push_str(&Value::from(name).to_string());
            piece.push_str(if spread || style.spaced { ": " } else { ":" });
        }
        let (line_break, unit) = (style.line_break, style.unit.as_str());
        if spread {
            piece.push_str(&pretty(value, unit).replace('\n', &format!("{line_break}{indent}")));
        } else {
            piece.push_str(&serde_json::to_string(value).unwrap_or_default());
        }

        let (place, new) = match parts.last() {
            Some(last) if spread => (last.end..last.end, format!(",{line_break}{indent}{piece}")),
            Some(last) => (last.end..last.end, format!("{}{piece}", if style.spaced { ", " } else { "," })),
            None if spread => (inside(&into.place), format!("{line_break}{indent}{piece}{line_break}{own_indent}")),
            None => (inside(&into.place), piece),
        };
        self.replaced(place, &new)
    }

    /// The text without one member or item, by its index.
    pub(crate) fn remove(&self, from: &Node, index: usize) -> String {
        let parts = from.parts();
        let Some(part) = parts.get(index) else { return self.text.to_owned() };
        let before = index.checked_sub(1).and_then(|before| parts.get(before));
        let place = match (before, parts.get(index + 1)) {
            // With the comma before it, which `insert` put there.
            (Some(before), _) => before.end..part.end,
            (None, Some(after)) => part.start..after.start,
            (None, None) => inside(&from.place),
        };
        self.replaced(place, "")
    }

    fn replaced(&self, place: Range<usize>, new: &str) -> String {
        let mut text = self.text.to_owned();
        text.replace_range(place, new);
        text
    }
}

fn inside(place: &Range<usize>) -> Range<usize> {
    place.start + 1..place.end - 1
}

/// The blank beginning of the line that a place is on.
fn line_indent(text: &str, at: usize) -> &str {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let line = text.get(start..).unwrap_or_default();
    let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
    line.get(..blank).unwrap_or_default()
}

fn pretty(value: &impl Serialize, unit: &str) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(unit.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "a value can always be written");
    String::from_utf8(text).unwrap_or_default()
}

/// How the text is laid out.
struct Style {
    unit: String,
    line_break: &'static str,
    /// Over several lines.
    spread: bool,
    /// With blanks after colons and commas, where it is on one line.
    spaced: bool,
}

impl Style {
    fn of(text: &str, root: &Node) -> Self {
        let first = root.parts().first().cloned();
        let unit = first.as_ref().map(|first| line_indent(text, first.start)).filter(|unit| !unit.is_empty());
        let empty = first.is_none();
        Self {
            unit: unit.unwrap_or("  ").to_owned(),
            line_break: if text.contains("\r\n") { "\r\n" } else { "\n" },
            spread: empty || text.trim().contains('\n'),
            spaced: text.contains("\": "),
        }
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Node> {
        let start = self.at;
        let kind = match self.peek()? {
            b'{' => Kind::Object(self.parts(b'}', Self::one_member)?),
            b'[' => Kind::Array(self.parts(b']', Self::value)?),
            b'"' => {
                self.string()?;
                Kind::Scalar
            }
            _ => {
                while self.peek().is_some_and(|byte| !matches!(byte, b',' | b']' | b'}') && !byte.is_ascii_whitespace())
                {
                    self.at += 1;
                }
                Kind::Scalar
            }
        };
        Some(Node { place: start..self.at, kind })
    }

    fn parts<T>(&mut self, close: u8, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut parts = Vec::new();
        self.at += 1;
        loop {
            self.blank();
            match self.peek()? {
                byte if byte == close => break,
                b',' => self.at += 1,
                _ => parts.push(one(self)?),
            }
        }
        self.at += 1;
        Some(parts)
    }

    fn one_member(&mut self) -> Option<Member> {
        let start = self.at;
        let name = self.string()?;
        self.blank();
        self.at += 1;
        self.blank();
        Some(Member { name, start, value: self.value()? })
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_slice(self.bytes.get(start..self.at)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Inserts into the value at `path`, checks the result, and takes it away again.
    fn there_and_back(text: &str, path: &[&str], name: Option<&str>, value: &Value, expected: &str) {
        let find = |document: &Document<'_>| {
            let mut place = document.root.place.start;
            let mut node = &document.root;
            for step in path {
                node = &node.member(step).expect("the path exists").value;
                place = node.place.start;
            }
            (place, node.parts().len())
        };
        fn at(node: &Node, place: usize) -> Option<&Node> {
            if node.place.start == place {
                return Some(node);
            }
            match &node.kind {
                Kind::Object(members) => members.iter().find_map(|member| at(&member.value, place)),
                Kind::Array(items) => items.iter().find_map(|item| at(item, place)),
                Kind::Scalar => None,
            }
        }
        let document = Document::parse(text).expect("is JSON");
        let (place, count) = find(&document);
        let inserted = document.insert(at(&document.root, place).expect("is there"), name, value);
        assert_eq!(inserted, expected);
        let document = Document::parse(&inserted).expect("is JSON still");
        let back = document.remove(at(&document.root, place).expect("is there"), count);
        assert_eq!(back, text, "taking it away restores every byte");
    }

    #[test]
    fn it_keeps_to_the_style_of_the_file() {
        let value = json!({"b": 1});
        there_and_back("{}\n", &[], Some("a"), &value, "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n");
        there_and_back(
            "{\n\t\"x\": 1.50\n}",
            &[],
            Some("a"),
            &value,
            "{\n\t\"x\": 1.50,\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}",
        );
        there_and_back("{\"x\":1}", &[], Some("a"), &value, "{\"x\":1,\"a\":{\"b\":1}}");
        there_and_back("{\"x\": 1}", &[], Some("a"), &value, "{\"x\": 1, \"a\": {\"b\":1}}");
        there_and_back(
            "{\r\n    \"x\": {}\r\n}\r\n",
            &["x"],
            Some("a"),
            &value,
            "{\r\n    \"x\": {\r\n        \"a\": {\r\n            \"b\": 1\r\n        }\r\n    }\r\n}\r\n",
        );
        there_and_back("{\n  \"x\": [1, 2]\n}", &["x"], None, &json!(3), "{\n  \"x\": [1, 2, 3]\n}");
        there_and_back("{\n  \"x\": [\n    1\n  ]\n}", &["x"], None, &json!(3), "{\n  \"x\": [\n    1,\n    3\n  ]\n}");
    }

    #[test]
    fn strings_that_look_like_structure_are_not() {
        let text = r#"{"a\"}": "}],{", "b": ["\\", "[\u007b"]}"#;
        let document = Document::parse(text).expect("is JSON");
        assert!(document.root.member("a\"}").is_some());
        let items = document.root.member("b").and_then(|member| member.value.items()).expect("is an array");
        assert_eq!(items.iter().map(|item| document.value(item)).collect::<Vec<_>>(), [json!("\\"), json!("[{")]);
    }

    #[test]
    fn the_first_of_several_can_be_removed() {
        let document = Document::parse("[1, 2, 3]").expect("is JSON");
        assert_eq!(document.remove(&document.root, 0), "[2, 3]");
        assert_eq!(document.remove(&document.root, 1), "[1, 3]");
        assert_eq!(document.remove(&document.root, 9), "[1, 2, 3]");
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let message = format!("{:#}", Document::parse("{\n  \"a\": 1,\n}").expect_err("refuses"));
        assert!(message.contains("line 3"), "{message}");
    }
}
