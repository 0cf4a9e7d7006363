//! From text to tree. Takes the small part of YAML that a spec needs; anchors, aliases, tags and several documents in
//! a file are refused, so that every node has one place and no input grows when it is read.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Entry, FileId, Node, Span, Value};
use crate::diagnostic::{Code, Problems};

/// How deep a file may nest. The deepest honest file needs 12.
pub const MAX_DEPTH: usize = 32;

/// A collection that is being read.
enum Open {
    List { at: Span, items: Vec<Node> },
    Map { at: Span, entries: Vec<Entry>, key: Option<(String, Span)> },
}

struct Builder<'a> {
    file: FileId,
    problems: &'a mut Problems,
    open: Vec<Open>,
    document: Option<Node>,
    documents: usize,
}

/// Parses a file. Answers `None` where it is not sound, which has then been reported.
pub fn parse(file: FileId, text: &str, problems: &mut Problems) -> Option<Node> {
    let before = problems.len();
    let mut builder = Builder { file, problems, open: Vec::new(), document: None, documents: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        match next {
            Ok((event, span)) => {
                if !builder.take(event, builder.span(span)) {
                    break;
                }
            }
            Err(error) => {
                let mark = saphyr_parser::Span::empty(*error.marker());
                let at = builder.span(mark);
                builder.problems.report(
                    Code::YamlSyntax,
                    at,
                    format!("this is not YAML: {}", error.info()),
                    "look at the indentation and the quotes here and on the line before",
                );
                break;
            }
        }
    }
    let Builder { document, problems, .. } = builder;
    if problems.len() > before {
        return None;
    }
    Some(document.unwrap_or(Node { at: Span::start_of(file), value: Value::Null }))
}

impl Builder<'_> {
    fn span(&self, span: saphyr_parser::Span) -> Span {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let length = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col()).max(1)
        } else {
            1
        };
        Span {
            file: self.file,
            line: number(span.start.line().max(1)),
            column: number(span.start.col() + 1),
            length: number(length),
        }
    }

    /// Takes the next event. Answers whether to go on.
    fn take(&mut self, event: Event<'_>, at: Span) -> bool {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.refuse(at, "a second document", "one file holds one document");
                    return false;
                }
            }
            Event::Alias(_) => {
                self.refuse(at, "an alias", "write the value out, or give it a file of its own and refer to that");
                self.add(Node { at, value: Value::Null });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_decoration(at, anchor, tag.is_some());
                self.scalar(text.as_ref(), style, at);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_decoration(at, anchor, tag.is_some());
                return self.open(at, Open::List { at, items: Vec::new() });
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_decoration(at, anchor, tag.is_some());
                return self.open(at, Open::Map { at, entries: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { at, items }) => self.add(Node { at, value: Value::List(items) }),
                Some(Open::Map { at, entries, .. }) => self.add(Node { at, value: Value::Map(entries) }),
                None => {}
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        true
    }

    fn open(&mut self, at: Span, collection: Open) -> bool {
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            self.refuse(at, "a structured key", "keys are plain text");
            return false;
        }
        if self.open.len() >= MAX_DEPTH {
            self.problems.report(
                Code::TooDeep,
                at,
                format!("this is nested more than {MAX_DEPTH} levels deep"),
                "give inner types files of their own",
            );
            return false;
        }
        self.open.push(collection);
        true
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, at: Span) {
        if let Some(Open::Map { key, entries, .. }) = self.open.last_mut()
            && key.is_none()
        {
            let first = entries.iter().find(|entry| entry.key == text).map(|entry| entry.key_at);
            *key = Some((text.to_owned(), at));
            if let Some(first) = first {
                self.problems.report_with(
                    Code::DuplicateKey,
                    at,
                    format!("the key `{text}` occurs twice"),
                    "keep one of them",
                    vec![(first, "first here".to_owned())],
                );
            }
            return;
        }
        self.add(Node { at, value: plain_or_text(text, style) });
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => {
                let (key, key_at) = key.take().unwrap_or_else(|| (String::new(), node.at));
                entries.push(Entry { key, key_at, value: node });
            }
            None => self.document = Some(node),
        }
    }

    fn refuse_decoration(&mut self, at: Span, anchor: usize, tagged: bool) {
        if anchor > 0 {
            self.refuse(at, "an anchor", "write the value out where it is needed; aliases are not read");
        }
        if tagged {
            self.refuse(at, "a tag", "leave the tag out; quote the value if it is text that looks like something else");
        }
    }

    fn refuse(&mut self, at: Span, what: &str, hint: &str) {
        self.problems.report(Code::YamlFeature, at, format!("{what} is not part of the profile"), hint);
    }
}

/// The value of a scalar by YAML's core schema.
fn plain_or_text(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        _ => {}
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Value::Integer(integer);
    }
    let numeric = text.chars().all(|character| matches!(character, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
    match text.parse::<f64>() {
        Ok(number) if numeric && number.is_finite() => Value::Number(number),
        _ => Value::Text(text.to_owned()),
    }
}
