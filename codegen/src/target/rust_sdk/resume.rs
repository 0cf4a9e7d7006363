//! How a client goes on where it was: what `x-resume` says, as the arms of the runtime's questions about a message.
//!
//! Three names are the same for every socket, as the profile's marks are: `synced` is a position without an event, a
//! gap says with `next_seq` what comes next, and positions belong to the log that `epoch` names.

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::sockets::variant;
use crate::ir::{Field, Message, Protocol, Resume, Shape, Socket, Type};
use crate::target::rust::identifier;
use crate::target::rust::types::{definition, resolved};

const SYNCED: &str = "synced";
const NEXT: &str = "next_seq";
const EPOCH: &str = "epoch";

/// An arm: its pattern's variant and binding, and an expression or statements about that.
#[derive(Serialize)]
pub(super) struct Arm {
    variant: String,
    binding: &'static str,
    answer: String,
}

impl Arm {
    /// One that does not look into the message.
    pub(super) fn blind(variant: &str, answer: &str) -> Self {
        Self { variant: variant.to_owned(), binding: "_", answer: answer.to_owned() }
    }
}

/// The arms, by question.
#[derive(Serialize, Default)]
pub(super) struct ResumeItem {
    pub(super) intents: Vec<Arm>,
    pub(super) resuming: Option<Arm>,
    pub(super) progress: Vec<Arm>,
    pub(super) discarding: Vec<Arm>,
    pub(super) epochs: Vec<Arm>,
    /// Subscribing without a position asks for everything.
    pub(super) everything: bool,
}

impl ResumeItem {
    /// A message has one intent: the first.
    pub(super) fn add_intents(&mut self, intents: Vec<Arm>) {
        for intent in intents {
            if !self.intents.iter().any(|other| other.variant == intent.variant) {
                self.intents.push(intent);
            }
        }
    }
}

/// The arms of a socket that can be resumed.
pub(super) fn of(protocol: &Protocol, socket: &Socket, resume: &Resume) -> Result<ResumeItem> {
    Lowering { protocol, socket, resume }.lower()
}

fn arm(message: &Message, answer: String) -> Result<Arm> {
    Ok(Arm { variant: variant(message)?, binding: "message", answer })
}

struct Lowering<'a> {
    protocol: &'a Protocol,
    socket: &'a Socket,
    resume: &'a Resume,
}

impl<'a> Lowering<'a> {
    fn lower(&self) -> Result<ResumeItem> {
        let subscribe = self.client_message(&self.resume.subscribe)?;
        let position = self.field_of(&subscribe.ty, &self.resume.position)?;
        self.ensure_place(position)?;
        let has_epoch = self.epoch(subscribe)?.is_some_and(|field| !field.required && !field.nullable);
        let key = self.key()?;

        let place = format!("message.{}", identifier::value(&position.name)?);
        let state = State::of(position);
        let epoch = if has_epoch { format!("message.{EPOCH}.as_deref()") } else { "None".to_owned() };
        let answer = format!("Intent::Subscribe {{ key: {key}, after: {}, epoch: {epoch} }}", state.read(&place));
        let mut intents = vec![arm(subscribe, answer)?];
        if let Some(unsubscribe) = &self.resume.unsubscribe {
            let answer = format!("Intent::Unsubscribe {{ key: {key} }}");
            intents.push(arm(self.client_message(unsubscribe)?, answer)?);
        }
        let mut resuming = vec![format!("{place} = {};", state.written("position.seq"))];
        if has_epoch {
            resuming.push(format!("message.{EPOCH} = position.epoch.clone();"));
        }

        let (mut progress, mut discarding) = (Vec::new(), Vec::new());
        for event in &self.resume.events {
            let message = self.server_message(&event.message)?;
            let places = self.places(message, &event.seq)?;
            let answer = if message.name == SYNCED {
                format!("Progress::Synced {{ key: {key}, seq: {} }}", places.only()?)
            } else {
                discarding.extend(places.discard().map(|answer| arm(message, answer)).transpose()?);
                format!("Progress::events({key}, {})", places.all())
            };
            progress.push(arm(message, answer)?);
        }
        for gap in &self.resume.gaps {
            let message = self.server_message(gap)?;
            let next = self.field_of(&message.ty, NEXT)?;
            self.ensure_place(next)?;
            ensure!(State::of(next) == State::Plain, "{NEXT} of the message {gap} may be missing");
            let answer = format!("Progress::Gap {{ key: {key}, next: message.{NEXT} }}");
            progress.push(arm(message, answer)?);
        }
        let mut epochs = Vec::new();
        for message in self.socket.server_messages.iter().filter(|_| has_epoch) {
            if self.epoch(message)?.is_some_and(|field| State::of(field) == State::Plain) {
                epochs.push(arm(message, format!("Some(&message.{EPOCH})"))?);
            }
        }
        Ok(ResumeItem {
            intents,
            resuming: Some(arm(subscribe, resuming.join(" "))?),
            progress,
            discarding,
            epochs,
            // The connection itself follows what is new, so its one subscription is about what there was.
            everything: self.resume.key.is_none(),
        })
    }

    /// The expression of the subscription's name; every message that belongs to one has it, as a text.
    fn key(&self) -> Result<String> {
        let Some(key) = &self.resume.key else {
            return Ok("None".to_owned());
        };
        Ok(format!("Some(&message.{})", identifier::value(key)?))
    }

    fn client_message(&self, name: &str) -> Result<&'a Message> {
        let found = self.socket.client_messages.iter().find(|message| message.name == name);
        found.with_context(|| format!("`x-resume` names {name}, which no client of {} says", self.socket.name))
    }

    fn server_message(&self, name: &str) -> Result<&'a Message> {
        let found = self.socket.server_messages.iter().find(|message| message.name == name);
        found.with_context(|| format!("`x-resume` names {name}, which the server never says on {}", self.socket.name))
    }

    fn field_of(&self, ty: &str, name: &str) -> Result<&'a Field> {
        let field = self.fields(ty)?.iter().find(|field| field.name == name);
        field.with_context(|| format!("{ty} has no property {name}, which resuming needs"))
    }

    /// The property that tells which log a position is of.
    fn epoch(&self, message: &Message) -> Result<Option<&'a Field>> {
        Ok(self.fields(&message.ty)?.iter().find(|field| field.name == EPOCH && field.ty == Type::String))
    }

    fn fields(&self, ty: &str) -> Result<&'a [Field]> {
        match &definition(self.protocol, ty)?.shape {
            Shape::Object { fields } => Ok(fields),
            _ => bail!("`x-resume` leads through {ty}, which is not an object"),
        }
    }

    fn ensure_place(&self, field: &Field) -> Result<()> {
        let (ty, _) = resolved(self.protocol, &field.ty, &field.limits)?;
        ensure!(*ty == Type::Unsigned, "{}, a position of `x-resume`, needs a `minimum` of 0 or more", field.name);
        Ok(())
    }

    /// Follows a path to the places of a message's events: through objects, and through one list at most.
    fn places(&self, message: &Message, path: &[String]) -> Result<Places> {
        let (mut ty, mut list, mut way) = (message.ty.as_str(), None, String::new());
        let Some((last, through)) = path.split_last() else {
            bail!("`x-resume` has an empty path for the message {}", message.name);
        };
        for name in through {
            let field = self.field_of(ty, name)?;
            ensure!(field.required && !field.nullable, "{name} may be missing, so `x-resume` cannot lead through it");
            way.push_str(&format!(".{}", identifier::value(name)?));
            ty = match resolved(self.protocol, &field.ty, &field.limits)?.0 {
                Type::Named { name } => name,
                Type::List { item } if list.is_none() => {
                    list = Some(std::mem::take(&mut way));
                    let Type::Named { name } = item.as_ref() else {
                        bail!("`x-resume` leads through {name}, whose items are not objects");
                    };
                    name
                }
                _ => bail!("`x-resume` leads through {name}, which is neither an object nor the only list"),
            };
        }
        let field = self.field_of(ty, last)?;
        self.ensure_place(field)?;
        way.push_str(&format!(".{}", identifier::value(last)?));
        Ok(Places { list, way, state: State::of(field) })
    }
}

/// Where the places of a message's events are.
struct Places {
    /// The way from the message to the list of its events, if it has several.
    list: Option<String>,
    /// The way to the place, from an event of the list or from the message.
    way: String,
    state: State,
}

impl Places {
    /// An expression that can be iterated over.
    fn all(&self) -> String {
        let Self { list, way, state } = self;
        match (list, state) {
            (None, State::Plain) => format!("[message{way}]"),
            (None, _) => state.read(&format!("message{way}")),
            (Some(list), State::Plain) => format!("message{list}.iter().map(|event| event{way})"),
            (Some(list), _) => {
                format!("message{list}.iter().filter_map(|event| {})", state.read(&format!("event{way}")))
            }
        }
    }

    /// An expression of the only place.
    fn only(&self) -> Result<String> {
        ensure!(
            self.list.is_none() && self.state == State::Plain,
            "the position of a message called {SYNCED} must be there, and be one"
        );
        Ok(format!("message{}", self.way))
    }

    /// The statement that keeps what comes after `seq`.
    fn discard(&self) -> Option<String> {
        let list = self.list.as_ref()?;
        let event = format!("event{}", self.way);
        let later = match self.state {
            State::Plain => format!("{event} > seq"),
            state => format!("{}.is_none_or(|place| place > seq)", state.read(&event)),
        };
        Some(format!("message{list}.retain(|event| {later});"))
    }
}

/// How a field holds a number that may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Option,
    Field,
}

impl State {
    fn of(field: &Field) -> Self {
        match (field.required, field.nullable) {
            (true, false) => Self::Plain,
            (false, true) => Self::Field,
            _ => Self::Option,
        }
    }

    /// The expression as an `Option`.
    fn read(self, expression: &str) -> String {
        match self {
            Self::Plain => format!("Some({expression})"),
            Self::Option => expression.to_owned(),
            Self::Field => format!("{expression}.value().copied()"),
        }
    }

    /// What is stored of a number.
    fn written(self, number: &str) -> String {
        match self {
            Self::Plain => number.to_owned(),
            Self::Option => format!("Some({number})"),
            Self::Field => format!("{number}.into()"),
        }
    }
}
