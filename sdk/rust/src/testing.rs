//! Stand-ins for the network, the time and chance, so that code which uses the SDK can be tested without sockets
//! and without sleeping.
//!
//! ```
//! use flightdeck_sdk::testing::{ManualClock, Script, ScriptedTransport, SeededRandom};
//! use flightdeck_sdk::{Client, Method};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> flightdeck_sdk::Result<()> {
//! let clock = ManualClock::default();
//! let transport = ScriptedTransport::new(&clock, [Script::answer(503, "{}"), Script::answer(200, r#"{"ok":true}"#)]);
//! let client = Client::builder()
//!     .transport(transport.clone())
//!     .clock(clock)
//!     .random(SeededRandom::new(1))
//!     .build()?;
//!
//! let answer: serde_json::Value = client.request(Method::Get, "/health").await?;
//! assert_eq!(answer["ok"], true);
//! assert_eq!(transport.requests().len(), 2);
//! # Ok(()) }
//! ```
//!
//! Sockets play a script for each connection:
//!
//! ```
//! use flightdeck_sdk::testing::{ScriptedSockets, SocketScript};
//! use flightdeck_sdk::types::StreamSubscribe;
//! use flightdeck_sdk::{Client, Update};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hello = r#"{"type":"hello","connection_id":"0192f0c1-0000-7000-8000-000000000000","epoch":"e",
//!     "server_time":"2026-01-01T00:00:00.000Z","heartbeat_seconds":20,"authenticated":true}"#;
//! let sockets = ScriptedSockets::new([
//!     SocketScript::open().says(hello).hears().says(r#"{"type":"synced","stream":"runs/1","seq":7}"#).closes(4001),
//! ]);
//! let client = Client::builder().socket_transport(sockets.clone()).build()?;
//!
//! let mut socket = client.sockets().stream().connect();
//! socket.send(StreamSubscribe::new("runs/1")).await?;
//! while let Some(update) = socket.next().await {
//!     if let Update::Closed { reason, .. } = update {
//!         assert!(reason.to_string().contains("4001"));
//!     }
//! }
//! assert_eq!(sockets.messages(), [[r#"{"type":"subscribe","stream":"runs/1"}"#]]);
//! # Ok(()) }
//! ```

mod sockets;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::runtime::{Clock, Random, RawResponse, Request, Timestamp, Transport, TransportError};

pub use sockets::{ScriptedSockets, SocketScript};

/// A clock that stands still until it is moved. Whoever sleeps moves it, and wakes at once. With sockets, where several wait
/// at the same time, pause tokio's time instead; see [`ScriptedSockets`].
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    elapsed: Arc<Mutex<Duration>>,
}

impl ManualClock {
    /// What [`Clock::now`] says before the clock has been moved: 2026-01-01T00:00:00.000Z.
    pub const START_MILLIS: i64 = 1_767_225_600_000;

    /// Moves the clock.
    pub fn advance(&self, duration: Duration) {
        *lock(&self.elapsed) += duration;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(Self::START_MILLIS.saturating_add(elapsed))
    }

    fn elapsed(&self) -> Duration {
        *lock(&self.elapsed)
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

/// Chance that repeats itself: the same seed gives the same bytes.
#[derive(Debug, Clone)]
pub struct SeededRandom {
    generator: Arc<Mutex<StdRng>>,
}

impl SeededRandom {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self { generator: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        lock(&self.generator).fill_bytes(bytes);
    }
}

/// What happens to one request.
#[derive(Debug, Clone)]
pub struct Script {
    after: Duration,
    outcome: Outcome,
}

#[derive(Debug, Clone)]
enum Outcome {
    Answer(RawResponse),
    Refused,
    Broken,
    Silence,
}

impl Script {
    /// An answer.
    pub fn answer(status: u16, body: impl Into<Bytes>) -> Self {
        Self::of(Outcome::Answer(RawResponse { status, headers: HeaderMap::new(), body: body.into() }))
    }

    /// No connection.
    pub fn refused() -> Self {
        Self::of(Outcome::Refused)
    }

    /// A connection that breaks before the answer.
    pub fn broken() -> Self {
        Self::of(Outcome::Broken)
    }

    /// No answer, ever.
    pub fn silence() -> Self {
        Self::of(Outcome::Silence)
    }

    /// Adds a header to an answer.
    ///
    /// # Panics
    /// The name or value is not one that HTTP allows.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Outcome::Answer(response) = &mut self.outcome {
            let value = HeaderValue::from_str(value).expect("a header value that HTTP allows");
            response.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Takes this long. For an attempt that outlives its time, use [`silence`](Self::silence).
    #[must_use]
    pub const fn after(mut self, duration: Duration) -> Self {
        self.after = duration;
        self
    }

    const fn of(outcome: Outcome) -> Self {
        Self { after: Duration::ZERO, outcome }
    }
}

/// A transport that plays a script, one step for each request, and remembers the requests. When the script is used
/// up, connections are refused.
#[derive(Debug, Clone)]
pub struct ScriptedTransport {
    clock: ManualClock,
    script: Arc<Mutex<VecDeque<Script>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl ScriptedTransport {
    /// Plays `script` by `clock`, which must be the client's.
    pub fn new(clock: &ManualClock, script: impl IntoIterator<Item = Script>) -> Self {
        Self {
            clock: clock.clone(),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            requests: Arc::default(),
        }
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }
}

#[async_trait]
impl Transport for ScriptedTransport {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        let limit = request.body_limit;
        lock(&self.requests).push(request);
        let step = lock(&self.script).pop_front().unwrap_or_else(Script::refused);
        self.clock.advance(step.after);
        match step.outcome {
            Outcome::Answer(response) if response.body.len() > limit => {
                Err(TransportError::TooLarge { status: response.status, limit })
            }
            Outcome::Answer(response) => Ok(response),
            Outcome::Refused => Err(TransportError::Connect("connection refused".into())),
            Outcome::Broken => Err(TransportError::Interrupted("connection reset".into())),
            Outcome::Silence => std::future::pending().await,
        }
    }
}

/// A test that panics while it holds the lock has failed already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
