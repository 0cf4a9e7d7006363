//! Frames on a connection: what comes in, and what waits to go out.
//!
//! What goes out is never copied: a header is made at the moment of writing, and the bytes of a message are those that
//! all its readers share. Many frames leave with one call to the system.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::support::{Outgoing, Queue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::line::Line;
use super::parser::{Heard, Parser};

/// What is read at once.
const READ: usize = 8 << 10;

/// Frames that are written at once.
const BATCH: usize = 32;

/// While so many bytes wait to be written, nothing more is read from the client or taken from its streams.
const ROOM: usize = 64 << 10;

/// While so many bytes wait to be written, no raw data is taken from its source. With the frame that comes below this,
/// there is still [`ROOM`] for answers, so that a client that reads nothing is heard none the less.
const ROOM_FOR_RAW: usize = 32 << 10;

/// Beyond this, nothing goes in but what must be said.
const FULL: usize = 1 << 20;

/// The longest header of a frame that is not masked.
const LONGEST_HEAD: usize = 10;

/// Why nothing more can be heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Deaf {
    /// What came is not to be read; the connection is to be closed with this code.
    Broken(CloseCode),
    /// The connection is gone.
    Lost,
}

/// One connection.
pub(super) struct Wire<S> {
    stream: S,
    parser: Parser,
    /// What has been read and not been parsed.
    rest: Bytes,
    queue: Queue<Waiting>,
    /// Bytes of the queue's first frame that are gone.
    gone: usize,
    /// What the queue holds in memory, about.
    waiting: usize,
}

/// A frame that waits.
struct Waiting {
    opcode: Opcode,
    payload: Bytes,
}

#[derive(Debug, Clone, Copy)]
enum Opcode {
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// `rest` is what came before the socket began. Messages and, if it takes any, raw data are at most `largest` bytes.
    pub(super) const fn new(stream: S, rest: Bytes, largest: usize, takes_raw: bool) -> Self {
        Self { stream, parser: Parser::new(largest, takes_raw), rest, queue: Queue::new(), gone: 0, waiting: 0 }
    }

    pub(super) fn send(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Text(text) => self.push(Opcode::Text, text.into()),
            Outgoing::Binary(data) => self.push(Opcode::Binary, data),
        }
    }

    pub(super) fn ping(&mut self) {
        self.push(Opcode::Ping, Bytes::new());
    }

    pub(super) fn pong(&mut self, payload: Bytes) {
        self.push(Opcode::Pong, payload);
    }

    /// Says goodbye. Without a code, because the client gave none, so does the answer.
    pub(super) fn goodbye(&mut self, code: Option<u16>, reason: &str) {
        let mut payload = BytesMut::with_capacity(2 + reason.len());
        if let Some(code) = code {
            payload.put_u16(code);
            payload.put_slice(reason.as_bytes());
        }
        self.push(Opcode::Close, payload.freeze());
    }

    fn push(&mut self, opcode: Opcode, payload: Bytes) {
        let frame = Waiting { opcode, payload };
        self.waiting += frame.weight();
        self.queue.push(frame);
    }

    /// Gives back room that was not needed since the last time.
    pub(super) fn tidy(&mut self) {
        self.queue.tidy();
    }

    /// Whether more may be put into the queue. What must be said goes in anyway.
    pub(super) const fn has_room(&self) -> bool {
        self.waiting < ROOM
    }

    /// Whether raw data may be put into the queue.
    pub(super) const fn has_room_for_raw(&self) -> bool {
        self.waiting < ROOM_FOR_RAW
    }

    /// Whether not even a little more may be put into the queue.
    pub(super) const fn is_full(&self) -> bool {
        self.waiting >= FULL
    }

    /// The next thing that the client says.
    pub(super) fn poll_heard(&mut self, context: &mut Context<'_>, line: &Line) -> Poll<Result<Heard, Deaf>> {
        if !self.rest.is_empty() {
            let mut input: &[u8] = &self.rest;
            let heard = self.parser.read(&mut input);
            let parsed = self.rest.len() - input.len();
            self.rest.advance(parsed);
            if self.rest.is_empty() {
                self.rest = Bytes::new();
            }
            if let Some(heard) = heard.transpose() {
                return Poll::Ready(heard.map_err(Deaf::Broken));
            }
        }
        loop {
            let mut room = [MaybeUninit::uninit(); READ];
            let mut buffer = ReadBuf::uninit(&mut room);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Err(Deaf::Lost));
            }
            line.heard();
            let mut input = buffer.filled();
            if let Some(heard) = self.parser.read(&mut input).transpose() {
                self.rest = Bytes::copy_from_slice(input);
                return Poll::Ready(heard.map_err(Deaf::Broken));
            }
        }
    }

    /// Writes what waits. Ready when all of it is gone.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, line: &Line) -> Poll<io::Result<()>> {
        if self.queue.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.queue.is_empty() {
            let written = match self.poll_write_some(context) {
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    line.blocked(true);
                    return Poll::Pending;
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            line.moved();
            self.forget(written);
        }
        line.blocked(false);
        // There is no flush: nothing below keeps anything back.
        Poll::Ready(Ok(()))
    }

    fn poll_write_some(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut heads = [Head::default(); BATCH];
        for (head, frame) in heads.iter_mut().zip(self.queue.iter()) {
            *head = frame.head();
        }
        let mut slices = [IoSlice::new(&[]); 2 * BATCH];
        let mut filled = 0;
        let mut gone = self.gone;
        for (head, frame) in heads.iter().zip(self.queue.iter()) {
            for part in [head.bytes(), &frame.payload] {
                let skipped = gone.min(part.len());
                gone -= skipped;
                if skipped < part.len() {
                    slices[filled] = IoSlice::new(&part[skipped..]);
                    filled += 1;
                }
            }
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, &slices[..filled])
    }

    /// So many bytes are gone.
    fn forget(&mut self, written: usize) {
        self.gone += written;
        while let Some(first) = self.queue.front() {
            let length = first.head().bytes().len() + first.payload.len();
            if self.gone < length {
                break;
            }
            self.gone -= length;
            self.waiting -= first.weight();
            self.queue.pop();
        }
    }

    /// Delivers what waits, for at most `deliver`, and then ends the connection. A client that still talks is listened to
    /// for `linger`: a connection that is dropped with something unread takes back what it has delivered.
    pub(super) async fn finish(mut self, line: &Line, deliver: Duration, linger: Duration) {
        let delivered = tokio::time::timeout(deliver, async {
            poll_fn(|context| self.poll_write(context, line)).await?;
            poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context)).await
        });
        if !matches!(delivered.await, Ok(Ok(()))) {
            return;
        }
        let _ = tokio::time::timeout(linger, poll_fn(|context| self.poll_drain(context))).await;
    }

    /// Reads to the end, and forgets it.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut room = [MaybeUninit::uninit(); READ];
            let mut buffer = ReadBuf::uninit(&mut room);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

/// A header.
#[derive(Clone, Copy, Default)]
struct Head {
    bytes: [u8; LONGEST_HEAD],
    length: usize,
}

impl Head {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Waiting {
    /// Not only its bytes: a thousand empty frames are something, too.
    const fn weight(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }

    fn head(&self) -> Head {
        let mut bytes = [0; LONGEST_HEAD];
        bytes[0] = 0x80 | self.opcode as u8;
        let length = match self.payload.len() {
            length @ 0..126 => {
                bytes[1] = length as u8;
                2
            }
            length @ 126..65_536 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            length => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(length as u64).to_be_bytes());
                LONGEST_HEAD
            }
        };
        Head { bytes, length }
    }
}
