//! Holds what goes over a socket against the protocol: every frame and every close code that a test sees comes by here.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::document::{Socket, Speaker};
use crate::Kind;
use crate::coverage::{self, Aspect};

/// The message with which a server refuses another; its code is looked at, too.
const REFUSAL: &str = "error";

/// What raw data is noted as. No message is called so beside it.
pub const RAW: &str = "raw";

/// The code of an ordinary goodbye.
const NORMAL: u16 = 1000;

impl Speaker {
    /// As what it is noted that something was said.
    const fn says(self) -> Aspect {
        match self {
            Self::Client => Aspect::ClientMessage,
            Self::Server => Aspect::ServerMessage,
        }
    }
}

/// Judges one connection, and notes for the coverage tests what is good.
#[derive(Debug, Clone, Copy)]
pub struct SocketJudge {
    pub socket: &'static Socket,
    pub database: Kind,
}

impl SocketJudge {
    /// The server said this. Gives the message's name and content; `None` for raw data.
    ///
    /// # Errors
    /// It is not declared.
    pub fn server_said(&self, text: &str) -> Result<Option<(&'static str, Value)>> {
        let socket = self.socket;
        if socket.is_raw(Speaker::Server, text) {
            self.raw(Speaker::Server)?;
            return Ok(None);
        }
        let said = || format!("`{}` said {}, which breaks the protocol", socket.name, shortened(text));
        let (name, message) = socket.read(Speaker::Server, text).with_context(said)?;
        if name == REFUSAL && !socket.faults.is_empty() {
            let code = message["code"].as_str().context("an error message has no code").with_context(said)?;
            ensure!(socket.faults.contains(code), "the fault {code:?} is not declared: {}", said());
            self.saw(Aspect::Fault, code);
        }
        self.saw(Speaker::Server.says(), name);
        Ok(Some((name, message)))
    }

    /// A client said this, by the SDK or as a test wrote it.
    ///
    /// # Errors
    /// It is not declared. A test may mean it so.
    pub fn client_said(&self, text: &str) -> Result<()> {
        let socket = self.socket;
        if socket.is_raw(Speaker::Client, text) {
            return self.raw(Speaker::Client);
        }
        let read = socket.read(Speaker::Client, text);
        let (name, _) = read.with_context(|| format!("`{}` was told {}", socket.name, shortened(text)))?;
        self.saw(Speaker::Client.says(), name);
        Ok(())
    }

    /// One end sent raw data.
    ///
    /// # Errors
    /// The socket has none in this direction.
    pub fn raw(&self, speaker: Speaker) -> Result<()> {
        let socket = self.socket;
        ensure!(socket.has_raw(speaker), "`{}` has no raw data that the {speaker:?} sends", socket.name);
        self.saw(speaker.says(), RAW);
        Ok(())
    }

    /// The server sent a goodbye. Gives the close code's name. `goodbye` is the code that the client had sent before it,
    /// or 0: the server repeats that, whatever it is, and has said nothing by it.
    ///
    /// # Errors
    /// The socket does not declare that code.
    pub fn closed(&self, code: u16, goodbye: u16) -> Result<&'static str> {
        if goodbye == code && code != NORMAL {
            return Ok("the client's own");
        }
        let name = self.socket.close_code(code)?;
        self.saw(Aspect::Close, name);
        Ok(name)
    }

    fn saw(&self, aspect: Aspect, what: &str) {
        coverage::saw(self.database, &self.socket.name, aspect, what);
    }
}

/// Faults that were found where no test could see them fail: in the tasks of the SDK. Whoever owns this looks into it
/// at the end; see [`check`](Self::check).
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<String>>>);

impl Faults {
    /// Remembers one.
    ///
    /// # Panics
    /// Never.
    pub fn report(&self, fault: &anyhow::Error) {
        self.0.lock().expect("nobody panics while it notes a fault").push(format!("{fault:?}"));
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().expect("nobody panics while it notes a fault").len()
    }

    /// Fails the test if there are any.
    ///
    /// # Panics
    /// There are.
    pub fn check(&self) {
        let faults = std::mem::take(&mut *self.0.lock().expect("nobody panics while it notes a fault"));
        // A test that has failed already says why by itself.
        assert!(faults.is_empty() || std::thread::panicking(), "{}", faults.join("\n"));
    }
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 1_000;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::document;

    fn judge() -> SocketJudge {
        SocketJudge { socket: document::socket("stream"), database: Kind::Sqlite }
    }

    #[test]
    fn a_fault_that_is_not_declared_is_one_of_the_server() {
        let fault = |code| format!(r#"{{"type":"error","code":"{code}","error":"x","action":"y"}}"#);
        judge().server_said(&fault("not_json")).expect("it is declared");
        judge().server_said(&fault("agent_not_found")).expect_err("it is another socket's");
    }

    #[test]
    fn raw_data_is_no_fault_where_the_socket_has_it() {
        let shell = SocketJudge { socket: document::shell(), database: Kind::Sqlite };
        for speaker in [Speaker::Client, Speaker::Server] {
            shell.raw(speaker).expect("it is declared");
            judge().raw(speaker).expect_err("there is none on this socket");
        }
        assert_eq!(shell.server_said("$ ").expect("it is data"), None);
        let exit = shell.server_said(r#"{"type":"exit","code":0}"#).expect("it is declared");
        assert_eq!(exit.map(|(name, _)| name), Some("exit"));
        shell.server_said(r#"{"type":"exit"}"#).expect_err("it has no code");
        shell.server_said("{}").expect_err("an object is a message");
        shell.client_said("{}").expect("a client may type anything");
        shell.client_said(r#"{"type":"key"}"#).expect_err("it has no code");
        judge().client_said("ls").expect_err("it is no message");
    }

    #[test]
    fn a_goodbye_may_be_answered_with_its_own_code_only() {
        judge().closed(1000, 0).expect("it is declared");
        judge().closed(3000, 3000).expect("the client said so");
        judge().closed(3000, 0).expect_err("nobody declared it");
        judge().closed(3000, 1000).expect_err("the client said something else");
    }

    #[test]
    #[should_panic(expected = "what was wrong")]
    fn a_fault_that_was_reported_fails_the_test() {
        let faults = Faults::default();
        faults.check();
        faults.clone().report(&anyhow::anyhow!("what was wrong"));
        faults.check();
    }
}
