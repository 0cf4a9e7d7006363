//! Raw data: in its order among messages, no faster than the caller takes it, and lost with its connection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::bench::settings;
use super::chat::{CHAT, Code};
use crate::runtime::socket::machine::{Input, Machine};
use crate::runtime::{
    DecodeError, Ending, Intent, Position, Progress, QueueLimits, SendError, Socket, SocketBuilder, SocketFrame,
    SocketInfo, SocketProtocol, SocketState, Update, decode_json,
};
use crate::testing::{ScriptedSockets, SeededRandom, SocketScript};

/// A protocol that is in no spec: a terminal.
#[derive(Debug)]
struct Shell;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Client {
    Resize {
        cols: u32,
    },
    #[serde(skip)]
    Raw(Bytes),
}

impl From<Bytes> for Client {
    fn from(data: Bytes) -> Self {
        Self::Raw(data)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Server {
    Exit(Exit),
    Raw(Bytes),
    Unknown(Value),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Exit {
    code: i32,
}

impl SocketProtocol for Shell {
    type ClientMessage = Client;
    type ServerMessage = Server;
    type CloseCode = Code;

    const INFO: &'static SocketInfo = &SocketInfo { name: "shell", address: "/shell", security: &[], ..CHAT };
    const SENDS_RAW: bool = true;

    fn decode(text: &str) -> Result<Server, DecodeError> {
        let Ok(object) = serde_json::from_str::<serde_json::Map<String, Value>>(text) else {
            return Ok(Server::Raw(Bytes::copy_from_slice(text.as_bytes())));
        };
        match object.get("type").and_then(Value::as_str) {
            Some("exit") => decode_json(text.as_bytes()).map(Server::Exit),
            _ => Ok(Server::Unknown(object.into())),
        }
    }

    fn raw(message: &Client) -> Option<&Bytes> {
        match message {
            Client::Raw(data) => Some(data),
            Client::Resize { .. } => None,
        }
    }

    fn from_raw(data: Bytes) -> Option<Server> {
        Some(Server::Raw(data))
    }

    fn intent(_: &Client) -> Intent<'_> {
        Intent::Nothing
    }

    fn resume_after(_: &mut Client, _: &Position) {}

    fn progress(_: &Server) -> Progress<'_> {
        Progress::Nothing
    }

    fn discard(_: &mut Server, _: u64) {}
}

const EXIT: &str = r#"{"type":"exit","code":3}"#;

fn builder(client: crate::ClientBuilder) -> SocketBuilder<Shell> {
    SocketBuilder::new(&client.random(SeededRandom::new(5)).build().expect("the settings are right"), Vec::new())
}

fn shell(sockets: &ScriptedSockets) -> SocketBuilder<Shell> {
    builder(crate::Client::builder().socket_transport(sockets.clone()))
}

fn typed(data: impl Into<Bytes>) -> Client {
    Client::Raw(data.into())
}

fn short(update: &Update<Shell>) -> String {
    match update {
        Update::Connected { resumed } => format!("connected {resumed}"),
        Update::Message(Server::Exit(exit)) => format!("exit {}", exit.code),
        Update::Message(Server::Raw(data)) => format!("{data:?}"),
        Update::Message(Server::Unknown(value)) => format!("unknown {value}"),
        Update::Resync { .. } => "resync".to_owned(),
        Update::Disconnected { reason, .. } => match reason {
            Ending::Lost(_) => "lost".to_owned(),
            other => format!("disconnected: {other}"),
        },
        Update::Closed { reason: Ending::Closed { code, .. }, unsent } => format!("closed {code} {}", unsent.len()),
        Update::Closed { reason, unsent } => format!("closed: {reason} {}", unsent.len()),
    }
}

async fn until(socket: &mut Socket<Shell>, end: &str) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(update) = socket.next().await {
        told.push(short(&update));
        if told.last().is_some_and(|last| last.starts_with(end)) {
            break;
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn it_keeps_its_order_among_messages_in_both_directions() {
    let sockets = ScriptedSockets::new([SocketScript::open()
        .hears()
        .hears()
        .hears()
        .prints(&b"\xff"[..])
        .says(r#"{"type":"new"}"#)
        .says("text that is none of the messages")
        .prints(&b"last"[..])
        .says(EXIT)
        .closes(1000)]);
    let mut socket = shell(&sockets).connect();
    socket.send_raw(&b"ls"[..]).await.expect("it waits");
    socket.try_send(Client::Resize { cols: 80 }).expect("there is room");
    socket.sender().send(typed(&b"\n"[..])).await.expect("there is room");
    let told = until(&mut socket, "closed").await;
    let text = r#"b"text that is none of the messages""#;
    assert_eq!(
        told,
        ["connected false", r#"b"\xff""#, r#"unknown {"type":"new"}"#, text, r#"b"last""#, "exit 3", "closed 1000 0"]
    );
    let expected = [
        SocketFrame::Binary(Bytes::from_static(b"ls")),
        SocketFrame::Text(Bytes::from_static(br#"{"type":"resize","cols":80}"#)),
        SocketFrame::Binary(Bytes::from_static(b"\n")),
    ];
    assert_eq!(sockets.frames()[0][..3], expected);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_wrong_is_not_data() {
    let sockets = ScriptedSockets::new([SocketScript::open().says(r#"{"type":"exit"}"#), SocketScript::open()]);
    let mut socket = shell(&sockets).connect();
    let told = until(&mut socket, "connected true").await;
    assert!(told[1].starts_with("disconnected: the server said something"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_word_is_there_none_the_less() {
    let sockets = ScriptedSockets::new([SocketScript::open().hears().waits(Duration::from_secs(3_600)).prints("x")]);
    let mut socket = shell(&sockets).connect();
    socket.send_raw("key").await.expect("it waits");
    assert_eq!(until(&mut socket, "b\"x").await, ["connected false", r#"b"x""#]);
    assert_eq!(sockets.raw(), [b"key"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_to_the_next_connection_as_the_close_code_says() {
    let sockets = ScriptedSockets::new([
        SocketScript::open().hears().prints("a").closes(1001),
        SocketScript::unreachable(),
        SocketScript::open().hears().prints("b").breaks(),
        SocketScript::open().prints("c").closes(4001),
    ]);
    let mut socket = shell(&sockets).connect();
    socket.send_raw("1").await.expect("it waits");
    until(&mut socket, "disconnected").await;
    socket.send_raw("2").await.expect("it waits");
    assert_eq!(until(&mut socket, "lost").await.last().expect("it broke"), "lost");
    assert_eq!(until(&mut socket, "closed").await, ["connected true", r#"b"c""#, "closed 4001 0"]);
    assert_eq!(sockets.raw(), [&b"1"[..], b"", b"2", b""], "what was written is not written again");
}

#[tokio::test(start_paused = true)]
async fn large_data_goes_in_frames_that_the_server_takes() {
    let largest = Shell::INFO.limits.max_message_bytes;
    let mut script = SocketScript::open();
    for _ in 0..3 {
        script = script.hears();
    }
    let sockets = ScriptedSockets::new([script.says(EXIT)]);
    let limits = QueueLimits { messages: 1, bytes: largest };
    let mut socket = shell(&sockets).queue(limits).connect();
    let error = socket.try_send(typed(vec![0; largest + 1])).expect_err("it is one frame");
    assert!(matches!(error, SendError::TooLarge { bytes, .. } if bytes == largest + 1));
    socket.try_send(typed("first")).expect("there is room");
    assert!(matches!(socket.try_send(typed("x")), Err(SendError::Full(_))), "data counts like messages");
    let data: Vec<u8> = (0..largest + 10).map(|at| at as u8).collect();
    let sender = socket.sender();
    let sending = tokio::spawn({
        let data = data.clone();
        async move { sender.send_raw(data).await.is_ok() }
    });
    until(&mut socket, "exit").await;
    assert!(sending.await.expect("it is done"));
    assert_eq!(sockets.raw(), [[b"first".to_vec(), data].concat()]);
}

#[tokio::test(start_paused = true)]
async fn data_that_was_never_sent_comes_back() {
    let sockets = ScriptedSockets::new([]);
    let socket = shell(&sockets).connect();
    socket.send_raw("1").await.expect("it waits");
    let sender = socket.sender();
    assert_eq!(socket.close().await, [typed("1")]);
    let largest = Shell::INFO.limits.max_message_bytes;
    let large = vec![7; largest * 2];
    match sender.send_raw(large.clone()).await {
        Err(SendError::Closed(back)) => assert_eq!(back, typed(large), "all of it"),
        other => panic!("the session is over: {other:?}"),
    }
    sender.send_raw("").await.expect("nothing is nothing");
}

/// Like a bench, but for this protocol.
#[test]
fn a_caller_that_takes_nothing_stops_the_reading_and_is_no_silence() {
    let mut machine = Machine::<Shell>::new(settings(), std::sync::Arc::new(SeededRandom::new(1)));
    let mut now = Duration::from_secs(1);
    machine.handle(now, Input::Start);
    while machine.command().is_some() {}
    machine.handle(now, Input::Opened { generation: 1, credential: None });
    assert_eq!(machine.state(), SocketState::Open);
    let mut taken = 0;
    while machine.wants_frames() {
        let frame = SocketFrame::Binary(vec![0; 16 * 1024].into());
        machine.handle(now, Input::Frame { generation: 1, frame });
        taken += 16 * 1024;
    }
    assert_eq!(taken, 1024 * 1024, "that is as much as waits");
    for _ in 0..100 {
        now += Duration::from_secs(60);
        machine.handle(now, Input::Wake);
        while machine.take_frame(now).is_some() {}
    }
    assert_eq!(machine.state(), SocketState::Open, "who does not listen hears no sign of life");
    while !machine.wants_frames() {
        machine.take_update().expect("there is more to take");
    }
}

/// A server of a few lines that prints without end, and says how much of it has been taken off its hands.
async fn endless() -> (SocketAddr, mpsc::UnboundedReceiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("somebody comes");
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("it is a socket");
        let frame = Bytes::from(vec![b'x'; 16 * 1024]);
        while socket.send(Message::Binary(frame.clone())).await.is_ok() {
            let _ = tell.send(frame.len());
        }
    });
    (address, told)
}

#[tokio::test]
async fn over_a_network_the_server_is_held_back_while_the_caller_takes_nothing() {
    let (address, mut told) = endless().await;
    let client = crate::Client::builder().base_url(format!("http://{address}"));
    let mut socket = builder(client).connect();
    assert!(matches!(socket.next().await, Some(Update::Connected { .. })));
    // Until the server has not been able to write for a while: whatever waits on the way is full then.
    let mut written = 0;
    while let Ok(Some(bytes)) = tokio::time::timeout(Duration::from_millis(500), told.recv()).await {
        written += bytes;
        assert!(written < 64 << 20, "nobody takes anything, and it is still read");
    }
    let mut taken = 0;
    while taken < written {
        match socket.next().await {
            Some(Update::Message(Server::Raw(data))) => taken += data.len(),
            other => panic!("raw data was expected: {other:?}"),
        }
    }
    assert!(told.recv().await.is_some(), "the server goes on when the caller does");
    drop(socket.close().await);
}
