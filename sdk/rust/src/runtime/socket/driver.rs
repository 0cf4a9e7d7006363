//! The one task of a socket: does what the machine says, and tells it what happened. Decides nothing by itself.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::SinkExt;

use super::super::{Clock, Secret};
use super::connector::Connector;
use super::machine::{Command, Input};
use super::protocol::SocketProtocol;
use super::shared::{Shared, Todo};
use super::transport::{SocketConnection, SocketError, SocketFrame};
use crate::Error;

/// How long a last word may take on a connection that is given up.
const FAREWELL: Duration = Duration::from_secs(1);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Opened = (SocketConnection, Option<Secret>);

/// What is below the session at the moment.
enum Link {
    None,
    Opening { generation: u64, opening: Pending<Result<Opened, Error>> },
    Up(Up),
}

/// A connection.
struct Up {
    generation: u64,
    connection: SocketConnection,
    /// Something has been written that may still be in a buffer.
    unflushed: bool,
    /// Writing has failed. Reading tells why, or that the server had said goodbye before.
    broken: bool,
    /// Whether writing comes first this time, so that neither direction starves the other.
    writes_first: bool,
}

/// Something that a link did.
enum Event {
    Input(Input),
    /// There is room for a frame.
    Ready,
}

pub(super) struct Driver<P: SocketProtocol> {
    pub(super) shared: Arc<Shared<P>>,
    pub(super) connector: Arc<Connector<P>>,
}

impl<P: SocketProtocol> Driver<P> {
    pub(super) async fn run(self) {
        let clock = Arc::clone(&self.shared.clock);
        let mut link = Link::None;
        let mut timer = Timer { until: Duration::MAX, sleeping: Box::pin(std::future::pending()) };
        self.shared.handle(Input::Start);
        loop {
            let todo = self.shared.todo();
            if !todo.commands.is_empty() {
                for command in todo.commands {
                    self.obey(&mut link, command, &*clock).await;
                }
                continue;
            }
            if todo.over {
                return;
            }
            timer.set(todo.wake_at, &clock);
            tokio::select! {
                biased;
                event = poll_fn(|context| link.poll(context, &todo)) => match event {
                    Event::Input(input) => self.shared.handle(input),
                    Event::Ready => link.write(self.shared.take_frame()),
                },
                () = self.shared.work() => {}
                () = &mut timer.sleeping => {
                    timer.until = Duration::MAX;
                    timer.sleeping = Box::pin(std::future::pending());
                    // A clock that is moved by whoever sleeps would never let anybody else run.
                    tokio::task::yield_now().await;
                }
            }
            // The time may have come while there was something to read.
            self.shared.handle(Input::Wake);
            // A network that is always ready must not keep the thread from everybody else.
            tokio::task::consume_budget().await;
        }
    }

    async fn obey(&self, link: &mut Link, command: Command, clock: &dyn Clock) {
        match command {
            Command::Connect { generation } => {
                let connector = Arc::clone(&self.connector);
                *link = Link::Opening { generation, opening: Box::pin(async move { connector.open().await }) };
            }
            Command::Disconnect { code } => {
                if let Link::Up(up) = mem::replace(link, Link::None) {
                    tokio::select! {
                        biased;
                        () = up.farewell(code) => {}
                        () = clock.sleep(FAREWELL) => {}
                    }
                }
            }
        }
    }
}

/// The task may be stopped with its runtime, or by a panic in the caller's provider of credentials. Nobody must wait for
/// it then.
impl<P: SocketProtocol> Drop for Driver<P> {
    fn drop(&mut self) {
        self.shared.stopped();
    }
}

impl Link {
    fn poll(&mut self, context: &mut Context<'_>, todo: &Todo) -> Poll<Event> {
        match self {
            Self::None => Poll::Pending,
            Self::Opening { generation, opening } => {
                let generation = *generation;
                let Poll::Ready(outcome) = opening.as_mut().poll(context) else { return Poll::Pending };
                let input = match outcome {
                    Ok((connection, credential)) => {
                        *self = Self::Up(Up::new(generation, connection));
                        Input::Opened { generation, credential }
                    }
                    Err(error) => {
                        *self = Self::None;
                        Input::Failed { generation, error }
                    }
                };
                Poll::Ready(Event::Input(input))
            }
            Self::Up(up) => up.poll(context, todo),
        }
    }

    fn write(&mut self, frame: Option<SocketFrame>) {
        if let (Self::Up(up), Some(frame)) = (self, frame) {
            up.broken = up.connection.outgoing.as_mut().start_send(frame).is_err();
            up.unflushed = true;
        }
    }
}

impl Up {
    const fn new(generation: u64, connection: SocketConnection) -> Self {
        Self { generation, connection, unflushed: false, broken: false, writes_first: false }
    }

    fn poll(&mut self, context: &mut Context<'_>, todo: &Todo) -> Poll<Event> {
        self.writes_first = !self.writes_first;
        if self.writes_first
            && let Poll::Ready(event) = self.poll_write(context, todo)
        {
            return Poll::Ready(event);
        }
        if todo.wants_frames
            && let Poll::Ready(frame) = self.connection.incoming.as_mut().poll_next(context)
        {
            let generation = self.generation;
            return Poll::Ready(Event::Input(match frame {
                Some(Ok(frame)) => Input::Frame { generation, frame },
                Some(Err(error)) => Input::Broken { generation, error },
                None => {
                    let error = SocketError::Lost("it ended without a close frame".into());
                    Input::Broken { generation, error }
                }
            }));
        }
        if self.writes_first { Poll::Pending } else { self.poll_write(context, todo) }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, todo: &Todo) -> Poll<Event> {
        if self.broken {
            return Poll::Pending;
        }
        let outgoing = self.connection.outgoing.as_mut();
        let outcome = if todo.has_frame {
            match outgoing.poll_ready(context) {
                Poll::Ready(Ok(())) => return Poll::Ready(Event::Ready),
                other => other,
            }
        } else if self.unflushed {
            outgoing.poll_flush(context)
        } else {
            return Poll::Pending;
        };
        match outcome {
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(_)) => self.broken = true,
            Poll::Pending => {}
        }
        Poll::Pending
    }

    /// Nobody listens any more, so whatever goes wrong here is of no interest.
    async fn farewell(mut self, code: Option<u16>) {
        if let Some(code) = code {
            let _said = self.connection.outgoing.send(SocketFrame::Close { code, reason: String::new() }).await;
        }
        let _closed = self.connection.outgoing.close().await;
    }
}

/// Sleeps until the machine wants to be woken. A time that moves away does not begin a new sleep: waking too early costs
/// less than a timer for each frame.
struct Timer {
    until: Duration,
    sleeping: Pending<()>,
}

impl Timer {
    fn set(&mut self, until: Option<Duration>, clock: &Arc<dyn Clock>) {
        let until = until.unwrap_or(Duration::MAX);
        if until < self.until {
            let clock = Arc::clone(clock);
            let delay = until.saturating_sub(clock.elapsed());
            self.until = until;
            self.sleeping = Box::pin(async move { clock.sleep(delay).await });
        }
    }
}
