//! The neutral model of the protocol: what the spec says, with every reference resolved and every rule of the
//! profile already checked. It knows no target language; each target lowers it once more, to names and types of
//! its own. It serialises (`cargo codegen ir`), and maps keep the order in which the spec is written.
//!
//! New inputs (sockets, GraphQL) add a collection beside `surfaces`; they do not change what is here.

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
