//! One connection of the chat's socket.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::generated::sockets::chats::{CHATS, ChatsServerMessage, ChatsSession};
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Fault, FaultKind, Outbox};
use uuid::Uuid;

use super::frame;
use super::socket::{Services, Who};
use super::told::{Glance, Told};
use crate::log::{Item, LiveEvent, Reader, ReaderLimits, Start, Subscription};
use crate::service::chats::{ChatEvent, Say, Saying, chat_stream, claim_of};
use crate::service::streams::Guard;
use crate::surface::following::Failures;
use crate::surface::{convert, following};

/// Bytes of messages in a `history`.
const HISTORY: usize = 1 << 20;

type Out = Outbox<ChatsServerMessage>;

/// Characters of a client's words in the log.
const LOGGED: usize = 200;

/// One connection.
pub(in crate::surface) struct Session {
    services: Arc<Services>,
    who: Who,
    /// Where it is told that the device is revoked.
    guard: Option<Subscription>,
    reader: Reader,
    followed: Vec<Followed>,
    /// Failures in a row to read history.
    failures: Failures,
}

/// A chat that the client follows.
struct Followed {
    subscription: Subscription,
    told: Told,
}

impl Session {
    pub(super) fn new(services: Arc<Services>, who: Who, guard: Option<Guard>) -> Self {
        let limits = ReaderLimits { events: CHATS.limits.queue_events, bytes: CHATS.limits.queue_bytes };
        let mut reader = services.chats.reader(limits);
        let guard = guard.map(|guard| reader.follow(&guard.stream, Start::After(guard.seq)));
        Self { services, who, guard, reader, followed: Vec::new(), failures: Failures::default() }
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
        let (start, said) = match since {
            Some(since) => {
                chats.require(&scope, chat_id).await?;
                let since = i64::try_from(since).unwrap_or(i64::MAX);
                (since, chats.last_said(chat_id, since).await?)
            }
            None => {
                let (last, rows, complete) = chats.history(&scope, chat_id, HISTORY).await?;
                let messages: Vec<_> = rows.iter().filter_map(|row| frame::message(chat_id, row)).collect();
                let said = match messages.iter().rfind(|message| message.role == types::ChatRole::Assistant) {
                    Some(message) => i64::try_from(message.seq).unwrap_or(i64::MAX),
                    None if complete => 0,
                    None => chats.last_said(chat_id, last).await?,
                };
                let last_seq = convert::seq(last);
                let history = types::ChatHistory { messages, chat_id: chat_id.to_string(), last_seq, complete };
                out.send(ChatsServerMessage::History(history));
                (last, said)
            }
        };
        let subscription = self.reader.follow(&chat_stream(chat_id), Start::After(start));
        self.followed.push(Followed { subscription, told: Told::new(chat_id, said) });
        Ok(())
    }

    fn unfollow(&mut self, chat_id: Uuid) {
        if let Some(index) = self.followed.iter().position(|followed| followed.told.chat_id == chat_id) {
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
                events.iter().for_each(|row| self.tell(subscription, &row.kind, &row.payload, row.seq, out));
            }
            Item::Live { subscription, event } => self.tell_live(subscription, &event, out),
            Item::Synced { subscription, seq } => {
                let Some(told) = find(&mut self.followed, subscription) else { return Ok(()) };
                told.synced(seq);
                catch_up(&self.services, told, out);
                let synced = types::ChatSynced { chat_id: told.chat_id.to_string(), seq: convert::seq(seq) };
                out.send(ChatsServerMessage::Synced(synced));
            }
            Item::Gap { subscription, since, next, reason } => {
                let Some(told) = find(&mut self.followed, subscription) else { return Ok(()) };
                out.send(ChatsServerMessage::Gap(types::ChatGap {
                    chat_id: told.chat_id.to_string(),
                    since_seq: convert::seq(since),
                    next_seq: convert::seq(next),
                    reason: following::gap_reason(reason),
                }));
            }
            Item::FellBehind => return Err(CloseCode::SlowReader),
        }
        Ok(())
    }

    /// Tells one event to this client only.
    fn tell(&mut self, subscription: Subscription, kind: &str, payload: &str, seq: i64, out: &mut Out) {
        let Some(told) = find(&mut self.followed, subscription) else { return };
        let chat_id = told.chat_id;
        match ChatEvent::read(kind, payload) {
            Some(ChatEvent::AssistantMessage { turn_id, message_id, content: text, offset, after }) => {
                let said = Saying { turn_id, message_id, text, after: after.unwrap_or(0) };
                told.tell(said, offset, seq).into_iter().for_each(|message| out.send(message));
            }
            Some(ChatEvent::Deleted {}) => {
                out.send(frame::told(chat_id, ChatEvent::Deleted {}, seq));
                return self.unfollow(chat_id);
            }
            Some(event) => {
                let failure = frame::failure(chat_id, &event);
                out.send(frame::told(chat_id, event, seq));
                failure.into_iter().for_each(|message| out.send(message));
            }
            // Of a later version.
            None => {}
        }
        self.has(subscription, seq, out);
    }

    /// Tells one event in the form that all clients share, if it is the same for all.
    fn tell_live(&mut self, subscription: Subscription, live: &LiveEvent, out: &mut Out) {
        let Some(told) = find(&mut self.followed, subscription) else { return };
        let (chat_id, LiveEvent { event, seq, .. }) = (told.chat_id, live);
        match live.glance(|live| Glance::of(chat_id, live)) {
            Some(Glance::Alike(frame)) => out.send_frame(frame.clone()),
            Some(Glance::Piece(piece, frame)) if told.fits(piece, *seq) => out.send_frame(frame.clone()),
            _ => return self.tell(subscription, &event.kind, &event.payload, *seq, out),
        }
        self.has(subscription, *seq, out);
    }

    /// The client has been told what is stored at `seq`, if it is stored: now it may be told what comes after that.
    fn has(&mut self, subscription: Subscription, seq: i64, out: &mut Out) {
        if let Some(told) = find(&mut self.followed, subscription).filter(|_| seq > 0) {
            told.stored(seq);
            catch_up(&self.services, told, out);
        }
    }

    /// Ends the connection of a device that is revoked.
    fn must_stay(&self, kind: &str, payload: &str) -> Result<(), CloseCode> {
        self.device_id().map_or(Ok(()), |device_id| following::must_stay(device_id, kind, payload))
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
        // As clients' authors know it; what the client wrote must not make a line of its own.
        let (name, keys) = (tag.as_deref().unwrap_or("none"), keys.join(", "));
        match kind {
            FaultKind::UnknownMessage => {
                tracing::warn!("WebSocket unknown message type: {} (keys: {})", shown(name), shown(&keys));
            }
            _ => {
                let (path, name, keys) = (shown(&path), shown(name), shown(&keys));
                tracing::warn!(
                    "WebSocket invalid message: {} at `{path}` (type: {name}, keys: {keys})",
                    kind.code().as_str()
                );
            }
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
                    self.failures.end();
                    self.give(item, out)?;
                }
                Err(error) => Box::pin(self.failures.add(error)).await?,
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

fn find(followed: &mut [Followed], subscription: Subscription) -> Option<&mut Told> {
    followed.iter_mut().find(|followed| followed.subscription == subscription).map(|followed| &mut followed.told)
}

fn catch_up(services: &Services, told: &mut Told, out: &mut Out) {
    let chat_id = told.chat_id;
    told.catch_up(|| services.chats.saying(chat_id)).into_iter().for_each(|message| out.send(message));
}

/// A client's words in the log: the beginning of them, on one line.
fn shown(words: &str) -> String {
    words.chars().take(LOGGED).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
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
