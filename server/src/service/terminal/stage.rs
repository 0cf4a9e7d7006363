//! What a terminal's viewers share: its screen, their seats, and the command that runs.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::running::Running;
use super::screen::Screen;
use super::seat::{Missed, Seat};
use super::{Ended, Exit, OnDisconnect, Output, Size, pty};
use crate::clock::Clock;
use crate::service::agents::process::Supervisor;

/// How long output waits for a viewer who is too slow, if others wait too.
const PATIENCE: Duration = Duration::from_millis(100);

/// The same, if nobody else does. Who takes 64 KiB in this time is kept up with.
const PATIENCE_ALONE: Duration = Duration::from_millis(500);

/// What a terminal consists of.
pub(super) struct Stage {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) supervisor: Supervisor,
    pub(super) on_disconnect: OnDisconnect,
    /// How many watch.
    pub(super) viewers: watch::Sender<usize>,
    running: Mutex<Option<Arc<Running>>>,
    is_closed: AtomicBool,
    show: Mutex<Show>,
    room: Room,
}

struct Show {
    screen: Screen,
    seats: Vec<Arc<Seat>>,
}

/// Where it is waited for viewers to take something.
#[derive(Default)]
struct Room {
    taken: Mutex<()>,
    changed: Condvar,
    is_awaited: AtomicBool,
}

impl fmt::Debug for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stage").field("viewers", &*self.viewers.borrow()).finish_non_exhaustive()
    }
}

impl Stage {
    pub(super) fn new(supervisor: Supervisor, clock: Arc<dyn Clock>, on_disconnect: OnDisconnect) -> Self {
        Self {
            clock,
            supervisor,
            on_disconnect,
            viewers: watch::Sender::new(0),
            running: Mutex::default(),
            is_closed: AtomicBool::new(false),
            show: Mutex::new(Show { screen: Screen::new(Size::default()), seats: Vec::new() }),
            room: Room::default(),
        }
    }

    /// The command that runs.
    pub(super) fn running(&self) -> Option<Arc<Running>> {
        self.running.lock().clone()
    }

    /// Another command runs, or none.
    pub(super) fn set_running(&self, running: Option<Arc<Running>>) {
        *self.running.lock() = running;
    }

    /// Ends the command that runs, if there is one.
    pub(super) fn end(&self, why: Ended) -> bool {
        let Some(running) = self.running() else { return false };
        running.end(why);
        // Who reads its output may wait for a viewer.
        self.room.tell();
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// No command starts any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Nothing more comes for the viewers.
    pub(super) fn let_viewers_go(&self) {
        self.show.lock().seats.iter().for_each(|seat| seat.close());
    }

    pub(super) fn size(&self) -> Size {
        self.show.lock().screen.size()
    }

    /// Takes another size.
    pub(super) fn resize(&self, size: Size) {
        let mut show = self.show.lock();
        if show.screen.size() == size {
            return;
        }
        show.screen.resize(size);
        show.seats.iter().for_each(|seat| seat.push(Output::Resized(size)));
        if let Some(running) = self.running() {
            // If it fails, the program is gone.
            let _ = pty::resize(running.pty.as_fd(), size);
        }
    }

    pub(super) fn sit_down(&self, size: Option<Size>) -> Arc<Seat> {
        let seat = Arc::new(Seat::new(size, self.is_closed()));
        let is_alone = {
            let mut show = self.show.lock();
            show.seats.push(seat.clone());
            show.seats.len() == 1
        };
        self.viewers.send_modify(|viewers| *viewers += 1);
        if let Some(size) = size.filter(|_| is_alone && self.running().is_none()) {
            self.resize(size);
        }
        seat
    }

    pub(super) fn stand_up(&self, seat: &Arc<Seat>) {
        self.show.lock().seats.retain(|other| !Arc::ptr_eq(other, seat));
        self.viewers.send_modify(|viewers| *viewers -= 1);
        self.room.tell();
    }

    /// What a viewer needs who missed something, up to now; from now on it gets everything.
    pub(super) fn catch_up(&self, seat: &Seat, missed: Missed) -> Output {
        let mut show = self.show.lock();
        let size = show.screen.size();
        let bytes = if missed == Missed::Some { show.screen.resync() } else { show.screen.snapshot() };
        seat.caught_up();
        Output::Snapshot { size, bytes }
    }

    /// A viewer has taken something.
    pub(super) fn took(&self) {
        self.room.tell();
    }

    /// Prepares the screen for another command.
    pub(super) fn tidy(&self) {
        let tidied = self.show.lock().screen.tidied();
        if !tidied.is_empty() {
            self.print(&tidied);
        }
    }

    /// Shows what was printed, to all. Returns what the program asked of its terminal, answered, if no viewer's will do so.
    pub(super) fn print(&self, bytes: &Bytes) -> Vec<u8> {
        let mut show = self.show.lock();
        show.screen.feed(bytes);
        show.seats.iter().for_each(|seat| seat.push(Output::Bytes(bytes.clone())));
        let answers = show.screen.answers();
        if show.seats.is_empty() { answers } else { Vec::new() }
    }

    /// No command runs any more; another may, whose output comes after this end.
    pub(super) fn ended(&self, exit: Exit) {
        let show = self.show.lock();
        self.set_running(None);
        show.seats.iter().for_each(|seat| seat.push(Output::Exit(exit)));
    }

    /// Waits for viewers who are too slow, for as long as they may be waited for, or until `hurries`; blocks.
    pub(super) fn pace(&self, hurries: impl Fn() -> bool) {
        let began = Instant::now();
        let mut waited_for: Vec<Arc<Seat>> = Vec::new();
        loop {
            // Before looking: who takes something after the look must be heard.
            let mut taken = self.room.taken.lock();
            self.room.is_awaited.store(true, Ordering::SeqCst);
            let seats = self.show.lock().seats.clone();
            let (full, others): (Vec<_>, Vec<_>) = seats.into_iter().partition(|seat| seat.is_full());
            let waited = began.elapsed();
            let mut left = None;
            for seat in full {
                let patience = if others.is_empty() { PATIENCE_ALONE } else { PATIENCE.min(seat.credit()) };
                if hurries() || waited >= patience {
                    seat.skip();
                    continue;
                }
                let rest = patience - waited;
                left = Some(left.map_or(rest, |left: Duration| left.min(rest)));
                if !others.is_empty() && !waited_for.iter().any(|other| Arc::ptr_eq(other, &seat)) {
                    waited_for.push(seat);
                }
            }
            let Some(left) = left else { break };
            self.room.changed.wait_for(&mut taken, left);
        }
        self.room.is_awaited.store(false, Ordering::SeqCst);
        let waited = began.elapsed();
        waited_for.iter().for_each(|seat| seat.spend(waited));
    }
}

impl Room {
    fn tell(&self) {
        if self.is_awaited.load(Ordering::SeqCst) {
            drop(self.taken.lock());
            self.changed.notify_all();
        }
    }
}
