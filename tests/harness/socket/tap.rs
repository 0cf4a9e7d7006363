//! Listens to what goes over a connection between two programs, and judges it if it is a socket: a program of its own, as the
//! CLI is, can't be given a transport with a judge.

use super::document::{self, Speaker};
use super::frame::{self, Frame};
use super::judge::{Faults, SocketJudge};
use crate::Kind;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// What a server that upgrades says.
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";

/// Makes a tap for each connection.
#[derive(Debug, Clone)]
pub(crate) struct Judging {
    pub(crate) database: Kind,
    pub(crate) faults: Faults,
}

/// Listens to one connection.
#[derive(Debug)]
pub(crate) struct Tap {
    judging: Judging,
    /// Present once the connection is a socket.
    socket: Option<SocketJudge>,
    /// What either end said and has not been understood yet.
    client: Vec<u8>,
    server: Vec<u8>,
    /// The code of the goodbye that the client sent; 0 if it sent none.
    goodbye: u16,
}

impl Judging {
    pub(crate) fn tap(&self) -> Tap {
        Tap { judging: self.clone(), socket: None, client: Vec::new(), server: Vec::new(), goodbye: 0 }
    }
}

impl Tap {
    /// The client said this.
    pub(crate) fn client_said(&mut self, bytes: &[u8]) {
        self.client.extend_from_slice(bytes);
        self.listen_to_client();
    }

    /// The server said this.
    pub(crate) fn server_said(&mut self, bytes: &[u8]) {
        self.server.extend_from_slice(bytes);
        if self.socket.is_none() {
            self.answered();
        }
        self.listen_to_server();
    }

    /// The server answers, so what the client has said since the last answer is a request. Most requests open no socket, and
    /// many may come over one connection before one that does.
    fn answered(&mut self) {
        let Some((judge, request)) = self.asks_for() else { return self.forget() };
        let Some(answer) = end_of_head(&self.server) else { return };
        if !self.server.starts_with(SWITCHING) {
            return self.forget();
        }
        self.socket = Some(judge);
        self.client.drain(..request);
        self.server.drain(..answer);
        self.listen_to_client();
    }

    fn forget(&mut self) {
        self.client.clear();
        self.server.clear();
    }

    /// The socket that the client's request opens, and the length of the request.
    fn asks_for(&self) -> Option<(SocketJudge, usize)> {
        let end = end_of_head(&self.client)?;
        let head = std::str::from_utf8(&self.client[..end]).ok()?;
        let target = head.strip_prefix("GET ")?.split_whitespace().next()?;
        let upgrades = head.lines().any(|line| line.eq_ignore_ascii_case("upgrade: websocket"));
        let socket = document::find(target.split('?').next()?).filter(|_| upgrades)?;
        Some((SocketJudge { socket, database: self.judging.database }, end))
    }

    fn listen_to_client(&mut self) {
        let Some(judge) = self.socket else { return };
        while let Some(frame) = next(&mut self.client) {
            match frame.opcode {
                frame::TEXT => {
                    self.judge(judge.client_said(&String::from_utf8_lossy(&frame.payload)));
                }
                frame::BINARY if judge.socket.has_raw(Speaker::Client) => self.judge(judge.raw(Speaker::Client)),
                frame::CLOSE => self.goodbye = frame.close_code(),
                _ => {}
            }
        }
    }

    fn listen_to_server(&mut self) {
        let Some(judge) = self.socket else { return };
        while let Some(frame) = next(&mut self.server) {
            self.judge(match frame.opcode {
                _ if frame.masked || frame.reserved != 0 || !frame.last => {
                    Err(anyhow::anyhow!("a server does not send such a frame: {frame:?}"))
                }
                frame::TEXT => match std::str::from_utf8(&frame.payload) {
                    Ok(text) => judge.server_said(text).map(drop),
                    Err(_) => Err(anyhow::anyhow!("the server sent a text that is not UTF-8")),
                },
                frame::BINARY => judge.raw(Speaker::Server),
                frame::CLOSE => judge.closed(frame.close_code(), self.goodbye).map(drop),
                frame::PING | frame::PONG => Ok(()),
                _ => Err(anyhow::anyhow!("a server does not send such a frame: {frame:?}")),
            });
        }
    }

    fn judge(&self, judged: anyhow::Result<()>) {
        if let Err(fault) = judged {
            self.judging.faults.report(&fault);
        }
    }
}

fn next(bytes: &mut Vec<u8>) -> Option<Frame> {
    let (frame, length) = Frame::decode(bytes)?;
    bytes.drain(..length);
    Some(frame)
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD).map(|at| at + END_OF_HEAD.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /v1/stream?x=1 HTTP/1.1\r\nhost: x\r\nUpgrade: websocket\r\n\r\n";
    const HELLO: &str = r#"{"type":"pong","server_time":"2026-03-02T09:30:00.000Z"}"#;

    /// What is found when this is said, a byte at a time.
    fn faults(said: &[(bool, &[u8])]) -> usize {
        let judging = Judging { database: Kind::Sqlite, faults: Faults::default() };
        let mut tap = judging.tap();
        for (by_server, bytes) in said {
            for byte in bytes.chunks(1) {
                if *by_server { tap.server_said(byte) } else { tap.client_said(byte) }
            }
        }
        assert!(tap.socket.is_some(), "it was not seen to be a socket");
        judging.faults.count()
    }

    #[test]
    fn a_socket_is_noticed_after_other_requests_and_judged() {
        let other = b"POST /agents/register HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let switching = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";
        let begin = |frame: Vec<u8>| {
            let mut said: Vec<(bool, Vec<u8>)> = vec![
                (false, other.to_vec()),
                (true, answer.to_vec()),
                (false, REQUEST.into()),
                (true, switching.to_vec()),
            ];
            said.push((true, frame));
            said
        };
        let found = |frame: &Frame| {
            let said = begin(frame.encode());
            faults(&said.iter().map(|(by, bytes)| (*by, bytes.as_slice())).collect::<Vec<_>>())
        };
        assert_eq!(found(&Frame::text(HELLO).unmasked()), 0);
        assert_eq!(found(&Frame::text(HELLO.replace("pong", "pang")).unmasked()), 1);
        assert_eq!(found(&Frame::text(HELLO)), 1, "it is masked");
        assert_eq!(found(&Frame::close(1000, "").unmasked()), 0);
        assert_eq!(found(&Frame::close(3000, "").unmasked()), 1);
        assert_eq!(found(&Frame::new(frame::BINARY, "x").unmasked()), 1, "it has no raw data");
    }

    #[test]
    fn raw_data_is_no_fault_where_the_socket_has_it() {
        let judging = Judging { database: Kind::Sqlite, faults: Faults::default() };
        let mut tap = judging.tap();
        tap.socket = Some(SocketJudge { socket: document::shell(), database: Kind::Sqlite });
        tap.client_said(&Frame::new(frame::BINARY, b"\xff").encode());
        tap.client_said(&Frame::text("ls").encode());
        tap.server_said(&Frame::new(frame::BINARY, b"\xff").unmasked().encode());
        tap.server_said(&Frame::text("$ ").unmasked().encode());
        assert_eq!(judging.faults.count(), 0);
        tap.server_said(&Frame::new(frame::BINARY, b"\xff").encode());
        assert_eq!(judging.faults.count(), 1, "it is masked");
    }
}
