//! Where sequences begin and end in what a program prints.
//!
//! Output is cut anywhere. A viewer who comes in the middle of a sequence needs its beginning, and a string that never ends must
//! not be kept by the emulator.

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
/// Cancel and substitute end any sequence.
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ST: u8 = 0x9c;

/// The longest string (a title, an image) that the emulator gets to see. The rest of a longer one is left out.
const LONGEST: usize = 64 << 10;

/// How much of a sequence that has not ended a viewer gets. It knows then that it is in one, whatever comes.
const KEPT: usize = 4 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    Escape,
    /// After an escape with more than one character.
    Intermediate,
    Csi,
    Osc,
    /// A string that has not come to its data.
    Dcs,
    Data,
    /// A string that means nothing.
    Ignored,
}

/// Follows a program's output.
#[derive(Debug)]
pub(super) struct Parts {
    state: State,
    /// The beginning of what has not ended.
    begun: Vec<u8>,
    /// How long the string is by now.
    length: usize,
}

impl Default for Parts {
    fn default() -> Self {
        Self { state: State::Ground, begun: Vec::new(), length: 0 }
    }
}

impl Parts {
    /// Reads on, and gives to `feed` all but what is too long.
    pub(super) fn read(&mut self, bytes: &[u8], mut feed: impl FnMut(&[u8])) {
        // Where that begins which is to be fed.
        let mut from = 0;
        let mut at = 0;
        if self.state == State::Ground && !self.begun.is_empty() {
            at = self.finish_character(bytes);
        }
        while let Some(&byte) = bytes.get(at) {
            if self.state == State::Ground {
                match memchr::memchr(ESC, &bytes[at..]) {
                    Some(offset) => {
                        at += offset + 1;
                        self.begin();
                    }
                    None => {
                        let text = &bytes[at..];
                        self.begun.clear();
                        self.begun.extend_from_slice(&text[text.len() - open_character(text)..]);
                        at = bytes.len();
                    }
                }
                continue;
            }
            if self.in_string() && !ends_string(self.state, byte) {
                self.length += 1;
                if self.length == LONGEST {
                    feed(&bytes[from..at]);
                }
                if self.length >= LONGEST {
                    from = at + 1;
                }
            }
            self.step(byte);
            at += 1;
        }
        feed(&bytes[from..]);
    }

    /// What has begun and not ended.
    pub(super) fn unfinished(&self) -> &[u8] {
        &self.begun
    }

    const fn in_string(&self) -> bool {
        matches!(self.state, State::Osc | State::Dcs | State::Data | State::Ignored)
    }

    fn begin(&mut self) {
        self.state = State::Escape;
        self.begun.clear();
        self.begun.push(ESC);
        self.length = 0;
    }

    fn end(&mut self) {
        self.state = State::Ground;
        self.begun.clear();
    }

    fn step(&mut self, byte: u8) {
        match (self.state, byte) {
            (_, CAN | SUB) | (State::Osc, BEL) | (State::Data, ST) => return self.end(),
            (_, ESC) => return self.begin(),
            // Carried out at once, and so not to be repeated.
            (State::Escape | State::Intermediate | State::Csi, 0x00..=0x1f) => return,
            (State::Escape, 0x20..=0x2f) => self.state = State::Intermediate,
            (State::Escape, b'[') => self.state = State::Csi,
            (State::Escape, b']') => self.state = State::Osc,
            (State::Escape, b'P') => self.state = State::Dcs,
            (State::Escape, b'X' | b'^' | b'_') => self.state = State::Ignored,
            (State::Escape | State::Intermediate, 0x30..=0x7e) | (State::Csi, 0x40..=0x7e) => return self.end(),
            (State::Dcs, 0x40..=0x7e) => self.state = State::Data,
            _ => {}
        }
        if self.begun.len() < KEPT {
            self.begun.push(byte);
        }
    }

    /// Goes on in a character whose beginning came before; how many of the bytes belong to it.
    fn finish_character(&mut self, bytes: &[u8]) -> usize {
        let missing = length(self.begun.first().copied().unwrap_or_default()).saturating_sub(self.begun.len());
        let rest = bytes.iter().take(missing).take_while(|byte| is_continuation(**byte)).count();
        self.begun.extend_from_slice(&bytes[..rest]);
        if rest == missing || rest < bytes.len() {
            self.begun.clear();
        }
        rest
    }
}

const fn ends_string(state: State, byte: u8) -> bool {
    matches!((state, byte), (_, CAN | SUB | ESC) | (State::Osc, BEL) | (State::Data, ST))
}

const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// How many bytes a character has that begins like this.
const fn length(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

/// How many bytes at the end are the beginning of a character.
fn open_character(text: &[u8]) -> usize {
    let last = text.iter().rev().take(3);
    let Some(back) = last.clone().position(|byte| !is_continuation(*byte)) else { return 0 };
    let first = text[text.len() - 1 - back];
    if length(first) > back + 1 { back + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &[u8]) -> Vec<u8> {
        let mut parts = Parts::default();
        parts.read(text, |_| ());
        let whole = parts.unfinished().to_vec();
        let mut parts = Parts::default();
        for byte in text {
            parts.read(std::slice::from_ref(byte), |_| ());
        }
        assert_eq!(whole, parts.unfinished(), "cut into bytes, {text:?} is the same");
        whole
    }

    #[test]
    fn what_has_begun_is_known() {
        for (text, begun) in [
            (&b"text"[..], &b""[..]),
            (b"\x1b[1mred\x1b[0m", b""),
            (b"red\x1b[3", b"\x1b[3"),
            (b"red\x1b[3\n8;5", b"\x1b[38;5"),
            (b"\x1b[3\x1b", b"\x1b"),
            (b"\x1b[3\x18text", b""),
            (b"\x1b(", b"\x1b("),
            (b"\x1b(B", b""),
            (b"\x1b]2;tit", b"\x1b]2;tit"),
            (b"\x1b]2;title\x07", b""),
            (b"\x1b]2;title\x1b", b"\x1b"),
            (b"\x1b]2;title\x1b\\", b""),
            (b"\x1bP+q\x07", b"\x1bP+q\x07"),
            (b"\x1bP+q\x9c", b""),
            ("…".as_bytes(), b""),
            (b"x\xe2\x80", b"\xe2\x80"),
            (b"x\xe2\x80x", b""),
            (b"x\xe2\x1b[", b"\x1b["),
            (b"\xf0\x9f\x98", b"\xf0\x9f\x98"),
            (b"\xff\xfe\x80\x80", b""),
        ] {
            assert_eq!(after(text), begun, "{text:?}");
        }
    }

    #[test]
    fn all_but_the_rest_of_a_long_string_is_fed() {
        for cut in [1, 7, 4_096, 1 << 20] {
            let mut text = b"before\x1b]2;".to_vec();
            text.extend(std::iter::repeat_n(b'x', 3 * LONGEST));
            text.extend_from_slice(b"\x1b\\after\x1b[1m");
            let (mut parts, mut fed) = (Parts::default(), Vec::new());
            for part in text.chunks(cut) {
                parts.read(part, |part| fed.extend_from_slice(part));
                assert!(parts.unfinished().len() <= KEPT);
            }
            assert!(fed.starts_with(b"before\x1b]2;xxx") && fed.ends_with(b"x\x1b\\after\x1b[1m"));
            assert!((LONGEST..LONGEST + 64).contains(&fed.len()), "{} bytes are fed", fed.len());
        }
    }
}
