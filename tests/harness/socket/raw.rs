//! Sockets by hand: what the SDK would never send is what these are for. Everything that comes is judged.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::document::{Socket, Speaker};
use super::frame::{self, Frame};
use super::judge::SocketJudge;
use crate::Kind;
use crate::judge::{self, Exchange};
use crate::raw::{Answer, Request, SOCKET_ACCEPT, read_rest};

/// What takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server that upgrades says.
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";

/// An open socket.
#[derive(Debug)]
pub struct RawSocket {
    judge: SocketJudge,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    received: Vec<u8>,
    /// The code of the goodbye that this end sent; 0 if it sent none.
    goodbye: u16,
    answers_pings: bool,
}

/// What the request that opens a socket was answered.
#[derive(Debug)]
pub enum Opened {
    Socket(RawSocket),
    Refused(Answer),
}

/// Something that the server sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A message of the protocol: its name and content.
    Message(&'static str, Value),
    /// Raw data, as a binary frame or as text.
    Raw(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The goodbye: the close code's name.
    Closed(&'static str),
    /// The end of the connection, without a goodbye or after it.
    Ended,
}

impl RawSocket {
    /// Sends a request that opens a socket.
    ///
    /// # Errors
    /// There is no answer, or one that breaks the protocol.
    pub async fn open(address: &str, request: &Request, socket: &'static Socket, database: Kind) -> Result<Opened> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        Self::open_on(stream, request, socket, database).await
    }

    /// The same on a connection that is there already.
    ///
    /// # Errors
    /// There is no answer, or one that breaks the protocol.
    pub async fn open_on(
        stream: TcpStream,
        request: &Request,
        socket: &'static Socket,
        database: Kind,
    ) -> Result<Opened> {
        let answer = tokio::time::timeout(PATIENCE, handshake(stream, request)).await;
        let (stream, answer, received) = answer.context("no answer in time")??;
        let exchange = Exchange {
            database,
            method: &request.method,
            path: request.path(),
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        };
        if answer.status != 101 {
            judge::judge_refused_socket(&exchange, socket)?;
            return Ok(Opened::Refused(answer));
        }
        let accept = answer.headers.get("sec-websocket-accept").and_then(|value| value.to_str().ok());
        ensure!(accept == Some(SOCKET_ACCEPT), "the server does not prove that it speaks WebSocket: {accept:?}");
        ensure!(!answer.headers.contains_key("sec-websocket-extensions"), "nobody asked for an extension");
        let (reader, writer) = stream.into_split();
        let judge = SocketJudge { socket, database };
        Ok(Opened::Socket(Self { judge, reader, writer, received, goodbye: 0, answers_pings: true }))
    }

    /// From now on, pings of the protocol are not answered.
    #[must_use]
    pub const fn silent(mut self) -> Self {
        self.answers_pings = false;
        self
    }

    /// Says something. It is written down as said if it is a message of the protocol, and need not be one.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, message: &Value) -> Result<()> {
        self.send_text(&message.to_string()).await
    }

    /// Says something that need not be JSON.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        // Whether the server takes it is what the test looks at.
        drop(self.judge.client_said(text));
        self.send_frame(&Frame::text(text)).await
    }

    /// Sends raw data.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_raw(&mut self, data: impl Into<Vec<u8>>) -> Result<()> {
        // Whether the server takes it is what the test looks at.
        drop(self.judge.raw(Speaker::Client));
        self.send_frame(&Frame::new(frame::BINARY, data)).await
    }

    /// All raw data that comes until `enough` says so of everything so far; messages in between are passed over.
    ///
    /// # Errors
    /// The socket ends before.
    pub async fn raw_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        while !enough(&data) {
            match self.next().await? {
                Received::Raw(more) => data.extend(more),
                Received::Closed(_) | Received::Ended => {
                    bail!("the socket ended after {:?}", String::from_utf8_lossy(&data))
                }
                _ => {}
            }
        }
        Ok(data)
    }

    /// Sends a frame, right or wrong.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_frame(&mut self, frame: &Frame) -> Result<()> {
        if frame.opcode == frame::CLOSE {
            self.goodbye = frame.close_code();
        }
        self.send_bytes(&frame.encode()).await
    }

    /// Sends bytes, whatever they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let written = tokio::time::timeout(PATIENCE, self.writer.write_all(bytes)).await;
        written.context("the server does not read")?.context("the connection is gone")
    }

    /// What comes next, whatever it is. Pings are answered, and given, too.
    ///
    /// # Errors
    /// Nothing comes, or something that breaks the protocol.
    pub async fn next(&mut self) -> Result<Received> {
        let frame = tokio::time::timeout(PATIENCE, self.next_frame()).await;
        let Some(frame) = frame.context("nothing came in time")?? else { return Ok(Received::Ended) };
        ensure!(!frame.masked && frame.reserved == 0 && frame.last, "a server does not send such a frame: {frame:?}");
        Ok(match frame.opcode {
            frame::TEXT => {
                let text = std::str::from_utf8(&frame.payload).context("the server sent a text that is not UTF-8")?;
                match self.judge.server_said(text)? {
                    Some((name, message)) => Received::Message(name, message),
                    None => Received::Raw(frame.payload),
                }
            }
            frame::BINARY => {
                self.judge.raw(Speaker::Server)?;
                Received::Raw(frame.payload)
            }
            frame::PING => {
                if self.answers_pings {
                    // If it can't be answered, the end of the connection comes next.
                    drop(self.send_frame(&Frame::new(frame::PONG, frame.payload.clone())).await);
                }
                Received::Ping(frame.payload)
            }
            frame::PONG => Received::Pong(frame.payload),
            frame::CLOSE => {
                let code = frame.close_code();
                let name = self.judge.closed(code, self.goodbye)?;
                if self.goodbye == 0 {
                    drop(self.send_frame(&Frame::close(code, "")).await);
                }
                Received::Closed(name)
            }
            _ => bail!("a server does not send such a frame: {frame:?}"),
        })
    }

    /// The next message, whatever else comes before it, raw data included.
    ///
    /// # Errors
    /// There is none, or it breaks the protocol.
    pub async fn recv(&mut self) -> Result<(&'static str, Value)> {
        loop {
            match self.next().await? {
                Received::Message(name, message) => return Ok((name, message)),
                Received::Raw(_) | Received::Ping(_) | Received::Pong(_) => {}
                Received::Closed(code) => bail!("the server closed the socket with `{code}`"),
                Received::Ended => bail!("the connection ended"),
            }
        }
    }

    /// The next message, which must be this one.
    ///
    /// # Errors
    /// It is another one.
    pub async fn expect(&mut self, wanted: &str) -> Result<Value> {
        let (name, message) = self.recv().await.with_context(|| format!("waiting for `{wanted}`"))?;
        ensure!(name == wanted, "`{wanted}` should come now, not {message}");
        Ok(message)
    }

    /// The next message with this name; others are passed over.
    ///
    /// # Errors
    /// None comes.
    pub async fn until(&mut self, wanted: &str) -> Result<Value> {
        loop {
            let (name, message) = self.recv().await.with_context(|| format!("waiting for `{wanted}`"))?;
            if name == wanted {
                return Ok(message);
            }
        }
    }

    /// Every message that the server sends before it answers a ping: what it said in answer to what it was told.
    ///
    /// # Errors
    /// The socket ends, or something that breaks the protocol comes.
    pub async fn settle(&mut self) -> Result<Vec<Value>> {
        const MARK: &[u8] = b"settled";
        self.send_frame(&Frame::new(frame::PING, MARK)).await?;
        let mut messages = Vec::new();
        loop {
            match self.next().await? {
                Received::Message(_, message) => messages.push(message),
                Received::Pong(payload) if payload == MARK => return Ok(messages),
                Received::Raw(_) | Received::Ping(_) | Received::Pong(_) => {}
                end => bail!("{end:?} came in place of an answer"),
            }
        }
    }

    /// The name of the code with which the server closes; messages before it are passed over.
    ///
    /// # Errors
    /// It does not, or ends the connection without a word.
    pub async fn closed(&mut self) -> Result<&'static str> {
        loop {
            match self.next().await? {
                Received::Closed(code) => return Ok(code),
                Received::Ended => bail!("the connection ended without a close frame"),
                _ => {}
            }
        }
    }

    /// Fails unless the server closes with this code.
    ///
    /// # Errors
    /// It does something else.
    pub async fn expect_close(&mut self, wanted: &str) -> Result<()> {
        let code = self.closed().await.with_context(|| format!("waiting for the server to close with `{wanted}`"))?;
        ensure!(code == wanted, "the server closed with `{code}` instead of `{wanted}`");
        Ok(())
    }

    /// Says goodbye, and waits for the answer.
    ///
    /// # Errors
    /// There is none.
    pub async fn close(mut self) -> Result<()> {
        self.send_frame(&Frame::close(1000, "")).await?;
        self.expect_close("normal").await
    }

    /// The next frame; `None` at the end of the connection.
    async fn next_frame(&mut self) -> Result<Option<Frame>> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some((frame, length)) = Frame::decode(&self.received) {
                self.received.drain(..length);
                return Ok(Some(frame));
            }
            // A reset is how an end looks to somebody who was still sending.
            match self.reader.read(&mut buffer).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

impl Opened {
    /// The socket.
    ///
    /// # Errors
    /// It was refused.
    pub fn socket(self) -> Result<RawSocket> {
        match self {
            Self::Socket(socket) => Ok(socket),
            Self::Refused(answer) => Err(anyhow!("the socket was refused with {}: {}", answer.status, answer.json())),
        }
    }

    /// Fails unless it was refused with this code.
    ///
    /// # Errors
    /// It was opened, or refused otherwise.
    pub fn refused(self, code: &str) -> Result<Value> {
        match self {
            Self::Socket(_) => bail!("the socket was opened instead of refused with {code}"),
            Self::Refused(answer) => answer.refused(code),
        }
    }
}

/// Sends the request, and reads the answer's head; or the whole answer if it is a refusal. What came after the head
/// belongs to the socket.
async fn handshake(mut stream: TcpStream, request: &Request) -> Result<(TcpStream, Answer, Vec<u8>)> {
    let address = stream.peer_addr().context("the connection is gone")?.to_string();
    stream.write_all(&request.encode(&address)).await.context("sending the request")?;
    let mut received = Vec::new();
    let mut buffer = vec![0; 4 * 1024];
    let end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer).await.context("reading the answer")? {
            0 => bail!("the server closed the connection without an answer"),
            count => received.extend_from_slice(&buffer[..count]),
        }
    };
    if !received.starts_with(SWITCHING) {
        let answer = read_rest(&mut stream, received).await?;
        return Ok((stream, answer.context("the answer breaks off")?, Vec::new()));
    }
    let rest = received.split_off(end);
    let answer = Answer::from_head(&received)?;
    Ok((stream, answer, rest))
}
