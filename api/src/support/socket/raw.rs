//! Raw data on its way to a client: cut into frames, and as text for a client that reads nothing else.

use bytes::{Bytes, BytesMut};

use super::{Frame, Outbox, SendsRaw};

/// The largest frame of raw data that the server sends. A client may have to hold a whole frame, and between two frames
/// a message has its turn.
pub const RAW_FRAME: usize = 16 << 10;

/// What becomes a byte that is no UTF-8.
const REPLACEMENT: &str = "\u{fffd}";

/// Sends raw data on one connection, in the form that its client reads.
#[derive(Debug)]
pub struct RawSender {
    form: Form,
}

#[derive(Debug)]
enum Form {
    Binary,
    /// With the beginning of a character whose rest has not come yet: three bytes at most.
    Text(BytesMut),
}

impl RawSender {
    /// As binary frames: what clients expect that do not ask for something else. The bytes are not copied.
    #[must_use]
    pub const fn binary() -> Self {
        Self { form: Form::Binary }
    }

    /// As text frames. A character that is cut waits for its rest, and what is no UTF-8 becomes U+FFFD. No frame is a JSON
    /// object, whatever the data is: that is how the client tells a message.
    #[must_use]
    pub fn text() -> Self {
        Self { form: Form::Text(BytesMut::new()) }
    }

    /// Puts data behind what waits, in frames of at most [`RAW_FRAME`] bytes of it.
    pub fn send<M: SendsRaw>(&mut self, mut data: Bytes, out: &mut Outbox<M>) {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(RAW_FRAME));
            match &mut self.form {
                Form::Binary => out.send_raw(piece),
                Form::Text(cut) => send_text(whole(cut, piece), out),
            }
        }
    }

    /// There is no more data, or something is to be said before there is more: a character that still waits for its rest
    /// goes as what it is.
    pub fn finish<M: SendsRaw>(&mut self, out: &mut Outbox<M>) {
        if let Form::Text(cut) = &mut self.form
            && !cut.is_empty()
        {
            cut.clear();
            out.send_frame(Frame::from_static(REPLACEMENT));
        }
    }
}

/// The text of what waited in `cut` and `piece`. A character that is not complete at the end waits in `cut` then.
fn whole(cut: &mut BytesMut, piece: Bytes) -> Frame {
    let piece = if cut.is_empty() {
        piece
    } else {
        cut.extend_from_slice(&piece);
        cut.split().freeze()
    };
    let piece = match Frame::try_from(piece.clone()) {
        Ok(text) => return text,
        Err(_) => piece,
    };
    let mut text = String::with_capacity(piece.len());
    let mut chunks = piece.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let invalid = chunk.invalid();
        if chunks.peek().is_none() && is_beginning(invalid) {
            cut.extend_from_slice(invalid);
        } else if !invalid.is_empty() {
            text.push_str(REPLACEMENT);
        }
    }
    text.into()
}

/// Whether more bytes could make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// In two frames, if the client would take it for a message.
fn send_text<M: SendsRaw>(text: Frame, out: &mut Outbox<M>) {
    if text.as_str().is_empty() {
        return;
    }
    // What has not both braces is no object for any reader, however lenient. Cut behind those that open it, neither part has.
    if is_braced(text.as_str()) {
        let opening = text.as_str().len() - text.as_str().trim_start_matches(['{', ' ', '\t', '\r', '\n']).len();
        let bytes = Bytes::from(text);
        for part in [bytes.slice(..opening), bytes.slice(opening..)] {
            out.send_frame(Frame::try_from(part).expect("a brace is a character of its own"));
        }
    } else {
        out.send_frame(text);
    }
}

/// Whether a reader could take the text for a JSON object, or what it takes for one.
fn is_braced(text: &str) -> bool {
    let inner = text.trim_matches([' ', '\t', '\r', '\n']);
    inner.starts_with('{') && inner.ends_with('}')
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::super::{Outgoing, ServerMessage};
    use super::*;

    #[derive(Serialize)]
    struct Never;

    impl ServerMessage for Never {
        fn name(&self) -> &'static str {
            "never"
        }
    }

    impl SendsRaw for Never {}

    fn texts(pieces: &[&[u8]]) -> Vec<String> {
        let (mut sender, mut out) = (RawSender::text(), Outbox::<Never>::new());
        for piece in pieces {
            sender.send(Bytes::copy_from_slice(piece), &mut out);
        }
        sender.finish(&mut out);
        sender.finish(&mut out);
        let text = |frame| match frame {
            Outgoing::Text(text) => text.as_str().to_owned(),
            Outgoing::Binary(_) => panic!("the client reads only text"),
        };
        out.take().into_iter().map(text).collect()
    }

    #[test]
    fn binary_data_is_cut_and_not_copied() {
        let data = Bytes::from(vec![0xff; RAW_FRAME * 2 + 1]);
        let mut out = Outbox::<Never>::new();
        RawSender::binary().send(data.clone(), &mut out);
        RawSender::binary().finish(&mut out);
        let frames = out.take();
        let mut at = data.as_ptr();
        for (frame, length) in frames.iter().zip([RAW_FRAME, RAW_FRAME, 1]) {
            let Outgoing::Binary(frame) = frame else { panic!("it is raw data") };
            assert_eq!((frame.as_ptr(), frame.len()), (at, length));
            at = at.wrapping_add(length);
        }
        assert_eq!(frames.len(), 3);
    }

    #[test]
    fn a_character_waits_for_its_rest() {
        assert_eq!(texts(&[b"a", "ä".as_bytes()]), ["a", "ä"]);
        assert_eq!(texts(&[b"a\xc3", b"\xa4b"]), ["a", "äb"]);
        assert_eq!(texts(&[b"\xf0", b"\x9f", b"\x98", b"\x80"]), ["😀"]);
        let long = "😀".repeat(RAW_FRAME);
        let pieces: Vec<&[u8]> = long.as_bytes().chunks(7).collect();
        assert_eq!(texts(&pieces).concat(), long);
        assert_eq!(texts(&[long.as_bytes()]).concat(), long);
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(texts(&[b"a\xffb"]), ["a\u{fffd}b"]);
        assert_eq!(texts(&[b"a\xe2\x82", b"b"]), ["a", "\u{fffd}b"]);
        assert_eq!(texts(&[b"a\xe2\x82"]), ["a", "\u{fffd}"], "the rest never came");
        assert_eq!(texts(&[b"\xff"]), ["\u{fffd}"]);
    }

    #[test]
    fn text_without_a_cut_character_is_not_copied() {
        let data = Bytes::from("plain".to_owned());
        let mut out = Outbox::<Never>::new();
        RawSender::text().send(data.clone(), &mut out);
        let Some(Outgoing::Text(text)) = out.pop() else { panic!("it is text") };
        assert_eq!(text.as_str().as_ptr(), data.as_ptr());
    }

    #[test]
    fn no_frame_of_text_is_a_json_object() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(1_000), "}".repeat(1_000));
        for text in [
            r#"{"type":"exit","code":0}"#,
            r#"{"code":NaN}"#,
            "{}",
            "{{}}",
            r#"{"a":1}{"b":2}"#,
            " {\"a\":[]}\r\n",
            deep.as_str(),
        ] {
            let frames = texts(&[text.as_bytes()]);
            assert_eq!(frames.len(), 2, "{text}");
            assert_eq!(frames.concat(), text);
            for frame in frames {
                assert!(!is_braced(&frame), "{frame}");
            }
        }
        for text in ["{", "[{}]", "{}x", "\u{a0}{}", "1", "\"{}\""] {
            assert_eq!(texts(&[text.as_bytes()]), [text], "it is none");
        }
    }
}
