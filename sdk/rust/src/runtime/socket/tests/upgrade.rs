//! The one real transport, against servers of a few lines on the loopback interface.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use url::Url;

use super::bench::short;
use super::chat::{Chat, Client, Code, events, follow, hello, json, note, say};
use crate::error::ErrorCode;
use crate::runtime::{
    Ending, HttpTransport, ReconnectPolicy, Socket, SocketBuilder, SocketError, SocketFrame, SocketRequest,
    SocketTransport, Update,
};
use crate::{Client as Flightdeck, Error};

struct Server {
    listener: TcpListener,
    url: String,
}

impl Server {
    async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("the port is bound"));
        Self { listener, url }
    }

    /// A connection, and the request that opens it.
    async fn request(&self) -> (TcpStream, String) {
        let (mut stream, _) = self.listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("the request goes on"));
        }
        (stream, String::from_utf8(request).expect("text"))
    }

    /// Opens a socket and says hello, both at once, as a server with a fast answer does.
    async fn accept(&self) -> (WebSocketStream<TcpStream>, String) {
        let (mut stream, request) = self.request().await;
        let hello = json(&hello());
        let mut bytes = accepted(&request).into_bytes();
        bytes.extend([0x81, u8::try_from(hello.len()).expect("short")]);
        bytes.extend(hello.as_bytes());
        stream.write_all(&bytes).await.expect("the client listens");
        (WebSocketStream::from_raw_socket(stream, Role::Server, None).await, request)
    }

    /// Answers requests with these bytes, one after the other.
    fn answer(self, answers: Vec<String>) -> JoinHandle<()> {
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, request) = self.request().await;
                let answer = answer.replace("{accept}", &accept_key(&request));
                stream.write_all(answer.as_bytes()).await.expect("the client listens");
            }
        })
    }
}

fn accept_key(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
    derive_accept_key(key.as_bytes())
}

fn accepted(request: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\n\r\n",
        accept_key(request)
    )
}

fn chat(url: &str) -> SocketBuilder<Chat> {
    let client = Flightdeck::builder().base_url(url).device_token("t").build().expect("the settings are right");
    let waits = ReconnectPolicy::default().waits(Duration::from_millis(1), Duration::from_millis(10));
    SocketBuilder::new(&client, vec![("room", "a".to_owned())]).reconnect(waits)
}

async fn until(socket: &mut Socket<Chat>, end: &str) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(update) = socket.next().await {
        told.push(short(&update));
        if told.last().is_some_and(|last| last.starts_with(end)) {
            return told;
        }
    }
    panic!("{told:?} does not end with {end}");
}

async fn heard(server: &mut WebSocketStream<TcpStream>) -> Message {
    server.next().await.expect("the client speaks").expect("as it should")
}

async fn say_to(server: &mut WebSocketStream<TcpStream>, message: impl Into<Message>) {
    server.send(message.into()).await.expect("the client listens");
}

fn text(message: &impl serde::Serialize) -> Message {
    Message::text(json(message))
}

fn closing(code: u16) -> Message {
    Message::Close(Some(CloseFrame { code: code.into(), reason: "so".into() }))
}

#[tokio::test]
async fn a_session_over_two_connections() {
    let server = Server::new().await;
    let mut socket = chat(&server.url).connect();
    socket.send(follow("a", 0)).await.expect("it waits");

    let (mut connection, request) = server.accept().await;
    assert!(request.starts_with("GET /chat?room=a HTTP/1.1\r\n"), "{request}");
    for header in [
        "authorization: Bearer t\r\n",
        "connection: Upgrade\r\n",
        "upgrade: websocket\r\n",
        "sec-websocket-version: 13\r\n",
        "user-agent: flightdeck-rust/",
    ] {
        assert!(request.contains(header), "{header} is missing: {request}");
    }
    assert_eq!(heard(&mut connection).await, text(&follow("a", 0)));
    say_to(&mut connection, text(&events("a", 1..=500))).await;
    say_to(&mut connection, Message::Ping("are you there".into())).await;
    assert_eq!(heard(&mut connection).await, Message::Pong("are you there".into()));
    drop(connection);

    let told = until(&mut socket, "disconnected").await;
    assert!(told[2].ends_with("499, 500]"), "{told:?}");
    let (mut connection, _) = server.accept().await;
    let followed = Client::Follow { room: "a".into(), since: Some(500), epoch: Some("e1".into()) };
    assert_eq!(heard(&mut connection).await, text(&followed));
    socket.send(say("hi")).await.expect("it is open");
    assert_eq!(heard(&mut connection).await, text(&say("hi")));

    drop(socket);
    assert_eq!(
        heard(&mut connection).await,
        Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
    );
    assert!(connection.next().await.is_none(), "the connection is closed properly");
}

#[tokio::test]
async fn close_codes_arrive() {
    let server = Server::new().await;
    let mut socket = chat(&server.url).connect();
    for code in [1001, 4999] {
        let (mut connection, _) = server.accept().await;
        say_to(&mut connection, closing(code)).await;
        until(&mut socket, "hello").await;
        let update = socket.next().await;
        let Some(Update::Disconnected { reason: Ending::Closed { code: found, known, reason }, .. }) = update else {
            panic!("{update:?}")
        };
        assert_eq!((found, known, reason.as_str()), (code, (code == 1001).then_some(Code::GoingAway), "so"));
        assert!(connection.next().await.expect("an answer").expect("a close frame").is_close());
        assert!(connection.next().await.is_none());
    }
    let (mut connection, _) = server.accept().await;
    say_to(&mut connection, closing(4001)).await;
    until(&mut socket, "closed").await;
}

#[tokio::test]
async fn frames_that_cannot_be_read_are_answered_and_survived() {
    let limit = 4096;
    let server = Server::new().await;
    let mut socket = chat(&server.url).message_limit(limit).connect();
    let huge = note(&"x".repeat(limit));
    let frames = [(text(&huge), 1009), (Message::text("not JSON"), 1007), (Message::binary(vec![1, 2, 3]), 1003)];
    for (frame, code) in frames {
        let (mut connection, _) = server.accept().await;
        say_to(&mut connection, text(&note("fine"))).await;
        say_to(&mut connection, frame).await;
        let told = until(&mut socket, "disconnected").await;
        assert!(told.iter().any(|told| told == "note fine"), "{told:?}");
        let close = connection.next().await.expect("a last word").expect("a close frame");
        assert!(matches!(&close, Message::Close(Some(frame)) if u16::from(frame.code) == code), "{code}: {close:?}");
    }
    let (mut connection, _) = server.accept().await;
    say_to(&mut connection, text(&events("a", [1]))).await;
    until(&mut socket, "a[1]").await;
}

#[tokio::test]
async fn what_is_not_the_websocket_protocol_is_survived() {
    let server = Server::new().await;
    let mut socket = chat(&server.url).connect();
    // A masked frame, as only clients send, and a frame with a reserved bit.
    for bytes in [&[0x81, 0x80, 0, 0, 0, 0][..], &[0xf1, 0x00]] {
        let (connection, _) = server.accept().await;
        let mut stream = connection.into_inner();
        stream.write_all(bytes).await.expect("the client listens");
        let told = until(&mut socket, "disconnected").await;
        assert!(told.last().expect("told").contains("not what the protocol says"), "{told:?}");
    }
    server.accept().await;
    until(&mut socket, "hello").await;
}

fn failure(update: Option<Update<Chat>>) -> Error {
    match update {
        Some(
            Update::Closed { reason: Ending::Failed(error), .. }
            | Update::Disconnected { reason: Ending::Failed(error), .. },
        ) => error,
        other => panic!("no connection should have been made, but {other:?}"),
    }
}

#[tokio::test]
async fn refusals_of_the_upgrade_are_told() {
    let body = r#"{"error":"No.","code":"credential_invalid","action":"Pair again."}"#;
    let server = Server::new().await;
    let url = server.url.clone();
    server.answer(vec![
        "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: 0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 401 No\r\ncontent-length: {}\r\nx-request-id: r-9\r\n\r\n{body}", body.len()),
    ]);
    let mut socket = chat(&url).connect();
    assert!(failure(socket.next().await).is_retryable());
    let error = failure(socket.next().await);
    assert_eq!(error.code(), Some(&ErrorCode::CredentialInvalid));
    assert_eq!(error.request_id(), Some("r-9"));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::new().await;
    let server = Server::new().await;
    let url = server.url.clone();
    server.answer(vec![format!("HTTP/1.1 307 Moved\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url)]);
    let error = failure(chat(&url).connect().next().await);
    assert_eq!(error.as_api().map(|refusal| refusal.status), Some(307));
    let asked = tokio::time::timeout(Duration::from_millis(50), elsewhere.listener.accept()).await;
    assert!(asked.is_err(), "the credential stays where it belongs");
}

#[tokio::test]
async fn an_answer_that_opens_no_socket_is_final() {
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n";
    let answers = [
        (format!("{upgrade}upgrade: h2c\r\nsec-websocket-accept: {{accept}}\r\n\r\n"), "another protocol"),
        (format!("{upgrade}upgrade: websocket\r\nsec-websocket-accept: AAAA\r\n\r\n"), "`Sec-WebSocket-Accept`"),
        (format!("{upgrade}upgrade: websocket\r\n\r\n"), "`Sec-WebSocket-Accept`"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned(), "\"hello\""),
    ];
    for (answer, reason) in answers {
        let server = Server::new().await;
        let url = server.url.clone();
        server.answer(vec![answer]);
        let error = failure(chat(&url).connect().next().await);
        assert!(!error.is_retryable());
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(format!("{error} {source}").contains(reason), "{error} {source}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let server = Server::new().await;
    let url = server.url.clone();
    drop(server);
    let mut socket = chat(&url).reconnect(ReconnectPolicy::default().attempts(0)).connect();
    let error = failure(socket.next().await);
    assert!(matches!(error, Error::Connection { maybe_delivered: false, .. }), "{error:?}");
}

/// A bare connection, without a session above it.
async fn bare(server: &Server, write_limit: usize) -> (crate::runtime::SocketConnection, WebSocketStream<TcpStream>) {
    let url = Url::parse(&server.url).expect("a URL");
    let transport = HttpTransport::new(&url).expect("a client");
    let request = SocketRequest { url, headers: http::HeaderMap::new(), message_limit: 1 << 20, write_limit };
    let (connection, (far, _)) = tokio::join!(transport.open(request), server.accept());
    (connection.expect("it opens"), far)
}

#[tokio::test]
async fn large_messages_go_through_small_buffers() {
    let server = Server::new().await;
    let (mut connection, mut far) = bare(&server, 1 << 20).await;
    let large = "x".repeat(1 << 20);
    let frame = SocketFrame::Text(large.clone().into());
    let writing = async {
        for _ in 0..3 {
            connection.outgoing.send(frame.clone()).await.expect("the server listens");
        }
    };
    let reading = async {
        for _ in 0..3 {
            assert_eq!(heard(&mut far).await, Message::text(large.clone()));
        }
    };
    tokio::join!(writing, reading);

    let echo = async {
        for _ in 0..3 {
            say_to(&mut far, Message::text(large.clone())).await;
        }
        far
    };
    let hearing = async {
        assert!(matches!(connection.incoming.next().await, Some(Ok(SocketFrame::Text(_)))), "hello");
        for _ in 0..3 {
            assert_eq!(connection.incoming.next().await.expect("open").expect("fine"), frame);
        }
    };
    let (far, ()) = tokio::join!(echo, hearing);
    drop(far);
    assert!(matches!(connection.incoming.next().await, Some(Err(SocketError::Lost(_)))));
    assert!(connection.incoming.next().await.is_none());
}
