//! One open socket: takes what the client says to the session, and what the session says to the client.
//!
//! A task for each, which lives for hours and mostly waits: so handlers are boxed, there is no timer and no channel, and
//! what a quiet socket does not need it does not hold.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::support::{Outbox, SocketInfo, SocketSession, Taken};
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::line::Orders;
use super::pace::Pace;
use super::parser::Heard;
use super::sweep::Place;
use super::wire::{Deaf, Wire};
use crate::metrics::SocketMetrics;

/// How long to try to deliver what waits and the close frame, and then how long to listen for the client's own.
const DELIVER: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_secs(1);

/// The same when the server shuts down.
const DELIVER_LEAVING: Duration = Duration::from_millis(700);
const LINGER_LEAVING: Duration = Duration::from_millis(200);

/// After hearing so much in a row, what is to be said has its turn: a client that talks without a pause still gets answers.
const HEARD_IN_A_ROW: u8 = 16;

/// What all connections of one socket share.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) info: &'static SocketInfo,
    pub(super) metrics: SocketMetrics,
}

/// One open socket.
pub(super) struct Connection<S, T: SocketSession> {
    wire: Wire<S>,
    session: T,
    out: Outbox<T::Message>,
    kind: Arc<Kind>,
    place: Place,
    pace: Pace,
    /// While it lasts, nothing is read.
    pause: Option<Pin<Box<Sleep>>>,
    /// Faulty messages in a row.
    faults: u32,
    heard_in_a_row: u8,
    /// Whether to see if the client has fallen behind, though there is no room for what it should have.
    look: bool,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The server closes it.
    Close(CloseCode),
    /// The client closed it, with this code if with any.
    Goodbye(Option<u16>),
    /// It is gone.
    Lost,
}

impl From<CloseCode> for End {
    fn from(code: CloseCode) -> Self {
        Self::Close(code)
    }
}

impl From<Deaf> for End {
    fn from(deaf: Deaf) -> Self {
        match deaf {
            Deaf::Broken(code) => Self::Close(code),
            Deaf::Lost => Self::Lost,
        }
    }
}

/// What happens next on a connection.
enum Step {
    Ordered(Orders),
    Heard(Heard),
    /// The session had more to send, or what could not be done before can be done now.
    More,
}

impl<S: AsyncRead + AsyncWrite + Unpin, T: SocketSession> Connection<S, T> {
    /// `rest` is what the client sent before the socket began.
    pub(super) fn new(stream: S, rest: Bytes, session: T, kind: Arc<Kind>, place: Place) -> Self {
        Self {
            wire: Wire::new(stream, rest, kind.info.limits.max_message_bytes, T::TAKES_RAW),
            session,
            out: Outbox::new(),
            kind,
            place,
            pace: Pace::from(Instant::now()),
            pause: None,
            faults: 0,
            heard_in_a_row: 0,
            look: false,
        }
    }

    /// Drives it to its end.
    #[expect(clippy::manual_async_fn, reason = "an async function's future has room for its arguments twice")]
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send
    where
        S: Send,
    {
        async move {
            self.kind.metrics.opened();
            let end = match AssertUnwindSafe(self.serve()).catch_unwind().await {
                Ok(Err(end)) => end,
                Err(_) => {
                    tracing::error!(socket = self.kind.info.name, "a handler panicked");
                    End::Close(CloseCode::Internal)
                }
            };
            self.submit();
            Box::pin(self.end(end)).await;
        }
    }

    async fn end(self, end: End) {
        let Self { mut wire, session, kind, place, .. } = self;
        let end = match end {
            End::Close(code) => End::Close(declared(code, kind.info)),
            end => end,
        };
        kind.metrics.closed(name(end));
        let leaving = end == End::Close(CloseCode::GoingAway);
        let (deliver, linger) = if leaving { (DELIVER_LEAVING, LINGER_LEAVING) } else { (DELIVER, LINGER) };
        match end {
            End::Close(code) => wire.goodbye(Some(code.code()), code.as_str()),
            End::Goodbye(code) => wire.goodbye(code, ""),
            End::Lost => {}
        }
        let finished = async {
            if end != End::Lost {
                wire.finish(place.line(), deliver, linger).await;
            }
        };
        // The session ends at once, however slowly the client takes the news.
        let closed = AssertUnwindSafe(session.closed()).catch_unwind();
        if tokio::join!(finished, closed).1.is_err() {
            tracing::error!(socket = kind.info.name, "a handler panicked at the end of its connection");
        }
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        Box::pin(self.session.opened(&mut self.out)).await?;
        loop {
            self.submit();
            let step = self.next().await?;
            self.heard_in_a_row = if matches!(step, Step::Heard(_)) { self.heard_in_a_row + 1 } else { 0 };
            match step {
                Step::Heard(heard) => self.hear(heard).await?,
                Step::Ordered(orders) => self.obey(orders).await?,
                Step::More => {}
            }
        }
    }

    /// Puts what the session has said into the queue of the wire.
    fn submit(&mut self) {
        let mut frames = 0;
        while let Some(frame) = self.out.pop() {
            self.wire.send(frame);
            frames += 1;
        }
        if frames > 0 {
            self.kind.metrics.sent(frames);
        }
    }

    /// Waits for what happens next, and writes meanwhile. What the session has ready is collected before anything is
    /// written, as far as there is room, so that a burst leaves in few pieces.
    async fn next(&mut self) -> Result<Step, End> {
        let Self { wire, session, out, place, pause, heard_in_a_row, look, .. } = self;
        let look = std::mem::take(look);
        let listens = *heard_in_a_row < HEARD_IN_A_ROW;
        let mut pending = pin!(session.pending(out));
        poll_fn(|context| {
            let orders = place.line().orders(context.waker());
            if orders != Orders::NONE {
                return Poll::Ready(Ok(Step::Ordered(orders)));
            }
            let room = wire.has_room();
            // What raw data comes from is asked only when what came before is nearly gone.
            let pulls = if T::SENDS_RAW { wire.has_room_for_raw() } else { room || look };
            if room
                && listens
                && !is_paused(pause, context)
                && let Poll::Ready(heard) = wire.poll_heard(context, place.line())
            {
                return Poll::Ready(heard.map(Step::Heard).map_err(End::from));
            }
            if pulls && let Poll::Ready(more) = pending.as_mut().poll(context) {
                return Poll::Ready(more.map(|()| Step::More).map_err(End::from));
            }
            if let Poll::Ready(Err(_)) = wire.poll_write(context, place.line()) {
                return Poll::Ready(Err(End::Lost));
            }
            let more = wire.has_room() && !(room && listens) || T::SENDS_RAW && wire.has_room_for_raw() && !pulls;
            if more { Poll::Ready(Ok(Step::More)) } else { Poll::Pending }
        })
        .await
    }

    async fn hear(&mut self, heard: Heard) -> Result<(), End> {
        let limits = &self.kind.info.limits;
        if let Some(wait) = self.pace.count(limits.messages_per_second, Instant::now()) {
            self.pause = Some(Box::pin(tokio::time::sleep(wait)));
        }
        match heard {
            Heard::Text(text) => {
                self.kind.metrics.received();
                match Box::pin(self.session.receive(&text, &mut self.out)).await? {
                    Taken::Well => self.faults = 0,
                    Taken::Faulty => self.faults += 1,
                }
                if self.faults >= limits.faults_in_a_row {
                    return Err(CloseCode::TooManyFaults.into());
                }
            }
            Heard::Binary(data) => {
                self.kind.metrics.received();
                Box::pin(self.session.raw(data, &mut self.out)).await?;
                self.faults = 0;
            }
            Heard::Ping(payload) => {
                self.session.alive();
                self.wire.pong(payload);
            }
            Heard::Pong => self.session.alive(),
            Heard::Part => {}
            Heard::Close(code) => return Err(End::Goodbye(code)),
        }
        Ok(())
    }

    async fn obey(&mut self, orders: Orders) -> Result<(), End> {
        let ends = [
            (Orders::LEAVE, CloseCode::GoingAway),
            (Orders::STUCK, CloseCode::SlowReader),
            (Orders::SILENT, CloseCode::Silent),
        ];
        if let Some((_, code)) = ends.into_iter().find(|(order, _)| orders.include(*order)) {
            return Err(code.into());
        }
        self.look = orders.include(Orders::LOOK) && !self.wire.is_full();
        if orders.include(Orders::HEARTBEAT) {
            self.wire.tidy();
            self.out.tidy();
            self.wire.ping();
            Box::pin(self.session.heartbeat(&mut self.out)).await?;
        }
        Ok(())
    }
}

/// Whether the client has to wait until more is read.
fn is_paused(pause: &mut Option<Pin<Box<Sleep>>>, context: &mut Context<'_>) -> bool {
    let over = pause.as_mut().is_none_or(|pause| pause.as_mut().poll(context).is_ready());
    if over {
        *pause = None;
    }
    !over
}

/// The code, if the socket declares it.
fn declared(code: CloseCode, info: &SocketInfo) -> CloseCode {
    if info.close_codes.contains(&code) {
        return code;
    }
    tracing::error!(socket = info.name, code = code.as_str(), "closed with a code that the spec does not declare");
    CloseCode::Internal
}

/// What an end is counted as.
fn name(end: End) -> &'static str {
    let named = |number| CloseCode::ALL.iter().find(|code| code.code() == number).map_or("other", |code| code.as_str());
    match end {
        End::Close(code) => code.as_str(),
        End::Goodbye(code) => code.map_or("normal", named),
        End::Lost => "lost",
    }
}

#[cfg(test)]
mod tests;
