//! Requests made by hand, byte for byte: what the SDK would never send is what these are for.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flightdeck_sdk::Timestamp;
use flightdeck_sdk::runtime::{Secret, sign};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

/// An answer that takes longer counts as none. Above every timeout that a test asks the server for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The key and the answer to it that RFC 6455 has as its example.
const SOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const SOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request. Nothing is added to it but `Host`, `Connection: close` and `Content-Length`, and those only where they
/// are not given.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query, as they are sent.
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Option<Vec<u8>>,
    withheld: usize,
}

/// What signs a request.
#[derive(Debug, Clone)]
pub struct Signer {
    pub workspace_id: Uuid,
    pub secret: String,
    /// Unix milliseconds.
    pub now: i64,
}

impl Request {
    /// Without headers or body.
    #[must_use]
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into(), headers: Vec::new(), body: None, withheld: 0 }
    }

    /// `GET`.
    #[must_use]
    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// What a WebSocket client begins with.
    #[must_use]
    pub fn socket(target: impl Into<String>) -> Self {
        Self::get(target)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", SOCKET_KEY)
    }

    /// `POST` with a JSON body.
    #[must_use]
    pub fn post(target: impl Into<String>, body: &Value) -> Self {
        Self::new("POST", target).json(body)
    }

    /// Sets a header, in place of one with the same name.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes a header away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self
    }

    /// A header's value, if it is text.
    #[must_use]
    pub fn header_text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(present, _)| present.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.bytes(body.to_string()).header("Content-Type", "application/json")
    }

    /// Sets the body, and says nothing of its type.
    #[must_use]
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Signs the request as it is now. A header of the signature that is there already is kept, and signed.
    #[must_use]
    pub fn sign(mut self, signer: &Signer) -> Self {
        for (name, value) in [
            ("X-Workspace-Id", signer.workspace_id.to_string()),
            ("X-Timestamp", signer.now.to_string()),
            ("X-Nonce", Uuid::new_v4().simple().to_string()),
        ] {
            if self.header_text(name).is_none() {
                self = self.header(name, value);
            }
        }
        if self.header_text("X-Signature").is_some() {
            return self;
        }
        let nonce = self.header_text("X-Nonce").unwrap_or_default().to_owned();
        // A timestamp that is not a number can't be signed by the SDK; the server must refuse it before it looks.
        let timestamp = self.header_text("X-Timestamp").and_then(|text| text.parse().ok()).unwrap_or(signer.now);
        let secret = Secret::from(signer.secret.as_str());
        let signature = sign(&secret, Timestamp::from_millis(timestamp), &nonce, self.body.as_deref());
        self.header("X-Signature", signature)
    }

    /// Announces the whole body, and never sends its last bytes.
    #[must_use]
    pub const fn withhold(mut self, bytes: usize) -> Self {
        self.withheld = bytes;
        self
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn encode(&self, address: &str) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let mut line = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        for (name, value) in &self.headers {
            line(name, value);
        }
        let length = self.body.as_ref().map(|body| body.len().to_string());
        let chunked = self.header_text("Transfer-Encoding").is_some();
        for (name, value) in [
            ("Host", Some(address)),
            ("Connection", Some("close")),
            ("Content-Length", length.as_deref().filter(|_| !chunked)),
        ] {
            if let Some(value) = value.filter(|_| self.header_text(name).is_none()) {
                line(name, value.as_bytes());
            }
        }
        bytes.extend_from_slice(b"\r\n");
        if let Some(body) = &self.body {
            bytes.extend_from_slice(&body[..body.len() - self.withheld.min(body.len())]);
        }
        bytes
    }

    /// Sends the request over a connection of its own.
    ///
    /// # Errors
    /// No connection, or no answer.
    pub async fn send(&self, address: &str) -> Result<Answer> {
        let answer = exchange(address, &self.encode(address)).await?;
        answer.with_context(|| {
            format!("{} {}: the server closed the connection without an answer", self.method, self.target)
        })
    }
}

/// Sends bytes over a new connection, and reads one answer; `None` if the server closes the connection without one.
///
/// # Errors
/// No connection, or what comes back is not HTTP.
pub async fn exchange(address: &str, bytes: &[u8]) -> Result<Option<Answer>> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    // The server may answer and close before it has read everything, so a failed write is no reason not to look.
    let written = stream.write_all(bytes).await;
    let answer = tokio::time::timeout(PATIENCE, read_answer(&mut stream)).await.context("no answer in time")??;
    if answer.is_none() {
        written.context("sending the request")?;
    }
    Ok(answer)
}

/// Reads one answer; `None` at the end of the connection.
///
/// # Errors
/// What comes is not HTTP.
pub async fn read_answer(stream: &mut TcpStream) -> Result<Option<Answer>> {
    read_rest(stream, Vec::new()).await
}

/// Reads the rest of an answer whose beginning is there already.
pub(crate) async fn read_rest(stream: &mut TcpStream, mut received: Vec<u8>) -> Result<Option<Answer>> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if let Some(answer) = parse(&received, false)? {
            return Ok(Some(answer));
        }
        // A reset after an answer that is there already is how a server that does not want the rest says so.
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return parse(&received, true),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
        }
    }
}

/// An answer of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer that has nothing but a head.
    pub(crate) fn from_head(head: &[u8]) -> Result<Self> {
        let (status, headers) = parse_head(head)?;
        Ok(Self { status, headers, body: Vec::new() })
    }

    /// The body as JSON; null if it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The code of a refusal; empty for a success.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Fails unless this is a success; gives the body.
    ///
    /// # Errors
    /// It is a refusal.
    pub fn success(self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "refused with {}: {}", self.status, self.json());
        Ok(self.json())
    }

    /// Fails unless this is a refusal with that code.
    ///
    /// # Errors
    /// It is another answer.
    pub fn refused(self, code: &str) -> Result<Value> {
        ensure!(self.code() == code, "expected {code}, got {}: {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(self.json())
    }
}

/// Parses an answer if it is all there. `ended`: nothing more will come.
fn parse(received: &[u8], ended: bool) -> Result<Option<Answer>> {
    let Some(head_length) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let rest = &received[head_length + 4..];
    let (status, headers) = parse_head(&received[..head_length])?;
    if (100..200).contains(&status) {
        return parse(rest, ended);
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let body = if text("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        dechunk(rest)?
    } else if let Some(length) = text("content-length") {
        let length: usize = length.parse().context("Content-Length is not a number")?;
        rest.get(..length).map(<[u8]>::to_vec)
    } else if ended || matches!(status, 204 | 304) {
        Some(rest.to_vec())
    } else {
        None
    };
    match body {
        Some(body) => Ok(Some(Answer { status, headers, body })),
        None if ended => bail!("the answer ends in the middle: {}", String::from_utf8_lossy(received)),
        None => Ok(None),
    }
}

/// An answer's status and headers.
fn parse_head(head: &[u8]) -> Result<(u16, HeaderMap)> {
    let head = std::str::from_utf8(head).context("the answer's head is not text")?;
    let mut lines = head.trim_end().split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status: u16 = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("{status_line:?} is not a status line"))?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').with_context(|| format!("{line:?} is not a header"))?;
        headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value.trim())?);
    }
    Ok((status, headers))
}

fn dechunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&rest[..end]).context("a chunk's size is not text")?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { return Ok(None) };
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(chunk);
        let Some(next) = rest.get(end + 2 + size + 2..) else { return Ok(None) };
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_ways_to_end_a_body() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
        for bytes in [&plain[..], &chunked[..]] {
            let answer = parse(bytes, false).expect("it is HTTP").expect("it is complete");
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
            assert!(parse(&bytes[..bytes.len() - 6], false).expect("so far it is HTTP").is_none());
        }
    }

    #[test]
    fn signs_what_is_sent() {
        let signer = Signer { workspace_id: Uuid::nil(), secret: "secret".to_owned(), now: 1_700_000_000_000 };
        let request = Request::get("/v1/runs").header("X-Nonce", "n").sign(&signer);
        // printf '1700000000000:n:{}' | openssl dgst -sha256 -hmac secret
        let expected = "378d8f91fdf5c1322c7646b4e157b2f08e043642303523d399862ff09ac1fa7c";
        assert_eq!(request.header_text("x-signature"), Some(expected));
    }
}
