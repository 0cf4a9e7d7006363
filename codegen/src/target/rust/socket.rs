//! What both Rust targets say about a socket in the same way.

use anyhow::{Context, Result};
use serde::Serialize;

use super::types::{TypeWriter, definition};
use super::{documentation, identifier, literal};
use crate::ir::{Message, Protocol, Reconnect, Socket};
use crate::target::scope::Scope;

/// A message as a variant of the union of its direction.
#[derive(Serialize)]
pub(crate) struct MessageItem {
    pub(crate) docs: Vec<String>,
    pub(crate) variant: String,
    /// A literal: the name in the spec.
    pub(crate) name: String,
    /// A literal. None for a message without a tag.
    pub(crate) tag: Option<String>,
    /// A literal. None for a message with a tag.
    pub(crate) recognised_by: Option<String>,
    /// What the variant holds.
    pub(crate) ty: String,
}

/// The raw data of each direction that has any: what its documentation says.
#[derive(Serialize)]
pub(crate) struct RawItem {
    pub(crate) client: Option<Vec<String>>,
    pub(crate) server: Option<Vec<String>>,
}

impl RawItem {
    pub(crate) fn of(socket: &Socket) -> Self {
        let docs = |text: &Option<String>| text.as_ref().map(|text| documentation::lines(text));
        Self { client: docs(&socket.raw.client), server: docs(&socket.raw.server) }
    }
}

/// Messages with those that have no tag last: serde wants them there.
pub(crate) fn ordered(messages: &[Message]) -> impl Iterator<Item = &Message> {
    let tagged = messages.iter().filter(|message| message.tag.is_some());
    tagged.chain(messages.iter().filter(|message| message.tag.is_none()))
}

/// The messages of one direction, as [`ordered`].
pub(crate) fn messages(
    protocol: &Protocol,
    socket: &Socket,
    messages: &[Message],
    taken: &[&str],
    writer: &mut TypeWriter<'_>,
) -> Result<Vec<MessageItem>> {
    let mut scope = Scope::new(format!("the messages of {} (spec/{})", socket.name, socket.source));
    let mut items = Vec::new();
    for message in ordered(messages) {
        let recognised_by = message.recognised_by.as_deref().filter(|_| message.tag.is_none());
        anyhow::ensure!(
            message.tag.is_some() || recognised_by.is_some(),
            "the message {} of {} has neither a tag nor a property by which it is recognised",
            message.name,
            socket.name
        );
        items.push(MessageItem {
            docs: documentation::lines(&definition(protocol, &message.ty)?.description),
            variant: scope.claim(identifier::variant(&message.name, taken)?, &message.name)?,
            name: literal::string(&message.name),
            tag: message.tag.as_deref().map(literal::string),
            recognised_by: recognised_by.map(literal::string),
            ty: writer.named(&message.ty)?,
        });
    }
    Ok(items)
}

/// What the types of a socket begin with.
pub(crate) fn prefix(socket: &Socket) -> Result<String> {
    identifier::variant(&socket.name, &[])
}

/// `GET /v1/stream`, as code in a doc comment.
pub(crate) fn route(socket: &Socket) -> String {
    format!("`GET {}`", socket.address.replace('`', ""))
}

/// A row of the table of close codes.
#[derive(Serialize)]
pub(crate) struct CloseCodeItem {
    docs: Vec<String>,
    variant: String,
    /// Literals.
    name: String,
    code: u16,
    /// The variant of `Reconnect`.
    reconnect: &'static str,
    message: String,
    action: String,
}

pub(crate) fn close_codes(protocol: &Protocol) -> Result<Vec<CloseCodeItem>> {
    let mut scope = Scope::new("the close codes (spec/asyncapi/close-codes.yaml)");
    let rows = protocol.close_codes.values();
    rows.map(|row| {
        Ok(CloseCodeItem {
            docs: documentation::lines(&row.message),
            variant: scope.claim(close_code(&row.name)?, &row.name)?,
            name: literal::string(&row.name),
            code: row.code,
            reconnect: match row.reconnect {
                Reconnect::Resume => "Resume",
                Reconnect::Fresh => "Fresh",
                Reconnect::Never => "Never",
            },
            message: literal::string(&row.message),
            action: literal::string(&row.action),
        })
    })
    .collect()
}

/// The variant of a close code.
pub(crate) fn close_code(name: &str) -> Result<String> {
    identifier::variant(name, &[]).with_context(|| format!("the close code {name}"))
}

/// A whole number of the limits, as a literal.
pub(crate) fn limit(value: u64) -> Result<String> {
    let value = i64::try_from(value).context("a limit of a socket is larger than any integer")?;
    Ok(literal::integer(value))
}
