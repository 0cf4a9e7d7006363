//! The spec's files as typed documents: what each says, and where it says it.
//!
//! Reading is where a file meets the profile. A keyword that no reader asks for is an error ([`fields`]), so nothing is
//! skipped. Rules that need more than one file are in [`lint`](crate::lint).

pub mod catalogue;
pub mod close_codes;
pub mod enumeration;
pub mod fields;
pub mod info;
pub mod limits;
pub mod operation;
pub mod parameter;
pub mod response;
pub mod resume;
pub mod route_map;
pub mod schema;
pub mod socket;
pub mod socket_limits;
pub mod socket_map;
pub mod union;
pub mod value;

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::diagnostic::Problems;
use crate::ir;
use crate::source::{Located, Role, Sources, Span};

pub use catalogue::{CatalogueEntry, ImpliedBy, RequestShape};
pub use close_codes::CloseCodeDocument;
pub use operation::{OperationDocument, PaginationDocument, PathItem, SurfaceDocument};
pub use parameter::ParameterDocument;
pub use response::SuccessDocument;
pub use resume::{ResumeDocument, ResumeEventDocument};
pub use route_map::{Route, RouteMap, Tag};
pub use schema::{Property, PropertyKind, SchemaDocument, SchemaShape};
pub use socket::{MessageDocument, RawDocument, SocketDocument};
pub use socket_map::{SocketEntry, SocketMap};
pub use union::UnionDocument;

/// Everything that a spec says.
#[derive(Debug, Default)]
pub struct Documents {
    pub route_map: RouteMap,
    /// By name, sorted.
    pub surfaces: IndexMap<String, SurfaceDocument>,
    /// By name, sorted.
    pub schemas: IndexMap<String, SchemaDocument>,
    /// By code, in the catalogue's order.
    pub errors: IndexMap<String, CatalogueEntry>,
    pub socket_map: SocketMap,
    /// By name, sorted.
    pub sockets: IndexMap<String, SocketDocument>,
    /// By name, in the table's order.
    pub close_codes: IndexMap<String, CloseCodeDocument>,
}

impl Documents {
    /// Every operation with its surface.
    pub fn operations(&self) -> impl Iterator<Item = (&SurfaceDocument, &OperationDocument)> {
        self.surfaces
            .values()
            .flat_map(|surface| surface.items.iter().map(move |item| (surface, item)))
            .flat_map(|(surface, item)| item.operations.iter().map(move |operation| (surface, operation)))
    }

    /// The parameters of each operation, and of each socket.
    pub fn parameter_lists(&self) -> impl Iterator<Item = &[ParameterDocument]> {
        let of_operations = self.operations().map(|(_, operation)| operation.parameters.as_slice());
        of_operations.chain(self.sockets.values().map(|socket| socket.parameters.as_slice()))
    }

    /// The types that operations and sockets mention themselves.
    pub fn mentions(&self) -> impl Iterator<Item = &Mention> {
        let of_operations = self.operations().flat_map(|(_, operation)| &operation.mentions);
        of_operations.chain(self.sockets.values().flat_map(|socket| &socket.mentions))
    }

    /// Every type that can be reached from these, themselves included.
    pub fn reachable<'a>(&'a self, from: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&str> = from.into_iter().collect();
        while let Some(name) = waiting.pop() {
            if reached.insert(name)
                && let Some(schema) = self.schemas.get(name)
            {
                waiting.extend(schema.mentions.iter().map(|mention| mention.name.as_str()));
            }
        }
        reached
    }

    /// The properties of a type, if it is an object.
    pub fn properties(&self, name: &str) -> Option<&[Property]> {
        match self.schemas.get(name)?.shape.as_ref()? {
            SchemaShape::Object { properties } => Some(properties),
            _ => None,
        }
    }

    /// The constant by which a message is told: its type's value of the socket's discriminator.
    pub fn tag_of(&self, socket: &SocketDocument, message: &MessageDocument) -> Option<&Located<String>> {
        let discriminator = &socket.discriminator.as_ref()?.value;
        let properties = self.properties(&message.payload.as_ref()?.value)?;
        properties.iter().find(|property| property.name.value == *discriminator)?.constant()
    }
}

/// A mention of a type.
#[derive(Debug, Clone)]
pub struct Mention {
    pub name: String,
    pub at: Span,
    /// As one of a union's variants or a socket's messages, or as a value of its own.
    pub as_variant: bool,
}

/// What readers share: the files, the faults found, and the types mentioned by what is being read.
pub struct Reader<'a> {
    pub sources: &'a Sources,
    pub problems: &'a mut Problems,
    mentions: Vec<Mention>,
}

impl<'a> Reader<'a> {
    /// A reader with nothing read.
    pub fn new(sources: &'a Sources, problems: &'a mut Problems) -> Self {
        Self { sources, problems, mentions: Vec::new() }
    }

    /// Resolves a reference to a type that is used as a value, and notes it.
    pub fn type_reference(&mut self, text: &Located<String>) -> Option<ir::Type> {
        self.mention(text, false).map(|name| ir::Type::Named { name })
    }

    /// Resolves a reference to a type, and notes it.
    pub fn mention(&mut self, text: &Located<String>, as_variant: bool) -> Option<String> {
        let name = crate::source::reference::schema(self.sources, text.at, &text.value, self.problems)?;
        self.mentions.push(Mention { name: name.clone(), at: text.at, as_variant });
        Some(name)
    }

    /// The types mentioned since the last call.
    pub fn take_mentions(&mut self) -> Vec<Mention> {
        std::mem::take(&mut self.mentions)
    }
}

/// Reads every file.
pub fn read(sources: &Sources, problems: &mut Problems) -> Documents {
    let mut reader = Reader::new(sources, problems);
    let mut documents = Documents::default();
    for (file, source) in sources.iter() {
        let Some(root) = &source.root else { continue };
        match Role::of(&source.path) {
            Role::RouteMap => documents.route_map = route_map::read(&mut reader, file, root),
            Role::Errors => documents.errors = catalogue::read(&mut reader, file, root),
            Role::Surface(name) => {
                let surface = operation::read_surface(&mut reader, file, name, &source.path, root);
                documents.surfaces.insert(name.to_owned(), surface);
            }
            Role::Schema(name) => {
                let schema = schema::read(&mut reader, file, name, &source.path, root);
                documents.schemas.insert(name.to_owned(), schema);
            }
            Role::SocketMap => documents.socket_map = socket_map::read(&mut reader, file, root),
            Role::Socket(name) => {
                let socket = socket::read(&mut reader, file, name, &source.path, root);
                documents.sockets.insert(name.to_owned(), socket);
            }
            Role::CloseCodes => documents.close_codes = close_codes::read(&mut reader, file, root),
            Role::Example { .. } | Role::ErrorExample(_) | Role::SocketExample { .. } | Role::Stray | Role::Ignored => {
            }
        }
    }
    documents
}
