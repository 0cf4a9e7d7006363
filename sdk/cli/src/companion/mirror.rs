//! What the agent said, on its way to the server: in chunks that are not too large and not too many, each of which is
//! sent until the server has it. Knows neither sockets nor screens.
//!
//! The server tells everybody what it has stored, also the one who said it. A chunk counts as arrived when it comes back,
//! known by its id. Those that were under way when a connection broke are sent again once everything has come back that
//! ever will, and the server does not store again what it has by that id; so none is lost, and none comes twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::transcript::News;

/// The most text in one chunk.
pub(super) const LARGEST: usize = 16 * 1024;
/// How much text waits while the server is away, or slower than the agent. Then the oldest goes.
pub(super) const WAITING: usize = 256 * 1024;
/// How many chunks may be under way.
const WINDOW: usize = 8;
/// Between two chunks.
const SPACING: Duration = Duration::from_millis(50);
/// What was given to the connection before it broke may still be written to the next one, and come back from there.
const DOUBT: Duration = Duration::from_secs(1);
/// A chunk that did not come back for so long is lost.
const PATIENCE: Duration = Duration::from_secs(15);

/// A part of what the agent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) id: Uuid,
    /// Whole lines, unless one is larger than a chunk.
    pub(super) content: String,
    /// How many lines before it were left out.
    pub(super) left_out: u64,
}

#[derive(Debug)]
struct Flying {
    chunk: Chunk,
    /// It was sent over a connection that is gone.
    doubtful: bool,
    again_at: Instant,
}

#[derive(Debug)]
enum Entry {
    Line(String),
    /// So many lines are missing here.
    LeftOut(u64),
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Line(line) => line.len() + 1,
            Self::LeftOut(_) => 0,
        }
    }

    fn says_something(&self) -> bool {
        !matches!(self, Self::Line(line) if line.is_empty())
    }
}

#[derive(Debug, Default)]
pub(super) struct Mirror {
    waiting: VecDeque<Entry>,
    bytes: usize,
    flying: VecDeque<Flying>,
    /// The server is there, and has told everything that it had to tell.
    open: bool,
    /// Not before the first time that it was.
    next_at: Option<Instant>,
}

impl Mirror {
    /// Takes what is to be sent.
    pub(super) fn add(&mut self, News { left_out, lines }: News) {
        if left_out > 0 {
            self.waiting.push_back(Entry::LeftOut(left_out));
        }
        self.bytes += lines.iter().map(|line| line.len() + 1).sum::<usize>();
        self.waiting.extend(lines.into_iter().map(Entry::Line));
        let mut left_out = 0;
        while self.bytes > WAITING {
            left_out += self.pop().map_or(0, |entry| match entry {
                Entry::Line(_) => 1,
                Entry::LeftOut(lines) => lines,
            });
        }
        if left_out > 0 {
            self.waiting.push_front(Entry::LeftOut(left_out));
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.waiting.pop_front()?;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    /// The chunk that is to be sent now, if there is one.
    pub(super) fn next(&mut self, now: Instant) -> Option<Chunk> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let chunk = match self.flying.iter_mut().find(|flying| now >= flying.again_at) {
            Some(lost) => {
                (lost.doubtful, lost.again_at) = (false, now + PATIENCE);
                lost.chunk.clone()
            }
            None => {
                let chunk = self.take()?;
                self.flying.push_back(Flying { chunk: chunk.clone(), doubtful: false, again_at: now + PATIENCE });
                chunk
            }
        };
        self.next_at = Some(now + SPACING);
        Some(chunk)
    }

    /// When there is a chunk to send.
    pub(super) fn due(&self) -> Option<Instant> {
        let spaced = self.next_at.filter(|_| self.open)?;
        // What is in doubt comes first, so that everything stays in order.
        let may_go_on = self.flying.len() < WINDOW && !self.flying.iter().any(|flying| flying.doubtful);
        if may_go_on && self.waiting.iter().any(Entry::says_something) {
            return Some(spaced);
        }
        let again = self.flying.iter().map(|flying| flying.again_at).min()?;
        Some(again.max(spaced))
    }

    /// The next chunk of what waits. Empty lines at its beginning say nothing.
    fn take(&mut self) -> Option<Chunk> {
        while self.waiting.front().is_some_and(|entry| !entry.says_something()) {
            self.pop();
        }
        let (mut content, mut left_out) = (String::new(), 0);
        while let Some(entry) = self.waiting.front_mut() {
            match entry {
                Entry::LeftOut(lines) if content.len() < LARGEST / 2 => {
                    left_out += *lines;
                    content.push_str(&format!("[… {lines} lines left out …]\n"));
                }
                Entry::Line(line) if content.len() + line.len() <= LARGEST => {
                    content.push_str(line);
                    content.push('\n');
                }
                Entry::Line(line) if content.is_empty() => {
                    let rest = line.split_off(line.floor_char_boundary(LARGEST));
                    content = std::mem::replace(line, rest);
                    self.bytes -= content.len();
                    break;
                }
                _ => break,
            }
            self.pop();
        }
        content.truncate(content.trim_end().len());
        (!content.is_empty()).then(|| Chunk { id: Uuid::new_v4(), content, left_out })
    }

    /// The server has this chunk.
    pub(super) fn arrived(&mut self, id: Uuid) {
        self.flying.retain(|flying| flying.chunk.id != id);
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self) {
        self.open = false;
        for flying in &mut self.flying {
            flying.doubtful = true;
        }
    }

    /// The server is there, and everything that it had before has come back.
    pub(super) fn caught_up(&mut self, now: Instant) {
        self.open = true;
        self.next_at.get_or_insert(now);
        for flying in self.flying.iter_mut().filter(|flying| flying.doubtful) {
            flying.again_at = now + DOUBT;
        }
    }

    /// Whether anything is sent at all.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The server could not take something.
    pub(super) fn refused(&mut self, now: Instant) {
        for flying in &mut self.flying {
            flying.again_at = flying.again_at.min(now + DOUBT);
        }
    }

    /// Whether everything has arrived.
    pub(super) fn is_done(&self) -> bool {
        self.flying.is_empty() && !self.waiting.iter().any(Entry::says_something)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> News {
        all(lines.iter().map(|line| (*line).to_owned()).collect())
    }

    fn all(lines: Vec<String>) -> News {
        News { left_out: 0, lines }
    }

    /// Sends what can be sent without an answer, and says what that was.
    fn sent(mirror: &mut Mirror, now: &mut Instant) -> Vec<Chunk> {
        let until = *now + DOUBT;
        let mut sent = Vec::new();
        while let Some(due) = mirror.due().filter(|due| *due < until) {
            *now = due.max(*now);
            sent.extend(mirror.next(*now));
        }
        sent
    }

    fn open() -> (Mirror, Instant) {
        let (mut mirror, now) = (Mirror::default(), Instant::now());
        mirror.caught_up(now);
        (mirror, now)
    }

    #[test]
    fn what_comes_at_once_goes_together_and_chunks_are_spaced() {
        let (mut mirror, mut now) = open();
        let start = now;
        mirror.add(lines(&["", "one", "", "two", ""]));
        assert_eq!(mirror.next(now).map(|chunk| chunk.content), Some("one\n\ntwo".into()));
        mirror.add(lines(&["three"]));
        assert_eq!(mirror.next(now), None);
        assert_eq!(sent(&mut mirror, &mut now).len(), 1);
        assert_eq!(now - start, SPACING);
        mirror.add(lines(&["", ""]));
        assert_eq!(mirror.due(), Some(start + PATIENCE), "nothing new, only what has not come back");
    }

    #[test]
    fn chunks_are_bounded_and_hold_whole_lines() {
        let (mut mirror, mut now) = open();
        mirror.add(all((0..4_000).map(|number| format!("line {number}")).collect()));
        let huge = "ä".repeat(LARGEST);
        mirror.add(all(vec![huge.clone()]));
        let mut text = Vec::new();
        while !mirror.is_done() {
            for chunk in sent(&mut mirror, &mut now) {
                assert!(chunk.content.len() <= LARGEST && chunk.left_out == 0);
                mirror.arrived(chunk.id);
                text.push(chunk.content);
            }
        }
        let expected: Vec<_> = (0..4_000).map(|number| format!("line {number}")).collect();
        let (whole, cut) = text.split_at(text.len() - 2);
        assert!(whole.join("\n") == expected.join("\n") && cut.concat() == huge);
        assert_eq!(mirror.bytes, 0);
    }

    #[test]
    fn what_waits_is_bounded_and_the_missing_lines_are_named_where_they_are_missing() {
        let (mut mirror, mut now) = (Mirror::default(), Instant::now());
        for _ in 0..1_000 {
            mirror.add(all(vec!["x".repeat(999)]));
            assert!(mirror.bytes <= WAITING);
        }
        mirror.add(News { left_out: 5, ..lines(&["end"]) });
        assert!(sent(&mut mirror, &mut now).is_empty(), "nobody is there");
        mirror.caught_up(now);
        let (mut left_out, mut seen, mut last) = (0, 0, String::new());
        while !mirror.is_done() {
            for chunk in sent(&mut mirror, &mut now) {
                mirror.arrived(chunk.id);
                left_out += chunk.left_out;
                seen += chunk.content.lines().filter(|line| line.starts_with('x')).count() as u64;
                last = chunk.content;
            }
        }
        assert_eq!((seen + left_out, mirror.bytes), (1_005, 0));
        assert!(last.ends_with("[… 5 lines left out …]\nend"), "{last}");
    }

    #[test]
    fn only_so_much_is_under_way_and_what_does_not_come_back_is_sent_again() {
        let (mut mirror, mut now) = open();
        mirror.add(all(vec!["x".repeat(LARGEST - 10); 12]));
        let first = sent(&mut mirror, &mut now);
        assert_eq!(first.len(), WINDOW);
        first.iter().skip(1).for_each(|chunk| mirror.arrived(chunk.id));
        assert_eq!(sent(&mut mirror, &mut now).len(), 4);
        now += PATIENCE;
        assert_eq!(mirror.next(now).map(|chunk| chunk.id), Some(first[0].id));
        mirror.refused(now);
        assert_eq!(mirror.due().map(|due| due <= now + DOUBT), Some(true));
    }

    #[test]
    fn after_a_break_only_what_did_not_arrive_is_sent_again_and_first() {
        let (mut mirror, mut now) = open();
        for line in ["one", "two", "three"] {
            mirror.add(lines(&[line]));
            sent(&mut mirror, &mut now);
        }
        mirror.disconnected();
        mirror.add(lines(&["four"]));
        assert!(mirror.due().is_none());
        // The server had stored the second.
        let second = mirror.flying[1].chunk.id;
        mirror.arrived(second);
        mirror.caught_up(now);
        assert!(sent(&mut mirror, &mut now).is_empty(), "the first may still come back");
        now += DOUBT;
        let again: Vec<_> = sent(&mut mirror, &mut now).into_iter().map(|chunk| chunk.content).collect();
        assert_eq!(again, ["one", "three", "four"]);
        assert!(!mirror.is_done());
    }
}
