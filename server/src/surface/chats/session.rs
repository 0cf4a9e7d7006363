//! One connection of the chat's socket.

use std::sync::Arc;
use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::generated::sockets::chats::{CHATS, ChatsServerMessage, ChatsSession};
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Fault, FaultKind, Outbox, ServerMessage};
use uuid::Uuid;

use super::frame;
use super::socket::{Services, Who};
use crate::log::{Encoding, GapReason, Item, LiveEvent, Reader, ReaderLimits, Start, Subscription};
use crate::service::chats::{ChatEvent, Say, Saying, chat_stream, claim_of};
use crate::service::streams::{self, Guard};
use crate::store::StoreError;
use crate::surface::convert;

/// Bytes of messages in a `history`.
const HISTORY: usize = 1 << 20;

/// Before history is read again, when the database is away, and how often that is tried.
const PAUSE: Duration = Duration::from_millis(500);
const ATTEMPTS: u8 = 60;

type Out = Outbox<ChatsServerMessage>;

/// One connection.
pub(in crate::surface) struct Session {
    services: Arc<Services>,
    who: Who,
    /// Where it is told that the device is revoked.
    guard: Option<Subscription>,
    reader: Reader,
    followed: Vec<Followed>,
    /// Failures in a row to read history.
    failures: u8,
}

/// A chat that the client follows.
struct Followed {
    chat_id: Uuid,
    subscription: Subscription,
    /// The last message of the agent that the client has been told of, and how much of it.
    told: Option<(Uuid, u64)>,
}

impl Session {
    pub(super) fn new(services: Arc<Services>, who: Who, guard: Option<Guard>) -> Self {
        let limits = ReaderLimits { events: CHATS.limits.queue_events, bytes: CHATS.limits.queue_bytes };
        let mut reader = services.chats.reader(limits);
        let guard = guard.map(|guard| reader.follow(&guard.stream, Start::After(guard.seq)));
        Self { services, who, guard, reader, followed: Vec::new(), failures: 0 }
    }

    fn device_id(&self) -> Option<Uuid> {
        match self.who {
            Who::Device(id) => Some(id),
            Who::Local => None,
        }
    }

    async fn follow(&mut self, chat_id: Uuid, since: Option<u64>, out: &mut Out) -> Result<(), ApiError> {
        self.unfollow(chat_id);
        if self.followed.len() >= CHATS.limits.subscriptions {
            return Err(ErrorCode::TooManyChats.into());
        }
        self.services.authority.count_said(self.device_id())?;
        let chats = &self.services.chats;
        let scope = self.services.scope(self.who).await?;
        let start = match since {
            Some(since) => {
                chats.require(&scope, chat_id).await?;
                i64::try_from(since).unwrap_or(i64::MAX)
            }
            None => {
                let (last, rows, complete) = chats.history(&scope, chat_id, HISTORY).await?;
                let messages = rows.iter().filter_map(|row| frame::message(chat_id, row)).collect();
                let last_seq = convert::seq(last);
                let history = types::ChatHistory { messages, chat_id: chat_id.to_string(), last_seq, complete };
                out.send(ChatsServerMessage::History(history));
                last
            }
        };
        // What the client has must not come again from a turn that is just storing it.
        let last = chats.last_said(chat_id, start).await?;
        let told = last.and_then(|row| frame::message(chat_id, &row)).map(|said| (said.id, said.content.len() as u64));
        let subscription = self.reader.follow(&chat_stream(chat_id), Start::After(start));
        self.followed.push(Followed { chat_id, subscription, told });
        Ok(())
    }

    fn unfollow(&mut self, chat_id: Uuid) {
        if let Some(index) = self.followed.iter().position(|followed| followed.chat_id == chat_id) {
            let followed = self.followed.swap_remove(index);
            self.reader.unfollow(followed.subscription);
        }
    }

    async fn say(&mut self, chat: &str, say: Say, client_msg_id: Option<String>) -> Result<(), ApiError> {
        let chat_id = id_of(chat)?;
        self.services.authority.count_said(self.device_id())?;
        let scope = self.services.scope(self.who).await?;
        let sender = self.device_id().map_or_else(|| "local".to_owned(), |id| id.to_string());
        let claim = claim_of(chat_id, &sender, client_msg_id.as_deref(), &say);
        self.services.chats.say(&scope, chat_id, say, claim, None).await?;
        Ok(())
    }

    fn give(&mut self, item: Item, out: &mut Out) -> Result<(), CloseCode> {
        match item {
            Item::Stored { subscription, events } if Some(subscription) == self.guard => {
                events.iter().try_for_each(|event| self.must_stay(&event.kind, &event.payload))?;
            }
            Item::Live { subscription, event } if Some(subscription) == self.guard => {
                self.must_stay(&event.event.kind, &event.event.payload)?;
            }
            // What is not to be had may have been that the device is revoked: it has to show its token again.
            Item::Gap { subscription, .. } if Some(subscription) == self.guard => return Err(CloseCode::Internal),
            Item::Stored { subscription, events } => {
                for row in events {
                    if let Some(event) = ChatEvent::read(&row.kind, &row.payload) {
                        self.tell(subscription, event, row.seq, out);
                    }
                }
            }
            Item::Live { subscription, event } => self.tell_live(subscription, &event, out),
            Item::Synced { subscription, seq } => {
                let Some(followed) = find(&mut self.followed, subscription) else { return Ok(()) };
                if let Some(saying) = self.services.chats.saying(followed.chat_id) {
                    followed.say(saying, 0, out);
                }
                let synced = types::ChatSynced { chat_id: followed.chat_id.to_string(), seq: convert::seq(seq) };
                out.send(ChatsServerMessage::Synced(synced));
            }
            Item::Gap { subscription, since, next, reason } => {
                let Some(followed) = find(&mut self.followed, subscription) else { return Ok(()) };
                out.send(ChatsServerMessage::Gap(types::ChatGap {
                    chat_id: followed.chat_id.to_string(),
                    since_seq: convert::seq(since),
                    next_seq: convert::seq(next),
                    reason: match reason {
                        GapReason::Trimmed => types::GapReason::Trimmed,
                        GapReason::Ahead => types::GapReason::Ahead,
                    },
                }));
            }
            Item::FellBehind => return Err(CloseCode::SlowReader),
        }
        Ok(())
    }

    /// Tells one event to this client only.
    fn tell(&mut self, subscription: Subscription, event: ChatEvent, seq: i64, out: &mut Out) {
        let Some(followed) = find(&mut self.followed, subscription) else { return };
        match event {
            ChatEvent::AssistantMessage { turn_id, message_id, content, offset } => {
                followed.piece(Saying { turn_id, message_id, text: content }, offset, seq, out);
            }
            event => {
                let gone = matches!(event, ChatEvent::Deleted {});
                let chat_id = followed.chat_id;
                let failure = frame::failure(chat_id, &event);
                out.send(frame::told(chat_id, event, seq));
                failure.into_iter().for_each(|message| out.send(message));
                if gone {
                    self.unfollow(chat_id);
                }
            }
        }
    }

    /// Tells one event in the form that all clients share, if it is the same for all.
    fn tell_live(&mut self, subscription: Subscription, live: &LiveEvent, out: &mut Out) {
        let Some(followed) = find(&mut self.followed, subscription) else { return };
        let LiveEvent { event, seq, .. } = live;
        let Some(read) = ChatEvent::read(&event.kind, &event.payload) else { return };
        let chat_id = followed.chat_id;
        let shared = match &read {
            ChatEvent::AssistantMessage { message_id, content, offset, .. } => {
                let fits = followed.fits(*message_id, *offset);
                if fits {
                    followed.told = Some((*message_id, offset + content.len() as u64));
                }
                fits
            }
            ChatEvent::Deleted {} => false,
            _ => true,
        };
        if shared {
            let failure = frame::failure(chat_id, &read);
            out.send_frame(live.frame(Encoding::Chat, |_| frame::told(chat_id, read, *seq).frame()));
            failure.into_iter().for_each(|message| out.send(message));
        } else {
            self.tell(subscription, read, *seq, out);
        }
    }

    /// Ends the connection of a device that is revoked.
    fn must_stay(&self, kind: &str, payload: &str) -> Result<(), CloseCode> {
        let revoked = self.device_id().is_some_and(|device_id| streams::revokes(device_id, kind, payload));
        if revoked { Err(CloseCode::CredentialInvalid) } else { Ok(()) }
    }

    /// After history could not be read: waits a while, and gives up at last.
    async fn falter(&mut self, error: StoreError) -> Result<(), CloseCode> {
        self.failures += 1;
        let refused = matches!(error, StoreError::Refused(_));
        if self.failures == 1 || refused {
            // Logs it.
            let _ = ApiError::from(error);
        }
        if refused {
            return Err(CloseCode::Internal);
        }
        if self.failures >= ATTEMPTS {
            return Err(CloseCode::Overloaded);
        }
        Box::pin(tokio::time::sleep(PAUSE)).await;
        Ok(())
    }
}

impl Followed {
    /// Whether a piece follows what the client has been told, or begins a message.
    fn fits(&self, message_id: Uuid, offset: u64) -> bool {
        match self.told {
            Some((told, length)) if told == message_id => offset == length,
            _ => offset == 0,
        }
    }

    /// Tells what a client that joins in the middle of a message lacks.
    fn say(&mut self, saying: Saying, seq: i64, out: &mut Out) {
        self.piece(saying, 0, seq, out);
    }

    /// Tells what is new of a piece. One that comes after something that was lost waits until the message is stored; that is
    /// told in any case, because it has a place.
    fn piece(&mut self, piece: Saying, offset: u64, seq: i64, out: &mut Out) {
        let Saying { turn_id, message_id, text } = piece;
        let told = match self.told {
            Some((told, length)) if told == message_id => length,
            _ => 0,
        };
        let end = offset + text.len() as u64;
        if seq == 0 && (offset > told || end <= told) {
            return;
        }
        // Both ends are of the same text, so this is between two characters.
        let known = usize::try_from(told.saturating_sub(offset)).unwrap_or(usize::MAX);
        let content = text.get(known..).unwrap_or_default().to_owned();
        self.told = Some((message_id, end));
        if content.is_empty() {
            return out.send(frame::finished(self.chat_id, turn_id, message_id, seq));
        }
        let event = ChatEvent::AssistantMessage { turn_id, message_id, content, offset: told };
        out.send(frame::told(self.chat_id, event, seq));
    }
}

impl ChatsSession for Session {
    async fn opened(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        let message = Some("Connected to Flightdeck.".to_owned());
        out.send(ChatsServerMessage::Connected(types::ChatConnected { message }));
        Ok(())
    }

    async fn subscribe(&mut self, message: types::ChatSubscribe, out: &mut Out) -> Result<(), CloseCode> {
        let types::ChatSubscribe { chat_id, since_seq } = message;
        let followed = match id_of(&chat_id) {
            Ok(id) => self.follow(id, since_seq.take(), out).await,
            Err(error) => Err(error),
        };
        refused(followed, chat_id, out);
        Ok(())
    }

    async fn unsubscribe(&mut self, message: types::ChatUnsubscribe, _: &mut Out) -> Result<(), CloseCode> {
        if let Ok(id) = id_of(&message.chat_id) {
            self.unfollow(id);
        }
        Ok(())
    }

    async fn chat(&mut self, message: types::ChatSay, out: &mut Out) -> Result<(), CloseCode> {
        let types::ChatSay { chat_id, content, client_msg_id } = message;
        let said = self.say(&chat_id, Say::Message(content), client_msg_id.take()).await;
        refused(said, chat_id, out);
        Ok(())
    }

    async fn research(&mut self, message: types::ChatResearch, out: &mut Out) -> Result<(), CloseCode> {
        let types::ChatResearch { chat_id, topic, repo_name, client_msg_id } = message;
        let research = Say::Research { topic, repo_name: repo_name.take() };
        let said = self.say(&chat_id, research, client_msg_id.take()).await;
        refused(said, chat_id, out);
        Ok(())
    }

    async fn cancel(&mut self, message: types::ChatCancelTurn, out: &mut Out) -> Result<(), CloseCode> {
        let types::ChatCancelTurn { chat_id, turn_id } = message;
        let (services, who, device_id) = (self.services.clone(), self.who, self.device_id());
        let cancelled = async {
            let id = id_of(&chat_id)?;
            services.authority.count_said(device_id)?;
            let scope = services.scope(who).await?;
            services.chats.cancel(&scope, id, turn_id.take(), None).await
        };
        let cancelled = cancelled.await.map(|_| ());
        refused(cancelled, chat_id, out);
        Ok(())
    }

    async fn ping(&mut self, message: types::ChatPing, out: &mut Out) -> Result<(), CloseCode> {
        out.send(ChatsServerMessage::Pong(types::ChatPong { id: message.id }));
        Ok(())
    }

    async fn faulty(&mut self, fault: Fault, out: &mut Out) -> Result<(), CloseCode> {
        let Fault { kind, path, message, tag, keys, .. } = fault;
        if kind == FaultKind::UnknownMessage {
            tracing::warn!("WebSocket unknown message type: {tag:?} (keys: {})", keys.join(", "));
        } else {
            tracing::debug!(?kind, path, ?tag, keys = keys.join(", "), "a client's message has a fault");
        }
        out.send(ChatsServerMessage::Error(types::ChatFault {
            // These are the words that clients have always got.
            error: "Invalid message format".to_owned(),
            chat_id: None,
            turn_id: None,
            code: Some(kind.code().as_str().to_owned()),
            action: Some(format!("{}: {message}.", kind.code().action().trim_end_matches('.'))),
            path: Some(path).filter(|path| !path.is_empty()),
        }));
        Ok(())
    }

    async fn pending(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        while out.is_empty() {
            match self.reader.next().await {
                Ok(item) => {
                    self.failures = 0;
                    self.give(item, out)?;
                }
                Err(error) => Box::pin(self.falter(error)).await?,
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self, _: &mut Out) -> Result<(), CloseCode> {
        // The protocol's own ping is enough.
        Ok(())
    }

    async fn closed(self) {}
}

fn find(followed: &mut [Followed], subscription: Subscription) -> Option<&mut Followed> {
    followed.iter_mut().find(|followed| followed.subscription == subscription)
}

/// Chats have UUIDs; nothing else is one's id.
fn id_of(chat: &str) -> Result<Uuid, ApiError> {
    chat.parse().map_err(|_| ErrorCode::ChatNotFound.into())
}

/// Tells the client if what it asked for is not done.
fn refused(done: Result<(), ApiError>, chat_id: String, out: &mut Out) {
    let Err(error) = done else { return };
    let error = if CHATS.faults.contains(&error.code) {
        error
    } else {
        tracing::error!(code = error.code.as_str(), "refused with a code that the spec does not declare");
        ApiError::new(ErrorCode::Internal)
    };
    out.send(ChatsServerMessage::Error(types::ChatFault {
        error: error.message,
        chat_id: Some(chat_id),
        turn_id: None,
        code: Some(error.code.as_str().to_owned()),
        action: Some(error.code.action().to_owned()),
        path: None,
    }));
}
