//! A client of any socket: the SDK's, spoken to in JSON, as scripts are written.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use async_trait::async_trait;
use flightdeck_sdk::Client;
use flightdeck_sdk::generated::sockets::chats::{
    ChatsClientMessage, ChatsParameters, ChatsProtocol, ChatsServerMessage,
};
use flightdeck_sdk::generated::sockets::cockpit::{
    CockpitClientMessage, CockpitParameters, CockpitProtocol, CockpitServerMessage,
};
use flightdeck_sdk::generated::sockets::companion::{
    CompanionClientMessage, CompanionParameters, CompanionProtocol, CompanionServerMessage,
};
use flightdeck_sdk::generated::sockets::hub::{HubClientMessage, HubParameters, HubProtocol, HubServerMessage};
use flightdeck_sdk::generated::sockets::stream::{StreamClientMessage, StreamProtocol, StreamServerMessage};
use flightdeck_sdk::generated::sockets::terminal::{
    TerminalClientMessage, TerminalParameters, TerminalProtocol, TerminalServerMessage,
};
use flightdeck_sdk::runtime::{
    Ending, ReconnectPolicy, Socket, SocketBuilder, SocketCloseCode, SocketProtocol, Update,
};
use serde_json::{Map, Value};

/// What takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the SDK tells its caller.
#[derive(Debug)]
pub(super) enum Told {
    Connected {
        resumed: bool,
    },
    Message(Value),
    /// Raw data, cut anywhere.
    Raw(Vec<u8>),
    Resync(Option<String>),
    /// Not connected any more, or not at all; the SDK tries again.
    Disconnected(Reason),
    /// The end.
    Closed(Reason),
}

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Reason {
    /// The server said so, with this code.
    Code(String),
    /// The server did not let the client in, with this code of the catalogue.
    Refused(String),
    /// The client's caller wanted it.
    Wanted,
    /// Anything else, in words: for whoever reads why a session went otherwise.
    Other(#[expect(dead_code, reason = "shown by Debug")] String),
}

/// A client of some socket.
#[async_trait]
pub(super) trait Peer: Send {
    /// Says something.
    async fn say(&mut self, message: &Value) -> Result<()>;

    /// Sends raw data, on a socket that has it.
    async fn type_in(&mut self, text: &str) -> Result<()>;

    /// What the SDK tells next.
    async fn told(&mut self) -> Result<Told>;

    /// What the SDK has told already, if it has.
    async fn told_already(&mut self) -> Result<Option<Told>>;

    /// Says goodbye.
    fn close(&mut self);
}

/// Connects to the socket with this name.
pub(super) fn connect(
    client: &Client,
    socket: &str,
    parameters: &Map<String, Value>,
    token: Option<&str>,
) -> Result<Box<dyn Peer>> {
    let sockets = client.sockets();
    let text = |name: &str| parameters.get(name).and_then(Value::as_str);
    Ok(match socket {
        "stream" => peer(sockets.stream(), token),
        "chats" => {
            let wanted = ChatsParameters::default();
            let wanted = text("token").map_or(wanted.clone(), |token| wanted.with_token(token));
            peer(sockets.chats(&wanted), token)
        }
        "cockpit" => {
            let session_id = text("sessionId").context("`sessionId` is missing")?.parse()?;
            let wanted = CockpitParameters::new(session_id);
            let wanted = text("token").map_or(wanted.clone(), |token| wanted.with_token(token));
            peer(sockets.cockpit(&wanted), token)
        }
        "companion" => {
            let agent_id = text("agent_id").context("`agent_id` is missing")?.parse()?;
            let role = serde_json::from_value(parameters.get("role").cloned().context("`role` is missing")?)?;
            let mut wanted = CompanionParameters::new(agent_id, role);
            if let Some(token) = text("token") {
                wanted = wanted.with_token(token);
            }
            peer(sockets.companion(&wanted), token)
        }
        "terminal" => {
            let session_id = text("sessionId").context("`sessionId` is missing")?.parse()?;
            let mut wanted = TerminalParameters::new(session_id);
            if let Some(token) = text("token") {
                wanted = wanted.with_token(token);
            }
            let number = |name: &str| parameters.get(name).and_then(Value::as_u64);
            if let Some((cols, rows)) = number("cols").zip(number("rows")) {
                wanted = wanted.with_cols(cols).with_rows(rows);
            }
            if let Some(frames) = parameters.get("frames") {
                wanted = wanted.with_frames(serde_json::from_value(frames.clone())?);
            }
            peer(sockets.terminal(&wanted), token)
        }
        "hub" => {
            let mut wanted = HubParameters::default();
            if let Some(agent_id) = text("agent_id") {
                wanted = wanted.with_agent_id(agent_id);
            }
            if let Some(session_id) = text("session_id") {
                wanted = wanted.with_session_id(session_id);
            }
            peer(sockets.hub(&wanted), token)
        }
        other => bail!("nobody has told the player how to connect to the socket `{other}`"),
    })
}

fn peer<P: Spoken>(builder: SocketBuilder<P>, token: Option<&str>) -> Box<dyn Peer> {
    // A session is played as fast as it goes: what has to happen before a client comes back is in the script.
    let builder = builder.reconnect(ReconnectPolicy::default().waits(Duration::ZERO, Duration::ZERO));
    let builder = match token {
        Some(token) => builder.token(token),
        None => builder,
    };
    Box::new(SdkPeer { socket: builder.connect() })
}

/// A protocol whose messages can be written and read as JSON.
trait Spoken: SocketProtocol<ClientMessage: Send, ServerMessage: Send> {
    /// The SDK's message for what a script says.
    fn said(message: Value) -> Result<Self::ClientMessage>;

    /// What a script would call the SDK's message, without its tag.
    fn heard(message: Self::ServerMessage) -> Result<Value>;

    fn tag(message: &Self::ServerMessage) -> Option<String>;

    /// The SDK's message for raw data, if the socket has any.
    fn typed(_: &str) -> Option<Self::ClientMessage> {
        None
    }

    /// The raw data, if the SDK's message is that.
    fn shown(_: &Self::ServerMessage) -> Option<Vec<u8>> {
        None
    }
}

/// Lists the messages of a socket, so that a script can use each.
macro_rules! spoken {
    ($protocol:ident, $client:ident { $($tag:literal => $said:ident),+ }, $server:ident { $($heard:ident),+ } $(, $raw:ident)?) => {
        impl Spoken for $protocol {
            fn said(message: Value) -> Result<$client> {
                let read = match message["type"].as_str().unwrap_or_default() {
                    $($tag => $client::$said(serde_json::from_value(message.clone())?),)+
                    other => bail!("the SDK can't say {other:?}: {message}"),
                };
                let written = serde_json::to_value(&read)?;
                ensure!(written == message, "in place of {message} the SDK says {written}");
                Ok(read)
            }

            fn heard(message: $server) -> Result<Value> {
                Ok(match message {
                    $($server::$heard(message) => serde_json::to_value(message)?,)+
                    other => bail!("the SDK does not know the message {other:?}"),
                })
            }

            fn tag(message: &$server) -> Option<String> {
                message.tag().map(str::to_owned)
            }

            $(
                fn typed(text: &str) -> Option<$client> {
                    Some($client::$raw(text.to_owned().into()))
                }

                fn shown(message: &$server) -> Option<Vec<u8>> {
                    match message {
                        $server::$raw(data) => Some(data.to_vec()),
                        _ => None,
                    }
                }
            )?
        }
    };
}

spoken!(
    StreamProtocol,
    StreamClientMessage {
        "authenticate" => Authenticate,
        "subscribe" => Subscribe,
        "unsubscribe" => Unsubscribe,
        "ping" => Ping
    },
    StreamServerMessage {
        Hello, Authenticated, Subscribed, Unsubscribed, Events, Event, Synced, Gap, Pong, Heartbeat, Error
    }
);

spoken!(
    ChatsProtocol,
    ChatsClientMessage {
        "subscribe" => Subscribe,
        "unsubscribe" => Unsubscribe,
        "chat" => Chat,
        "research" => Research,
        "cancel" => Cancel,
        "ping" => Ping
    },
    ChatsServerMessage {
        Connected, History, Synced, Gap, UserMessage, AssistantMessage, MessageFinished, AgentThought, AgentStatus, Plan, ToolUse, ToolResult,
        Patch, ApprovalRequest, ApprovalResolved, Turn, Result, Error, Deleted, Pong
    }
);

spoken!(
    CockpitProtocol,
    CockpitClientMessage {
        "subscribe" => Subscribe,
        "user_message" => UserMessage,
        "confirmation" => Confirmation,
        "ping" => Ping
    },
    CockpitServerMessage { Status, Patch, Output, Exit, Synced, Gap, Error, Pong }
);

spoken!(
    CompanionProtocol,
    CompanionClientMessage {
        "subscribe" => Subscribe,
        "event" => Publish,
        "heartbeat" => Heartbeat
    },
    CompanionServerMessage { Hello, Events, Event, Gap, Command, Error }
);

spoken!(
    HubProtocol,
    HubClientMessage {
        "subscribe" => Subscribe,
        "unsubscribe" => Unsubscribe,
        "publish" => Publish,
        "auth" => Auth,
        "ack" => Acknowledge,
        "ping" => Ping,
        "pong" => Pong
    },
    HubServerMessage { Connected, Ack, Synced, Gap, Ping, Pong, Event, Error }
);

spoken!(
    TerminalProtocol,
    TerminalClientMessage { "resize" => Resize },
    TerminalServerMessage { Resize, Exit, Error },
    Raw
);

struct SdkPeer<P: Spoken> {
    socket: Socket<P>,
}

#[async_trait]
impl<P: Spoken> Peer for SdkPeer<P> {
    async fn say(&mut self, message: &Value) -> Result<()> {
        let message = P::said(message.clone())?;
        self.socket.send(message).await.map_err(|error| anyhow!("it was not taken: {error}"))
    }

    async fn type_in(&mut self, text: &str) -> Result<()> {
        let message = P::typed(text).context("this socket has no raw data")?;
        self.socket.send(message).await.map_err(|error| anyhow!("it was not taken: {error}"))
    }

    async fn told(&mut self) -> Result<Told> {
        let update = tokio::time::timeout(PATIENCE, self.socket.next()).await.context("nothing comes")?;
        told::<P>(update.context("the client has ended")?)
    }

    async fn told_already(&mut self) -> Result<Option<Told>> {
        match futures_util::FutureExt::now_or_never(self.socket.next()) {
            Some(Some(update)) => told::<P>(update).map(Some),
            Some(None) | None => Ok(None),
        }
    }

    fn close(&mut self) {
        self.socket.sender().close();
    }
}

fn told<P: Spoken>(update: Update<P>) -> Result<Told> {
    Ok(match update {
        Update::Connected { resumed } => Told::Connected { resumed },
        Update::Message(message) => {
            if let Some(data) = P::shown(&message) {
                return Ok(Told::Raw(data));
            }
            let tag = P::tag(&message);
            let mut value = P::heard(message)?;
            if let (Some(object), Some(tag)) = (value.as_object_mut(), tag) {
                object.insert("type".to_owned(), tag.into());
            }
            Told::Message(value)
        }
        Update::Resync { key } => Told::Resync(key),
        Update::Disconnected { reason, .. } => Told::Disconnected(because(&reason)),
        Update::Closed { reason, unsent } => {
            ensure!(unsent.is_empty(), "the client has not sent {unsent:?}");
            Told::Closed(because(&reason))
        }
        other => bail!("the player does not know what {other:?} means"),
    })
}

fn because<C: SocketCloseCode>(ending: &Ending<C>) -> Reason {
    match ending {
        Ending::Requested => Reason::Wanted,
        Ending::Closed { known: Some(code), .. } => Reason::Code(code.as_str().to_owned()),
        Ending::Failed(flightdeck_sdk::Error::Api(refusal)) => Reason::Refused(refusal.code.as_str().to_owned()),
        other => Reason::Other(other.to_string()),
    }
}
