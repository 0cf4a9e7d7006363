//! A machine with a clock of its own, and short words for what happens to it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::chat::{Chat, Client, Known, Server, hello, json};
use crate::Error;
use crate::runtime::socket::machine::{Command, GREETING, Input, Machine};
use crate::runtime::socket::settings::{KeepAlive, Settings};
use crate::runtime::{
    QueueLimits, ReconnectPolicy, Secret, SocketError, SocketFrame, SocketProtocol, SocketState, Update,
};
use crate::testing::SeededRandom;

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn settings() -> Settings {
    Settings {
        queue: QueueLimits::default(),
        reconnect: ReconnectPolicy::default(),
        connect_timeout: CONNECT_TIMEOUT,
        keep_alive: None,
        remember_credential: true,
    }
}

pub(super) fn keep_alive(every: u64, message: &Client) -> Settings {
    Settings { keep_alive: Some(KeepAlive { every: Duration::from_secs(every), text: json(message) }), ..settings() }
}

pub(super) struct Bench<P: SocketProtocol = Chat> {
    pub(super) machine: Machine<P>,
    pub(super) now: Duration,
    /// Of the latest connection.
    pub(super) generation: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(settings(), 1)
    }
}

impl<P: SocketProtocol<ClientMessage = Client, ServerMessage = Server>> Bench<P> {
    pub(super) fn with(settings: Settings, seed: u64) -> Self {
        Self {
            machine: Machine::new(settings, Arc::new(SeededRandom::new(seed))),
            now: Duration::from_secs(1000),
            generation: 0,
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.machine.handle(self.now, input);
    }

    pub(super) fn commands(&mut self) -> Vec<Command> {
        let commands: Vec<_> = std::iter::from_fn(|| self.machine.command()).collect();
        for command in &commands {
            if let Command::Connect { generation } = command {
                self.generation = *generation;
            }
        }
        commands
    }

    pub(super) fn updates(&mut self) -> Vec<Update<P>> {
        std::iter::from_fn(|| self.machine.take_update()).collect()
    }

    /// The updates, each as a short text.
    pub(super) fn told(&mut self) -> Vec<String> {
        self.updates().iter().map(short).collect()
    }

    /// What the machine wants to write, each as a short text.
    pub(super) fn written(&mut self) -> Vec<String> {
        let now = self.now;
        std::iter::from_fn(|| self.machine.take_frame(now)).map(|frame| frame_text(&frame)).collect()
    }

    pub(super) fn advance(&mut self, time: Duration) {
        self.now += time;
        self.input(Input::Wake);
    }

    /// Moves the time to where the machine wants to be woken, and wakes it.
    pub(super) fn wake(&mut self) {
        let at = self.machine.wake_at().expect("the machine waits for something");
        self.now = self.now.max(at);
        self.input(Input::Wake);
    }

    pub(super) fn opened(&mut self) {
        self.commands();
        let generation = self.generation;
        self.input(Input::Opened { generation, credential: None });
    }

    pub(super) fn hears(&mut self, message: &Known) {
        self.hears_text(&json(message));
    }

    pub(super) fn hears_text(&mut self, text: &str) {
        self.hears_frame(SocketFrame::Text(text.to_owned().into()));
    }

    pub(super) fn hears_frame(&mut self, frame: SocketFrame) {
        let generation = self.generation;
        self.input(Input::Frame { generation, frame });
    }

    pub(super) fn breaks(&mut self) {
        let generation = self.generation;
        self.input(Input::Broken { generation, error: SocketError::Lost("reset".into()) });
    }

    pub(super) fn closed_with(&mut self, code: u16) {
        self.hears_frame(SocketFrame::Close { code, reason: String::new() });
    }

    pub(super) fn fails(&mut self, error: Error) {
        let generation = self.generation;
        self.input(Input::Failed { generation, error });
    }

    pub(super) fn sends(&mut self, message: Client) {
        self.machine.enqueue(message).expect("there is room");
    }

    /// Starts, and reaches an open connection.
    pub(super) fn open(mut self) -> Self {
        self.input(Input::Start);
        self.opened();
        self.hears(&hello());
        assert_eq!(self.machine.state(), SocketState::Open);
        assert_eq!(self.told()[0], "connected");
        self
    }

    /// After a connection was lost: waits, and reaches the next.
    pub(super) fn reopen(&mut self) {
        self.wake();
        self.opened();
        self.hears(&hello());
        assert_eq!(self.machine.state(), SocketState::Open);
    }
}

pub(super) fn unreachable() -> Error {
    Error::Connection { server: "http://there".into(), maybe_delivered: false, source: "refused".into() }
}

pub(super) fn credential(token: &str) -> Option<Secret> {
    Some(Secret::from(token))
}

pub(super) fn short<P: SocketProtocol<ServerMessage = Server, ClientMessage = Client>>(update: &Update<P>) -> String {
    match update {
        Update::Connected { resumed: true } => "resumed".to_owned(),
        Update::Connected { resumed: false } => "connected".to_owned(),
        Update::Message(Server::Known(Known::Events { room, seqs, .. })) => format!("{room}{seqs:?}"),
        Update::Message(Server::Known(Known::Hello { .. })) => "hello".to_owned(),
        Update::Message(Server::Known(Known::Synced { room, seq })) => format!("{room} synced {seq}"),
        Update::Message(Server::Known(Known::Gap { room, next })) => format!("{room} gap {next}"),
        Update::Message(Server::Known(Known::Note { text })) => format!("note {text}"),
        Update::Message(Server::Unknown(message)) => format!("unknown {:?}", message.name()),
        Update::Resync { key } => format!("resync {}", key.as_deref().unwrap_or("-")),
        Update::Disconnected { reason, .. } => format!("disconnected: {reason}"),
        Update::Closed { reason, unsent } => format!("closed: {reason} {}", unsent.len()),
    }
}

pub(super) fn frame_text(frame: &SocketFrame) -> String {
    match frame {
        SocketFrame::Text(text) => String::from_utf8_lossy(text).into_owned(),
        SocketFrame::Ping(_) => "ping".to_owned(),
        SocketFrame::Close { code, .. } => format!("close {code}"),
        other => format!("{other:?}"),
    }
}

pub(super) fn texts(messages: &[&dyn Json]) -> Vec<String> {
    messages.iter().map(|message| message.json()).collect()
}

/// Anything that is written as JSON.
pub(super) trait Json {
    fn json(&self) -> String;
}

impl<T: Serialize> Json for T {
    fn json(&self) -> String {
        json(self)
    }
}

pub(super) const GREETING_LIMIT: Duration = GREETING;
