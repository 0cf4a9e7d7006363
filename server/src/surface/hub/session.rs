//! One connection of the hub's socket.

use std::borrow::Cow;
use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::generated::sockets::hub::{HubParameters, HubServerMessage, HubSession};
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Fault, FaultKind, Outbox};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};

use super::frame;
use crate::auth::HubTokens;
use crate::clock::Clock;
use crate::service::hub::{Channel, Client, End, Hub, Identity, Refusal, Told};
use crate::surface::{convert, following};

/// What is ready is sent together, up to so many frames and bytes.
const FRAMES: usize = 64;
const BYTES: usize = 32 << 10;

/// How long a client that needs a token may be without, in milliseconds.
const PATIENCE: i64 = 10_000;

/// Characters of a client's own text that are repeated to it.
const REPEATED: usize = 64;

/// Characters of what is said about a faulty message.
const LONGEST_FAULT: usize = 512;

/// Said to those who publish where only the hub does.
const METRICS: &str = "Invalid channel: metrics carries the hub's own figures and is only to be read";

type Out = Outbox<HubServerMessage>;

/// One connection.
pub(in crate::surface) struct Session {
    pub(super) client: Client,
    pub(super) hub: Hub,
    pub(super) tokens: HubTokens,
    pub(super) clock: Arc<dyn Clock>,
    /// In development, on this machine, a client is whoever it says.
    pub(super) trusted: bool,
    /// Rings when a client that nobody knows has to go; unset for those that are known.
    pub(super) deadline: Option<BoxFuture<'static, ()>>,
    /// What it said when it connected.
    pub(super) claims: HubParameters,
}

/// Why something is refused: what the client is told, and the code for those that asked for no `ack`.
struct Refused {
    code: &'static str,
    error: String,
}

impl Refused {
    fn new(code: &'static str, error: impl Into<String>) -> Self {
        Self { code, error: error.into() }
    }

    fn channel(name: &str) -> Self {
        Self::new("INVALID_CHANNEL", format!("Invalid channel format: {name}"))
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        let code = if error.code == ErrorCode::Unavailable { "UNAVAILABLE" } else { "INTERNAL" };
        Self::new(code, error.message)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooMany => Self::new("TOO_MANY_CHANNELS", format!("Too many subscriptions: {refusal}")),
            Refusal::Failed(error) => error.into(),
        }
    }
}

impl HubSession for Session {
    async fn opened(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        // Before it is greeted: a greeted client misses nothing.
        if self.trusted && self.client.join(&Channel::global(), None).await.is_err() {
            return Err(CloseCode::Overloaded);
        }
        if !self.trusted {
            let (clock, until) = (self.clock.clone(), self.clock.now() + PATIENCE);
            self.deadline = Some(async move { clock.sleep_until(until).await }.boxed());
        }
        let client_id = self.client.id().to_owned();
        out.send(HubServerMessage::Connected(types::HubConnected { client_id, timestamp: self.now() }));
        Ok(())
    }

    async fn subscribe(&mut self, message: types::HubSubscribe, out: &mut Out) -> Result<(), CloseCode> {
        self.client.heard();
        let types::HubSubscribe { channel, since_seq, id, .. } = message;
        let done = self.follow(&channel, since_seq).await;
        self.answer(id, done, out);
        Ok(())
    }

    async fn unsubscribe(&mut self, message: types::HubUnsubscribe, out: &mut Out) -> Result<(), CloseCode> {
        self.client.heard();
        let done = match Channel::parse(&message.channel) {
            Some(channel) => self.client.leave(&channel).await.map_err(Refused::from),
            None => Err(Refused::channel(&message.channel)),
        };
        self.answer(message.id, done, out);
        Ok(())
    }

    async fn publish(&mut self, message: types::HubPublish, out: &mut Out) -> Result<(), CloseCode> {
        self.client.heard();
        let types::HubPublish { channel, event, data, id, .. } = message;
        let done = self.tell(&channel, event, data.unwrap_or_default().0).await;
        self.answer(id, done, out);
        Ok(())
    }

    async fn auth(&mut self, message: types::HubAuth, out: &mut Out) -> Result<(), CloseCode> {
        self.client.heard();
        let id = message.id.clone();
        let done = match self.identify(message) {
            Ok(identity) => self.client.authenticate(identity).await.map_err(Refused::from),
            Err(refused) => Err(refused),
        };
        if done.is_ok() {
            self.deadline = None;
        }
        // Clients look for the code, whether or not they asked for an `ack`.
        if let (Err(refused), Some(_)) = (&done, &id) {
            out.send(frame::fault(refused.code, refused.error.clone(), self.now()));
        }
        self.answer(id, done, out);
        Ok(())
    }

    async fn acknowledge(&mut self, message: types::HubAcknowledge, _: &mut Out) -> Result<(), CloseCode> {
        self.client.heard();
        // Clients acknowledge everything that has an id, tracked or not.
        if let Some(id) = frame::read_message_id(&message.message_id) {
            self.client.acknowledge(id);
        }
        Ok(())
    }

    async fn ping(&mut self, _: types::HubPing, out: &mut Out) -> Result<(), CloseCode> {
        self.client.heard();
        out.send(HubServerMessage::Pong(types::HubPong { timestamp: frame::time(self.now()) }));
        Ok(())
    }

    async fn pong(&mut self, _: types::HubPong, _: &mut Out) -> Result<(), CloseCode> {
        self.client.heard();
        Ok(())
    }

    async fn faulty(&mut self, fault: Fault, out: &mut Out) -> Result<(), CloseCode> {
        self.client.heard();
        let refused = match fault.kind {
            FaultKind::NotJson => Refused::new("PARSE_ERROR", "Failed to parse message"),
            FaultKind::UnknownMessage => {
                let tag = fault.tag.as_deref().unwrap_or("undefined");
                Refused::new("UNKNOWN_MESSAGE_TYPE", format!("Unknown message type: {}", cut(tag, REPEATED)))
            }
            FaultKind::InvalidMessage => match unknown_event(&fault) {
                Some(event) => Refused::new("INVALID_EVENT", format!("Invalid event type: {}", cut(event, REPEATED))),
                None => {
                    let message = cut(&fault.message, LONGEST_FAULT);
                    Refused::new("INVALID_MESSAGE", format!("{}: {message}", fault.path))
                }
            },
        };
        if fault.kind == FaultKind::InvalidMessage {
            self.answer(fault.id, Err(refused), out);
        } else {
            out.send(frame::fault(refused.code, refused.error, self.now()));
        }
        Ok(())
    }

    async fn pending(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        let deadline = OptionFuture::from(self.deadline.as_mut());
        let mut told = tokio::select! {
            biased;
            Some(()) = deadline => return Err(CloseCode::Unauthenticated),
            told = self.client.next() => told,
        };
        let mut bytes = 0;
        loop {
            bytes += self.put(told.map_err(close_code)?, out);
            if out.len() >= FRAMES || bytes >= BYTES {
                return Ok(());
            }
            match self.client.next().now_or_never() {
                Some(more) => told = more,
                None => return Ok(()),
            }
        }
    }

    fn alive(&mut self) {
        self.client.heard();
    }

    async fn heartbeat(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        self.client.tidy();
        out.send(HubServerMessage::Ping(types::HubPing { timestamp: frame::time(self.now()) }));
        Ok(())
    }

    async fn closed(self) {
        self.client.close().await;
    }
}

impl Session {
    fn now(&self) -> u64 {
        convert::seq(self.clock.now())
    }

    /// Says what became of a message, if it asked for that; what went wrong in any case.
    fn answer(&self, id: Option<String>, done: Result<(), Refused>, out: &mut Out) {
        let now = self.now();
        match (done, id) {
            (Ok(()), id) => frame::ack(id, None, now).into_iter().for_each(|ack| out.send(ack)),
            (Err(refused), None) => out.send(frame::fault(refused.code, refused.error, now)),
            (Err(refused), id) => frame::ack(id, Some(&refused.error), now).into_iter().for_each(|ack| out.send(ack)),
        }
    }

    /// Only who is known takes part, or who is on this machine.
    fn take_part(&self) -> Result<(), Refused> {
        if self.trusted || self.client.identity().is_some() {
            return Ok(());
        }
        Err(Refused::new("4002", "Token required in production mode"))
    }

    /// Whether the client is this agent.
    fn is(&self, agent_id: &str) -> bool {
        match self.client.identity() {
            Some(identity) => identity.agent_id == agent_id,
            None => self.trusted && self.claims.agent_id.as_deref() == Some(agent_id),
        }
    }

    async fn follow(&mut self, channel: &str, since_seq: Option<u64>) -> Result<(), Refused> {
        let channel = Channel::parse(channel).ok_or_else(|| Refused::channel(channel))?;
        self.take_part()?;
        if channel.agent().is_some_and(|agent_id| !self.is(agent_id)) {
            return Err(Refused::new("NOT_AUTHORIZED", "Not authorized to subscribe to this agent channel"));
        }
        let since = since_seq.map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
        Ok(self.client.join(&channel, since).await?)
    }

    /// Publishes. An agent's channel is private to read; to write there is how others talk to the agent.
    async fn tell(
        &mut self,
        channel: &str,
        event: types::HubEventName,
        data: serde_json::Value,
    ) -> Result<(), Refused> {
        let channel = Channel::parse(channel).ok_or_else(|| Refused::channel(channel))?;
        self.take_part()?;
        if channel.is_metrics() {
            return Err(Refused::new("INVALID_CHANNEL", METRICS));
        }
        Ok(self.hub.publish(&channel, event, data.to_string()).await?)
    }

    /// Who the client says it is, if that is to be believed.
    fn identify(&self, message: types::HubAuth) -> Result<Identity, Refused> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let session_id = given(message.session_id.take()).or_else(|| given(self.claims.session_id.clone()));
        let identity = if let Some(token) = given(message.token.take()) {
            let proven = self.tokens.verify(&token).ok_or_else(|| Refused::new("4001", "Invalid or expired token"))?;
            let (agent_id, until) = (proven.agent_id, Some(proven.expires_at));
            Identity { agent_id, session_id: proven.session_id.or(session_id), until }
        } else if let Some(agent_id) = given(message.agent_id.take()) {
            if !self.trusted {
                return Err(Refused::new("4002", "Token required in production mode"));
            }
            Identity { agent_id, session_id, until: None }
        } else {
            return Err(Refused::new("4003", "Missing token or agent_id"));
        };
        if Channel::of_agent(&identity.agent_id).is_none() {
            return Err(Refused::channel(&format!("agents/{}", identity.agent_id)));
        }
        match &identity.session_id {
            Some(session_id) if Channel::of_session(session_id).is_none() => {
                Err(Refused::channel(&format!("sessions/{session_id}")))
            }
            _ => Ok(identity),
        }
    }

    /// Puts what the client is told into the outbox; returns how large it is.
    fn put(&self, told: Told, out: &mut Out) -> usize {
        match told {
            Told::Event(frame) => {
                let bytes = frame.len();
                out.send_frame(frame);
                return bytes;
            }
            Told::Synced { channel, seq } => out.send(HubServerMessage::Synced(types::HubSynced {
                channel: channel.as_ref().to_owned(),
                seq: convert::seq(seq),
                timestamp: self.now(),
            })),
            Told::Gap { channel, since, next, reason } => out.send(HubServerMessage::Gap(types::HubGap {
                channel: channel.as_ref().to_owned(),
                since_seq: convert::seq(since),
                next_seq: convert::seq(next),
                reason: following::gap_reason(reason),
                timestamp: self.now(),
            })),
        }
        0
    }
}

const fn close_code(end: End) -> CloseCode {
    match end {
        End::FellBehind => CloseCode::SlowReader,
        End::Expired => CloseCode::CredentialExpired,
        End::Unavailable => CloseCode::Overloaded,
        End::Failed => CloseCode::Internal,
    }
}

/// The name that was to be published and is none.
fn unknown_event(fault: &Fault) -> Option<&str> {
    let rest = fault.message.strip_prefix("unknown variant `").filter(|_| fault.path == "/event")?;
    Some(rest.rsplit_once("`, expected one of").map_or(rest, |(event, _)| event))
}

/// The beginning of a text that may be of any length.
fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    text.char_indices().nth(longest).map_or(Cow::Borrowed(text), |(end, _)| format!("{}…", &text[..end]).into())
}

#[cfg(test)]
mod tests {
    use flightdeck_api::generated::sockets::hub::HubClientMessage;

    use super::*;

    #[test]
    fn an_unknown_event_is_found_in_the_fault() {
        for event in ["task.exploded", "", "a`, b"] {
            let text = serde_json::json!({ "type": "publish", "channel": "global", "event": event, "data": 1 });
            let fault = HubClientMessage::decode(&text.to_string()).expect_err("there is no such event");
            assert_eq!(unknown_event(&fault), Some(event), "{fault:?}");
        }
        let fault = HubClientMessage::decode(r#"{"type":"publish","channel":"global","event":5}"#).expect_err("wrong");
        assert_eq!(unknown_event(&fault), None, "{fault:?}");
    }

    #[test]
    fn long_texts_are_not_repeated_in_full() {
        let short = "é".repeat(REPEATED);
        assert_eq!(cut(&short, REPEATED), short);
        assert_eq!(cut(&short.repeat(2), REPEATED), format!("{short}…"));
    }
}
