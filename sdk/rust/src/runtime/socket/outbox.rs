//! What goes to the server next: the credential, then what is subscribed, signs of life, and last what waits in the queue.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use bytes::Bytes;

use super::super::Secret;
use super::protocol::{Intent, SocketProtocol};
use super::queue::{Payload, Queue, SendError};
use super::settings::Settings;
use super::subscriptions::{Reissued, Subscriptions};
use super::transport::SocketFrame;

pub(super) struct Outbox<P: SocketProtocol> {
    queue: Queue<P::ClientMessage>,
    /// The latest credential that the caller showed in a message, as text.
    shown: Option<Secret>,
    remember_credential: bool,
    /// The credential that the caller showed is not valid any more, and what needs it waits for another.
    holds: bool,
    keep_alive: Option<String>,
    due: Due,
}

/// What the current connection is told beside the queue.
#[derive(Default)]
struct Due {
    credential: Option<Secret>,
    subscriptions: VecDeque<Reissued>,
    ping: bool,
    keep_alive: bool,
}

impl<P: SocketProtocol> Outbox<P> {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            queue: Queue::new(settings.queue, P::INFO.limits.max_message_bytes),
            shown: None,
            remember_credential: settings.remember_credential,
            holds: false,
            keep_alive: settings.keep_alive.as_ref().map(|keep_alive| keep_alive.text.clone()),
            due: Due::default(),
        }
    }

    pub(super) fn push(&mut self, message: P::ClientMessage) -> Result<(), SendError<P::ClientMessage>> {
        self.queue.push(message, P::raw)
    }

    /// The message that was pushed last, if it still waits.
    pub(super) fn last(&self) -> Option<&P::ClientMessage> {
        self.queue.back()
    }

    /// A connection stands, with this credential to show. What the caller has shown since is newer.
    pub(super) fn connected(&mut self, credential: Option<Secret>) {
        self.due.credential = self.shown.clone().or(credential);
    }

    /// The server is there, and is to be told this first.
    pub(super) fn greeted(&mut self, subscriptions: Vec<Reissued>) {
        // A newer credential that waits makes the old one needless; but not that of a provider, which is the newest.
        let waits = self.queue.bring_forward(|message| P::intent(message) == Intent::Authenticate);
        if waits && self.remember_credential {
            self.due.credential = None;
        }
        self.due.subscriptions = subscriptions.into();
    }

    pub(super) const fn ping(&mut self) {
        self.due.ping = true;
    }

    pub(super) const fn keep_alive(&mut self) {
        self.due.keep_alive = true;
    }

    /// The credential that was shown is not valid any more. What is subscribed would be refused without another, and
    /// nobody would ask for it again.
    pub(super) fn forget_credential(&mut self) {
        self.holds |= self.shown.take().is_some();
    }

    /// Whether what is subscribed waits for the caller to show a credential.
    pub(super) const fn holds_subscriptions(&self) -> bool {
        self.holds
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self) {
        self.due = Due::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        let Due { credential, subscriptions, ping, keep_alive } = &self.due;
        let subscribes = !self.holds && !subscriptions.is_empty();
        credential.is_none() && !subscribes && !ping && !keep_alive && self.queue.is_empty()
    }

    /// Whether nothing of the caller waits.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next frame. It will not come again.
    pub(super) fn next(&mut self, subscriptions: &mut Subscriptions<P>, now: Duration) -> Option<SocketFrame> {
        let text = |text: String| Some(SocketFrame::Text(text.into()));
        if let Some(credential) = self.due.credential.take() {
            self.holds = false;
            return text(credential.expose().to_owned());
        }
        // Subscriptions may need a credential that still waits.
        let credential_waits = self.queue.front().is_some_and(|message| P::intent(message) == Intent::Authenticate);
        if !credential_waits {
            if !self.holds
                && let Some(subscription) = self.due.subscriptions.pop_front()
            {
                return text(subscription.text);
            }
            if mem::take(&mut self.due.ping) {
                return Some(SocketFrame::Ping(Bytes::new()));
            }
            if mem::take(&mut self.due.keep_alive)
                && let Some(message) = &self.keep_alive
            {
                return text(message.clone());
            }
        }
        let queued = self.queue.pop()?;
        match P::intent(&queued.message) {
            Intent::Authenticate => {
                self.holds = false;
                if let Payload::Json(text) = &queued.payload {
                    self.shown = self.remember_credential.then(|| Secret::from(text.as_str()));
                }
            }
            // What the caller says about it now is newer than what waits for a credential.
            Intent::Subscribe { key, .. } | Intent::Unsubscribe { key } => {
                self.due.subscriptions.retain(|due| due.key != key.unwrap_or_default());
            }
            Intent::Nothing => {}
        }
        subscriptions.sent(queued.message, now);
        Some(match queued.payload {
            Payload::Json(text) => SocketFrame::Text(text.into()),
            Payload::Raw(data) => SocketFrame::Binary(data),
        })
    }

    /// Everything of the caller that was not sent, in order.
    pub(super) fn hand_back(&mut self) -> Vec<P::ClientMessage> {
        self.queue.hand_back()
    }
}
