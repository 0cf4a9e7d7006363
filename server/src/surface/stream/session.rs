//! One connection of the native socket.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::generated::sockets::stream::{STREAM, StreamServerMessage, StreamSession};
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Fault, Outbox, Timestamp};
use uuid::Uuid;

use super::credentials::{Credentials, Device};
use super::{Services, frame};
use crate::log::{Encoding, Item, Reader, ReaderLimits, Start, Subscription};
use crate::service::streams::View;
use crate::surface::convert;
use crate::surface::following::{Failures, gap_reason, must_stay};

/// How the tokens of devices begin.
const DEVICE_TOKEN: &str = "fdd_";

type Out = Outbox<StreamServerMessage>;

/// One connection.
pub(in crate::surface) struct Session {
    services: Arc<Services>,
    connection_id: Uuid,
    credentials: Credentials,
    reader: Reader,
    /// What the client follows. There are at most `subscriptions`, and they are looked up only where much else is done.
    followed: Vec<(Subscription, Box<str>)>,
    /// Failures in a row to read history.
    failures: Failures,
}

impl Session {
    pub(super) fn new(services: Arc<Services>, local: bool) -> Self {
        let limits = ReaderLimits { events: STREAM.limits.queue_events, bytes: STREAM.limits.queue_bytes };
        let (reader, now) = (services.streams.reader(limits), services.streams.now());
        let mut credentials = Credentials::new(local, now);
        credentials.watch(&services.streams);
        Self {
            services,
            connection_id: Uuid::now_v7(),
            credentials,
            reader,
            followed: Vec::new(),
            failures: Failures::default(),
        }
    }

    pub(super) const fn connection_id(&self) -> Uuid {
        self.connection_id
    }

    /// Takes a token for what it is; says when it expires, if it does.
    ///
    /// # Errors
    /// `credential_invalid`, `device_revoked` or `unavailable`.
    pub(super) async fn accept(&mut self, token: &str) -> Result<Option<i64>, ApiError> {
        let Services { authority, hub_tokens, streams } = &*self.services;
        let mut expires_at = None;
        if token.starts_with(DEVICE_TOKEN) {
            let guard = streams.guard(authority.device_by_token(token).await?).await?;
            if let Some(earlier) = self.credentials.device.take() {
                self.reader.unfollow(earlier.guard);
            }
            let subscription = self.reader.follow(&guard.stream, Start::After(guard.seq));
            self.credentials.device = Some(Device { id: guard.device_id, guard: subscription });
        } else if authority.is_companion_token(token) {
            self.credentials.companion = true;
        } else {
            let identity = hub_tokens.verify(token).ok_or_else(|| ApiError::new(ErrorCode::CredentialInvalid))?;
            expires_at = Some(identity.expires_at);
            self.credentials.hub = Some(identity);
        }
        self.credentials.watch(&self.services.streams);
        Ok(expires_at)
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.services.streams.now())
    }

    /// Takes a credential, and gives up what it does not show any more.
    async fn change_credential(&mut self, token: &str, out: &mut Out) -> Result<Option<i64>, ApiError> {
        let before = self.credentials.view();
        let expires_at = self.accept(token).await?;
        let view = self.credentials.view();
        if view != before && before != NOTHING {
            let mut index = 0;
            while let Some((subscription, stream)) = self.followed.get(index) {
                // If that can't be told now, the client has to ask again.
                if self.services.streams.is_visible(&view, stream).await.unwrap_or(false) {
                    index += 1;
                    continue;
                }
                self.reader.unfollow(*subscription);
                let (_, stream) = self.followed.swap_remove(index);
                let message = types::StreamUnsubscribed { stream: stream.into(), id: None };
                out.send(StreamServerMessage::Unsubscribed(message));
            }
        }
        Ok(expires_at)
    }

    async fn follow(&mut self, message: types::StreamSubscribe, out: &mut Out) -> Result<(), ApiError> {
        let types::StreamSubscribe { stream, since_seq, epoch, id } = message;
        let streams = &self.services.streams;
        let earlier = self.followed.iter().position(|(_, followed)| **followed == *stream);
        if earlier.is_none() && self.followed.len() >= STREAM.limits.subscriptions {
            return Err(ErrorCode::TooManyStreams.into());
        }
        let extent = streams.extent(&self.credentials.view(), &stream).await?;
        let asked = since_seq.map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
        let of_other_log = asked.filter(|asked| *asked > 0 && epoch.is_some_and(|epoch| epoch != streams.epoch()));
        let since = match (asked, of_other_log) {
            (_, Some(_)) => extent.first_seq - 1,
            (Some(asked), None) => asked,
            (None, None) => extent.last_seq,
        };
        if let Some(earlier) = earlier {
            let (subscription, _) = self.followed.swap_remove(earlier);
            self.reader.unfollow(subscription);
        }
        let subscription = self.reader.follow(&stream, Start::After(since));
        self.followed.push((subscription, stream.as_str().into()));
        out.send(StreamServerMessage::Subscribed(types::StreamSubscribed {
            stream: stream.clone(),
            since_seq: convert::seq(since),
            last_seq: convert::seq(extent.last_seq),
            id,
        }));
        if let Some(asked) = of_other_log {
            out.send(gap(stream, asked, extent.first_seq, types::GapReason::OtherLog));
        }
        Ok(())
    }

    /// The stream of one of the client's own subscriptions.
    fn stream(&self, subscription: Subscription) -> Option<&str> {
        self.followed.iter().find(|(other, _)| *other == subscription).map(|(_, stream)| &**stream)
    }

    fn guarded(&self, subscription: Subscription) -> Option<Uuid> {
        self.credentials.device.filter(|device| device.guard == subscription).map(|device| device.id)
    }

    fn give(&mut self, item: Item, out: &mut Out) -> Result<(), CloseCode> {
        match item {
            Item::Live { subscription, event } => match self.guarded(subscription) {
                Some(device_id) => must_stay(device_id, &event.event.kind, &event.event.payload)?,
                // What is announced has no place, and this socket is about places.
                None if event.seq == 0 => {}
                None => out.send_frame(event.frame(Encoding::Stream, frame::live)),
            },
            Item::Stored { subscription, events } => {
                if let Some(device_id) = self.guarded(subscription) {
                    events.iter().try_for_each(|event| must_stay(device_id, &event.kind, &event.payload))?;
                } else if let Some(stream) = self.stream(subscription) {
                    frame::stored(stream, &events).for_each(|frame| out.send_frame(frame));
                }
            }
            Item::Synced { subscription, seq } => {
                if let Some(stream) = self.stream(subscription) {
                    let message = types::StreamSynced { stream: stream.to_owned(), seq: convert::seq(seq) };
                    out.send(StreamServerMessage::Synced(message));
                }
            }
            Item::Gap { subscription, since, next, reason } => match self.stream(subscription) {
                Some(stream) => {
                    let reason = gap_reason(reason);
                    out.send(gap(stream.to_owned(), since, next, reason));
                }
                // What is not to be had may have been that the device is revoked: it has to show its token again.
                None => return Err(CloseCode::Internal),
            },
            Item::FellBehind => return Err(CloseCode::SlowReader),
        }
        Ok(())
    }
}

impl StreamSession for Session {
    async fn opened(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        out.send(StreamServerMessage::Hello(types::StreamHello {
            connection_id: self.connection_id,
            epoch: self.services.streams.epoch().to_owned(),
            server_time: self.now(),
            heartbeat_seconds: STREAM.limits.heartbeat.as_secs(),
            authenticated: self.credentials.any(),
        }));
        Ok(())
    }

    async fn authenticate(&mut self, message: types::StreamAuthenticate, out: &mut Out) -> Result<(), CloseCode> {
        match self.change_credential(&message.token, out).await {
            Ok(expires_at) => {
                let expires_at = expires_at.map(Timestamp);
                let message = types::StreamAuthenticated { expires_at, id: message.id };
                out.send(StreamServerMessage::Authenticated(message));
            }
            Err(error) => out.send(refusal(error, None, message.id)),
        }
        Ok(())
    }

    async fn subscribe(&mut self, message: types::StreamSubscribe, out: &mut Out) -> Result<(), CloseCode> {
        let (stream, id) = (message.stream.clone(), message.id.clone());
        if let Err(error) = self.follow(message, out).await {
            out.send(refusal(error, Some(stream), id));
        }
        Ok(())
    }

    async fn unsubscribe(&mut self, message: types::StreamUnsubscribe, out: &mut Out) -> Result<(), CloseCode> {
        let types::StreamUnsubscribe { stream, id } = message;
        if let Some(index) = self.followed.iter().position(|(_, followed)| **followed == *stream) {
            let (subscription, _) = self.followed.swap_remove(index);
            self.reader.unfollow(subscription);
        }
        out.send(StreamServerMessage::Unsubscribed(types::StreamUnsubscribed { stream, id }));
        Ok(())
    }

    async fn ping(&mut self, message: types::StreamPing, out: &mut Out) -> Result<(), CloseCode> {
        out.send(StreamServerMessage::Pong(types::StreamPong { server_time: self.now(), id: message.id }));
        Ok(())
    }

    async fn faulty(&mut self, fault: Fault, out: &mut Out) -> Result<(), CloseCode> {
        let Fault { kind, path, message, id, .. } = fault;
        let code = kind.code();
        out.send(StreamServerMessage::Error(types::StreamFault {
            code: code.as_str().to_owned(),
            error: format!("{}: {message}.", code.message().trim_end_matches('.')),
            action: code.action().to_owned(),
            path: Some(path).filter(|path| !path.is_empty()),
            stream: None,
            id,
        }));
        Ok(())
    }

    async fn pending(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        while out.is_empty() {
            tokio::select! {
                biased;
                code = self.credentials.ended() => return Err(code),
                item = self.reader.next() => match item {
                    Ok(item) => {
                        self.failures.end();
                        self.give(item, out)?;
                    }
                    Err(error) => Box::pin(self.failures.add(error)).await?,
                },
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        self.reader.tidy();
        out.send(StreamServerMessage::Heartbeat(types::StreamHeartbeat { server_time: self.now() }));
        Ok(())
    }

    async fn closed(self) {
        tracing::debug!(connection_id = %self.connection_id, "a stream socket is closed");
    }
}

/// What a connection that has shown nothing sees elsewhere.
const NOTHING: View = View::Of { device: None, agents: false, hub_agent: None };

fn gap(stream: String, since: i64, next: i64, reason: types::GapReason) -> StreamServerMessage {
    let (since_seq, next_seq) = (convert::seq(since), convert::seq(next));
    StreamServerMessage::Gap(types::StreamGap { stream, since_seq, next_seq, reason })
}

/// What a client is told when what it asked for is not done.
fn refusal(error: ApiError, stream: Option<String>, id: Option<String>) -> StreamServerMessage {
    let error = if STREAM.faults.contains(&error.code) {
        error
    } else {
        tracing::error!(code = error.code.as_str(), "refused with a code that the spec does not declare");
        ApiError::new(ErrorCode::Internal)
    };
    StreamServerMessage::Error(types::StreamFault {
        code: error.code.as_str().to_owned(),
        error: error.message,
        action: error.code.action().to_owned(),
        path: None,
        stream,
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small() {
        let size = size_of::<Session>();
        assert!(size <= 480, "{size} bytes, for as long as the connection lasts");
    }
}
