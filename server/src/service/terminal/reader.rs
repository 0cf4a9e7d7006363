//! The thread that reads what a command prints, until it and all that it started has ended.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use super::pty::Started;
use super::running::Running;
use super::stage::Stage;
use super::{Ended, Exit, Limits};
use crate::service::agents::process::{Family, signal_group};

/// How much is handed on at once.
const CHUNK: usize = 64 << 10;

/// How long what follows on something just handed on is gathered, so that a flood comes in few parts.
const GATHER: Duration = Duration::from_millis(2);

/// What is no flood, and so does not wait, like an echo: parts up to a size, and up to a number in a time.
const SMALL: usize = 1 << 10;
const FEW: u32 = 64;
const FEW_IN: Duration = Duration::from_millis(10);

/// How long a command has to end by itself, once it is told to.
const GRACE: Duration = Duration::from_millis(500);

/// How long what is left of the output may take once the command has ended.
const REST: Duration = Duration::from_millis(500);

/// How often it is looked whether a terminal that nobody had open is open again.
const REOPENED: Duration = Duration::from_millis(50);

/// Reads what a command prints.
pub(super) struct Reader {
    pub(super) stage: Arc<Stage>,
    pub(super) running: Arc<Running>,
    pub(super) started: Started,
    pub(super) family: Family,
    pub(super) limits: Limits,
    /// When it began, on the clock.
    pub(super) began: Duration,
}

/// What has been read and is not handed on.
struct Gathered {
    room: Box<[u8]>,
    filled: usize,
    printed: u64,
    /// When something was handed on last.
    handed_on: Option<Instant>,
    /// How many parts were handed on since when.
    parts: (u32, Instant),
    /// Whether nobody has the terminal open.
    is_hung_up: bool,
}

/// What there is to do.
#[derive(Default)]
struct Ready {
    output: bool,
    exited: bool,
}

impl Reader {
    /// Reads to the end. Blocks.
    pub(super) fn read(mut self) {
        let room = vec![0; CHUNK].into_boxed_slice();
        let mut gathered =
            Gathered { room, filled: 0, printed: 0, handed_on: None, parts: (0, Instant::now()), is_hung_up: false };
        let mut told = None;
        let mut is_killed = false;
        loop {
            let grace = told.map(|told: Instant| GRACE.saturating_sub(told.elapsed())).filter(|_| !is_killed);
            let ready = self.wait(gathered.is_hung_up, grace);
            if ready.exited {
                break;
            }
            if let Some(why) = self.running.ending().filter(|_| !is_killed) {
                let began = *told.get_or_insert_with(|| {
                    if has_grace(why) {
                        self.ask_to_end();
                    }
                    Instant::now()
                });
                if !has_grace(why) || began.elapsed() >= GRACE {
                    self.family.end(&HashSet::new(), &HashSet::new(), &[self.started.leader]);
                    is_killed = true;
                }
            }
            if ready.output || gathered.is_hung_up {
                self.gather(&mut gathered, true);
                self.hand_on(&mut gathered);
            }
        }
        self.finish(gathered);
    }

    /// Waits until there is something to do, and types what there is to type.
    fn wait(&self, is_hung_up: bool, grace: Option<Duration>) -> Ready {
        let mut interest = PollFlags::IN;
        if self.running.has_typed() {
            interest |= PollFlags::OUT;
        }
        let mut descriptors = [
            PollFd::from_borrowed_fd(self.started.exited.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.running.woken.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.running.pty.as_fd(), interest),
        ];
        let watched = if is_hung_up { &mut descriptors[..2] } else { &mut descriptors[..] };
        let timeout = if is_hung_up { Some(grace.map_or(REOPENED, |grace| grace.min(REOPENED))) } else { grace };
        let _ = poll(watched, timeout.and_then(|timeout| Timespec::try_from(timeout).ok()).as_ref());
        let [exited, woken, pty] = descriptors.map(|descriptor| descriptor.revents());
        if !woken.is_empty() {
            let _ = rustix::io::read(&self.running.woken, &mut [0; 8]);
        }
        if pty.contains(PollFlags::OUT) {
            self.running.type_on();
        }
        let output = pty.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        Ready { output, exited: !exited.is_empty() }
    }

    /// Reads what there is, up to a chunk; waits for more if much comes and that `may_wait`.
    fn gather(&self, gathered: &mut Gathered, may_wait: bool) {
        let began = Instant::now();
        while gathered.filled < CHUNK {
            match rustix::io::read(&self.running.pty, &mut gathered.room[gathered.filled..]) {
                Ok(0) | Err(Errno::IO) => {
                    gathered.is_hung_up = true;
                    return;
                }
                Ok(read) => {
                    gathered.is_hung_up = false;
                    gathered.filled += read;
                    if began.elapsed() >= GATHER {
                        return;
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => {
                    let since = gathered.handed_on.map_or(GATHER, |at| at.elapsed());
                    let left = GATHER.saturating_sub(since);
                    let waits = may_wait && gathered.is_flood() && !left.is_zero();
                    if gathered.filled == 0 || !waits || !self.more_comes(left) {
                        return;
                    }
                }
            }
        }
    }

    /// Whether more output comes in this time, and nothing else.
    fn more_comes(&self, within: Duration) -> bool {
        let mut descriptors = [
            PollFd::from_borrowed_fd(self.running.pty.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.running.woken.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.started.exited.as_fd(), PollFlags::IN),
        ];
        let timeout = Timespec::try_from(within).ok();
        poll(&mut descriptors, timeout.as_ref()).is_ok() && descriptors[0].revents().contains(PollFlags::IN)
    }

    fn hand_on(&self, gathered: &mut Gathered) {
        if gathered.filled == 0 {
            return;
        }
        let bytes = Bytes::copy_from_slice(&gathered.room[..gathered.filled]);
        gathered.printed += bytes.len() as u64;
        gathered.filled = 0;
        let answers = self.stage.print(&bytes);
        let now = Instant::now();
        gathered.handed_on = Some(now);
        if now - gathered.parts.1 >= FEW_IN {
            gathered.parts = (0, now);
        }
        gathered.parts.0 += 1;
        // A program that reads no answers does without.
        let _ = self.running.write(&answers);
        if gathered.printed > self.limits.output {
            self.running.end(Ended::TooMuchOutput);
        }
        self.stage.pace(|| self.running.ending().is_some());
    }

    /// Tells the program and its group to end, as a terminal does that is closed.
    fn ask_to_end(&self) {
        for signal in [Signal::HUP, Signal::TERM, Signal::CONT] {
            signal_group(self.started.leader, signal);
        }
    }

    /// The program has exited: ends what it has started, hands on the rest of the output, and tells all.
    fn finish(&mut self, mut gathered: Gathered) {
        // Until it is waited for, its number is nobody else's.
        signal_group(self.started.leader, Signal::KILL);
        self.drain(&mut gathered);
        self.family.end(&HashSet::new(), &HashSet::new(), &[self.started.leader]);
        self.drain(&mut gathered);
        let code = self.started.child.wait().map_or(-1, code);
        self.stage.supervisor.ended(self.started.leader);
        let duration = self.stage.clock.monotonic().saturating_sub(self.began);
        let exit = Exit { code, duration, why: self.running.ending().unwrap_or(Ended::ByItself) };
        self.stage.ended(exit);
        self.running.exit.send_replace(Some(exit));
    }

    fn drain(&self, gathered: &mut Gathered) {
        let began = Instant::now();
        while began.elapsed() < REST {
            self.gather(gathered, false);
            if gathered.filled == 0 {
                return;
            }
            self.hand_on(gathered);
        }
    }
}

impl Gathered {
    fn is_flood(&self) -> bool {
        let (parts, since) = self.parts;
        self.filled > SMALL || (parts >= FEW && since.elapsed() < FEW_IN)
    }
}

/// Whether a command that ends for this may do so by itself.
const fn has_grace(why: Ended) -> bool {
    matches!(why, Ended::Cancelled | Ended::TimedOut | Ended::Unwatched)
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
