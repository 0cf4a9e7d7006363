//! WebSocket frames by hand, the right ones and those that nobody should send.

/// Opcodes of RFC 6455.
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// The bits of a frame's second byte.
const MASKED: u8 = 0x80;
const LENGTH_IN_16_BITS: u8 = 126;
const LENGTH_IN_64_BITS: u8 = 127;

/// Any mask will do: it keeps proxies from taking a payload for a request, and there are none here.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether the message ends with it.
    pub last: bool,
    /// Three bits that are zero unless an extension was agreed on.
    pub reserved: u8,
    pub opcode: u8,
    pub masked: bool,
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message in one frame, as a client sends it.
    #[must_use]
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { last: true, reserved: 0, opcode, masked: true, payload: payload.into() }
    }

    #[must_use]
    pub fn text(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(TEXT, payload)
    }

    /// A goodbye with a code; the reason may be empty.
    #[must_use]
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// More of the message follows.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.last = false;
        self
    }

    #[must_use]
    pub fn unmasked(mut self) -> Self {
        self.masked = false;
        self
    }

    #[must_use]
    pub const fn with_reserved(mut self, bits: u8) -> Self {
        self.reserved = bits;
        self
    }

    /// The frame in bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_head(self.payload.len() as u64);
        if self.masked {
            bytes.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend_from_slice(&self.payload);
        }
        bytes
    }

    /// The bytes before the payload, which say that it has `length` bytes.
    #[must_use]
    pub fn encode_head(&self, length: u64) -> Vec<u8> {
        let mut bytes = vec![(u8::from(self.last) << 7) | ((self.reserved & 0x7) << 4) | (self.opcode & 0xF)];
        let masked = if self.masked { MASKED } else { 0 };
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length), _) if length < LENGTH_IN_16_BITS => bytes.push(masked | length),
            (_, Ok(length)) => {
                bytes.push(masked | LENGTH_IN_16_BITS);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                bytes.push(masked | LENGTH_IN_64_BITS);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend_from_slice(&MASK);
        }
        bytes
    }

    /// The first frame of `bytes`, and how long it is; `None` if it is not all there.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&[first, second], mut rest) = bytes.split_first_chunk::<2>()?;
        let length = match second & !MASKED {
            LENGTH_IN_16_BITS => {
                let (length, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                usize::from(u16::from_be_bytes(*length))
            }
            LENGTH_IN_64_BITS => {
                let (length, after) = rest.split_first_chunk::<8>()?;
                rest = after;
                usize::try_from(u64::from_be_bytes(*length)).ok()?
            }
            length => usize::from(length),
        };
        let masked = second & MASKED != 0;
        let mut mask = [0; 4];
        if masked {
            (mask, rest) = rest.split_first_chunk::<4>().map(|(mask, rest)| (*mask, rest))?;
        }
        let payload = rest.get(..length)?;
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        let frame =
            Self { last: first & 0x80 != 0, reserved: (first >> 4) & 0x7, opcode: first & 0xF, masked, payload };
        Some((frame, bytes.len() - rest.len() + length))
    }

    /// The code of a close frame; 1005 if it has none.
    #[must_use]
    pub fn close_code(&self) -> u16 {
        self.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            for frame in [Frame::text(vec![b'x'; length]), Frame::text(vec![b'x'; length]).unmasked().unfinished()] {
                let mut bytes = frame.encode();
                assert!(Frame::decode(&bytes[..bytes.len() - 1]).is_none(), "half of {length} bytes");
                let size = bytes.len();
                bytes.push(0);
                assert_eq!(Frame::decode(&bytes), Some((frame, size)), "{length} bytes");
            }
        }
    }

    #[test]
    fn a_frame_is_as_rfc_6455_has_it() {
        // Its section 5.7.
        assert_eq!(Frame::text("Hello").encode(), [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        assert_eq!(Frame::text("Hello").unmasked().encode(), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(Frame::close(1000, "").unmasked().encode(), [0x88, 0x02, 0x03, 0xe8]);
    }
}
