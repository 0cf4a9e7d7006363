//! What of the terminal is new: the lines that an agent has added since the last look, each told once.
//!
//! Agents draw the same window again and again, so a look at the screen is compared with the one before. Lines that
//! came in between are told at once. Lines that took the place of others (a progress bar, a spinner, a menu) and the line
//! that is being written are told when they rest, or after a while.

use std::mem;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::screen::View;

/// Between two looks, so that not every letter is an event.
const TICK: Duration = Duration::from_millis(50);
/// When nothing has come for so long, the screen rests.
const REST: Duration = Duration::from_millis(300);
/// What never rests is told every so often.
const RESTLESS: Duration = Duration::from_secs(10);
/// How many lines are remembered as told.
const MOST: usize = 500;

/// When to look.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The last output.
    last: Option<Instant>,
    /// The first output that no look has seen.
    unseen: Option<Instant>,
    /// The first output after the last look that told everything.
    untold: Option<Instant>,
}

impl Pace {
    /// Something came.
    pub(super) fn output(&mut self, now: Instant) {
        self.last = Some(now);
        self.unseen.get_or_insert(now);
        self.untold.get_or_insert(now);
    }

    /// When the next look is due; not at all while nothing comes.
    pub(super) fn due(&self) -> Option<Instant> {
        let tick = self.unseen.map(|at| at + TICK);
        [tick, self.rests_at()].into_iter().flatten().min()
    }

    /// Somebody looks now; answers whether that look tells everything.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let rests = self.rests_at().is_some_and(|at| now >= at);
        self.unseen = None;
        if rests {
            self.untold = None;
        }
        rests
    }

    /// For how long nothing has come; `None`: nothing ever has.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        self.last.map(|last| now.saturating_duration_since(last))
    }

    fn rests_at(&self) -> Option<Instant> {
        Some((self.last? + REST).min(self.untold? + RESTLESS))
    }
}

/// What has been told of what stands on the screen.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    told: Vec<String>,
    told_alternate: Vec<String>,
}

impl Transcript {
    /// What is new in a view. `rests`: also the lines that may change in the next moment.
    pub(super) fn take(&mut self, view: View, rests: bool) -> News {
        // Those that were told have left the screen first.
        let known = self.told.len().min(usize::try_from(view.left_out).unwrap_or(usize::MAX));
        self.told.drain(..known);
        let left_out = view.left_out - known as u64;
        let Some(alternate) = view.alternate else {
            self.told_alternate.clear();
            let lines = compare(&mut self.told, view.gone, view.standing, view.cursor, rests);
            return News { left_out, lines };
        };
        // Nobody writes to the first screen now.
        let mut lines = compare(&mut self.told, view.gone, view.standing, None, true);
        if rests {
            lines.append(&mut compare(&mut self.told_alternate, Vec::new(), alternate, None, true));
        }
        News { left_out, lines }
    }
}

/// What an agent has said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// How many lines were left out before these.
    pub(super) left_out: u64,
    pub(super) lines: Vec<String>,
}

/// Compares a screen with what was told of it: answers with what is new, and notes in `told` that it is told now.
fn compare(
    told: &mut Vec<String>,
    gone: Vec<String>,
    standing: Vec<String>,
    cursor: Option<usize>,
    rests: bool,
) -> Vec<String> {
    let before = mem::take(told);
    let has_left = gone.len();
    // What was on the screen is among the lines that left it first; in a flood all others are new.
    let floods = has_left > 2 * before.len();
    let mut now = gone;
    now.extend(standing);
    let (now, cursor) = (now, cursor.map(|cursor| has_left + cursor));
    let compared = if floods { 2 * before.len() } else { now.len() };

    let mut news = Vec::new();
    let mut tell = |told: &mut Vec<String>, index: usize, may_change: bool| {
        let tells = rests || !(may_change || cursor == Some(index));
        if tells {
            news.push(now[index].clone());
            if index >= has_left {
                told.push(now[index].clone());
            }
        }
        tells
    };
    // A line that is not there at this moment may be drawn again in the next.
    let keep = |told: &mut Vec<String>, lines: &[String]| {
        if !rests && !floods {
            told.extend_from_slice(lines);
        }
    };
    for change in capture_diff_slices(Algorithm::Myers, &before, &now[..compared]) {
        let (old, new) = (&before[change.old_range()], change.new_range());
        match change {
            DiffOp::Equal { .. } => told.extend_from_slice(&now[new.start.max(has_left)..new.end.max(has_left)]),
            DiffOp::Delete { .. } => keep(told, old),
            DiffOp::Insert { .. } => {
                for index in new {
                    tell(told, index, false);
                }
            }
            DiffOp::Replace { .. } => {
                // Where there are more than before, the last ones have taken the places of the old; unless the first has
                // gone on from the old one, and the others have followed it.
                let goes_on = new.len() > old.len() && now[new.start].starts_with(&old[0]);
                let replaced = if goes_on { new.end } else { new.end.saturating_sub(old.len()).max(has_left) };
                let mut all = new.len() >= old.len();
                for index in new {
                    all &= tell(told, index, index >= replaced);
                }
                if !all {
                    keep(told, old);
                }
            }
        }
    }
    for index in compared..now.len() {
        tell(told, index, false);
    }
    told.drain(..told.len().saturating_sub(MOST));
    news
}

#[cfg(test)]
mod tests {
    use super::super::Size;
    use super::super::screen::Screen;
    use super::*;

    /// An agent whose window is looked at.
    struct Watched {
        screen: Screen,
        transcript: Transcript,
    }

    impl Watched {
        fn new(rows: u16) -> Self {
            Self { screen: Screen::new(Size { columns: 40, rows }), transcript: Transcript::default() }
        }

        /// The news while the agent goes on.
        fn writes(&mut self, output: &str) -> Vec<String> {
            self.screen.feed(output.as_bytes());
            self.transcript.take(self.screen.look(), false).lines
        }

        /// The news once it pauses.
        fn rests(&mut self) -> Vec<String> {
            self.transcript.take(self.screen.look(), true).lines
        }
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn each_line_is_told_once_also_when_it_is_the_same() {
        let mut agent = Watched::new(3);
        assert_eq!(agent.writes("ok\r\n"), ["ok"]);
        assert_eq!(agent.writes("ok\r\nok\r\n"), ["ok", "ok"]);
        assert_eq!(agent.rests(), NOTHING);
        let many: Vec<_> = (0..50).map(|_| "ok").collect();
        assert_eq!(agent.writes(&"ok\r\n".repeat(50)), many);
        assert_eq!(agent.writes("end\r\n"), ["end"]);
    }

    #[test]
    fn every_line_of_any_output_is_told_in_order() {
        let mut agent = Watched::new(5);
        let (mut told, mut number) = (Vec::new(), 0);
        for burst in [1, 3, 4, 5, 6, 11, 2, 40, 1, 1, 7] {
            let lines: Vec<_> = (number..number + burst).map(|number| format!("line {number}")).collect();
            number += burst;
            told.extend(agent.writes(&(lines.join("\r\n") + "\r\n")));
        }
        let all: Vec<_> = (0..number).map(|number| format!("line {number}")).collect();
        assert_eq!(told, all);
    }

    #[test]
    fn a_line_waits_for_its_end_or_a_pause() {
        let mut agent = Watched::new(5);
        assert_eq!(agent.writes("Over"), NOTHING);
        assert_eq!(agent.writes("write? [y/N] "), NOTHING);
        assert_eq!(agent.rests(), ["Overwrite? [y/N]"]);
        assert_eq!(agent.rests(), NOTHING);
        assert_eq!(agent.writes("y\r\ndone\r\n"), ["Overwrite? [y/N] y", "done"]);
    }

    #[test]
    fn a_progress_bar_is_told_when_it_rests() {
        let mut agent = Watched::new(5);
        assert_eq!(agent.writes("start\r\n 1%"), ["start"]);
        for percent in 2..100 {
            assert_eq!(agent.writes(&format!("\r{percent}%")), NOTHING);
        }
        assert_eq!(agent.rests(), ["99%"]);
        assert_eq!(agent.writes("\r100%\r\nend\r\n"), ["100%"]);
        assert_eq!(agent.rests(), ["end"]);
    }

    /// As Ink does it: the cursor goes up, the old lines are erased, all are written again.
    #[test]
    fn a_window_that_is_drawn_again_tells_what_is_new() {
        let mut agent = Watched::new(10);
        let again = |lines: usize| format!("\x1b[2K{}\r", "\x1b[1A\x1b[2K".repeat(lines));
        assert_eq!(agent.writes("* thinking 1s\r\n> \r\n"), ["* thinking 1s", ">"]);
        assert_eq!(agent.writes(&(again(2) + "* thinking 2s\r\n> \r\n")), NOTHING);
        assert_eq!(agent.writes(&(again(2) + "First.\r\n* thinking 3s\r\n> \r\n")), ["First."]);
        assert_eq!(agent.writes(&(again(3) + "First.\r\nSecond.\r\n* thinking 4s\r\n> \r\n")), ["Second."]);
        // Half a drawing.
        assert_eq!(agent.writes(&again(4)), NOTHING);
        assert_eq!(agent.writes("First.\r\nSecond.\r\n* thinking 5s\r\n> \r\n"), NOTHING);
        assert_eq!(agent.rests(), ["* thinking 5s"]);
    }

    #[test]
    fn what_is_printed_again_after_a_clear_is_told_again() {
        let mut agent = Watched::new(5);
        assert_eq!(agent.writes("$ ls\r\nfile\r\n"), ["$ ls", "file"]);
        agent.rests();
        assert_eq!(agent.writes("\x1b[H\x1b[2J$ ls\r\nfile\r\n"), ["$ ls", "file"]);
    }

    #[test]
    fn a_prompt_that_comes_back_is_not_told_again() {
        let mut agent = Watched::new(6);
        agent.writes("$ ");
        assert_eq!(agent.rests(), ["$"]);
        assert_eq!(agent.writes("ls\r\none\r\ntwo\r\n$ "), ["$ ls", "one", "two"]);
        assert_eq!(agent.rests(), NOTHING);
    }

    #[test]
    fn a_program_that_fills_the_window_is_told_when_it_rests() {
        let mut agent = Watched::new(5);
        assert_eq!(agent.writes("$ edit\r\n\x1b[?1049h\x1b[Hmenu\r\n[1] yes"), ["$ edit"]);
        assert_eq!(agent.rests(), ["menu", "[1] yes"]);
        assert_eq!(agent.writes("\x1b[2;1H[1] no\x1b[K"), NOTHING);
        assert_eq!(agent.rests(), ["[1] no"]);
        assert_eq!(agent.writes("\x1b[?1049lback\r\n"), ["back"]);
    }

    #[test]
    fn a_flood_is_told_as_far_as_it_is_kept_and_every_line_is_counted_once() {
        let mut agent = Watched::new(5);
        let (mut told, mut left_out, mut lines) = (0, 0, 0);
        for burst in [3, 200_000, 2, 150_000, 140_000, 1] {
            agent.screen.feed("y\r\n".repeat(burst).as_bytes());
            let news = agent.transcript.take(agent.screen.look(), false);
            (told, left_out, lines) = (told + news.lines.len(), left_out + news.left_out, lines + burst);
        }
        assert!(left_out > 0);
        assert_eq!(told as u64 + left_out, lines as u64);
    }

    #[test]
    fn looks_are_spaced_and_the_last_one_comes_when_it_rests() {
        let mut pace = Pace::default();
        let start = Instant::now();
        assert_eq!((pace.due(), pace.silence(start)), (None, None));
        pace.output(start);
        pace.output(start + TICK / 2);
        assert_eq!(pace.due(), Some(start + TICK));
        assert!(!pace.look(start + TICK));
        assert_eq!(pace.due(), Some(start + TICK / 2 + REST));
        assert!(pace.look(start + TICK / 2 + REST));
        assert_eq!(pace.due(), None);

        let (mut looks, mut full) = (0, 0);
        for millis in 1_000..21_000 {
            let now = start + Duration::from_millis(millis);
            pace.output(now);
            if pace.due().is_some_and(|due| due <= now) {
                looks += 1;
                full += usize::from(pace.look(now));
            }
        }
        assert!((380..=400).contains(&looks), "{looks}");
        assert!((1..=2).contains(&full), "{full}");
    }
}
