//! From bytes to what a client said: the reading half of the WebSocket protocol, RFC 6455.
//!
//! Written here because a socket stays for hours and is mostly idle: this reader keeps nothing between two frames, where
//! a general one keeps a buffer as large as the largest message it ever saw. What a text means does not belong here.

use bytes::Bytes;
use flightdeck_api::generated::sockets::CloseCode;

/// The longest header: two bytes, a length of eight, a mask of four.
const LONGEST_HEAD: usize = 14;

/// The largest payload of a control frame.
const LARGEST_CONTROL: usize = 125;

/// Something that a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Text(String),
    /// Raw data.
    Binary(Bytes),
    /// A part of a text or of raw data, and not its last.
    Part,
    /// To be answered with the same bytes.
    Ping(Bytes),
    Pong,
    /// The client says goodbye, with a code if it gave one.
    Close(Option<u16>),
}

/// Reads frames, however the network cuts them.
#[derive(Debug)]
pub(super) struct Parser {
    largest: usize,
    /// Whether raw data is taken.
    raw: bool,
    /// Whether the message that is being read is raw data.
    binary: bool,
    /// The header of the next frame, as far as it is here.
    head: [u8; LONGEST_HEAD],
    head_length: u8,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message so far, without its mask.
    message: Vec<u8>,
    /// Whether a message was begun by an earlier frame and is not complete.
    fragmented: bool,
    /// The payload of a control frame so far. Those may come between the fragments of a message.
    control: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    kind: Kind,
    last: bool,
    /// Of the next byte, and the three after it.
    mask: [u8; 4],
    left: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Close,
    Ping,
    Pong,
}

impl Parser {
    /// Takes messages of at most `largest` bytes, and raw data only if told so.
    pub(super) const fn new(largest: usize, raw: bool) -> Self {
        Self {
            largest,
            raw,
            binary: false,
            head: [0; LONGEST_HEAD],
            head_length: 0,
            frame: None,
            message: Vec::new(),
            fragmented: false,
            control: Vec::new(),
        }
    }

    /// Reads on, until a frame is complete or there is no more input. What was read is gone from `input`.
    ///
    /// # Errors
    /// The code to close with. Nothing can be read after that.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Heard>, CloseCode> {
        let mut frame = match self.frame {
            Some(frame) => frame,
            None => match self.read_head(input)? {
                Some(frame) => frame,
                None => return Ok(None),
            },
        };
        let payload = if frame.kind == Kind::Data { &mut self.message } else { &mut self.control };
        let (here, later) = input.split_at(frame.left.min(input.len()));
        let begin = payload.len();
        payload.extend_from_slice(here);
        unmask(&mut payload[begin..], frame.mask);
        frame.mask.rotate_left(here.len() % 4);
        frame.left -= here.len();
        *input = later;
        if frame.left > 0 {
            self.frame = Some(frame);
            return Ok(None);
        }
        self.frame = None;
        self.complete(frame).map(Some)
    }

    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, CloseCode> {
        loop {
            let length = usize::from(self.head_length);
            if length >= 2 && length == head_length(self.head[1]) {
                break;
            }
            let Some((byte, later)) = input.split_first() else { return Ok(None) };
            self.head[length] = *byte;
            self.head_length += 1;
            *input = later;
        }
        let head = &self.head[..usize::from(std::mem::take(&mut self.head_length))];
        let (last, reserved, opcode) = (head[0] & 0x80 != 0, head[0] & 0x70, head[0] & 0x0f);
        let masked = head[1] & 0x80 != 0;
        let Some((length, mask)) = head[2..].split_last_chunk::<4>() else { return Err(CloseCode::ProtocolError) };
        if reserved != 0 || !masked {
            return Err(CloseCode::ProtocolError);
        }
        let length = match length {
            [] => u64::from(head[1] & 0x7f),
            bytes => bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let length = usize::try_from(length).map_err(|_| CloseCode::TooLarge)?;
        let kind = match opcode {
            0 if self.fragmented => Kind::Data,
            1 if !self.fragmented => Kind::Data,
            2 if !self.fragmented && !self.raw => return Err(CloseCode::UnsupportedData),
            2 if !self.fragmented => Kind::Data,
            8 => Kind::Close,
            9 => Kind::Ping,
            10 => Kind::Pong,
            _ => return Err(CloseCode::ProtocolError),
        };
        match kind {
            Kind::Data if length > self.largest - self.message.len() => return Err(CloseCode::TooLarge),
            Kind::Close | Kind::Ping | Kind::Pong if !last || length > LARGEST_CONTROL => {
                return Err(CloseCode::ProtocolError);
            }
            _ => {}
        }
        if matches!(opcode, 1 | 2) {
            self.binary = opcode == 2;
        }
        Ok(Some(Frame { kind, last, mask: *mask, left: length }))
    }

    /// What a frame whose payload is here means.
    fn complete(&mut self, frame: Frame) -> Result<Heard, CloseCode> {
        if frame.kind == Kind::Data {
            self.fragmented = !frame.last;
            if self.fragmented {
                return Ok(Heard::Part);
            }
            let message = std::mem::take(&mut self.message);
            if self.binary {
                return Ok(Heard::Binary(message.into()));
            }
            let text = String::from_utf8(message).map_err(|_| CloseCode::InvalidText)?;
            return Ok(Heard::Text(text));
        }
        let payload = std::mem::take(&mut self.control);
        Ok(match frame.kind {
            Kind::Ping => Heard::Ping(payload.into()),
            Kind::Close => Heard::Close(close_code(&payload)?),
            Kind::Pong | Kind::Data => Heard::Pong,
        })
    }
}

/// How long a header is, by its second byte.
const fn head_length(second: u8) -> usize {
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    2 + length + mask
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let mut words = bytes.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, mask) in word.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// The code in a close frame, if there is one and it may be there.
fn close_code(payload: &[u8]) -> Result<Option<u16>, CloseCode> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(CloseCode::ProtocolError) };
    };
    match u16::from_be_bytes(*code) {
        _ if std::str::from_utf8(reason).is_err() => Err(CloseCode::InvalidText),
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(code)),
        _ => Err(CloseCode::ProtocolError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client writes it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..126 => bytes.push(0x80 | length as u8),
            length @ 126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// Everything that is heard when the bytes come in pieces of `size`.
    fn read(bytes: &[u8], size: usize) -> Result<Vec<Heard>, CloseCode> {
        read_by(Parser::new(100_000, false), bytes, size)
    }

    fn read_by(mut parser: Parser, bytes: &[u8], size: usize) -> Result<Vec<Heard>, CloseCode> {
        let mut heard = Vec::new();
        for piece in bytes.chunks(size) {
            let mut input = piece;
            while let Some(something) = parser.read(&mut input)? {
                heard.push(something);
            }
            assert!(input.is_empty(), "it stops only when something is complete");
        }
        Ok(heard)
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let long = "ä".repeat(40_000);
        let medium = "x".repeat(126);
        let mut bytes = Vec::new();
        bytes.extend(frame(0x81, b"hello"));
        bytes.extend(frame(0x81, b""));
        bytes.extend(frame(0x81, medium.as_bytes()));
        bytes.extend(frame(0x81, long.as_bytes()));
        bytes.extend(frame(0x8a, b"whatever"));
        // A ping between the fragments of a message, one of which cuts a character.
        bytes.extend(frame(0x01, &"aä".as_bytes()[..2]));
        bytes.extend(frame(0x89, b"are you there"));
        bytes.extend(frame(0x00, &"aä".as_bytes()[2..]));
        bytes.extend(frame(0x80, b"!"));
        bytes.extend(frame(0x88, &[&4001_u16.to_be_bytes()[..], b"bye"].concat()));
        for size in [1, 2, 3, 5, 7, 64, 1_000, bytes.len()] {
            let heard = read(&bytes, size).expect("all of it is right");
            let expected = [
                Heard::Text("hello".into()),
                Heard::Text(String::new()),
                Heard::Text(medium.clone()),
                Heard::Text(long.clone()),
                Heard::Pong,
                Heard::Part,
                Heard::Ping(Bytes::from_static(b"are you there")),
                Heard::Part,
                Heard::Text("aä!".into()),
                Heard::Close(Some(4001)),
            ];
            assert!(heard == expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_breaks_the_protocol_ends_it_with_the_right_code() {
        let mut unmasked = frame(0x81, b"");
        unmasked[1] = 0;
        let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
        let grown = [frame(0x01, &[b'x'; 60_000]), frame(0x80, &[b'x'; 60_000])].concat();
        let twice = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
        let binary_within = [frame(0x01, b"a"), frame(0x82, b"b")].concat();
        let cases = [
            ("no mask", unmasked, CloseCode::ProtocolError),
            ("a reserved bit", frame(0xc1, b""), CloseCode::ProtocolError),
            ("a reserved opcode", frame(0x83, b""), CloseCode::ProtocolError),
            ("a reserved control opcode", frame(0x8b, b""), CloseCode::ProtocolError),
            ("a continuation of nothing", frame(0x80, b"x"), CloseCode::ProtocolError),
            ("a message within another", twice, CloseCode::ProtocolError),
            ("a binary message within another", binary_within, CloseCode::ProtocolError),
            ("a control frame in fragments", frame(0x09, b""), CloseCode::ProtocolError),
            ("a large control frame", frame(0x89, &[0; 126]), CloseCode::ProtocolError),
            ("half a close code", frame(0x88, &[3]), CloseCode::ProtocolError),
            ("a close code for nobody's use", frame(0x88, &1005_u16.to_be_bytes()), CloseCode::ProtocolError),
            ("a close code of nobody", frame(0x88, &999_u16.to_be_bytes()), CloseCode::ProtocolError),
            ("a reason that is no text", frame(0x88, &[3, 0xe8, 0xff]), CloseCode::InvalidText),
            ("a text that is none", frame(0x81, &[0xc3, 0x28]), CloseCode::InvalidText),
            ("a binary message", frame(0x82, b"x"), CloseCode::UnsupportedData),
            ("a large message", frame(0x81, &[b'x'; 100_001]), CloseCode::TooLarge),
            ("a large message in fragments", grown, CloseCode::TooLarge),
            ("the largest length", huge, CloseCode::TooLarge),
        ];
        for (what, bytes, code) in cases {
            for size in [1, bytes.len()] {
                assert_eq!(read(&bytes, size), Err(code), "{what}");
            }
        }
    }

    #[test]
    fn raw_data_is_taken_where_it_is_expected() {
        let mut bytes = Vec::new();
        bytes.extend(frame(0x82, b"\xff\xc3"));
        bytes.extend(frame(0x82, b""));
        // A text in fragments after raw data in fragments: each stays what it began as.
        bytes.extend(frame(0x02, b"\xc3"));
        bytes.extend(frame(0x89, b"?"));
        bytes.extend(frame(0x80, b"\x28"));
        bytes.extend(frame(0x01, b"a"));
        bytes.extend(frame(0x80, b"b"));
        for size in [1, 3, bytes.len()] {
            let heard = read_by(Parser::new(100_000, true), &bytes, size).expect("all of it is right");
            let expected = [
                Heard::Binary(Bytes::from_static(b"\xff\xc3")),
                Heard::Binary(Bytes::new()),
                Heard::Part,
                Heard::Ping(Bytes::from_static(b"?")),
                Heard::Binary(Bytes::from_static(b"\xc3\x28")),
                Heard::Part,
                Heard::Text("ab".into()),
            ];
            assert!(heard == expected, "in pieces of {size}: {heard:?}");
        }
        let grown = [frame(0x02, &[b'x'; 60_000]), frame(0x80, &[b'x'; 60_000])].concat();
        let cases = [
            ("large raw data", frame(0x82, &[b'x'; 100_001]), CloseCode::TooLarge),
            ("large raw data in fragments", grown, CloseCode::TooLarge),
            ("raw data within another", [frame(0x02, b"a"), frame(0x82, b"b")].concat(), CloseCode::ProtocolError),
            ("a text within raw data", [frame(0x02, b"a"), frame(0x81, b"b")].concat(), CloseCode::ProtocolError),
        ];
        for (what, bytes, code) in cases {
            assert_eq!(read_by(Parser::new(100_000, true), &bytes, bytes.len()), Err(code), "{what}");
        }
    }

    #[test]
    fn a_large_announcement_costs_nothing() {
        let mut parser = Parser::new(1 << 20, false);
        let whole = frame(0x81, &vec![b'x'; 1 << 20]);
        assert_eq!(parser.read(&mut &whole[..100]), Ok(None));
        assert!(parser.message.capacity() < 1_000, "room is made as bytes come");
    }

    #[test]
    fn nothing_is_kept_between_messages() {
        let mut parser = Parser::new(1 << 20, false);
        let bytes = frame(0x81, &vec![b'x'; 100_000]);
        assert!(matches!(parser.read(&mut &*bytes), Ok(Some(Heard::Text(_)))));
        assert_eq!((parser.message.capacity(), parser.control.capacity()), (0, 0));
    }
}
