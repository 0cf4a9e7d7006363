//! What the agent's terminal shows, as lines of plain text: an emulator reads the output, so that colours, cursor
//! movements and lines that are written over and over come out as a person sees them. Which of the lines are worth
//! telling is decided in `transcript.rs`.
//!
//! The emulator is avt, which asciinema keeps up: it hands over the lines that leave the screen, which is what a
//! transcript needs and others do not have.

use std::collections::VecDeque;
use std::mem;

use avt::{Line, Observation, Observer, ScreenKind, Terminal};

use super::Size;

/// How much text that has left the screen is kept until somebody looks.
const LARGEST: usize = 256 * 1024;
/// A line without an end is cut here.
const LONGEST: usize = 16 * 1024;

/// What is to be seen at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// How many lines were left out before `gone`: there were more than are kept.
    pub(super) left_out: u64,
    /// The lines that have left the screen since the last look.
    pub(super) gone: Vec<String>,
    /// The lines on the screen, without the empty ones below them.
    pub(super) standing: Vec<String>,
    /// In which of them the cursor is, if it is in one.
    pub(super) cursor: Option<usize>,
    /// The lines of the second screen, while a program that fills the window shows it.
    pub(super) alternate: Option<Vec<String>>,
}

pub(super) struct Screen {
    terminal: Terminal,
    /// The beginning of a letter whose end has not come yet.
    tail: Vec<u8>,
    gone: Gone,
}

impl Screen {
    pub(super) fn new(size: Size) -> Self {
        let (columns, rows) = at_least_one(size);
        // Neither is zero; and without a screen there would be nothing to tell.
        let terminal = Terminal::new(columns, rows).unwrap_or_else(|_| unreachable!("both are above zero"));
        Self { terminal, tail: Vec::new(), gone: Gone::default() }
    }

    pub(super) fn resize(&mut self, size: Size) {
        let (columns, rows) = at_least_one(size);
        self.terminal.resize_with(columns, rows, &mut self.gone);
    }

    /// Takes output as it came, cut anywhere.
    pub(super) fn feed(&mut self, output: &[u8]) {
        self.tail.extend_from_slice(output);
        let text = decode(&mut self.tail);
        self.terminal.feed_with(text.as_str(), &mut self.gone);
    }

    /// Where the cursor is, counted from one.
    pub(super) fn cursor(&self) -> (usize, usize) {
        let cursor = self.terminal.cursor();
        (cursor.row + 1, cursor.col.min(self.terminal.size().0 - 1) + 1)
    }

    /// Everything that there is to see, and what has left the screen since the last look.
    pub(super) fn look(&mut self) -> View {
        let fills_window = self.terminal.active_screen_kind() == ScreenKind::Alternate;
        let at = (!fills_window).then(|| self.terminal.cursor().row);
        let (standing, cursor) = lines(self.terminal.primary_screen().visible_lines(), &self.gone.begun, at);
        let alternate = fills_window.then(|| lines(self.terminal.screen().visible_lines(), "", None).0);
        let gone = mem::take(&mut self.gone.lines).into();
        self.gone.bytes = 0;
        View { left_out: mem::take(&mut self.gone.left_out), gone, standing, cursor, alternate }
    }
}

fn at_least_one(size: Size) -> (usize, usize) {
    (usize::from(size.columns.max(1)), usize::from(size.rows.max(1)))
}

/// Takes the whole letters out of the bytes; what is no letter becomes a replacement character.
fn decode(bytes: &mut Vec<u8>) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    let open = loop {
        match std::str::from_utf8(rest) {
            Ok(whole) => {
                text.push_str(whole);
                break 0;
            }
            Err(error) => {
                let (whole, after) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(whole));
                let Some(wrong) = error.error_len() else { break after.len() };
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &after[wrong..];
            }
        }
    };
    bytes.drain(..bytes.len() - open);
    text
}

/// Rows as lines: a line that was too long for the window has several. With them, the line that row `at` belongs to.
fn lines<'a>(rows: impl Iterator<Item = &'a Line>, begun: &str, at: Option<usize>) -> (Vec<String>, Option<usize>) {
    let (mut lines, mut cursor) = (Vec::new(), None);
    let mut line = begun.to_owned();
    for (index, row) in rows.enumerate() {
        line.extend(row.chars());
        if at == Some(index) {
            cursor = Some(lines.len());
        }
        if !row.is_wrapped() {
            lines.push(trimmed(&mut line));
        }
    }
    if !line.is_empty() {
        lines.push(trimmed(&mut line));
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let cursor = cursor.filter(|cursor| *cursor < lines.len());
    (lines, cursor)
}

/// Takes a line, without the spaces at its end.
fn trimmed(line: &mut String) -> String {
    line.truncate(line.trim_end().len());
    mem::take(line)
}

/// The lines that have left the screen.
#[derive(Default)]
struct Gone {
    lines: VecDeque<String>,
    bytes: usize,
    left_out: u64,
    /// A line of which only the beginning has left.
    begun: String,
}

impl Gone {
    fn push(&mut self, line: String) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.bytes > LARGEST {
            let Some(line) = self.lines.pop_front() else { break };
            self.bytes -= line.len() + 1;
            self.left_out += 1;
        }
    }
}

impl Observer for &mut Gone {
    type Output = ();

    fn evicted(&mut self, _: &mut Observation<'_>, row: &Line) {
        self.begun.extend(row.chars());
        if !row.is_wrapped() || self.begun.len() >= LONGEST {
            let line = trimmed(&mut self.begun);
            self.push(line);
        }
    }

    fn end(&mut self, _: &mut Observation<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(columns: u16, rows: u16) -> Screen {
        Screen::new(Size { columns, rows })
    }

    fn shown(output: &str) -> Vec<String> {
        let mut screen = screen(40, 5);
        screen.feed(output.as_bytes());
        screen.look().standing
    }

    #[test]
    fn colours_titles_and_links_are_not_text() {
        assert_eq!(shown("\x1b[1;32mok\x1b[0m done"), ["ok done"]);
        assert_eq!(shown("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b]8;;\x1b\\"), ["ab"]);
        assert_eq!(shown("a\x07b\x1bPq#0\x1b\\c\x1b(Bd"), ["abcd"]);
    }

    #[test]
    fn what_is_written_over_is_gone() {
        assert_eq!(shown(" 10%\r 99%\r100%\r\nend"), ["100%", "end"]);
        assert_eq!(shown("long line\r\x1b[Kshort"), ["short"]);
        assert_eq!(shown("one\r\ntwo\r\n\x1b[2A\x1b[2Kzero"), ["zero", "two"]);
        assert_eq!(shown("ab\x08c"), ["ac"]);
    }

    #[test]
    fn letters_survive_being_cut_anywhere() {
        let text = "Grüße 日本語 👩‍💻 e\u{301}";
        for at in 0..text.len() {
            let mut screen = screen(80, 5);
            screen.feed(&text.as_bytes()[..at]);
            screen.feed(&text.as_bytes()[at..]);
            assert_eq!(screen.look().standing, [text], "cut at {at}");
        }
        let mut screen = screen(80, 5);
        text.as_bytes().chunks(1).for_each(|byte| screen.feed(byte));
        screen.feed(b"\xff|\xe6\x97|");
        assert_eq!(screen.look().standing, [format!("{text}\u{fffd}|\u{fffd}|")]);
    }

    #[test]
    fn a_line_is_one_line_whatever_the_window() {
        let mut screen = screen(4, 3);
        screen.feed(b"abcdefghij\r\nx\r\ny\r\n");
        let view = screen.look();
        assert_eq!((view.gone, view.standing), (vec!["abcdefghij".to_owned()], vec!["x".into(), "y".into()]));
        screen.feed(b"0123456789abcdef");
        assert_eq!(screen.look().standing, ["0123456789abcdef"], "also while only its end is on the screen");
    }

    #[test]
    fn the_cursors_line_is_known() {
        let mut screen = screen(4, 4);
        screen.feed(b"abcdefgh\r\n$ ");
        let view = screen.look();
        assert_eq!((view.standing[view.cursor.expect("is there")].as_str(), screen.cursor()), ("$", (3, 3)));
        screen.feed(b"\r\n");
        assert_eq!(screen.look().cursor, None, "it is below all lines");
    }

    #[test]
    fn a_program_that_fills_the_window_leaves_the_lines_below_it_alone() {
        let mut screen = screen(20, 3);
        screen.feed(b"one\r\n\x1b[?1049h\x1b[Hediting\r\n~");
        let view = screen.look();
        assert_eq!((view.standing, view.cursor), (vec!["one".to_owned()], None));
        assert_eq!(view.alternate, Some(vec!["editing".into(), "~".into()]));
        screen.feed(b"\x1b[?1049ltwo");
        assert_eq!((screen.look().alternate, screen.look().standing), (None, vec!["one".into(), "two".into()]));
    }

    #[test]
    fn a_flood_is_bounded_and_counted() {
        let mut screen = screen(80, 24);
        let mut lines = 0_u64;
        for _ in 0..20 {
            screen.feed("y\r\n".repeat(10_000).as_bytes());
            lines += 10_000;
        }
        let endless = "x".repeat(100_000);
        screen.feed(endless.as_bytes());
        let view = screen.look();
        let bytes: usize = view.gone.iter().map(|line| line.len() + 1).sum();
        assert!(bytes <= LARGEST && view.left_out > 0);
        let kept = view.gone.iter().chain(&view.standing).filter(|line| *line == "y").count() as u64;
        assert_eq!(view.left_out + kept, lines);
        assert!(view.gone.iter().all(|line| line.len() < LONGEST + 100));
        assert_eq!(screen.look().left_out, 0);
    }
}
