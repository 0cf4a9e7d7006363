//! The keys that an agent gets: those of the person at the terminal, and messages, which are typed as that person would
//! type them. One thing at a time: a message is never cut in two by keys.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Between a message and the key that sends it. Agents that see both at once take the key for a line break of a pasted
/// text.
const PAUSE: Duration = Duration::from_millis(120);
/// How many messages may wait; more are not fetched.
const MOST: usize = 100;
/// How many keys may wait, in bytes; more are not read.
const MOST_KEYS: usize = 64 * 1024;

const ENTER: &[u8] = b"\r";
const PASTE: (&[u8], &[u8]) = (b"\x1b[200~", b"\x1b[201~");

/// A message to the agent, and its place among the agent's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) seq: u64,
    pub(super) text: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Write(Vec<u8>),
    Pause,
}

/// What is still to be typed.
#[derive(Debug, Default)]
pub(super) struct Typist {
    steps: VecDeque<Step>,
    paused_until: Option<Instant>,
    messages: VecDeque<Message>,
}

impl Typist {
    /// Keys of the person at the terminal.
    pub(super) fn keys(&mut self, keys: Vec<u8>) {
        self.steps.push_back(Step::Write(keys));
    }

    /// Takes a message to be typed when its turn comes.
    pub(super) fn message(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    /// Whether more messages may be given to type.
    pub(super) fn has_room(&self) -> bool {
        self.messages.len() < MOST
    }

    /// Whether more keys may be given to type.
    pub(super) fn has_room_for_keys(&self) -> bool {
        let waiting = self.steps.iter().map(|step| if let Step::Write(bytes) = step { bytes.len() } else { 0 });
        waiting.sum::<usize>() < MOST_KEYS
    }

    /// The first message whose turn has not come.
    pub(super) fn waiting(&self) -> Option<u64> {
        self.messages.front().map(|message| message.seq)
    }

    /// The message whose turn it is. Whoever takes it gives it back with [`begin`](Self::begin).
    pub(super) fn turn(&mut self) -> Option<Message> {
        if self.steps.is_empty() && self.paused_until.is_none() { self.messages.pop_front() } else { None }
    }

    /// Begins to type a message. `pastes`: the agent wants pasted text to be marked.
    pub(super) fn begin(&mut self, message: &Message, pastes: bool) {
        let text = typable(&message.text);
        if text.contains('\n') && pastes {
            let lines = text.replace('\n', "\r");
            self.steps.push_back(Step::Write([PASTE.0, lines.as_bytes(), PASTE.1].concat()));
            self.press_enter();
            return;
        }
        for line in text.split('\n') {
            // A tab would complete something.
            let line = line.replace('\t', "    ");
            if !line.is_empty() {
                self.steps.push_back(Step::Write(line.into_bytes()));
            }
            self.press_enter();
        }
    }

    fn press_enter(&mut self) {
        self.steps.push_back(Step::Pause);
        self.steps.push_back(Step::Write(ENTER.to_vec()));
        self.steps.push_back(Step::Pause);
    }

    /// What is to be written now.
    pub(super) fn next(&mut self, now: Instant) -> Option<&[u8]> {
        if self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        self.paused_until = None;
        if let Some(Step::Pause) = self.steps.front() {
            self.steps.pop_front();
            self.paused_until = Some(now + PAUSE);
            return None;
        }
        match self.steps.front() {
            Some(Step::Write(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// So much of it has been written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        if let Some(Step::Write(rest)) = self.steps.front_mut() {
            rest.drain(..bytes.min(rest.len()));
            if rest.is_empty() {
                self.steps.pop_front();
            }
        }
    }

    /// When there is something to write again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.paused_until
    }

    /// The agent is gone, and with it whatever was being typed. Messages whose turn has not come stay.
    pub(super) fn forget(&mut self) {
        self.steps.clear();
        self.paused_until = None;
    }
}

/// The text without what no person types: control characters could end a paste, or the agent. Line breaks at its end are
/// the key that is pressed anyway.
fn typable(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text: String = text.chars().filter(|letter| matches!(letter, '\n' | '\t') || !letter.is_control()).collect();
    text.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types everything, and says what was written and when.
    fn typed(typist: &mut Typist, pastes: bool) -> Vec<(Duration, String)> {
        let start = Instant::now();
        let (mut now, mut written) = (start, Vec::new());
        loop {
            if let Some(bytes) = typist.next(now) {
                let length = bytes.len();
                written.push((now - start, String::from_utf8(bytes.to_vec()).expect("is text")));
                typist.wrote(length);
            } else if let Some(until) = typist.due() {
                now = until;
            } else if let Some(message) = typist.turn() {
                typist.begin(&message, pastes);
            } else {
                return written;
            }
        }
    }

    fn texts(text: &str, pastes: bool) -> Vec<String> {
        let mut typist = Typist::default();
        typist.message(Message { seq: 1, text: text.into() });
        typed(&mut typist, pastes).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn a_message_is_typed_and_then_sent() {
        let mut typist = Typist::default();
        typist.message(Message { seq: 1, text: "Grüße".into() });
        let expected = [(Duration::ZERO, "Grüße".to_owned()), (PAUSE, "\r".to_owned())];
        assert_eq!(typed(&mut typist, true), expected);
        assert_eq!(texts("go\n", true), ["go", "\r"]);
        assert_eq!(texts("\n", true), ["\r"], "only the key");
    }

    #[test]
    fn several_lines_are_pasted_where_that_is_wanted() {
        assert_eq!(texts("one\r\n\ttwo\n", true), ["\x1b[200~one\r\ttwo\x1b[201~", "\r"]);
        assert_eq!(texts("one\n\ntwo\t", false), ["one", "\r", "\r", "two    ", "\r"]);
    }

    #[test]
    fn a_message_presses_no_control_keys() {
        assert_eq!(texts("\x03a\x1b[201~b\u{9b}c\x7f\x04\0", true), ["a[201~bc", "\r"]);
        assert_eq!(texts("x\n\x1b[201~\n\x03rm", true), ["\x1b[200~x\r[201~\rrm\x1b[201~", "\r"]);
    }

    #[test]
    fn keys_and_messages_do_not_mix() {
        let mut typist = Typist::default();
        typist.message(Message { seq: 1, text: "first".into() });
        typist.message(Message { seq: 2, text: "second".into() });
        let message = typist.turn().expect("its turn has come");
        typist.begin(&message, false);
        assert!(typist.turn().is_none() && typist.waiting() == Some(2));
        typist.keys(b"k".to_vec());
        let written: Vec<_> = typed(&mut typist, false).into_iter().map(|(_, text)| text).collect();
        assert_eq!(written, ["first", "\r", "k", "second", "\r"]);
    }

    #[test]
    fn what_was_written_in_part_goes_on_where_it_was() {
        let mut typist = Typist::default();
        let now = Instant::now();
        typist.keys(b"abc".to_vec());
        typist.wrote(2);
        assert_eq!(typist.next(now), Some(b"c".as_slice()));
        typist.forget();
        assert!(typist.next(now).is_none() && typist.due().is_none());
    }
}
