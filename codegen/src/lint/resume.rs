//! `x-resume`: the messages and properties that it names exist, and are of the types that it needs.
//!
//! Two names mean the same on every socket: a message `synced` says that there is no more history, and `next_seq` of a
//! gap is the first position that still comes.

use crate::diagnostic::{Code, Problems};
use crate::document::{Documents, Property, PropertyKind, ResumeDocument, SocketDocument};
use crate::ir::Type;
use crate::source::Located;

/// The message that says that the client has everything there is.
const SYNCED: &str = "synced";
/// The property of a gap that says where history begins.
const NEXT: &str = "next_seq";

/// Checks the rules of this module.
pub fn check(documents: &Documents, problems: &mut Problems) {
    for socket in documents.sockets.values() {
        if let Some(resume) = &socket.resume {
            Rules { documents, socket, problems }.check(resume);
        }
    }
}

/// What every rule needs.
struct Rules<'a, 'p> {
    documents: &'a Documents,
    socket: &'a SocketDocument,
    problems: &'p mut Problems,
}

impl<'a> Rules<'a, '_> {
    fn check(&mut self, resume: &ResumeDocument) {
        if let Some(subscribe) = self.message(&resume.subscribe, "receive") {
            self.key(resume, &resume.subscribe, subscribe);
            if let Some(position) = self.property(&resume.subscribe, subscribe, &resume.position) {
                self.expect_position(position, &resume.position, false);
            }
        }
        if let Some(name) = &resume.unsubscribe
            && let Some(unsubscribe) = self.message(name, "receive")
        {
            self.key(resume, name, unsubscribe);
        }
        for (index, event) in resume.events.iter().enumerate() {
            self.once(&event.message, resume.events[..index].iter().map(|other| &other.message));
            if let Some(properties) = self.message(&event.message, "send") {
                self.key(resume, &event.message, properties);
                self.path(&event.message, properties, &event.seq);
            }
        }
        for (index, name) in resume.gaps.iter().enumerate() {
            self.once(name, resume.gaps[..index].iter());
            if let Some(gap) = self.message(name, "send") {
                self.key(resume, name, gap);
                let next = Located::new(NEXT.to_owned(), name.at);
                if let Some(property) = self.property(name, gap, &next) {
                    self.expect_position(property, &next, true);
                }
            }
        }
    }

    /// The properties of a message of this direction.
    fn message(&mut self, name: &Located<String>, direction: &str) -> Option<&'a [Property]> {
        let socket = self.socket;
        let names = if direction == "receive" { &socket.receive } else { &socket.send };
        if !names.iter().any(|other| other.value == name.value) {
            let near = crate::names::nearest(&name.value, names.iter().map(|name| name.value.as_str()));
            self.problems.report(
                Code::ResumeName,
                name.at,
                format!("`{direction}` has no message `{name}`"),
                near.map_or_else(
                    || "clients subscribe, and the server says what moves their position".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ),
            );
            return None;
        }
        let payload = socket.message(&name.value)?.payload.as_ref()?;
        self.documents.properties(&payload.value)
    }

    fn once<'n>(&mut self, name: &Located<String>, mut before: impl Iterator<Item = &'n Located<String>>) {
        if let Some(first) = before.find(|other| other.value == name.value) {
            self.problems.report_with(
                Code::ResumeName,
                name.at,
                format!("`{name}` is named twice"),
                "keep one of them",
                vec![(first.at, "first here".to_owned())],
            );
        }
    }

    /// A property of a message. Constants count: they have a name, though no use here.
    fn property(
        &mut self,
        message: &Located<String>,
        properties: &'a [Property],
        name: &Located<String>,
    ) -> Option<&'a Property> {
        let found = properties.iter().find(|property| property.name.value == name.value);
        if found.is_none() {
            let near = crate::names::nearest(&name.value, properties.iter().map(|it| it.name.value.as_str()));
            self.problems.report(
                Code::ResumeName,
                name.at,
                format!("the message `{message}` has no property `{name}`"),
                near.map_or_else(|| "add it, or correct the name".to_owned(), |near| format!("did you mean `{near}`?")),
            );
        }
        found
    }

    /// What belongs to a subscription names it, always, and as a text.
    fn key(&mut self, resume: &ResumeDocument, message: &Located<String>, properties: &'a [Property]) {
        let Some(key) = &resume.key else { return };
        let Some(property) = self.property(message, properties, key) else { return };
        let is_text = match &property.kind {
            Some(PropertyKind::Value(value)) => value.ty == Type::String && !value.nullable,
            Some(PropertyKind::Constant(_)) => false,
            None => return,
        };
        if !is_text || !property.required {
            self.problems.report_with(
                Code::ResumeType,
                key.at,
                format!("`{key}` is not a required string of the message `{message}`"),
                "a key names the subscription in every message that belongs to one",
                vec![(property.name.at, "the property".to_owned())],
            );
        }
    }

    /// The path to a position: property by property, through references and lists.
    fn path(&mut self, message: &Located<String>, properties: &'a [Property], path: &Located<String>) {
        let mut names = path.value.split('.').peekable();
        let mut properties = properties;
        let mut lists = 0;
        while let Some(name) = names.next() {
            let name = Located::new(name.to_owned(), path.at);
            let Some(property) = self.property(message, properties, &name) else { return };
            if names.peek().is_none() {
                // `synced` stands for a position, where another message may be about none.
                self.expect_position(property, path, message.value == SYNCED);
                return;
            }
            let inner = self.inner(property);
            lists += usize::from(inner.is_some_and(|(_, is_list)| is_list));
            let most = if message.value == SYNCED { 0 } else { 1 };
            let Some((inner, _)) = inner.filter(|_| lists <= most) else {
                self.problems.report_with(
                    Code::ResumeType,
                    path.at,
                    format!("the path cannot lead through `{name}` of the message `{message}`"),
                    "it leads through required objects and one list of objects; that of `synced` through objects only",
                    vec![(property.name.at, "the property".to_owned())],
                );
                return;
            };
            properties = inner;
        }
    }

    /// The properties of the object that a property always holds, or of the objects in its list, and whether it is a
    /// list.
    fn inner(&self, property: &Property) -> Option<(&'a [Property], bool)> {
        let Some(PropertyKind::Value(value)) = &property.kind else { return None };
        let (item, is_list) = match &value.ty {
            Type::List { item } => (item.as_ref(), true),
            other => (other, false),
        };
        let Type::Named { name } = item else { return None };
        let properties = self.documents.properties(name)?;
        (property.required && !value.nullable).then_some((properties, is_list))
    }

    fn expect_position(&mut self, property: &Property, name: &Located<String>, always: bool) {
        let (is_position, may_be_missing) = match &property.kind {
            Some(PropertyKind::Value(value)) => (value.ty == Type::Unsigned, !property.required || value.nullable),
            Some(PropertyKind::Constant(_)) => (false, false),
            None => return,
        };
        if always && may_be_missing {
            self.problems.report_with(
                Code::ResumeType,
                name.at,
                format!("`{name}` may be missing or null"),
                "without it a client would not know where it is: require it, and drop the null",
                vec![(property.name.at, "the property".to_owned())],
            );
        }
        if !is_position {
            self.problems.report_with(
                Code::ResumeType,
                name.at,
                format!("`{name}` is no position"),
                "a position is `type: integer` with a `minimum` of 0 or more",
                vec![(property.name.at, "the property".to_owned())],
            );
        }
    }
}
