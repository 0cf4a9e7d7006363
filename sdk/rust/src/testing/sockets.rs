//! Sockets without a network: each connection plays a script.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Sink, Stream};
use http::HeaderMap;

use super::lock;
use crate::runtime::{
    OpenError, RawResponse, SocketConnection, SocketError, SocketFrame, SocketRequest, SocketTransport, TransportError,
};

/// What happens to one attempt to open a socket, and on the connection then, step by step. After the last step the server
/// says nothing more, but stays, and answers pings.
#[derive(Debug, Clone)]
pub struct SocketScript {
    outcome: Outcome,
    steps: VecDeque<Step>,
}

#[derive(Debug, Clone)]
enum Outcome {
    Open,
    Refused(RawResponse),
    Unreachable,
    Silence,
}

#[derive(Debug, Clone)]
enum Step {
    Say(SocketFrame),
    Wait(Duration),
    Hear,
    Break,
    FallSilent,
}

impl SocketScript {
    /// The socket opens.
    pub fn open() -> Self {
        Self { outcome: Outcome::Open, steps: VecDeque::new() }
    }

    /// The server refuses, with an answer.
    pub fn refused(status: u16, body: impl Into<Bytes>) -> Self {
        let response = RawResponse { status, headers: HeaderMap::new(), body: body.into() };
        Self { outcome: Outcome::Refused(response), steps: VecDeque::new() }
    }

    /// No connection.
    pub fn unreachable() -> Self {
        Self { outcome: Outcome::Unreachable, steps: VecDeque::new() }
    }

    /// No answer, ever.
    pub fn unanswered() -> Self {
        Self { outcome: Outcome::Silence, steps: VecDeque::new() }
    }

    /// The server says a message.
    #[must_use]
    pub fn says(self, text: impl Into<Bytes>) -> Self {
        self.sends(SocketFrame::Text(text.into()))
    }

    /// The server sends raw data.
    #[must_use]
    pub fn prints(self, data: impl Into<Bytes>) -> Self {
        self.sends(SocketFrame::Binary(data.into()))
    }

    /// The server sends a frame of any kind.
    #[must_use]
    pub fn sends(self, frame: SocketFrame) -> Self {
        self.then(Step::Say(frame))
    }

    /// The server waits for one more message of the client, or frame of raw data.
    #[must_use]
    pub fn hears(self) -> Self {
        self.then(Step::Hear)
    }

    /// Time passes, by tokio's clock.
    #[must_use]
    pub fn waits(self, time: Duration) -> Self {
        self.then(Step::Wait(time))
    }

    /// The server closes.
    #[must_use]
    pub fn closes(self, code: u16) -> Self {
        self.sends(SocketFrame::Close { code, reason: String::new() })
    }

    /// The connection breaks.
    #[must_use]
    pub fn breaks(self) -> Self {
        self.then(Step::Break)
    }

    /// The connection is dead, and nothing tells so: from here on not even pings are answered.
    #[must_use]
    pub fn falls_silent(self) -> Self {
        self.then(Step::FallSilent)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

/// A transport that plays a script for each attempt to connect, and remembers what clients asked and said. When the
/// scripts are used up, nothing can be reached.
///
/// Sockets are about time. With the default clock and tokio's time paused (`#[tokio::test(start_paused = true)]`, with
/// tokio's feature `test-util`) everything that waits is woken in its order, at once. A [`ManualClock`] has no order
/// among several who wait.
///
/// [`ManualClock`]: super::ManualClock
#[derive(Debug, Clone)]
pub struct ScriptedSockets {
    scripts: Arc<Mutex<VecDeque<SocketScript>>>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
}

#[derive(Debug, Clone)]
struct Attempt {
    request: SocketRequest,
    ear: Arc<Mutex<Ear>>,
}

/// What the server's side of a connection hears.
#[derive(Default)]
struct Ear {
    frames: Vec<SocketFrame>,
    /// Messages and raw data that no step has waited for yet.
    unnoticed: usize,
    /// To be answered.
    pings: VecDeque<Bytes>,
    /// The client has said goodbye, or is gone.
    closed: Option<u16>,
    waker: Option<Waker>,
}

impl fmt::Debug for Ear {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ear").field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl ScriptedSockets {
    /// Plays these scripts, one for each attempt to connect.
    pub fn new(scripts: impl IntoIterator<Item = SocketScript>) -> Self {
        Self { scripts: Arc::new(Mutex::new(scripts.into_iter().collect())), attempts: Arc::default() }
    }

    /// The attempts to connect so far.
    pub fn requests(&self) -> Vec<SocketRequest> {
        lock(&self.attempts).iter().map(|attempt| attempt.request.clone()).collect()
    }

    /// What the client sent on each attempt so far, pings included.
    pub fn frames(&self) -> Vec<Vec<SocketFrame>> {
        lock(&self.attempts).iter().map(|attempt| lock(&attempt.ear).frames.clone()).collect()
    }

    /// The raw data that the client sent on each attempt so far, put together.
    pub fn raw(&self) -> Vec<Vec<u8>> {
        let data = |frame| match frame {
            SocketFrame::Binary(data) => data,
            _ => Bytes::new(),
        };
        self.frames().into_iter().map(|frames| frames.into_iter().flat_map(data).collect()).collect()
    }

    /// What the client said on each attempt so far: the text frames.
    pub fn messages(&self) -> Vec<Vec<String>> {
        let text = |frame| match frame {
            SocketFrame::Text(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            _ => None,
        };
        self.frames().into_iter().map(|frames| frames.into_iter().filter_map(text).collect()).collect()
    }
}

#[async_trait]
impl SocketTransport for ScriptedSockets {
    async fn open(&self, request: SocketRequest) -> Result<SocketConnection, OpenError> {
        let script = lock(&self.scripts).pop_front().unwrap_or_else(SocketScript::unreachable);
        let ear = Arc::new(Mutex::new(Ear::default()));
        let limit = request.message_limit;
        lock(&self.attempts).push(Attempt { request, ear: Arc::clone(&ear) });
        match script.outcome {
            Outcome::Open => Ok(SocketConnection {
                incoming: Box::pin(Play { steps: script.steps, ear: Arc::clone(&ear), limit, wait: None, over: false }),
                outgoing: Box::pin(Listen(ear)),
            }),
            Outcome::Refused(response) => Err(OpenError::Refused(Box::new(response))),
            Outcome::Unreachable => Err(TransportError::Connect("connection refused".into()).into()),
            Outcome::Silence => std::future::pending().await,
        }
    }
}

/// The server's side of a connection.
struct Play {
    steps: VecDeque<Step>,
    ear: Arc<Mutex<Ear>>,
    /// The largest message that the client reads.
    limit: usize,
    wait: Option<Pin<Box<tokio::time::Sleep>>>,
    over: bool,
}

impl Play {
    fn end(&mut self, last: Result<SocketFrame, SocketError>) -> Poll<Option<Result<SocketFrame, SocketError>>> {
        self.over = true;
        Poll::Ready(Some(last))
    }
}

impl Stream for Play {
    type Item = Result<SocketFrame, SocketError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        loop {
            let silent = matches!(self.steps.front(), Some(Step::FallSilent));
            let closed = {
                let mut ear = lock(&self.ear);
                ear.waker = Some(context.waker().clone());
                if silent {
                    return Poll::Pending;
                }
                if let Some(ping) = ear.pings.pop_front() {
                    return Poll::Ready(Some(Ok(SocketFrame::Pong(ping))));
                }
                ear.closed
            };
            if let Some(code) = closed {
                return self.end(Ok(SocketFrame::Close { code, reason: String::new() }));
            }
            match self.steps.front() {
                None | Some(Step::FallSilent) => return Poll::Pending,
                Some(Step::Wait(time)) => {
                    let time = *time;
                    let wait = self.wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
                    if wait.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    self.wait = None;
                    self.steps.pop_front();
                }
                Some(Step::Hear) => {
                    {
                        let mut ear = lock(&self.ear);
                        let Some(rest) = ear.unnoticed.checked_sub(1) else { return Poll::Pending };
                        ear.unnoticed = rest;
                    }
                    self.steps.pop_front();
                }
                Some(Step::Break) => return self.end(Err(SocketError::Lost("connection reset".into()))),
                Some(Step::Say(frame)) => {
                    let frame = frame.clone();
                    self.steps.pop_front();
                    let limit = self.limit;
                    return match &frame {
                        SocketFrame::Close { .. } => self.end(Ok(frame)),
                        SocketFrame::Text(bytes) | SocketFrame::Binary(bytes) if bytes.len() > limit => {
                            self.end(Err(SocketError::TooLarge { limit }))
                        }
                        _ => Poll::Ready(Some(Ok(frame))),
                    };
                }
            }
        }
    }
}

/// The client's side of a connection.
struct Listen(Arc<Mutex<Ear>>);

impl Sink<SocketFrame> for Listen {
    type Error = SocketError;

    fn poll_ready(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, frame: SocketFrame) -> Result<(), SocketError> {
        let mut ear = lock(&self.0);
        match &frame {
            SocketFrame::Text(_) | SocketFrame::Binary(_) => ear.unnoticed += 1,
            SocketFrame::Ping(bytes) => ear.pings.push_back(bytes.clone()),
            SocketFrame::Close { code, .. } => ear.closed = Some(*code),
            _ => {}
        }
        ear.frames.push(frame);
        if let Some(waker) = ear.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }
}
