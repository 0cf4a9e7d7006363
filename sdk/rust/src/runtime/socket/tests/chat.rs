//! A protocol that is in no spec: rooms with numbered events.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::runtime::{
    DecodeError, Intent, Position, Progress, Reconnect, Secret, Security, SocketCloseCode, SocketInfo, SocketLimits,
    SocketProtocol, UnknownMessage, decode_json,
};

pub(super) const HEARTBEAT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Chat;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Client {
    Follow {
        room: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<String>,
    },
    Leave {
        room: String,
    },
    Login {
        token: String,
    },
    Say {
        text: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Server {
    Known(Known),
    Unknown(UnknownMessage),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Known {
    Hello {
        epoch: Option<String>,
    },
    Events {
        room: String,
        seqs: Vec<u64>,
        /// The log that they are from, for the simulation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<u32>,
    },
    Synced {
        room: String,
        seq: u64,
    },
    Gap {
        room: String,
        next: u64,
    },
    Note {
        text: String,
    },
}

/// Follows a room from a position, or from now on.
pub(super) fn follow(room: &str, since: impl Into<Option<u64>>) -> Client {
    Client::Follow { room: room.to_owned(), since: since.into(), epoch: None }
}

pub(super) fn say(text: impl Into<String>) -> Client {
    Client::Say { text: text.into() }
}

pub(super) fn login(token: &str) -> Client {
    Client::Login { token: token.to_owned() }
}

pub(super) fn hello() -> Known {
    Known::Hello { epoch: Some("e1".to_owned()) }
}

pub(super) fn events(room: &str, seqs: impl IntoIterator<Item = u64>) -> Known {
    Known::Events { room: room.to_owned(), seqs: seqs.into_iter().collect(), log: None }
}

pub(super) fn synced(room: &str, seq: u64) -> Known {
    Known::Synced { room: room.to_owned(), seq }
}

pub(super) fn gap(room: &str, next: u64) -> Known {
    Known::Gap { room: room.to_owned(), next }
}

pub(super) fn note(text: &str) -> Known {
    Known::Note { text: text.to_owned() }
}

pub(super) fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("messages are JSON")
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Code {
    Normal,
    GoingAway,
    Invalid,
    Expired,
}

impl SocketCloseCode for Code {
    fn from_code(code: u16) -> Option<Self> {
        [Self::Normal, Self::GoingAway, Self::Invalid, Self::Expired].into_iter().find(|row| row.code() == code)
    }

    fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::Invalid => 4001,
            Self::Expired => 4002,
        }
    }

    fn as_str(self) -> &'static str {
        "code"
    }

    fn reconnect(self) -> Reconnect {
        match self {
            Self::Normal | Self::Invalid => Reconnect::Never,
            Self::GoingAway => Reconnect::Resume,
            Self::Expired => Reconnect::Fresh,
        }
    }

    fn message(self) -> &'static str {
        "It ended."
    }

    fn action(self) -> &'static str {
        "Nothing."
    }
}

pub(super) const CHAT: SocketInfo = SocketInfo {
    name: "chat",
    address: "/chat",
    security: &[Security::Scheme("deviceToken"), Security::All(&[])],
    limits: SocketLimits {
        max_message_bytes: 1000,
        subscriptions: 10,
        heartbeat: HEARTBEAT,
        silence: Duration::from_secs(60),
    },
};

impl SocketProtocol for Chat {
    type ClientMessage = Client;
    type ServerMessage = Server;
    type CloseCode = Code;

    const INFO: &'static SocketInfo = &CHAT;

    fn decode(text: &str) -> Result<Server, DecodeError> {
        let object: Map<String, Value> = decode_json(text.as_bytes())?;
        let name = object.get("type").and_then(Value::as_str);
        if matches!(name, Some("hello" | "events" | "synced" | "gap" | "note")) {
            return Ok(Server::Known(decode_json(text.as_bytes())?));
        }
        Ok(Server::Unknown(UnknownMessage::new(name.map(str::to_owned), object)))
    }

    fn intent(message: &Client) -> Intent<'_> {
        match message {
            Client::Follow { room, since, epoch } => {
                Intent::Subscribe { key: Some(room), after: *since, epoch: epoch.as_deref() }
            }
            Client::Leave { room } => Intent::Unsubscribe { key: Some(room) },
            Client::Login { .. } => Intent::Authenticate,
            Client::Say { .. } => Intent::Nothing,
        }
    }

    fn resume_after(message: &mut Client, position: &Position) {
        if let Client::Follow { since, epoch, .. } = message {
            *since = Some(position.seq);
            epoch.clone_from(&position.epoch);
        }
    }

    fn progress(message: &Server) -> Progress<'_> {
        match message {
            Server::Known(Known::Events { room, seqs, .. }) => match (seqs.first(), seqs.last()) {
                (Some(first), Some(last)) => Progress::Events { key: Some(room), first: *first, last: *last },
                _ => Progress::Nothing,
            },
            Server::Known(Known::Synced { room, seq }) => Progress::Synced { key: Some(room), seq: *seq },
            Server::Known(Known::Gap { room, next }) => Progress::Gap { key: Some(room), next: *next },
            _ => Progress::Nothing,
        }
    }

    fn discard(message: &mut Server, seq: u64) {
        if let Server::Known(Known::Events { seqs, .. }) = message {
            seqs.retain(|found| *found > seq);
        }
    }

    fn epoch(message: &Server) -> Option<&str> {
        match message {
            Server::Known(Known::Hello { epoch }) => epoch.as_deref(),
            _ => None,
        }
    }

    fn authenticate(token: &Secret) -> Option<Client> {
        Some(login(token.expose()))
    }
}

/// The same messages on a socket that takes its credential in a message only, and where subscribing without a position
/// asks for everything.
#[derive(Debug)]
pub(super) struct QuietChat;

impl SocketProtocol for QuietChat {
    type ClientMessage = Client;
    type ServerMessage = Server;
    type CloseCode = Code;

    const INFO: &'static SocketInfo = &SocketInfo { security: &[], ..CHAT };
    const WITHOUT_POSITION: crate::runtime::WithoutPosition = crate::runtime::WithoutPosition::Everything;

    fn decode(text: &str) -> Result<Server, DecodeError> {
        Chat::decode(text)
    }

    fn intent(message: &Client) -> Intent<'_> {
        Chat::intent(message)
    }

    fn resume_after(message: &mut Client, position: &Position) {
        Chat::resume_after(message, position);
    }

    fn progress(message: &Server) -> Progress<'_> {
        Chat::progress(message)
    }

    fn discard(message: &mut Server, seq: u64) {
        Chat::discard(message, seq);
    }

    fn authenticate(token: &Secret) -> Option<Client> {
        Chat::authenticate(token)
    }
}
