//! The session as a state machine: it is told what happened and what time it is, and says what to do. It opens no
//! connection, reads no clock and knows no task, so that everything it decides can be tested by itself. `driver.rs` does
//! what it says. Which events a caller gets is decided in `subscriptions.rs`, what is written next in `outbox.rs`.
//!
//! | phase                     | input                         | what it does                              | next       |
//! |---------------------------|-------------------------------|-------------------------------------------|------------|
//! | Idle                      | start                         | connects                                  | Connecting |
//! | Connecting                | opened                        | waits for the first message (²)           | Greeting   |
//! | Connecting                | failed, or its time is up     | as the error says (¹)                     | ¹          |
//! | Greeting                  | message                       | Connected; credential, subscriptions, queue | Open     |
//! | Greeting                  | its time is up                | drops the connection                      | Backoff    |
//! | Open                      | message                       | hands it out, unless the caller has it    | Open       |
//! | Open                      | wake                          | pings, and sends what keeps it alive      | Open       |
//! | Open                      | wake, long after any frame    | drops the connection                      | Backoff    |
//! | Open                      | message after a jump          | closes with 1002                          | Backoff    |
//! | Greeting, Open            | unreadable frame              | closes with 1002, 1003, 1007 or 1009      | Backoff, Closed after three without progress |
//! | Greeting, Open            | close frame                   | as the code says (¹)                      | ¹          |
//! | Greeting, Open            | broken                        |                                           | Backoff    |
//! | Backoff                   | wake, its time is up          | connects, unless the caller does not read | Connecting |
//! | Idle, Connecting, Backoff | close                         | hands back what was not sent              | Closed     |
//! | Greeting, Open            | close                         | writes the rest and 1000                  | Closing    |
//! | Closing                   | close frame, broken, its time is up | hands back what was not sent        | Closed     |
//! | any                       | input of an earlier connection | nothing                                  | the same   |
//! | any                       | anything else                 | nothing                                   | the same   |
//!
//! After a close code that says that the credential is not valid any more, what is subscribed waits until the caller has
//! shown another, where the one before was shown in a message.
//!
//! ¹ Backoff for what is worth another attempt, Closed for what is not. A code that is not in the table is worth one.
//!
//! ² A server that sends raw data may have nothing to say for long, so there it counts as Open at once. Raw data is a
//! message like any other; on a socket without any, it is an unreadable frame.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::super::random::{self, Random};
use super::super::{DecodeError, RetryPolicy, Secret};
use super::outbox::Outbox;
use super::protocol::{Progress, Reconnect, SocketCloseCode, SocketProtocol};
use super::queue::SendError;
use super::settings::Settings;
use super::subscriptions::{Subscriptions, Verdict};
use super::transport::{SocketError, SocketFrame};
use super::update::{Ending, SocketState, Update, Updates};
use super::vitals::Vitals;
use crate::Error;
use crate::error::TimeLimit;

/// How long the first message of a connection may take.
pub(super) const GREETING: Duration = Duration::from_secs(10);
/// How long saying goodbye may take.
pub(super) const GOODBYE: Duration = Duration::from_secs(5);
/// How often a session goes on after frames that cannot be read, without an event in between.
const FAULTS: u32 = 3;

/// Something that happened. What happened to a connection carries its number.
#[derive(Debug)]
pub(super) enum Input {
    Start,
    /// The connection stands. `credential`: the message that shows it, where the request did not.
    Opened {
        generation: u64,
        credential: Option<Secret>,
    },
    Failed {
        generation: u64,
        error: Error,
    },
    Frame {
        generation: u64,
        frame: SocketFrame,
    },
    Broken {
        generation: u64,
        error: SocketError,
    },
    /// The time of [`Machine::wake_at`] has come, or anything else may have changed.
    Wake,
    /// The caller wants no more.
    Close,
}

/// Something to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Open a connection with this number.
    Connect { generation: u64 },
    /// Give the connection up, with a last word if there is a code.
    Disconnect { code: Option<u16> },
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Idle,
    Connecting {
        until: Duration,
    },
    Greeting {
        until: Duration,
    },
    Open(Vitals),
    Backoff {
        until: Duration,
    },
    Closing {
        until: Duration,
        /// What waits is still written.
        flush: bool,
        /// The close frame has been written.
        said: bool,
    },
    Closed,
}

pub(super) struct Machine<P: SocketProtocol> {
    settings: Settings,
    random: Arc<dyn Random>,
    phase: Phase,
    /// The number of the current connection. Each has its own.
    generation: u64,
    commands: VecDeque<Command>,
    updates: Updates<P>,
    outbox: Outbox<P>,
    subscriptions: Subscriptions<P>,
    /// Attempts in a row that did not lead to a lasting connection.
    failures: u32,
    /// Unreadable frames without an event in between.
    faults: u32,
    /// The next connection continues a session.
    continues: bool,
    /// The keys of which events are missed until what is subscribed has been sent, while that waits for a credential.
    missing: Vec<Option<String>>,
}

impl<P: SocketProtocol> Machine<P> {
    pub(super) fn new(settings: Settings, random: Arc<dyn Random>) -> Self {
        Self {
            outbox: Outbox::new(&settings),
            settings,
            random,
            phase: Phase::Idle,
            generation: 0,
            commands: VecDeque::new(),
            updates: Updates::new(),
            subscriptions: Subscriptions::new(),
            failures: 0,
            faults: 0,
            continues: false,
            missing: Vec::new(),
        }
    }

    /// The one transition function; see the table above.
    pub(super) fn handle(&mut self, now: Duration, input: Input) {
        let of = match &input {
            Input::Opened { generation, .. }
            | Input::Failed { generation, .. }
            | Input::Frame { generation, .. }
            | Input::Broken { generation, .. } => *generation,
            Input::Start | Input::Wake | Input::Close => self.generation,
        };
        if of != self.generation {
            return;
        }
        match (self.phase, input) {
            (Phase::Idle, Input::Start) => self.connect(now),
            (Phase::Connecting { .. }, Input::Opened { credential, .. }) => {
                self.outbox.connected(credential);
                self.phase = Phase::Greeting { until: now.saturating_add(GREETING) };
                if P::SENDS_RAW {
                    self.greeted(now);
                }
            }
            (Phase::Connecting { .. }, Input::Failed { error, .. }) => self.lose(now, Ending::Failed(error), None),
            (Phase::Connecting { until }, Input::Wake) if now >= until => {
                let error = Error::Timeout { after: self.settings.connect_timeout, limit: TimeLimit::Attempt };
                self.lose(now, Ending::Failed(error), None);
            }
            (Phase::Greeting { .. } | Phase::Open(_), Input::Frame { frame, .. }) => self.frame(now, frame),
            (Phase::Greeting { .. } | Phase::Open(_), Input::Broken { error, .. }) => self.broken(now, error),
            (Phase::Greeting { until }, Input::Wake) if now >= until => {
                self.lose(now, Ending::NoGreeting(GREETING), None);
            }
            (Phase::Open(vitals), Input::Wake) => self.check(now, vitals),
            (Phase::Backoff { until }, Input::Wake) if now >= until && !self.updates.is_full() => self.connect(now),
            (Phase::Idle | Phase::Connecting { .. } | Phase::Backoff { .. }, Input::Close) => {
                self.end(Ending::Requested, None);
            }
            (Phase::Greeting { .. }, Input::Close) => self.say_goodbye(now, false),
            (Phase::Open(_), Input::Close) => self.say_goodbye(now, true),
            (Phase::Closing { .. }, Input::Frame { frame: SocketFrame::Close { .. }, .. } | Input::Broken { .. }) => {
                self.end(Ending::Requested, None);
            }
            (Phase::Closing { until, .. }, Input::Wake) if now >= until => self.end(Ending::Requested, None),
            _ => {}
        }
    }

    /// Takes a message to be sent.
    pub(super) fn enqueue(&mut self, message: P::ClientMessage) -> Result<(), SendError<P::ClientMessage>> {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Closed) {
            return Err(SendError::Closed(message));
        }
        self.outbox.push(message)?;
        if let Some(message) = self.outbox.last() {
            self.subscriptions.waits(message);
        }
        Ok(())
    }

    /// The next thing to do.
    pub(super) fn command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next thing to tell the caller.
    pub(super) fn take_update(&mut self) -> Option<Update<P>> {
        self.updates.take()
    }

    pub(super) fn has_updates(&self) -> bool {
        !self.updates.is_empty()
    }

    /// The next frame to write. Whoever takes it writes it: it will not come again.
    pub(super) fn take_frame(&mut self, now: Duration) -> Option<SocketFrame> {
        let flush = match self.phase {
            Phase::Open(_) => true,
            Phase::Closing { flush, said: false, .. } => flush,
            _ => return None,
        };
        if let Some(frame) = flush.then(|| self.outbox.next(&mut self.subscriptions, now)).flatten() {
            if !self.outbox.holds_subscriptions() {
                let missing = std::mem::take(&mut self.missing);
                self.tell_lost(missing);
            }
            return Some(frame);
        }
        let Phase::Closing { said, .. } = &mut self.phase else { return None };
        *said = true;
        Some(SocketFrame::Close { code: 1000, reason: String::new() })
    }

    /// Whether there is a frame to write.
    pub(super) fn has_frame(&self) -> bool {
        match self.phase {
            Phase::Open(_) => !self.outbox.is_empty(),
            Phase::Closing { said, .. } => !said,
            _ => false,
        }
    }

    /// Whether the network may be read: not while the caller has too many updates to take.
    pub(super) const fn wants_frames(&self) -> bool {
        match self.phase {
            Phase::Greeting { .. } | Phase::Open(_) => !self.updates.is_full(),
            Phase::Closing { .. } => true,
            _ => false,
        }
    }

    /// When to come back with [`Input::Wake`].
    pub(super) fn wake_at(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle | Phase::Closed => None,
            Phase::Connecting { until } | Phase::Greeting { until } | Phase::Closing { until, .. } => Some(until),
            Phase::Backoff { until } => (!self.updates.is_full()).then_some(until),
            Phase::Open(vitals) => Some(vitals.wake_at()),
        }
    }

    pub(super) const fn state(&self) -> SocketState {
        match self.phase {
            Phase::Idle => SocketState::Idle,
            Phase::Connecting { .. } | Phase::Greeting { .. } => SocketState::Connecting,
            Phase::Open(_) => SocketState::Open,
            Phase::Backoff { .. } => SocketState::Waiting,
            Phase::Closing { .. } => SocketState::Closing,
            Phase::Closed => SocketState::Closed,
        }
    }

    /// Whether everything that the caller wanted to say has been written.
    pub(super) fn is_flushed(&self) -> bool {
        self.outbox.is_flushed()
    }

    /// Whether the caller takes updates fast enough.
    pub(super) const fn is_listening(&self) -> bool {
        !self.updates.is_full()
    }

    /// It cannot even begin.
    pub(super) fn refuse(&mut self, error: Error) {
        self.end(Ending::Failed(error), None);
    }

    /// Whoever did what the machine says is gone.
    pub(super) fn stop(&mut self) {
        if !matches!(self.phase, Phase::Closed) {
            self.end(Ending::Lost("the task that drives the socket was stopped".into()), None);
        }
    }

    /// Nobody takes updates any more.
    pub(super) fn abandon(&mut self) {
        self.updates.clear();
    }

    fn connect(&mut self, now: Duration) {
        self.generation += 1;
        self.phase = Phase::Connecting { until: now.saturating_add(self.settings.connect_timeout) };
        self.commands.push_back(Command::Connect { generation: self.generation });
    }

    fn frame(&mut self, now: Duration, frame: SocketFrame) {
        if let Phase::Open(vitals) = &mut self.phase {
            vitals.hear(now);
        }
        let (decoded, bytes) = match frame {
            SocketFrame::Text(text) => {
                let decoded = std::str::from_utf8(&text).map_err(DecodeError::new).and_then(P::decode);
                (decoded, text.len())
            }
            SocketFrame::Ping(_) | SocketFrame::Pong(_) => return,
            SocketFrame::Binary(data) => {
                let bytes = data.len();
                match P::from_raw(data) {
                    Some(message) => {
                        self.faults = 0;
                        (Ok(message), bytes)
                    }
                    None => return self.fault(now, DecodeError::new("a binary frame"), 1003),
                }
            }
            SocketFrame::Close { code, reason } => {
                let known = P::CloseCode::from_code(code);
                return self.lose(now, Ending::Closed { code, known, reason }, None);
            }
        };
        match decoded {
            Ok(message) => {
                if matches!(self.phase, Phase::Greeting { .. }) {
                    self.greeted(now);
                }
                self.message(now, message, bytes);
            }
            Err(error) => self.fault(now, error, 1007),
        }
    }

    fn greeted(&mut self, now: Duration) {
        let keep_alive = self.settings.keep_alive.as_ref().map(|keep_alive| keep_alive.every);
        let jitter = random::fraction(&*self.random);
        self.phase = Phase::Open(Vitals::new(&P::INFO.limits, keep_alive, now, jitter));
        let reissue = self.subscriptions.reissue(now);
        self.outbox.greeted(reissue.messages);
        self.updates.push(Update::Connected { resumed: self.continues }, 0);
        self.continues = true;
        self.missing.clear();
        if self.outbox.holds_subscriptions() {
            self.missing.clone_from(&reissue.lost);
        }
        self.tell_lost(reissue.lost);
    }

    fn tell_lost(&mut self, keys: Vec<Option<String>>) {
        for key in keys {
            self.updates.push(Update::Resync { key }, 0);
        }
    }

    fn message(&mut self, now: Duration, mut message: P::ServerMessage, bytes: usize) {
        let verdict = self.subscriptions.admit(&mut message, now);
        if matches!(verdict, Verdict::Deliver) && matches!(P::progress(&message), Progress::Events { .. }) {
            self.faults = 0;
        }
        match verdict {
            Verdict::Deliver => self.updates.push(Update::Message(message), bytes),
            Verdict::DeliverThenResync(key) => {
                self.updates.push(Update::Message(message), bytes);
                self.updates.push(Update::Resync { key }, 0);
            }
            Verdict::ResyncThenDeliver(key) => {
                self.updates.push(Update::Resync { key }, 0);
                self.updates.push(Update::Message(message), bytes);
            }
            Verdict::Drop => {}
            Verdict::Jump { key, after, found } => self.lose(now, Ending::Jump { key, after, found }, Some(1002)),
        }
    }

    fn broken(&mut self, now: Duration, error: SocketError) {
        match error {
            SocketError::Lost(cause) => self.lose(now, Ending::Lost(cause), None),
            error @ SocketError::TooLarge { .. } => self.fault(now, DecodeError::new(error), 1009),
            SocketError::Violation(cause) => self.fault(now, DecodeError::new(cause), 1002),
        }
    }

    /// Something cannot be read. Connecting again helps against what a network or a server did once.
    fn fault(&mut self, now: Duration, error: DecodeError, code: u16) {
        self.faults += 1;
        if self.faults > FAULTS {
            self.end(Ending::Malformed(error), Some(code));
        } else {
            self.lose(now, Ending::Malformed(error), Some(code));
        }
    }

    fn check(&mut self, now: Duration, mut vitals: Vitals) {
        if self.updates.is_full() {
            // Whoever does not listen cannot say that nothing was said.
            vitals.hear(now);
        }
        let pulse = vitals.check(now);
        if pulse.silent {
            return self.lose(now, Ending::Silent(vitals.silence()), None);
        }
        if pulse.ping {
            self.outbox.ping();
        }
        if pulse.keep_alive {
            self.outbox.keep_alive();
        }
        self.phase = Phase::Open(vitals);
    }

    /// The connection is gone or not wanted any more; whether another follows depends on why.
    fn lose(&mut self, now: Duration, ending: Ending<P::CloseCode>, code: Option<u16>) {
        let reconnect = ending.reconnect();
        let policy = self.settings.reconnect;
        // Without a credential a connection stands for a while, and the next ends the same way.
        let lasting = if reconnect == Reconnect::Fresh { policy.stable.max(policy.cap) } else { policy.stable };
        if let Phase::Open(vitals) = self.phase
            && vitals.age(now) >= lasting
        {
            self.failures = 0;
        }
        if reconnect == Reconnect::Fresh {
            self.outbox.forget_credential();
            self.continues = false;
        }
        if reconnect == Reconnect::Never || policy.attempts.is_some_and(|attempts| self.failures >= attempts) {
            return self.end(ending, code);
        }
        let schedule = RetryPolicy { retries: 0, base: policy.base, cap: policy.cap };
        let delay = match &ending {
            // A very long wish may be a proxy's.
            Ending::Failed(error) => {
                schedule.delay(error, self.failures, &*self.random).min(policy.cap.saturating_mul(2))
            }
            _ => schedule.backoff(self.failures, &*self.random),
        };
        self.failures = self.failures.saturating_add(1);
        tracing::debug!(socket = P::INFO.name, reason = %ending, ?delay, "disconnected, will connect again");
        self.drop_connection(code);
        self.phase = Phase::Backoff { until: now.saturating_add(delay) };
        self.updates.push(Update::Disconnected { reason: ending, retry_in: delay }, 0);
    }

    /// Says goodbye, and waits for the server to do the same.
    fn say_goodbye(&mut self, now: Duration, flush: bool) {
        self.phase = Phase::Closing { until: now.saturating_add(GOODBYE), flush, said: false };
    }

    fn end(&mut self, reason: Ending<P::CloseCode>, code: Option<u16>) {
        tracing::debug!(socket = P::INFO.name, %reason, "closed");
        self.drop_connection(code);
        self.phase = Phase::Closed;
        self.updates.push(Update::Closed { reason, unsent: self.outbox.hand_back() }, 0);
    }

    fn drop_connection(&mut self, code: Option<u16>) {
        if matches!(
            self.phase,
            Phase::Connecting { .. } | Phase::Greeting { .. } | Phase::Open(_) | Phase::Closing { .. }
        ) {
            // What is asked for and not begun is settled too.
            self.commands.clear();
            self.commands.push_back(Command::Disconnect { code });
        }
        // From here on, what the connection still does is not heard.
        self.generation += 1;
        self.outbox.disconnected();
    }
}
