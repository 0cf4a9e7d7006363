//! The neutral model of the protocol: what the spec says, with every reference resolved and every rule of the
//! profile already checked. It knows no target language; each target lowers it once more, to names and types of
//! its own. It serialises (`cargo codegen ir`), and maps keep the order in which the spec is written.
//!
//! New inputs (GraphQL) add a collection beside `surfaces`; they do not change what is here.

use indexmap::IndexMap;
use serde::Serialize;

/// A whole protocol.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Protocol {
    pub title: String,
    pub version: String,
    pub description: String,
    pub security_schemes: IndexMap<String, SecurityScheme>,
    pub surfaces: Vec<Surface>,
    /// In the order of the document.
    pub sockets: Vec<Socket>,
    /// By name, in the table's order.
    pub close_codes: IndexMap<String, CloseCode>,
    /// Sorted by name.
    pub types: IndexMap<String, TypeDef>,
    /// By code, in the catalogue's order.
    pub errors: IndexMap<String, ErrorDef>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SecurityScheme {
    /// A credential in a header, e.g. `X-Device-Id`.
    ApiKey { header: String, description: String },
    /// `Authorization: Bearer …`.
    Bearer { description: String },
}

/// The operations of one tag, from one file under `openapi/paths`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Surface {
    /// The tag and the file's stem, e.g. `bridge`.
    pub name: String,
    pub description: String,
    /// Relative to the spec's root, with forward slashes.
    pub source: String,
    pub operations: Vec<Operation>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operation {
    /// camelCase, as in the spec.
    pub id: String,
    pub method: Method,
    /// As in the spec: `/v1/runs/{run_id}`.
    pub path: String,
    pub summary: String,
    pub description: String,
    pub deprecated: bool,
    /// Path parameters first, in the order of the path; then the others in the order of the spec.
    pub parameters: Vec<Parameter>,
    /// The name of the body's type.
    pub body: Option<String>,
    /// At least one; ascending by status.
    pub successes: Vec<Success>,
    /// Every code it may answer with, declared and implied, in the catalogue's order.
    pub errors: Vec<String>,
    /// Alternatives, each a list of schemes that go together. None at all means open to all; an empty one among
    /// others means that the credential may be left out.
    pub security: Vec<Vec<String>>,
    /// Takes an `Idempotency-Key`.
    pub idempotent: bool,
    /// Sending the same request twice has the effect of sending it once, without a key: by its method, or because
    /// the spec promises it.
    pub repeatable: bool,
    /// It may take long to have something to say: the answer's head is sent at once and its body when there is.
    pub long_poll: bool,
    pub pagination: Option<Pagination>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Whether HTTP says that sending the same request twice has the effect of sending it once.
    pub const fn is_repeatable(self) -> bool {
        matches!(self, Self::Get | Self::Put | Self::Delete)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// As on the wire.
    pub name: String,
    pub place: Place,
    pub description: String,
    pub required: bool,
    pub deprecated: bool,
    pub ty: Type,
    pub limits: Limits,
    /// A JSON scalar.
    pub default: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Path,
    Query,
    Header,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Success {
    pub status: u16,
    pub description: String,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    Empty,
    Text,
    /// A named type.
    Json {
        ty: String,
    },
    /// A bare list of a named type.
    JsonList {
        ty: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pagination {
    /// The answer's property that holds the page's items.
    pub items: String,
    /// The type of one item.
    pub item: String,
    /// The answer's property that holds the next cursor; null or absent on the last page.
    pub next: String,
    /// The query parameter that takes it.
    pub cursor: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypeDef {
    /// The file's stem, UpperCamelCase.
    pub name: String,
    pub description: String,
    pub deprecated: bool,
    /// Relative to the spec's root.
    pub source: String,
    pub shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shape {
    Object {
        fields: Vec<Field>,
    },
    Enum {
        values: Vec<EnumValue>,
    },
    Union {
        /// The wire name of the property that tells the variants apart. The union owns it: the variants'
        /// `fields` do not contain it.
        discriminator: String,
        variants: Vec<Variant>,
    },
    Alias {
        ty: Type,
        limits: Limits,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// As on the wire.
    pub name: String,
    pub description: String,
    pub deprecated: bool,
    pub ty: Type,
    /// May not be missing.
    pub required: bool,
    /// May be null. Neither bit implies the other.
    pub nullable: bool,
    pub limits: Limits,
    /// A credential in plain text: a target never shows it where people look for faults.
    pub secret: bool,
    /// The type contains itself by way of this field without a list or map between: a target that stores
    /// values inline must box it.
    pub recursive: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnumValue {
    pub value: String,
    pub description: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    /// The discriminator's value.
    pub tag: String,
    /// The name of an object type. A type that is a variant somewhere keeps its other fields only.
    pub ty: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Type {
    String,
    Uuid,
    DateTime,
    Uri,
    /// A 64-bit integer that travels as decimal text.
    Int64Text,
    /// Within ±(2^53 − 1).
    Integer,
    /// Within 0..=2^53 − 1.
    Unsigned,
    Int32,
    Number,
    Boolean,
    /// Any JSON object, kept as it is.
    JsonObject,
    /// Any JSON value, kept as it is.
    Json,
    List {
        item: Box<Type>,
    },
    Map {
        value: Box<Type>,
    },
    Named {
        name: String,
    },
}

/// Limits that the server checks and every document shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_items: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorDef {
    /// snake_case.
    pub code: String,
    pub status: u16,
    pub retryable: bool,
    pub message: String,
    pub action: String,
}

/// A socket: what crosses it in both directions, how it may be opened, and how it ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Socket {
    /// The channel's name and the file's stem, e.g. `stream`.
    pub name: String,
    /// The path, e.g. `/v1/stream`.
    pub address: String,
    pub title: String,
    pub description: String,
    /// Relative to the spec's root.
    pub source: String,
    /// Of the query, all of them.
    pub parameters: Vec<SocketParameter>,
    /// As of an operation.
    pub security: Vec<Vec<String>>,
    /// Every code with which opening may be refused, declared and implied, in the catalogue's order.
    pub errors: Vec<String>,
    /// The codes of the catalogue that its error messages carry, in the catalogue's order.
    pub faults: Vec<String>,
    /// The property that tells most messages apart.
    pub discriminator: String,
    /// Whether clients may write its value in any case and with space around it.
    pub relaxed: bool,
    /// Raw data beside the messages.
    pub raw: Raw,
    /// What clients say, in the order of the document.
    pub client_messages: Vec<Message>,
    /// What the server says.
    pub server_messages: Vec<Message>,
    /// Names in the table, in its order.
    pub close_codes: Vec<String>,
    pub limits: SocketLimits,
    pub resume: Option<Resume>,
}

/// Bytes without a shape, and what they are: in each direction that has them, a description.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Raw {
    /// What clients send.
    pub client: Option<String>,
    /// What the server sends.
    pub server: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SocketParameter {
    #[serde(flatten)]
    pub parameter: Parameter,
    /// A credential: never shown.
    pub secret: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// As in the document, e.g. `publish`; names the variant in every target.
    pub name: String,
    /// The discriminator's value. Absent for a message that has none.
    pub tag: Option<String>,
    /// The required property by which a message without a tag is recognised.
    pub recognised_by: Option<String>,
    /// The name of an object type, whose `fields` do not contain the discriminator.
    pub ty: String,
}

/// Constants that both ends share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SocketLimits {
    /// The largest message that the server takes.
    pub max_message_bytes: u64,
    /// Beyond this many, the server reads more slowly.
    pub messages_per_second: u64,
    /// After this many faulty messages in a row the socket is closed.
    pub faults_in_a_row: u64,
    /// How much one connection may follow.
    pub subscriptions: u64,
    /// Events that may wait for a slow client, and their bytes.
    pub queue_events: u64,
    pub queue_bytes: u64,
    /// How often the server gives a sign of life.
    pub heartbeat_seconds: u64,
    /// How long a client may give none.
    pub silence_seconds: u64,
}

/// How a client goes on where it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Resume {
    /// The client message that subscribes.
    pub subscribe: String,
    /// The client message that ends a subscription.
    pub unsubscribe: Option<String>,
    /// The property that names a subscription, of the subscribing message and of everything that belongs to it. Absent:
    /// the connection has one subscription.
    pub key: Option<String>,
    /// The property of the subscribing message that holds the position.
    pub position: String,
    /// The server messages that move the position.
    pub events: Vec<ResumeEvent>,
    /// The server messages that say that history is missing.
    pub gaps: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResumeEvent {
    pub message: String,
    /// The path to the `seq`, e.g. `event.seq`; through a list, its last item counts: `events.seq`.
    pub seq: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CloseCode {
    /// snake_case.
    pub name: String,
    pub code: u16,
    pub reconnect: Reconnect,
    pub message: String,
    pub action: String,
}

/// What a client does after a close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reconnect {
    /// Connect again, and go on from the last position.
    Resume,
    /// Connect again, and begin anew.
    Fresh,
    /// Stop.
    Never,
}

impl Reconnect {
    /// As the spec writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Fresh => "fresh",
            Self::Never => "never",
        }
    }
}
