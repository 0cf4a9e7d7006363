//! The way to the server: registers the agent, opens its socket, and does both again when it has to. Knows nothing of
//! what is said.

use std::pin::Pin;
use std::time::Duration;

use flightdeck_sdk::runtime::ReconnectPolicy;
use flightdeck_sdk::sockets::companion::{CompanionParameters, CompanionProtocol, CompanionServerMessage};
use flightdeck_sdk::types::{
    AgentEvent, AgentEventDraft, AgentRegistered, AgentRegistration, CompanionCommandName, CompanionHeartbeat,
    CompanionHello, CompanionPublish, CompanionRole, CompanionSubscribe,
};
use flightdeck_sdk::{Client, Error, Secret, Socket, Update};
use serde_json::{Map, json};
use tokio::time::Sleep;
use uuid::Uuid;

use super::inbox::OWN_ID;
use super::mirror::Chunk;
use crate::config::CompanionToken;

/// How often the server is told that the agent lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// For one attempt to register.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two attempts; it doubles with each that fails.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// The server knows the agent.
    Registered(Uuid),
    /// A connection was made.
    Hello(CompanionHello),
    /// Events, in order.
    Events(Vec<AgentEvent>),
    /// Events are missing; this is the next that comes.
    Gap(u64),
    /// The agent is to be started anew.
    Restart,
    /// The server could not take something.
    Refused(String),
    /// The server is away, or says no. Another attempt follows by itself.
    Away(Away),
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Away {
    /// The agent could not be registered.
    Unregistered(anyhow::Error),
    /// There was a connection, or there was to be one.
    Disconnected(String),
}

/// The agent, as the server gets to know it.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: String,
    /// The program's name, without its folder and arguments.
    pub(super) program: String,
}

pub(super) struct Link {
    client: Client,
    token: CompanionToken,
    identity: Identity,
    state: State,
    /// The token that the agent was registered with.
    shown: Option<Secret>,
    pause: Duration,
}

type Registering = Pin<Box<dyn Future<Output = Result<AgentRegistered, Error>> + Send>>;

enum State {
    Begins,
    Registering(Registering),
    Waiting(Pin<Box<Sleep>>),
    Open { socket: Box<Socket<CompanionProtocol>>, subscribed: bool },
}

impl Link {
    pub(super) fn new(client: Client, token: CompanionToken, identity: Identity) -> Self {
        Self { client, token, identity, state: State::Begins, shown: None, pause: SHORTEST_PAUSE }
    }

    /// What happens next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            match &mut self.state {
                State::Begins => match self.register() {
                    Ok(registering) => self.state = State::Registering(registering),
                    Err(error) => return self.wait(Away::Unregistered(error)),
                },
                State::Registering(registering) => match registering.await {
                    Ok(registered) => {
                        self.open(registered.agent_id);
                        return Event::Registered(registered.agent_id);
                    }
                    Err(error) => return self.wait(Away::Unregistered(error.into())),
                },
                State::Waiting(sleep) => {
                    sleep.await;
                    self.state = State::Begins;
                }
                State::Open { socket, .. } => match socket.next().await {
                    Some(Update::Message(message)) => {
                        if let Some(event) = understood(message) {
                            self.pause = SHORTEST_PAUSE;
                            return event;
                        }
                    }
                    Some(Update::Disconnected { reason, .. }) => {
                        return Event::Away(Away::Disconnected(reason.to_string()));
                    }
                    // It would end the same way; but the token may be changed, or the agent be registered again.
                    Some(Update::Closed { reason, .. }) => return self.wait(Away::Disconnected(reason.to_string())),
                    None => self.state = State::Begins,
                    // What follows says the same.
                    Some(_) => {}
                },
            }
        }
    }

    fn register(&mut self) -> anyhow::Result<Registering> {
        // It may have been changed since.
        self.shown = self.token.read()?;
        let platform = match std::env::consts::OS {
            "macos" => "macOS",
            "linux" => "Linux",
            other => other,
        };
        let meta = json!({"program": self.identity.program, "flightdeck": env!("CARGO_PKG_VERSION")});
        let meta = meta.as_object().cloned().unwrap_or_default();
        let registration =
            AgentRegistration::new(&self.identity.name).with_platform(platform.to_owned()).with_meta(meta);
        let mut call = self.client.companion().register_agent(&registration).timeout(LIMIT).retries(0);
        if let Some(token) = &self.shown {
            call = call.bearer(token.clone());
        }
        Ok(call.into_future())
    }

    fn open(&mut self, agent_id: Uuid) {
        let parameters = CompanionParameters::new(agent_id, CompanionRole::Pc);
        let mut socket = self.client.sockets().companion(&parameters);
        if let Some(token) = &self.shown {
            socket = socket.token(token.clone());
        }
        // Somebody may be waiting for the agent.
        let policy = ReconnectPolicy::default().waits(SHORTEST_PAUSE, LONGEST_PAUSE);
        let socket = socket.reconnect(policy).keep_alive(HEARTBEAT, CompanionHeartbeat::default()).connect();
        self.state = State::Open { socket: Box::new(socket), subscribed: false };
    }

    fn wait(&mut self, away: Away) -> Event {
        self.state = State::Waiting(Box::pin(tokio::time::sleep(self.pause)));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Event::Away(away)
    }

    /// Whether events are asked for. A socket does that again by itself whenever it connects.
    pub(super) fn is_subscribed(&self) -> bool {
        matches!(self.state, State::Open { subscribed: true, .. })
    }

    /// Asks for everything after an event.
    pub(super) fn subscribe(&mut self, since: u64) {
        if let State::Open { socket, subscribed } = &mut self.state {
            // It fails only when the socket has ended, and then there is another.
            *subscribed = socket.try_send(CompanionSubscribe::default().with_since_seq(since)).is_ok();
        }
    }

    /// Sends what the agent said. `false`: it could not be taken now.
    pub(super) fn publish(&self, chunk: &Chunk) -> bool {
        let State::Open { socket, .. } = &self.state else { return false };
        let mut payload = Map::new();
        payload.insert("content".into(), chunk.content.as_str().into());
        payload.insert(OWN_ID.into(), chunk.id.to_string().into());
        if chunk.left_out > 0 {
            payload.insert("left_out_lines".into(), chunk.left_out.into());
        }
        let draft = AgentEventDraft::default().with_payload(payload);
        socket.try_send(CompanionPublish::new(draft)).is_ok()
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        if let State::Open { socket, .. } = self.state {
            socket.close().await;
        }
    }
}

fn understood(message: CompanionServerMessage) -> Option<Event> {
    Some(match message {
        CompanionServerMessage::Hello(hello) => Event::Hello(hello),
        CompanionServerMessage::Events(page) => Event::Events(page.events),
        CompanionServerMessage::Event(live) => Event::Events(vec![live.event]),
        CompanionServerMessage::Gap(gap) => Event::Gap(gap.next_seq),
        CompanionServerMessage::Command(command) if command.cmd == CompanionCommandName::Restart => Event::Restart,
        CompanionServerMessage::Error(fault) => Event::Refused(fault.message),
        _ => return None,
    })
}
