//! What an agent tells its terminal besides text: modes that it switches, and questions that it asks.
//!
//! The modes matter twice. How a message is typed depends on one of them, and whatever an agent leaves on when it is
//! killed would make the person's terminal unusable. The questions matter where there is no terminal that answers.

use std::collections::BTreeSet;
use std::fmt::Write as _;

const BRACKETED_PASTE: u16 = 2004;

/// Private modes that are off in a terminal as people know it, and that a program switches off again when it ends:
/// application cursor keys, the mouse, focus events, the second screen, pasting, and what newer terminals report.
const USUALLY_OFF: [u16; 18] =
    [1, 9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, BRACKETED_PASTE, 2026, 2031, 2048, 47, 1047, 1049];
/// The other way round: wrapping, and the cursor.
const USUALLY_ON: [u16; 2] = [7, 25];

/// The longest sequence that is read; no real one is.
const LONGEST: usize = 64;

/// What a terminal is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Where the cursor is.
    Cursor,
    /// Whether it works.
    Status,
    /// What it can do.
    Abilities,
}

impl Question {
    /// What a plain terminal answers.
    pub(super) fn answer(self, (row, column): (usize, usize)) -> String {
        match self {
            Self::Cursor => format!("\x1b[{row};{column}R"),
            Self::Status => "\x1b[0n".to_owned(),
            Self::Abilities => "\x1b[?1;2c".to_owned(),
        }
    }
}

/// The modes of a terminal, as the output so far has left them.
#[derive(Debug, Default)]
pub(super) struct Control {
    state: State,
    /// The sequence that is being read, after `ESC [`.
    sequence: Vec<u8>,
    /// Those of [`USUALLY_OFF`] that are on, and those of [`USUALLY_ON`] that are off.
    changed: BTreeSet<u16>,
    application_keypad: bool,
    /// How often the reporting of keys was changed, in the two ways that there are.
    pushed_keys: u16,
    modified_keys: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    Sequence,
    /// In a sequence that is too long to be one.
    Overlong,
}

impl Control {
    /// Reads output as it came, cut anywhere, and answers with the questions in it.
    pub(super) fn read(&mut self, output: &[u8]) -> Vec<Question> {
        let mut questions = Vec::new();
        for &byte in output {
            self.state = match (self.state, byte) {
                (_, 0x1b) => State::Escape,
                // Either ends whatever was begun.
                (_, 0x18 | 0x1a) | (State::Text, _) => State::Text,
                (State::Escape, b'[') => {
                    self.sequence.clear();
                    State::Sequence
                }
                (State::Escape, _) => {
                    self.escape(byte);
                    State::Text
                }
                (_, 0x40..=0x7e) => {
                    if self.state == State::Sequence {
                        questions.extend(self.obey(byte));
                    }
                    State::Text
                }
                (State::Sequence, _) if self.sequence.len() >= LONGEST => State::Overlong,
                (State::Sequence, _) => {
                    self.sequence.push(byte);
                    State::Sequence
                }
                (State::Overlong, _) => State::Overlong,
            };
        }
        questions
    }

    /// Whether pasted text is to be marked as such.
    pub(super) fn pastes(&self) -> bool {
        self.changed.contains(&BRACKETED_PASTE)
    }

    /// What makes the terminal as it was; it is from then on. Nothing, if it is.
    pub(super) fn undo(&mut self) -> String {
        let mut undo = String::new();
        let control = std::mem::take(self);
        if control.pushed_keys > 0 {
            let _infallible = write!(undo, "\x1b[<{}u", control.pushed_keys);
        }
        if control.modified_keys {
            undo.push_str("\x1b[>4;0m");
        }
        if control.application_keypad {
            undo.push_str("\x1b>");
        }
        // The second screen is left last of those that are on: its cursor and colours go with it.
        for mode in USUALLY_OFF.into_iter().filter(|mode| control.changed.contains(mode)) {
            let _infallible = write!(undo, "\x1b[?{mode}l");
        }
        for mode in USUALLY_ON.into_iter().filter(|mode| control.changed.contains(mode)) {
            let _infallible = write!(undo, "\x1b[?{mode}h");
        }
        undo
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'=' => self.application_keypad = true,
            b'>' => self.application_keypad = false,
            // A reset.
            b'c' => *self = Self::default(),
            _ => {}
        }
    }

    fn obey(&mut self, last: u8) -> Option<Question> {
        let (first, rest) = match self.sequence.split_first() {
            Some((first @ (b'?' | b'>' | b'<' | b'='), rest)) => (*first, rest),
            _ => (b' ', self.sequence.as_slice()),
        };
        let parameters = std::str::from_utf8(rest).unwrap_or_default();
        let number = || parameters.parse().unwrap_or(1_u16);
        match (first, last) {
            (b'?', b'h' | b'l') => {
                for mode in parameters.split(';').filter_map(|mode| mode.parse().ok()) {
                    let changes =
                        (USUALLY_OFF.contains(&mode) && last == b'h') || (USUALLY_ON.contains(&mode) && last == b'l');
                    if changes {
                        self.changed.insert(mode);
                    } else {
                        self.changed.remove(&mode);
                    }
                }
            }
            (b'>', b'u') => self.pushed_keys = self.pushed_keys.saturating_add(1),
            (b'<', b'u') => self.pushed_keys = self.pushed_keys.saturating_sub(number()),
            (b'>', b'm') if parameters.starts_with('4') => {
                self.modified_keys = !matches!(parameters, "4" | "4;" | "4;0");
            }
            (b' ', b'n') if parameters == "6" => return Some(Question::Cursor),
            (b' ', b'n') if parameters == "5" => return Some(Question::Status),
            (b' ', b'c') if matches!(parameters, "" | "0") => return Some(Question::Abilities),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_leaves_on_is_undone_and_nothing_else() {
        let mut control = Control::default();
        control.read(b"text \x1b[31mred\x1b[0m \x1b]0;title\x07");
        assert_eq!(control.undo(), "");
        control.read(b"\x1b[?1049h\x1b[?25l\x1b[?1000;1006h\x1b[?2004h\x1b[>1u\x1b[>4;2m\x1b=");
        assert!(control.pastes());
        assert_eq!(control.undo(), "\x1b[<1u\x1b[>4;0m\x1b>\x1b[?1000l\x1b[?1006l\x1b[?2004l\x1b[?1049l\x1b[?25h");
        assert_eq!((control.undo().as_str(), control.pastes()), ("", false));
        control.read(b"\x1b[?1049h\x1b[?25l\x1b[>1u\x1b[<u\x1b[>4;2m\x1b[>4m\x1b[?25h\x1b[?1049l");
        assert_eq!(control.undo(), "");
        control.read(b"\x1b[?1003h\x1b[?2004h\x1bc");
        assert_eq!(control.undo(), "");
    }

    #[test]
    fn sequences_are_read_wherever_they_are_cut() {
        let output = b"a\x1b[?2004hb\x1b[?25l\x1b[6n";
        for at in 0..=output.len() {
            let mut control = Control::default();
            let mut questions = control.read(&output[..at]);
            questions.extend(control.read(&output[at..]));
            assert_eq!(questions, [Question::Cursor], "cut at {at}");
            assert_eq!(control.undo(), "\x1b[?2004l\x1b[?25h", "cut at {at}");
        }
    }

    #[test]
    fn questions_are_told_from_answers_and_noise() {
        let mut control = Control::default();
        assert_eq!(control.read(b"\x1b[5n\x1b[c\x1b[0c\x1b[?6n\x1b[>c\x1b[?1;2c"), {
            [Question::Status, Question::Abilities, Question::Abilities]
        });
        let noise = [b"\x1b[".as_slice(), &[b'1'; 1_000], b"n\x1b[?2004"].concat();
        assert_eq!(control.read(&noise), []);
        assert!(!control.pastes());
        control.read(b"\x18h");
        assert!(!control.pastes(), "it was broken off");
        assert_eq!(Question::Cursor.answer((3, 7)), "\x1b[3;7R");
    }
}
