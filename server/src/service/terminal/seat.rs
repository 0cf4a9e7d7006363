//! What waits for one viewer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Output, Size};

/// How much may wait for a viewer, in bytes. Who has more to take is too slow.
const ROOM: usize = 256 << 10;

/// What an output takes besides its bytes.
const OVERHEAD: usize = 64;

/// How much is handed over at once, if it came in small parts.
const JOINED: usize = 32 << 10;

/// How many ends of commands are remembered for who takes nothing.
const EXITS: usize = 64;

/// How long a viewer who is too slow may hold the others up in all, and which part of the time it may do so on and on.
const CREDIT: Duration = Duration::from_secs(1);
const CREDIT_SHARE: u32 = 10;

/// A viewer's place.
#[derive(Debug)]
pub(super) struct Seat {
    state: Mutex<State>,
    pub(super) news: Notify,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Output>,
    waiting: usize,
    missed: Missed,
    is_closed: bool,
    size: Option<Size>,
    credit: Duration,
    credited: Instant,
}

/// What of the output a viewer has not got and will not get, but for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    Nothing,
    /// What came before it did.
    Past,
    /// What it was too slow for.
    Some,
}

/// What a viewer finds.
pub(super) enum Found {
    Output(Output),
    /// It needs a snapshot; nothing else waits before that.
    Missed(Missed),
    Nothing,
    End,
}

impl Seat {
    pub(super) fn new(size: Option<Size>, is_closed: bool) -> Self {
        let state = State {
            queue: VecDeque::new(),
            waiting: 0,
            missed: Missed::Past,
            is_closed,
            size,
            credit: CREDIT,
            credited: Instant::now(),
        };
        Self { state: Mutex::new(state), news: Notify::new() }
    }

    pub(super) fn push(&self, output: Output) {
        let mut state = self.state.lock();
        if state.missed == Missed::Nothing {
            state.waiting += cost(&output);
        } else if !matches!(output, Output::Exit(_)) {
            // The snapshot will show it.
            return;
        } else if state.queue.len() == EXITS {
            state.queue.pop_front();
        }
        state.queue.push_back(output);
        drop(state);
        self.news.notify_one();
    }

    /// Whether too much waits.
    pub(super) fn is_full(&self) -> bool {
        self.state.lock().waiting > ROOM
    }

    /// Gives up what waits for a snapshot.
    pub(super) fn skip(&self) {
        let mut state = self.state.lock();
        state.queue.retain(|output| matches!(output, Output::Exit(_)));
        let excess = state.queue.len().saturating_sub(EXITS);
        state.queue.drain(..excess);
        state.waiting = 0;
        state.missed = Missed::Some;
        drop(state);
        self.news.notify_one();
    }

    /// For how long the others may wait for this one.
    pub(super) fn credit(&self) -> Duration {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.credit = CREDIT.min(state.credit + (now - state.credited) / CREDIT_SHARE);
        state.credited = now;
        state.credit
    }

    /// They have waited.
    pub(super) fn spend(&self, waited: Duration) {
        let mut state = self.state.lock();
        state.credit = state.credit.saturating_sub(waited);
    }

    /// Takes what comes next.
    pub(super) fn take(&self) -> Found {
        let mut state = self.state.lock();
        if state.missed != Missed::Nothing {
            return Found::Missed(state.missed);
        }
        match state.queue.pop_front() {
            Some(Output::Bytes(first)) => {
                let joined = state.join(first);
                Found::Output(Output::Bytes(joined))
            }
            Some(output) => {
                state.waiting -= cost(&output);
                Found::Output(output)
            }
            None if state.is_closed => Found::End,
            None => Found::Nothing,
        }
    }

    /// A snapshot was taken, and the screen does not change before this returns.
    pub(super) fn caught_up(&self) {
        let mut state = self.state.lock();
        state.missed = Missed::Nothing;
        state.waiting = state.queue.iter().map(cost).sum();
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.news.notify_one();
    }

    pub(super) fn size(&self) -> Option<Size> {
        self.state.lock().size
    }

    pub(super) fn set_size(&self, size: Size) {
        self.state.lock().size = Some(size);
    }
}

impl State {
    /// With what comes after, if all of it is small.
    fn join(&mut self, first: Bytes) -> Bytes {
        self.waiting -= first.len() + OVERHEAD;
        let follows = |state: &Self, length: usize| match state.queue.front() {
            Some(Output::Bytes(next)) => length + next.len() <= JOINED,
            _ => false,
        };
        if !follows(self, first.len()) {
            return first;
        }
        let mut joined = BytesMut::from(&first[..]);
        while follows(self, joined.len()) {
            if let Some(Output::Bytes(next)) = self.queue.pop_front() {
                self.waiting -= next.len() + OVERHEAD;
                joined.extend_from_slice(&next);
            }
        }
        joined.freeze()
    }
}

fn cost(output: &Output) -> usize {
    OVERHEAD
        + match output {
            Output::Bytes(bytes) | Output::Snapshot { bytes, .. } => bytes.len(),
            Output::Resized(_) | Output::Exit(_) => 0,
        }
}
