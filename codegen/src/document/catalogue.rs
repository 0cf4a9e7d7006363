//! `errors.yaml`: every code that a refusal can have.

use indexmap::IndexMap;

use super::fields::Fields;
use super::{OperationDocument, Reader, SocketDocument};
use crate::diagnostic::Code;
use crate::source::{Entry, FileId, Located, Node, Span, Value};

/// A code of the catalogue.
#[derive(Debug)]
pub struct CatalogueEntry {
    pub code: Located<String>,
    pub status: u16,
    pub retryable: bool,
    pub message: String,
    pub action: String,
    /// The shapes that imply it; one of them is enough. Empty for a code that operations declare.
    pub implied_by: Vec<Located<ImpliedBy>>,
}

impl CatalogueEntry {
    /// The first of its rules that a shape obeys.
    pub fn implied_in(&self, shape: &RequestShape<'_>) -> Option<&Located<ImpliedBy>> {
        self.implied_by.iter().find(|rule| rule.value.applies_to(shape))
    }

    /// Whether it is also answered outside any operation.
    pub fn is_outside(&self) -> bool {
        self.implied_by.iter().any(|rule| rule.value == ImpliedBy::Server)
    }
}

/// What of an operation, or of the opening of a socket, decides which codes follow from it.
#[derive(Debug, Clone, Copy)]
pub struct RequestShape<'a> {
    is_socket: bool,
    takes_input: bool,
    takes_body: bool,
    takes_key: bool,
    security: &'a [Vec<Located<String>>],
}

impl<'a> RequestShape<'a> {
    /// The shape of an operation.
    pub fn of_operation(operation: &'a OperationDocument) -> Self {
        let takes_key = operation.idempotent.is_some();
        Self {
            is_socket: false,
            // The key is a header that can be wrong like any other.
            takes_input: operation.has_body || !operation.parameters.is_empty() || takes_key,
            takes_body: operation.has_body,
            takes_key,
            security: &operation.security,
        }
    }

    /// The shape of the request that opens a socket.
    pub fn of_socket(socket: &'a SocketDocument) -> Self {
        Self {
            is_socket: true,
            takes_input: !socket.parameters.is_empty(),
            takes_body: false,
            takes_key: false,
            security: &socket.security,
        }
    }
}

impl RequestShape<'_> {
    /// What has this shape.
    pub const fn what(&self) -> &'static str {
        if self.is_socket { "socket" } else { "operation" }
    }
}

/// The shape of an operation that makes a code possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImpliedBy {
    /// Every operation, and the opening of every socket.
    Operation,
    /// The opening of every socket.
    Socket,
    /// None: an answer outside any operation.
    Server,
    /// One that takes a parameter or a body.
    Input,
    /// One that takes a body.
    Body,
    /// One that is `x-idempotent`.
    Idempotency,
    /// One that needs a credential.
    Security,
    /// One that accepts this scheme.
    Scheme(String),
}

impl ImpliedBy {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "operation" => Self::Operation,
            "socket" => Self::Socket,
            "server" => Self::Server,
            "input" => Self::Input,
            "body" => Self::Body,
            "idempotency" => Self::Idempotency,
            "security" => Self::Security,
            _ => Self::Scheme(text.strip_prefix("security:").filter(|scheme| !scheme.is_empty())?.to_owned()),
        })
    }
}

impl ImpliedBy {
    /// Whether a shape makes a code possible that is implied so.
    pub fn applies_to(&self, shape: &RequestShape<'_>) -> bool {
        match self {
            Self::Operation => true,
            Self::Socket => shape.is_socket,
            Self::Server => false,
            Self::Input => shape.takes_input,
            Self::Body => shape.takes_body,
            Self::Idempotency => shape.takes_key,
            Self::Security => !shape.security.is_empty() && shape.security.iter().all(|schemes| !schemes.is_empty()),
            Self::Scheme(name) => shape.security.iter().flatten().any(|scheme| scheme.value == *name),
        }
    }
}

/// Every code with which a request of this shape may be refused, declared and implied, in the catalogue's order.
pub fn codes_of<'a>(
    errors: &'a IndexMap<String, CatalogueEntry>,
    declared: &[Located<String>],
    shape: &RequestShape<'_>,
) -> Vec<&'a str> {
    let possible = errors.values().filter(|entry| {
        let declared = declared.iter().any(|code| code.value == entry.code.value);
        declared || entry.implied_in(shape).is_some()
    });
    possible.map(|entry| entry.code.value.as_str()).collect()
}

/// Reads the catalogue.
pub fn read(reader: &mut Reader<'_>, file: FileId, root: &Node) -> IndexMap<String, CatalogueEntry> {
    let Some(entries) = root.as_map() else {
        let at = Span::start_of(file);
        super::fields::wrong_kind(reader.problems, root, at, "the catalogue", "a mapping of codes");
        return IndexMap::new();
    };
    let read = entries.iter().filter_map(|entry| Some((entry.key.clone(), one(reader, entry)?)));
    read.collect()
}

fn one(reader: &mut Reader<'_>, entry: &Entry) -> Option<CatalogueEntry> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "an error code")?;
    let status = status(reader, &mut fields);
    fields.need(reader, "retryable");
    let retryable = fields.boolean(reader, "retryable").unwrap_or_default();
    let message = fields.need_prose(reader, "message");
    let action = fields.need_prose(reader, "action");
    let implied_by = implied_by(reader, &mut fields);
    fields.close(reader);
    Some(CatalogueEntry {
        code: Located::new(entry.key.clone(), entry.key_at),
        status,
        retryable,
        message,
        action,
        implied_by,
    })
}

fn status(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> u16 {
    let Some(entry) = fields.need(reader, "status") else {
        return 0;
    };
    match entry.value.value {
        Value::Integer(status @ 400..=599) => u16::try_from(status).unwrap_or_default(),
        _ => {
            reader.problems.report(
                Code::ErrorStatus,
                entry.value.at,
                "this is not an error status",
                "a refusal has a status from 400 to 599",
            );
            0
        }
    }
}

/// One shape, or a list of shapes.
fn implied_by(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Vec<Located<ImpliedBy>> {
    const KEY: &str = "implied_by";
    let Some(entry) = fields.get(KEY) else {
        return Vec::new();
    };
    let Some(items) = entry.value.as_list() else {
        return fields.text(reader, KEY).and_then(|text| rule(reader, &text)).into_iter().collect();
    };
    if items.is_empty() {
        let hint = "name a shape, or leave `implied_by` out";
        reader.problems.report(Code::ErrorImpliedBy, entry.value.at, "the list of shapes is empty", hint);
    }
    let mut rules: Vec<Located<ImpliedBy>> = Vec::new();
    for text in fields.texts(reader, KEY) {
        let Some(rule) = rule(reader, &text) else { continue };
        match rules.iter().find(|other| other.value == rule.value) {
            Some(first) => reader.problems.report_with(
                Code::ErrorImpliedBy,
                rule.at,
                format!("`{text}` is named twice"),
                "keep one of them",
                vec![(first.at, "first here".to_owned())],
            ),
            None => rules.push(rule),
        }
    }
    rules
}

fn rule(reader: &mut Reader<'_>, text: &Located<String>) -> Option<Located<ImpliedBy>> {
    let rule = ImpliedBy::parse(&text.value);
    if rule.is_none() {
        reader.problems.report(
            Code::ErrorImpliedBy,
            text.at,
            format!("no rule `{text}`"),
            "the rules are operation, socket, server, input, body, idempotency, security and security:<scheme>",
        );
    }
    Some(Located::new(rule?, text.at))
}
