//! Sockets: every message reaches its method, what is none is told why, and frames are written as the spec has them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use poem::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::generated::errors::ErrorCode;
use crate::generated::sockets::r#loop::LOOP;
use crate::generated::sockets::rooms::{
    ROOMS, RoomsClientMessage, RoomsEndpoint, RoomsParameters, RoomsServerMessage, RoomsSession, RoomsSocket,
};
use crate::generated::sockets::shell::{
    ShellClientMessage, ShellEndpoint, ShellServerMessage, ShellSession, ShellSocket,
};
use crate::generated::sockets::tail::{TailClientMessage, TailEndpoint, TailServerMessage, TailSession, TailSocket};
use crate::generated::sockets::{CloseCode, SOCKETS};
use crate::generated::types;
use crate::service::service;
use crate::support::{
    ApiError, Context, ContextParts, Fault, FaultKind, Frame, Outbox, Outgoing, RawSender, Reconnect, ServerMessage,
    Socket, SocketSession, Taken,
};

type Out<'a> = &'a mut Outbox<RoomsServerMessage>;
type Done = Result<(), CloseCode>;

/// Writes down what it is told.
#[derive(Default)]
struct Rooms {
    told: Arc<Mutex<Vec<String>>>,
}

struct Room {
    told: Arc<Mutex<Vec<String>>>,
    faults: Vec<Fault>,
}

impl Room {
    fn tell(&self, what: impl Into<String>) -> Done {
        self.told.lock().expect("no test panics while it holds this").push(what.into());
        Ok(())
    }
}

impl RoomsSocket for Rooms {
    type Session = Room;

    async fn connect(&self, context: &Context, parameters: RoomsParameters) -> Result<Room, ApiError> {
        if parameters.text.as_deref() == Some("no") {
            return Err(ErrorCode::Unknown.into());
        }
        let room = Room { told: Arc::clone(&self.told), faults: Vec::new() };
        room.tell(format!("{} {parameters:?}", context.request_id())).expect("it never closes");
        Ok(room)
    }
}

impl RoomsSession for Room {
    async fn opened(&mut self, out: Out<'_>) -> Done {
        out.send(RoomsServerMessage::Hello(types::RoomHello { epoch: "e".to_owned() }));
        Ok(())
    }

    async fn subscribe(&mut self, message: types::RoomSubscribe, _: Out<'_>) -> Done {
        self.tell(format!("subscribe {} {:?} {:?}", message.room, message.since_seq, message.epoch))
    }

    async fn unsubscribe(&mut self, message: types::RoomUnsubscribe, _: Out<'_>) -> Done {
        self.tell(format!("unsubscribe {}", message.room))
    }

    async fn login(&mut self, message: types::RoomLogin, _: Out<'_>) -> Done {
        if message.token == "expired" {
            return Err(CloseCode::Self_);
        }
        self.tell(format!("{message:?}"))
    }

    async fn r#move(&mut self, message: types::RoomMove, _: Out<'_>) -> Done {
        self.tell(serde_json::to_string(&message).expect("it can be written"))
    }

    async fn heartbeat_message(&mut self, _: types::RoomBeat, _: Out<'_>) -> Done {
        self.tell("a heartbeat")
    }

    async fn ping(&mut self, message: types::Ping, out: Out<'_>) -> Done {
        out.send(RoomsServerMessage::Ping(message));
        Ok(())
    }

    async fn note(&mut self, message: types::RoomNote, _: Out<'_>) -> Done {
        self.tell(format!("note {}", message.note))
    }

    async fn faulty(&mut self, fault: Fault, out: Out<'_>) -> Done {
        out.send(RoomsServerMessage::Unknown(types::RoomFault {
            error: fault.kind.code().to_string(),
            path: Some(fault.path.clone()),
        }));
        self.faults.push(fault);
        Ok(())
    }

    async fn pending(&mut self, out: Out<'_>) -> Done {
        out.send_frame(Frame::from_static("ready"));
        Ok(())
    }

    async fn heartbeat(&mut self, _: Out<'_>) -> Done {
        Err(CloseCode::GoingAway)
    }

    async fn closed(self) {
        self.tell(format!("closed after {} faults", self.faults.len())).expect("it never closes");
    }
}

/// Takes nothing.
struct Tail;

impl TailSocket for Tail {
    type Session = Self;

    async fn connect(
        &self,
        _: &Context,
        parameters: crate::generated::sockets::tail::TailParameters,
    ) -> Result<Self, ApiError> {
        assert_eq!(parameters.name, None);
        Ok(Self)
    }
}

impl TailSession for Tail {
    async fn opened(&mut self, _: &mut Outbox<TailServerMessage>) -> Done {
        Ok(())
    }

    async fn follow(&mut self, _: types::TailFollow, _: &mut Outbox<TailServerMessage>) -> Done {
        Ok(())
    }

    async fn faulty(&mut self, _: Fault, _: &mut Outbox<TailServerMessage>) -> Done {
        Err(CloseCode::Normal)
    }

    async fn pending(&mut self, _: &mut Outbox<TailServerMessage>) -> Done {
        Ok(())
    }

    async fn heartbeat(&mut self, _: &mut Outbox<TailServerMessage>) -> Done {
        Ok(())
    }

    async fn closed(self) {}
}

/// Prints what is typed.
struct Shell(RawSender);

impl ShellSocket for Shell {
    type Session = Self;

    async fn connect(&self, _: &Context) -> Result<Self, ApiError> {
        Ok(Self(RawSender::binary()))
    }
}

impl ShellSession for Shell {
    async fn opened(&mut self, out: &mut Outbox<ShellServerMessage>) -> Done {
        out.send_raw(Bytes::from_static(b"$ "));
        Ok(())
    }

    async fn ping(&mut self, message: types::Ping, out: &mut Outbox<ShellServerMessage>) -> Done {
        self.0.finish(out);
        out.send(ShellServerMessage::Ping(message));
        Ok(())
    }

    async fn raw(&mut self, data: Bytes, out: &mut Outbox<ShellServerMessage>) -> Done {
        self.0.send(data, out);
        Ok(())
    }

    async fn faulty(&mut self, fault: Fault, out: &mut Outbox<ShellServerMessage>) -> Done {
        assert_eq!(fault.kind, FaultKind::InvalidMessage);
        self.0.send(Bytes::from(format!("fault at {}", fault.path)), out);
        Ok(())
    }

    async fn pending(&mut self, _: &mut Outbox<ShellServerMessage>) -> Done {
        Ok(())
    }

    async fn heartbeat(&mut self, _: &mut Outbox<ShellServerMessage>) -> Done {
        Ok(())
    }

    async fn closed(self) {}
}

fn context() -> Context {
    Context::new(ContextParts {
        request_id: "req-1".to_owned(),
        peer: None,
        forwarded: false,
        method: Method::GET,
        path: "/v1/rooms".to_owned(),
        headers: poem::http::HeaderMap::new(),
        body: Bytes::new(),
    })
}

const LEAST: &str = "id=00000000-0000-0000-0000-000000000007&type=self&must=1";

/// A connection, and what it is told.
async fn connected() -> (impl SocketSession<Message = RoomsServerMessage>, Arc<Mutex<Vec<String>>>) {
    let socket = Rooms::default();
    let told = Arc::clone(&socket.told);
    let session = RoomsEndpoint::new(Arc::new(socket)).connect(&context(), LEAST).await.expect("it is let in");
    told.lock().expect("no test panics while it holds this").clear();
    (session, told)
}

fn texts(out: &mut Outbox<impl ServerMessage>) -> Vec<String> {
    let text = |frame: &Outgoing| match frame {
        Outgoing::Text(text) => text.as_str().to_owned(),
        Outgoing::Binary(data) => format!("{data:?}"),
    };
    out.take().iter().map(text).collect()
}

#[tokio::test]
async fn every_message_reaches_its_method() {
    let (mut session, told) = connected().await;
    let mut out = Outbox::new();
    for (text, expected) in [
        (r#"{"@type":"subscribe","room":"a"}"#, "subscribe a None None"),
        (r#"{"room":"a","since_seq":0,"epoch":"e","@type":"subscribe"}"#, r#"subscribe a Some(0) Some("e")"#),
        (r#"{"@type":"unsubscribe","room":"a","new_in_version_9":{}}"#, "unsubscribe a"),
        (r#"{"@type":"log in","token":"hush"}"#, "RoomLogin { token: [redacted] }"),
        (
            r#"{"@type":"move","to":{"kind":"circle","radius":1.0},"data":null,"more":null}"#,
            r#"{"to":{"kind":"circle","radius":1.0},"data":null,"more":null}"#,
        ),
        (
            r#"{"@type":"move","to":{"kind":"circle","radius":1.0},"data":[18446744073709551615]}"#,
            r#"{"to":{"kind":"circle","radius":1.0},"data":[18446744073709551615]}"#,
        ),
        (r#"{"@type":"heartbeat"}"#, "a heartbeat"),
        (r#"{"note":"n"}"#, "note n"),
    ] {
        assert_eq!(session.receive(text, &mut out).await, Ok(Taken::Well), "{text}");
        let told = std::mem::take(&mut *told.lock().expect("no test panics while it holds this"));
        assert_eq!(told, [expected]);
        assert!(out.is_empty());
    }
    assert_eq!(session.receive(r#"{"@type":"ping","id":"1"}"#, &mut out).await, Ok(Taken::Well));
    assert_eq!(texts(&mut out), [r#"{"@type":"ping","id":"1"}"#]);
    let expired = session.receive(r#"{"@type":"log in","token":"expired"}"#, &mut out).await;
    assert_eq!(expired, Err(CloseCode::Self_));
}

#[test]
fn an_inherited_protocol_may_write_a_tag_in_any_case() {
    for tag in ["follow", "Follow", " FOLLOW\\n"] {
        let text = format!(r#"{{"@type":"{tag}"}}"#);
        assert!(matches!(TailClientMessage::decode(&text), Ok(TailClientMessage::Follow(_))), "{text}");
    }
    let fault = TailClientMessage::decode(r#"{"@type":"fol low"}"#).expect_err("it is none");
    assert_eq!((fault.kind, fault.tag.as_deref()), (FaultKind::UnknownMessage, Some("fol low")));
    // Elsewhere it is written as it stands.
    assert!(RoomsClientMessage::decode(r#"{"@type":"Heartbeat"}"#).is_err());
}

#[tokio::test]
async fn raw_data_goes_beside_messages() {
    async fn connected<T: Socket>(socket: T) -> T::Session {
        socket.connect(&context(), "").await.expect("it is let in")
    }
    fn carries<T: SocketSession>(_: &T) -> (bool, bool) {
        (T::TAKES_RAW, T::SENDS_RAW)
    }
    let mut shell = connected(ShellEndpoint::new(Arc::new(Shell(RawSender::binary())))).await;
    assert_eq!(carries(&shell), (true, true));
    assert_eq!(carries(&connected(TailEndpoint::new(Arc::new(Tail))).await), (false, false));
    let mut out = Outbox::new();
    shell.opened(&mut out).await.expect("it goes on");
    shell.raw(Bytes::from_static(b"\xff"), &mut out).await.expect("it goes on");
    assert_eq!(texts(&mut out), [r#"b"$ ""#, r#"b"\xff""#]);
    for text in [
        "",
        "ls\n",
        "{",
        "null",
        r#"["@type"]"#,
        "{}",
        r#"{"@type":"pong"}"#,
        r#"{"@type":"PING"}"#,
        r#"{"@type":1}"#,
        r#"{"type":"ping"}"#,
        r#"{"@type":"gap","room":"a","next_seq":1}"#,
        &"[".repeat(500),
    ] {
        assert_eq!(ShellClientMessage::decode(text), Ok(None), "{text}");
        assert_eq!(shell.receive(text, &mut out).await, Ok(Taken::Well), "{text}");
        let expected = if text.is_empty() { vec![] } else { vec![Outgoing::Binary(Bytes::from(text.to_owned()))] };
        assert_eq!(out.take(), expected);
    }
    assert_eq!(shell.receive(r#" {"@type":"ping","id":"1"}"#, &mut out).await, Ok(Taken::Well));
    assert_eq!(texts(&mut out), [r#"{"@type":"ping","id":"1"}"#]);
    assert_eq!(shell.receive(r#"{"@type":"ping","id":"longer"}"#, &mut out).await, Ok(Taken::Faulty));
    assert_eq!(texts(&mut out), [r#"b"fault at /id""#]);
}

#[tokio::test]
async fn what_is_no_message_is_told_why() {
    let (mut session, told) = connected().await;
    let mut out = Outbox::new();
    let deep = format!(r#"{{"@type":"move","data":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let cases = [
        ("", FaultKind::NotJson, ""),
        ("[]", FaultKind::NotJson, ""),
        (deep.as_str(), FaultKind::NotJson, ""),
        ("{}", FaultKind::UnknownMessage, ""),
        (r#"{"type":"ping"}"#, FaultKind::UnknownMessage, ""),
        (r#"{"@type":"hello","epoch":"e"}"#, FaultKind::UnknownMessage, ""),
        (r#"{"@type":"login","token":"hush"}"#, FaultKind::UnknownMessage, ""),
        (r#"{"@type":"new","note":"n"}"#, FaultKind::UnknownMessage, ""),
        (r#"{"@type":"subscribe"}"#, FaultKind::InvalidMessage, ""),
        (r#"{"@type":"subscribe","room":""}"#, FaultKind::InvalidMessage, "/room"),
        (r#"{"@type":"subscribe","room":"a","since_seq":null}"#, FaultKind::InvalidMessage, "/since_seq"),
        (r#"{"@type":"subscribe","room":"a","since_seq":9007199254740992}"#, FaultKind::InvalidMessage, "/since_seq"),
        (r#"{"@type":"log in","token":""}"#, FaultKind::InvalidMessage, "/token"),
        (r#"{"@type":"move","to":{"kind":"circle","radius":-1.0},"data":1}"#, FaultKind::InvalidMessage, "/to/radius"),
        (r#"{"@type":"move","to":{"kind":"circle","radius":1.0}}"#, FaultKind::InvalidMessage, ""),
        (r#"{"note":"longer than ten"}"#, FaultKind::InvalidMessage, "/note"),
        (r#"{"@type":"ping","id":"longer"}"#, FaultKind::InvalidMessage, "/id"),
    ];
    for (text, kind, path) in cases {
        assert_eq!(session.receive(text, &mut out).await, Ok(Taken::Faulty), "{text}");
        let expected = json!({ "error": kind.code().as_str(), "path": path });
        let answered: Vec<Value> =
            texts(&mut out).iter().map(|text| serde_json::from_str(text).expect("it is JSON")).collect();
        assert_eq!(answered, [expected], "{text}");
    }
    session.closed().await;
    let told = told.lock().expect("no test panics while it holds this").clone();
    assert_eq!(told, [format!("closed after {} faults", cases.len())]);
}

#[tokio::test]
async fn a_session_lives_as_the_engine_drives_it() {
    let (mut session, _) = connected().await;
    let mut out = Outbox::new();
    assert_eq!(session.opened(&mut out).await, Ok(()));
    assert_eq!(session.pending(&mut out).await, Ok(()));
    assert_eq!(session.heartbeat(&mut out).await, Err(CloseCode::GoingAway));
    assert_eq!(texts(&mut out), [r#"{"@type":"hello","epoch":"e"}"#, "ready"]);

    let mut tail = TailEndpoint::new(Arc::new(Tail)).connect(&context(), "").await.expect("it is let in");
    let mut out = Outbox::new();
    assert_eq!(tail.receive(r#"{"@type":"follow","since_seq":null}"#, &mut out).await, Ok(Taken::Well));
    assert_eq!(tail.receive("no", &mut out).await, Err(CloseCode::Normal));
}

#[test]
fn messages_are_written_with_their_tag_first() {
    let room = || "a".to_owned();
    let event = |seq, text: Option<&str>| types::RoomEvent { seq, text: text.map(str::to_owned) };
    for (message, name, expected) in [
        (
            RoomsServerMessage::Event(types::RoomLive { room: room(), event: event(1, Some("t")) }),
            "event",
            r#"{"@type":"event","room":"a","event":{"seq":1,"text":"t"}}"#,
        ),
        (
            RoomsServerMessage::Events(types::RoomEvents {
                room: room(),
                events: vec![event(1, None), event(2, None)],
            }),
            "events",
            r#"{"@type":"events","room":"a","events":[{"seq":1},{"seq":2}]}"#,
        ),
        (
            RoomsServerMessage::Synced(types::RoomSynced { room: room(), seq: 0 }),
            "synced",
            r#"{"@type":"synced","room":"a","seq":0}"#,
        ),
        (
            RoomsServerMessage::Gap(types::RoomGap { room: room(), next_seq: 5 }),
            "gap",
            r#"{"@type":"gap","room":"a","next_seq":5}"#,
        ),
        (RoomsServerMessage::Ping(types::Ping { id: None }), "ping", r#"{"@type":"ping"}"#),
        (
            RoomsServerMessage::Changed(types::RoomChanged { room: room(), changed: "c".to_owned(), seq: None }),
            "changed",
            r#"{"room":"a","changed":"c"}"#,
        ),
        (
            RoomsServerMessage::Unknown(types::RoomFault { error: "e\u{2028}\"".to_owned(), path: None }),
            "unknown",
            "{\"error\":\"e\u{2028}\\\"\"}",
        ),
    ] {
        assert_eq!((message.name(), message.frame().as_str()), (name, expected));
    }
}

#[tokio::test]
async fn parameters_are_those_of_the_query() {
    let socket = Rooms::default();
    let told = Arc::clone(&socket.told);
    let endpoint = RoomsEndpoint::new(Arc::new(socket));
    let full = "id=00000000-0000-0000-0000-000000000007&type=self&must=1&must=-2&text=a&colors=red&colors=two%20words\
                &limit=9&color=1d&token=hush&new_in_version_9=x";
    for (query, expected) in [
        (LEAST, "must: [1], text: None, colors: [], limit: 50, color: Red, token: [redacted] }"),
        (full, "must: [1, -2], text: Some(\"a\"), colors: [Red, TwoWords], limit: 9, color: _1d, token: [redacted] }"),
    ] {
        endpoint.connect(&context(), query).await.expect(query);
        let told = std::mem::take(&mut *told.lock().expect("no test panics while it holds this"));
        let id = Uuid::from_u128(7);
        assert_eq!(told, [format!("req-1 RoomsParameters {{ id: {id}, type: Self_, {expected}")]);
    }
    for (query, name) in [
        ("", "id"),
        ("id=no", "id"),
        (&LEAST.replace("self", "blue"), "type"),
        (&LEAST.replace("must=1", ""), "must"),
        (&LEAST.replace("must=1", "must=x"), "must"),
        (&format!("{LEAST}&must=2&must=3"), "must"),
        (&format!("{LEAST}&text=abcdef"), "text"),
        (&format!("{LEAST}&text=A"), "text"),
        (&format!("{LEAST}&colors=blue"), "colors"),
        (&format!("{LEAST}&limit=0"), "limit"),
        (&format!("{LEAST}&limit="), "limit"),
        (&format!("{LEAST}&token="), "token"),
        (&format!("{LEAST}&token={}", "hush".repeat(6)), "token"),
    ] {
        let error = endpoint.connect(&context(), query).await.err().expect(query);
        let paths: Vec<&str> = error.details.iter().map(|detail| detail.path.as_str()).collect();
        assert_eq!((error.code, paths), (ErrorCode::InvalidRequest, vec![name]), "{query}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

#[tokio::test]
async fn only_declared_codes_refuse_a_connection() {
    let endpoint = RoomsEndpoint::new(Arc::new(Rooms::default()));
    let refused = endpoint.connect(&context(), &format!("{LEAST}&text=no")).await.err().expect("it is refused");
    let told = async |error: ApiError| {
        let response = ROOMS.refusal(error, &context());
        let status = response.status().as_u16();
        let body = response.into_body().into_string().await.expect("it has a body");
        let body: Value = serde_json::from_str(&body).expect("it is JSON");
        assert_eq!(body["request_id"], "req-1");
        (status, body["code"].clone())
    };
    assert_eq!(told(refused).await, (404, json!("unknown")));
    assert_eq!(told(ErrorCode::RouteNotFound.into()).await, (500, json!("internal")));
}

#[test]
fn the_tables_are_those_of_the_spec() {
    let names: Vec<&str> = SOCKETS.iter().map(|socket| socket.name).collect();
    assert_eq!(names, ["rooms", "tail", "loop", "shell"]);
    assert_eq!(<RoomsEndpoint<Rooms> as Socket>::INFO, &ROOMS);
    assert_eq!((ROOMS.address, ROOMS.security), ("/v1/rooms", &[&["token"][..], &["key", "token"], &[]][..]));
    assert_eq!((ROOMS.client_messages.len(), ROOMS.server_messages.len()), (7, 8));
    assert_eq!(ROOMS.faults, [ErrorCode::NotJson, ErrorCode::UnknownMessage, ErrorCode::InvalidMessage]);
    assert_eq!(LOOP.close_codes, [CloseCode::Normal, CloseCode::Self_]);
    assert!(LOOP.errors.contains(&ErrorCode::UpgradeRequired) && !LOOP.errors.contains(&ErrorCode::InvalidRequest));
    let limits = ROOMS.limits;
    assert_eq!((limits.max_message_bytes, limits.queue_bytes), (65_536, 131_072));
    assert_eq!((limits.heartbeat.as_secs(), limits.silence.as_secs()), (20, 60));

    let row = |code: CloseCode| (code.as_str(), code.code(), code.reconnect());
    assert_eq!(row(CloseCode::Normal), ("normal", 1000, Reconnect::Never));
    assert_eq!(row(CloseCode::GoingAway), ("going_away", 1001, Reconnect::Resume));
    assert_eq!(row(CloseCode::Self_), ("self", 4000, Reconnect::Fresh));
    assert_eq!((CloseCode::Normal.message(), CloseCode::GoingAway.action()), ("Goodbye */ <b>.", "Come \"back\"."));
    assert_eq!(CloseCode::ALL.len(), 3);
}

#[test]
fn types_of_messages_stay_out_of_the_document_of_operations() {
    let document: Value = serde_json::from_str(&service().spec()).expect("the document is JSON");
    let schemas = document["components"]["schemas"].as_object().expect("there are schemas").clone();
    assert!(schemas.contains_key("Shape"));
    assert!(!schemas.keys().any(|name| name.starts_with("Room") || name == "Ping"), "{:?}", schemas.keys());
}

#[test]
fn free_json_has_a_schema_that_takes_anything() {
    let schema = schemars::schema_for!(types::RoomMove).to_value();
    assert_eq!(schema["properties"]["data"]["description"], "Any JSON.");
    assert_eq!(schema["properties"]["data"].get("type"), None);
    assert_eq!(schema["required"], json!(["to", "data"]));
}
