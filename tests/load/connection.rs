//! A keep-alive connection that understands just enough HTTP/1.1, so that the client costs next to nothing.
//!
//! Requests are bytes made beforehand; of an answer only the status and the body are read.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to one address.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, as long as nothing else is received.
#[derive(Debug)]
pub(crate) struct Answer<'c> {
    pub(crate) status: u16,
    pub(crate) body: &'c [u8],
}

impl Answer<'_> {
    /// The body, if the status is 200.
    pub(crate) fn ok(&self) -> Result<&[u8]> {
        ensure!(
            (200..300).contains(&self.status),
            "the server answered {}: {}",
            self.status,
            String::from_utf8_lossy(self.body)
        );
        Ok(self.body)
    }
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        // Small, because thousands of connections may wait for one short answer each.
        Ok(Self { stream, buffer: Vec::with_capacity(512) })
    }

    /// Sends a request and receives its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.send(request).await?;
        self.receive().await
    }

    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await.context("sending a request")
    }

    pub(crate) async fn receive(&mut self) -> Result<Answer<'_>> {
        self.buffer.clear();
        let mut searched = 0;
        let head = loop {
            self.more().await?;
            match find(&self.buffer[searched..], b"\r\n\r\n") {
                Some(at) => break searched + at + 4,
                // The end of the head may be cut in two.
                None => searched = self.buffer.len().saturating_sub(3),
            }
        };
        let (status, length) = read_head(&self.buffer[..head])?;
        let Some(length) = length else {
            return self.receive_chunks(status, head).await;
        };
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        Ok(Answer { status, body: &self.buffer[head..head + length] })
    }

    /// A chunked body of one chunk, which is how a long poll answers; its end follows in the same packet or the next.
    async fn receive_chunks(&mut self, status: u16, head: usize) -> Result<Answer<'_>> {
        while !self.buffer[head..].ends_with(b"\r\n0\r\n\r\n") {
            self.more().await?;
        }
        let line = find(&self.buffer[head..], b"\r\n").context("a chunk has no size")?;
        let size = std::str::from_utf8(&self.buffer[head..head + line]).context("a chunk's size is not text")?;
        let size = usize::from_str_radix(size, 16).context("a chunk's size is not a number")?;
        let body = head + line + 2;
        ensure!(body + size + 7 == self.buffer.len(), "the answer has several chunks, which this client does not read");
        Ok(Answer { status, body: &self.buffer[body..body + size] })
    }

    async fn more(&mut self) -> Result<()> {
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve(self.buffer.len().max(1024));
        }
        let count = self.stream.read_buf(&mut self.buffer).await.context("receiving an answer")?;
        ensure!(count > 0, "the server closed the connection instead of answering");
        Ok(())
    }
}

/// The status, and the body's length unless it is chunked.
fn read_head(head: &[u8]) -> Result<(u16, Option<usize>)> {
    let status = head
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .context("the answer has no status")?;
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).context("Content-Length is not text")?;
            return Ok((status, Some(text.trim().parse().context("Content-Length is not a number")?)));
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Ok((status, None));
        }
    }
    Ok((status, Some(0)))
}

/// Where `needle` begins.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
