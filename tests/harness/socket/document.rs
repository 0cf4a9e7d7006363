//! The sockets' bundled document, asked the questions that tests have: which message a frame is, whether it has the
//! promised shape, how a socket may refuse and end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::schema;

/// The document as it is generated.
pub const TEXT: &str = include_str!("../../../api/src/generated/asyncapi.json");

static SOCKETS: LazyLock<Vec<Socket>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(TEXT).expect("the bundled document is JSON");
    sockets_of(&document).expect("the bundled document describes sockets as the profile has it")
});

/// One socket, as the document describes it.
#[derive(Debug)]
pub struct Socket {
    pub name: String,
    /// The path.
    pub address: String,
    discriminator: String,
    /// Whether clients may write its value in any case.
    pub relaxed: bool,
    client_messages: Vec<Message>,
    server_messages: Vec<Message>,
    /// Whether each end sends raw data beside its messages.
    client_raw: bool,
    server_raw: bool,
    /// By their numbers.
    pub close_codes: BTreeMap<u16, CloseCode>,
    /// The codes with which opening may be refused.
    pub errors: BTreeSet<String>,
    /// The codes that its error messages may carry; none if they carry codes of their own.
    pub faults: BTreeSet<String>,
    pub limits: Limits,
    /// The schemes by which a client may prove who it is when it connects, alternatives in order.
    pub security: Vec<Vec<String>>,
}

/// Something that can be said on a socket.
#[derive(Debug)]
pub struct Message {
    pub name: String,
    tag: Option<String>,
    recognised_by: Option<String>,
    validator: Validator,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    Client,
    Server,
}

/// A row of the table of close codes.
#[derive(Debug, Deserialize)]
pub struct CloseCode {
    #[serde(skip)]
    pub name: String,
    code: u16,
    /// `resume`, `fresh` or `never`.
    pub reconnect: String,
}

/// What both ends hold to.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Limits {
    pub max_message_bytes: usize,
    pub messages_per_second: u64,
    pub faults_in_a_row: usize,
    pub subscriptions: usize,
    pub queue_events: usize,
    pub queue_bytes: usize,
    pub heartbeat_seconds: u64,
    pub silence_seconds: u64,
}

/// Every socket.
#[must_use]
pub fn sockets() -> &'static [Socket] {
    &SOCKETS
}

/// The socket with this name.
///
/// # Panics
/// There is none.
#[must_use]
pub fn socket(name: &str) -> &'static Socket {
    SOCKETS.iter().find(|socket| socket.name == name).unwrap_or_else(|| panic!("the spec has no socket {name}"))
}

/// The socket at this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Socket> {
    SOCKETS.iter().find(|socket| socket.address == path)
}

impl Socket {
    /// What `speaker` may say.
    #[must_use]
    pub fn messages(&self, speaker: Speaker) -> &[Message] {
        match speaker {
            Speaker::Client => &self.client_messages,
            Speaker::Server => &self.server_messages,
        }
    }

    /// Whether `speaker` sends raw data, too.
    #[must_use]
    pub const fn has_raw(&self, speaker: Speaker) -> bool {
        match speaker {
            Speaker::Client => self.client_raw,
            Speaker::Server => self.server_raw,
        }
    }

    /// Whether a text frame is raw data: for the server whatever of a client is none of its messages, for a client what is no
    /// JSON object.
    #[must_use]
    pub fn is_raw(&self, speaker: Speaker, text: &str) -> bool {
        let object = serde_json::from_str::<Map<String, Value>>(text);
        self.has_raw(speaker)
            && match (speaker, object) {
                (_, Err(_)) => true,
                (Speaker::Client, Ok(object)) => {
                    let tag = object.get(&self.discriminator).and_then(Value::as_str);
                    let tag =
                        tag.map(|tag| if self.relaxed { tag.trim().to_ascii_lowercase() } else { tag.to_owned() });
                    tag.is_none() || self.client_messages.iter().all(|message| message.tag != tag)
                }
                (Speaker::Server, Ok(_)) => false,
            }
    }

    /// Which message a text frame is, and its content.
    ///
    /// # Errors
    /// It is none that `speaker` may say, or has another shape; the message lists every fault.
    pub fn read(&self, speaker: Speaker, text: &str) -> Result<(&str, Value)> {
        let value: Value = serde_json::from_str(text).context("the frame is not JSON")?;
        let object = value.as_object().context("the frame is not an object")?;
        let message = self.recognise(speaker, object)?;
        schema::check(&message.validator, &value).with_context(|| format!("the message `{}`", message.name))?;
        Ok((&message.name, value))
    }

    fn recognise(&self, speaker: Speaker, object: &Map<String, Value>) -> Result<&Message> {
        let tag = object.get(&self.discriminator).and_then(Value::as_str);
        let fits = |message: &&Message| match (&message.tag, &message.recognised_by) {
            (Some(own), _) => tag == Some(own),
            (None, Some(property)) => tag.is_none() && object.contains_key(property),
            (None, None) => false,
        };
        let mut fitting = self.messages(speaker).iter().filter(fits);
        let message = fitting.next().with_context(|| format!("no message that the {speaker:?} may say"))?;
        ensure!(fitting.next().is_none(), "the frame is several messages at once");
        Ok(message)
    }

    /// The name of a close code.
    ///
    /// # Errors
    /// The socket does not declare it.
    pub fn close_code(&self, code: u16) -> Result<&str> {
        let row = self.close_codes.get(&code);
        Ok(&row.with_context(|| format!("the socket `{}` does not declare the close code {code}", self.name))?.name)
    }
}

fn sockets_of(document: &Value) -> Result<Vec<Socket>> {
    let components = schema::closed(document);
    let channels = document["channels"].as_object().context("there are no channels")?;
    channels.iter().map(|(name, channel)| socket_of(document, &components, name, channel)).collect()
}

fn socket_of(document: &Value, components: &Value, name: &str, channel: &Value) -> Result<Socket> {
    let discriminator = channel["x-discriminator"].as_str().context("a channel has a discriminator")?;
    let messages = |action: &str| -> Result<Vec<Message>> {
        let operations = document["operations"].as_object().context("there are no operations")?;
        let channel = format!("#/channels/{name}");
        let mut operations = operations.values();
        let operation =
            operations.find(|operation| operation["action"] == action && operation["channel"]["$ref"] == channel);
        let messages = operation.context("a channel has both directions")?["messages"].as_array();
        let references = messages.into_iter().flatten().map(|message| message["$ref"].as_str().unwrap_or_default());
        // Raw data has no type.
        let is_json = |reference: &&str| resolve(document, reference).is_ok_and(|it| it.get("contentType").is_none());
        let references = references.filter(is_json);
        references.map(|reference| message_of(document, components, discriminator, reference)).collect()
    };
    let names =
        |key: &str| -> BTreeSet<String> { channel[key].as_object().into_iter().flat_map(Map::keys).cloned().collect() };
    let mut close_codes = BTreeMap::new();
    for (name, row) in channel["x-close-codes"].as_object().context("a channel has close codes")? {
        let mut row: CloseCode = serde_json::from_value(row.clone())?;
        row.name.clone_from(name);
        close_codes.insert(row.code, row);
    }
    let schemes = |alternative: &Value| alternative.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    Ok(Socket {
        name: name.to_owned(),
        address: channel["address"].as_str().context("a channel has an address")?.to_owned(),
        discriminator: discriminator.to_owned(),
        relaxed: channel["x-relaxed-discriminator"] == true,
        client_messages: messages("receive")?,
        server_messages: messages("send")?,
        client_raw: channel["x-raw"]["receive"].is_string(),
        server_raw: channel["x-raw"]["send"].is_string(),
        close_codes,
        errors: names("x-errors"),
        faults: names("x-faults"),
        limits: serde_json::from_value(channel["x-limits"].clone()).context("in x-limits")?,
        security: channel["x-security"].as_array().into_iter().flatten().map(schemes).collect(),
    })
}

fn message_of(document: &Value, components: &Value, discriminator: &str, reference: &str) -> Result<Message> {
    let message = resolve(document, reference)?;
    let name = message["name"].as_str().context("a message has a name")?;
    let payload = &message["payload"];
    let Some(target) = payload["$ref"].as_str() else { bail!("the payload of {name} is not a reference") };
    let tag = resolve(document, target)?["properties"][discriminator]["const"].as_str();
    Ok(Message {
        name: name.to_owned(),
        tag: tag.map(str::to_owned),
        recognised_by: message["x-recognised-by"].as_str().map(str::to_owned),
        validator: schema::compile(name, payload, components)?,
    })
}

fn resolve<'a>(document: &'a Value, reference: &str) -> Result<&'a Value> {
    let found = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
    found.with_context(|| format!("{reference} leads nowhere"))
}

/// A socket with raw data in both directions, which is in no spec.
#[cfg(test)]
pub(super) fn shell() -> &'static Socket {
    static SHELL: LazyLock<Socket> = LazyLock::new(|| {
        let reference = |name: &str| serde_json::json!({ "$ref": format!("#/channels/shell/messages/{name}") });
        let message = |name: &str, ty: &str| serde_json::json!({ "name": name, "payload": { "$ref": format!("#/components/schemas/{ty}") } });
        let raw = serde_json::json!({ "name": "raw", "contentType": "application/octet-stream" });
        let schema = |tag: &str| {
            serde_json::json!({
                "type": "object",
                "required": ["type", "code"],
                "properties": { "type": { "const": tag }, "code": { "type": "integer" } },
            })
        };
        let operation = |action: &str, message: &str, raw: &str| {
            serde_json::json!({
                "action": action,
                "channel": { "$ref": "#/channels/shell" },
                "messages": [reference(message), reference(raw)],
            })
        };
        let stream = serde_json::from_str::<Value>(TEXT).expect("the bundled document is JSON");
        let document = serde_json::json!({
            "channels": { "shell": {
                "address": "/shell",
                "messages": {
                    "key": message("key", "Key"),
                    "exit": message("exit", "Exit"),
                    "raw.receive": raw,
                    "raw.send": raw,
                },
                "x-discriminator": "type",
                "x-raw": { "receive": "Keys.", "send": "Output." },
                "x-close-codes": stream["channels"]["stream"]["x-close-codes"],
                "x-limits": stream["channels"]["stream"]["x-limits"],
            } },
            "operations": {
                "receiveShell": operation("receive", "key", "raw.receive"),
                "sendShell": operation("send", "exit", "raw.send"),
            },
            "components": { "schemas": { "Key": schema("key"), "Exit": schema("exit") } },
        });
        sockets_of(&document).expect("it is described as the profile has it").remove(0)
    });
    &SHELL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_data_is_told_from_messages() {
        let (shell, stream) = (shell(), socket("stream"));
        for (text, of_client, of_server) in [
            ("ls", true, true),
            ("{", true, true),
            ("[]", true, true),
            ("{}", true, false),
            (r#"{"type":"exit","code":1}"#, true, false),
            (r#"{"type":"key","code":1}"#, false, false),
            (r#"{"type":"key"}"#, false, false),
        ] {
            let told = (shell.is_raw(Speaker::Client, text), shell.is_raw(Speaker::Server, text));
            assert_eq!(told, (of_client, of_server), "{text}");
            assert!(!stream.is_raw(Speaker::Client, text) && !stream.is_raw(Speaker::Server, text), "{text}");
        }
        assert_eq!((shell.messages(Speaker::Client).len(), shell.messages(Speaker::Server).len()), (1, 1));
    }

    #[test]
    fn a_frame_is_known_by_its_tag_or_by_a_property() {
        let hub = socket("hub");
        let read = |text| hub.read(Speaker::Server, text).map(|(name, _)| name.to_owned());
        assert_eq!(read(r#"{"type":"pong","timestamp":1}"#).expect("it is declared"), "pong");
        let event = r#"{"id":"msg_1","channel":"global","event":"x","data":null,"timestamp":1}"#;
        assert_eq!(read(event).expect("it is declared"), "event");
        let fault = r#"{"error":"x","code":"PARSE_ERROR","timestamp":1}"#;
        assert_eq!(read(fault).expect("it is declared"), "error");
    }

    #[test]
    fn what_is_not_declared_is_not_let_through() {
        let stream = socket("stream");
        for wrong in [
            "1",
            "{}",
            r#"{"type":"pong"}"#,
            r#"{"type":"pong","server_time":"yesterday"}"#,
            r#"{"type":"pong","server_time":"2026-03-02T09:30:00.000Z","surprise":1}"#,
            r#"{"type":"subscribe","stream":"runs/1"}"#,
        ] {
            assert!(stream.read(Speaker::Server, wrong).is_err(), "{wrong}");
        }
        assert!(stream.close_code(1000).is_ok() && stream.close_code(1008).is_err());
    }
}
