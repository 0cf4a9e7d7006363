//! A WebSocket client that understands just enough, so that a thousand of them cost the load generator next to nothing: it
//! masks with zeros, and looks into a frame only where it is asked to.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::connection::find;

/// An open socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the next frame begins.
    begin: usize,
}

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

impl Socket {
    /// Opens `target` (path and query) and reads the first message.
    pub(crate) async fn open(address: &str, target: &str) -> Result<Self> {
        Self::open_on(TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?, target)
            .await
    }

    /// The same on a connection that is there already.
    pub(crate) async fn open_on(mut stream: TcpStream, target: &str) -> Result<Self> {
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::with_capacity(1024);
        let head = loop {
            ensure!(
                stream.read_buf(&mut buffer).await? > 0,
                "the server closed the connection instead of upgrading it"
            );
            if let Some(head) = find(&buffer, b"\r\n\r\n") {
                break head + 4;
            }
        };
        let status = &buffer[..buffer.len().min(12)];
        ensure!(status == b"HTTP/1.1 101", "{target} answered {}", String::from_utf8_lossy(&buffer));
        let mut socket = Self { stream, buffer, begin: head };
        socket.message().await.context("waiting for the first message")?;
        Ok(socket)
    }

    pub(crate) async fn send(&mut self, text: &str) -> Result<()> {
        self.frame(TEXT, text.as_bytes()).await
    }

    async fn frame(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ ..126 => frame.push(0x80 | u8::try_from(length)?),
            length @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(length)?.to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        // Masked with zeros, which changes nothing.
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await.context("sending a message")
    }

    /// Waits for the next message.
    pub(crate) async fn message(&mut self) -> Result<&[u8]> {
        loop {
            if let Some((opcode, payload, end)) = parse(&self.buffer, self.begin) {
                self.begin = end;
                match opcode {
                    TEXT => return Ok(&self.buffer[payload..end]),
                    PING => self.frame(PONG, &[]).await?,
                    CLOSE => anyhow::bail!("the server closed the socket: {:?}", &self.buffer[payload..end]),
                    _ => {}
                }
                continue;
            }
            self.more().await?;
        }
    }

    /// Waits until a message contains `text`.
    pub(crate) async fn wait_for(&mut self, text: &[u8]) -> Result<()> {
        loop {
            if find(self.message().await?, text).is_some() {
                return Ok(());
            }
        }
    }

    /// Waits for messages, hands over each that is there, and counts them.
    pub(crate) async fn messages(&mut self, mut look: impl FnMut(&[u8])) -> Result<usize> {
        let mut count = 0;
        loop {
            while let Some((opcode, payload, end)) = parse(&self.buffer, self.begin) {
                self.begin = end;
                match opcode {
                    TEXT => {
                        count += 1;
                        look(&self.buffer[payload..end]);
                    }
                    PING => self.frame(PONG, &[]).await?,
                    CLOSE => anyhow::bail!("the server closed the socket: {:?}", &self.buffer[payload..end]),
                    _ => {}
                }
            }
            if count > 0 {
                return Ok(count);
            }
            self.more().await?;
        }
    }

    /// Lets go of what is read, so that an idle socket holds no buffer; reads nothing more.
    pub(crate) fn into_idle(self) -> TcpStream {
        self.stream
    }

    async fn more(&mut self) -> Result<()> {
        if self.begin == self.buffer.len() {
            self.buffer.clear();
            self.begin = 0;
        } else if self.begin > 32 << 10 {
            self.buffer.drain(..self.begin);
            self.begin = 0;
        }
        if self.buffer.capacity() - self.buffer.len() < 2_048 {
            self.buffer.reserve(self.buffer.len().max(4_096));
        }
        let count = self.stream.read_buf(&mut self.buffer).await.context("waiting for a message")?;
        ensure!(count > 0, "the server closed the connection");
        Ok(())
    }
}

/// The frame at `begin`, if all of it is there: its opcode, and where its payload begins and ends.
fn parse(buffer: &[u8], begin: usize) -> Option<(u8, usize, usize)> {
    let head = buffer.get(begin..begin + 2)?;
    let (payload, length) = match head[1] & 0x7f {
        126 => (begin + 4, usize::from(u16::from_be_bytes(buffer.get(begin + 2..begin + 4)?.try_into().ok()?))),
        127 => {
            let length = u64::from_be_bytes(buffer.get(begin + 2..begin + 10)?.try_into().ok()?);
            (begin + 10, usize::try_from(length).ok()?)
        }
        length => (begin + 2, usize::from(length)),
    };
    let end = payload + length;
    (end <= buffer.len()).then_some((head[0] & 15, payload, end))
}
