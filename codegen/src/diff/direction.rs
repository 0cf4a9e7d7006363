//! Which types a client sends and which it receives: what is a promise in one direction is a demand in the other.

use std::collections::BTreeSet;

use super::Verdict;
use crate::ir::{Content, Message, Operation, Protocol, Shape, Type};

/// The ways that a type travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Direction {
    /// Clients send it.
    pub sent: bool,
    /// Clients receive it.
    pub received: bool,
}

impl Direction {
    /// Only sent, as parameters are.
    pub const SENT: Self = Self { sent: true, received: false };

    /// The verdict on something that now admits more.
    pub const fn widened(self) -> Verdict {
        if self.received { Verdict::Breaking } else { Verdict::Compatible }
    }

    /// The verdict on something that now admits less.
    pub const fn narrowed(self) -> Verdict {
        if self.sent { Verdict::Breaking } else { Verdict::Compatible }
    }
}

/// The types that clients send or receive.
#[derive(Debug)]
pub struct Directions {
    sent: BTreeSet<String>,
    received: BTreeSet<String>,
}

impl Directions {
    /// Follows every operation and socket of a protocol.
    pub fn of(protocol: &Protocol) -> Self {
        let operations: Vec<&Operation> = protocol.surfaces.iter().flat_map(|surface| &surface.operations).collect();
        let bodies = operations.iter().filter_map(|operation| operation.body.clone());
        let parameters = operations.iter().flat_map(|operation| &operation.parameters);
        let of_sockets = protocol.sockets.iter().flat_map(|socket| &socket.parameters);
        let parameters = parameters.chain(of_sockets.map(|parameter| &parameter.parameter));
        let types = |messages: &[Message]| messages.iter().map(|message| message.ty.clone()).collect::<Vec<_>>();
        let said_by_clients = protocol.sockets.iter().flat_map(|socket| types(&socket.client_messages));
        let said_by_server = protocol.sockets.iter().flat_map(|socket| types(&socket.server_messages));
        let sent = bodies.chain(parameters.filter_map(|parameter| named(&parameter.ty))).chain(said_by_clients);
        let successes = operations.iter().flat_map(|operation| &operation.successes);
        let received = successes.filter_map(|success| match &success.content {
            Content::Json { ty } | Content::JsonList { ty } => Some(ty.clone()),
            Content::Empty | Content::Text => None,
        });
        let received = received.chain(said_by_server).chain([crate::lint::types::ERROR_BODY.to_owned()]);
        Self { sent: reachable(protocol, sent.collect()), received: reachable(protocol, received.collect()) }
    }

    /// How a type travels.
    pub fn get(&self, name: &str) -> Direction {
        Direction { sent: self.sent.contains(name), received: self.received.contains(name) }
    }
}

fn reachable(protocol: &Protocol, mut waiting: Vec<String>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if seen.contains(&name) {
            continue;
        }
        match protocol.types.get(&name).map(|definition| &definition.shape) {
            Some(Shape::Object { fields }) => {
                waiting.extend(fields.iter().filter_map(|field| named(&field.ty)));
            }
            Some(Shape::Union { variants, .. }) => {
                waiting.extend(variants.iter().map(|variant| variant.ty.clone()));
            }
            Some(Shape::Alias { ty, .. }) => waiting.extend(named(ty)),
            Some(Shape::Enum { .. }) | None => {}
        }
        seen.insert(name);
    }
    seen
}

fn named(ty: &Type) -> Option<String> {
    match ty {
        Type::Named { name } => Some(name.clone()),
        Type::List { item } => named(item),
        Type::Map { value } => named(value),
        _ => None,
    }
}
