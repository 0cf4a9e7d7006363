//! What the tests share: a client whose network plays a script, and operations that are not in any spec.

use uuid::Uuid;

use crate::runtime::{Method, Operation, Security};
use crate::testing::{ManualClock, Script, ScriptedTransport, SeededRandom};
use crate::{Client, ClientBuilder};

/// Safe to repeat by its method.
pub(super) const READ: Operation = operation("getThing", Method::Get, false);
/// Safe to repeat by its key.
pub(super) const CREATE: Operation = operation("createThing", Method::Post, true);
/// Safe to repeat by the protocol's promise.
pub(super) const SETTLE: Operation = Operation { repeatable: true, ..POKE };
/// Not safe to repeat.
pub(super) const POKE: Operation = operation("pokeThing", Method::Post, false);

pub(super) const fn operation(id: &'static str, method: Method, idempotent: bool) -> Operation {
    Operation { id, method, path: "/things", security: &[], idempotent, repeatable: method.is_idempotent() }
}

pub(super) const SIGNED: Operation = Operation { security: &[Security::Scheme("signature")], ..CREATE };

pub(super) const WORKSPACE: Uuid = Uuid::from_u128(0x0192_f0c1_0000_7000_8000_0000_0000_0001);
pub(super) const DEVICE: Uuid = Uuid::from_u128(0x0192_f0c1_0000_7000_8000_0000_0000_0002);

/// A client whose network plays a script.
pub(super) struct Bench {
    pub(super) client: Client,
    pub(super) clock: ManualClock,
    pub(super) transport: ScriptedTransport,
}

impl Bench {
    pub(super) fn new(script: impl IntoIterator<Item = Script>) -> Self {
        Self::with(script, |builder| builder)
    }

    pub(super) fn with(
        script: impl IntoIterator<Item = Script>,
        settings: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Self {
        let clock = ManualClock::default();
        let transport = ScriptedTransport::new(&clock, script);
        let builder = Client::builder().transport(transport.clone()).clock(clock.clone()).random(SeededRandom::new(7));
        let client = settings(builder).build().expect("the settings are right");
        Self { client, clock, transport }
    }

    pub(super) fn attempts(&self) -> usize {
        self.transport.requests().len()
    }

    /// A header of every request so far; empty where it is missing.
    pub(super) fn header(&self, name: &str) -> Vec<String> {
        let text = |value: &http::HeaderValue| value.to_str().expect("headers are text").to_owned();
        self.transport
            .requests()
            .iter()
            .map(|request| request.headers.get(name).map(text).unwrap_or_default())
            .collect()
    }
}

/// A refusal as the server writes it.
pub(super) fn refusal(status: u16, code: &str) -> Script {
    Script::answer(
        status,
        format!(r#"{{"error":"It did not work.","code":"{code}","action":"Try harder.","request_id":"r-1"}}"#),
    )
}

pub(super) fn ok() -> Script {
    Script::answer(200, "fine")
}
