//! What the caller and the task of a socket share: the machine, and how each wakes the other. The lock is held only for
//! a step of the machine, never while anybody waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::super::Clock;
use super::machine::{Command, Input, Machine};
use super::protocol::SocketProtocol;
use super::queue::SendError;
use super::transport::SocketFrame;
use super::update::{SocketState, Update};

pub(super) struct Shared<P: SocketProtocol> {
    inner: Mutex<Inner<P>>,
    pub(super) clock: Arc<dyn Clock>,
    /// There is something to do for the task.
    work: Notify,
    /// There is more room to send, or the session is over.
    room: Notify,
}

struct Inner<P: SocketProtocol> {
    machine: Machine<P>,
    /// Of whoever waits for updates.
    reader: Option<Waker>,
}

/// What the task has to do.
pub(super) struct Todo {
    pub(super) commands: Vec<Command>,
    pub(super) wants_frames: bool,
    pub(super) has_frame: bool,
    pub(super) wake_at: Option<Duration>,
    pub(super) over: bool,
}

impl<P: SocketProtocol> Shared<P> {
    pub(super) fn new(machine: Machine<P>, clock: Arc<dyn Clock>) -> Self {
        Self { inner: Mutex::new(Inner { machine, reader: None }), clock, work: Notify::new(), room: Notify::new() }
    }

    // For the task.

    pub(super) fn handle(&self, input: Input) {
        let now = self.clock.elapsed();
        self.step(|machine| machine.handle(now, input));
    }

    pub(super) fn todo(&self) -> Todo {
        let machine = &mut self.lock().machine;
        Todo {
            commands: std::iter::from_fn(|| machine.command()).collect(),
            wants_frames: machine.wants_frames(),
            has_frame: machine.has_frame(),
            wake_at: machine.wake_at(),
            over: machine.state() == SocketState::Closed,
        }
    }

    pub(super) fn take_frame(&self) -> Option<SocketFrame> {
        let now = self.clock.elapsed();
        let frame = self.lock().machine.take_frame(now);
        self.room.notify_waiters();
        frame
    }

    pub(super) async fn work(&self) {
        self.work.notified().await;
    }

    /// The task is gone.
    pub(super) fn stopped(&self) {
        self.step(Machine::stop);
    }

    // For the caller.

    pub(super) fn poll_update(&self, context: &mut Context<'_>) -> Poll<Option<Update<P>>> {
        let mut inner = self.lock();
        let listened = inner.machine.is_listening();
        match inner.machine.take_update() {
            Some(update) => {
                if !listened && inner.machine.is_listening() {
                    self.work.notify_one();
                }
                Poll::Ready(Some(update))
            }
            None if inner.machine.state() == SocketState::Closed => Poll::Ready(None),
            None => {
                inner.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn try_send(&self, message: P::ClientMessage) -> Result<(), SendError<P::ClientMessage>> {
        self.lock().machine.enqueue(message)?;
        self.work.notify_one();
        Ok(())
    }

    pub(super) async fn send(&self, message: P::ClientMessage) -> Result<(), SendError<P::ClientMessage>> {
        let mut message = message;
        loop {
            // Before the attempt, so that room which is made after it is not missed.
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            match self.try_send(message) {
                Err(SendError::Full(back)) => message = back,
                done => return done,
            }
            room.await;
        }
    }

    pub(super) async fn send_raw(&self, data: Bytes) -> Result<(), SendError<P::ClientMessage>>
    where
        P::ClientMessage: From<Bytes>,
    {
        let mut rest = data;
        while !rest.is_empty() {
            let all = rest.clone();
            let piece = rest.split_to(rest.len().min(P::INFO.limits.max_message_bytes));
            self.send(piece.into()).await.map_err(|error| match error {
                SendError::Closed(_) => SendError::Closed(all.into()),
                error => error,
            })?;
        }
        Ok(())
    }

    pub(super) async fn flush(&self) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            {
                let machine = &self.lock().machine;
                if machine.is_flushed() || machine.state() == SocketState::Closed {
                    return;
                }
            }
            room.await;
        }
    }

    pub(super) fn close(&self) {
        self.handle(Input::Close);
        self.work.notify_one();
    }

    /// The caller is gone.
    pub(super) fn abandon(&self) {
        self.close();
        self.lock().machine.abandon();
    }

    pub(super) fn state(&self) -> SocketState {
        self.lock().machine.state()
    }

    /// One step of the machine, and whoever waits for its outcome is woken.
    fn step(&self, step: impl FnOnce(&mut Machine<P>)) {
        let mut inner = self.lock();
        step(&mut inner.machine);
        if inner.machine.state() == SocketState::Closed {
            self.room.notify_waiters();
        }
        if inner.machine.has_updates() {
            let reader = inner.reader.take();
            drop(inner);
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }

    /// A step that panicked has not left a connection behind that anybody could go on with, but what it had told so far
    /// is still true.
    fn lock(&self) -> MutexGuard<'_, Inner<P>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
