//! The task around the machine, with scripted connections and in paused time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use super::bench::short;
use super::chat::{Chat, Client, QuietChat, events, follow, hello, json, login, note, say};
use crate::error::ErrorCode;
use crate::runtime::{
    Ending, OpenError, QueueLimits, ReconnectPolicy, SendError, Socket, SocketBuilder, SocketConnection, SocketFrame,
    SocketProtocol, SocketRequest, SocketState, SocketTransport, Update,
};
use crate::testing::{ManualClock, ScriptedSockets, SeededRandom, SocketScript};
use crate::{ClientBuilder, Error};

fn client(transport: impl SocketTransport + 'static) -> ClientBuilder {
    crate::Client::builder().socket_transport(transport).random(SeededRandom::new(5))
}

fn builder<P: SocketProtocol>(client: ClientBuilder) -> SocketBuilder<P> {
    SocketBuilder::new(&client.build().expect("the settings are right"), Vec::new())
}

fn chat(sockets: &ScriptedSockets) -> SocketBuilder<Chat> {
    builder(client(sockets.clone()))
}

fn open() -> SocketScript {
    SocketScript::open().says(json(&hello()))
}

/// The next updates, each as a short text, up to and including the first that begins like this.
async fn until<P>(socket: &mut Socket<P>, end: &str) -> Vec<String>
where
    P: SocketProtocol<ServerMessage = super::chat::Server, ClientMessage = Client>,
{
    let mut told = Vec::new();
    while let Some(update) = socket.next().await {
        told.push(short(&update));
        if told.last().is_some_and(|last| last.starts_with(end)) {
            break;
        }
    }
    told
}

fn error(refused: Option<Update<Chat>>) -> Error {
    match refused {
        Some(
            Update::Closed { reason: Ending::Failed(error), .. }
            | Update::Disconnected { reason: Ending::Failed(error), .. },
        ) => error,
        other => panic!("no connection should have been made, but {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_again_and_goes_on() {
    let sockets = ScriptedSockets::new([
        open().hears().says(json(&events("a", [1, 2]))).says(json(&events("a", [3]))).breaks(),
        SocketScript::unreachable(),
        open().hears().says(json(&events("a", [4]))).closes(1001),
        open().hears().says(json(&events("a", [5]))).says("nonsense"),
        open().hears().hears().says(json(&note("bye"))),
    ]);
    let mut socket = chat(&sockets).connect();
    socket.send(follow("a", 0)).await.expect("it is open");
    let told = until(&mut socket, "a[5]").await;
    let messages: Vec<_> = told.iter().filter(|told| told.starts_with("a[")).collect();
    assert_eq!(messages, ["a[1, 2]", "a[3]", "a[4]", "a[5]"]);
    socket.send(say("hi")).await.expect("it is open");
    until(&mut socket, "note bye").await;

    let followed = |since| Client::Follow { room: "a".into(), since: Some(since), epoch: Some("e1".into()) };
    assert_eq!(
        sockets.messages(),
        [
            vec![json(&follow("a", 0))],
            vec![],
            vec![json(&followed(3))],
            vec![json(&followed(4))],
            vec![json(&followed(5)), json(&say("hi"))],
        ]
    );
    let said_goodbye = SocketFrame::Close { code: 1007, reason: String::new() };
    assert!(sockets.frames()[3].contains(&said_goodbye), "the server is told what was wrong");
}

#[tokio::test(start_paused = true)]
async fn dropping_says_goodbye() {
    let sockets = ScriptedSockets::new([open()]);
    let mut socket = chat(&sockets).connect();
    until(&mut socket, "hello").await;
    let sender = socket.sender();
    sender.send(say("last words")).await.expect("it is open");
    drop(socket);
    sender.flush().await;
    while sender.state() != SocketState::Closed {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let goodbye = SocketFrame::Close { code: 1000, reason: String::new() };
    assert_eq!(sockets.frames(), [[SocketFrame::Text(json(&say("last words")).into()), goodbye]]);
    let error = sender.try_send(say("too late")).expect_err("the session is over");
    assert!(matches!(error, SendError::Closed(_)));
}

#[tokio::test(start_paused = true)]
async fn closing_hands_back_what_was_not_sent() {
    let sockets = ScriptedSockets::new([]);
    let mut socket = chat(&sockets).connect();
    socket.send(say("1")).await.expect("it waits");
    socket.try_send(say("2")).expect("it waits");
    until(&mut socket, "disconnected").await;
    assert_eq!(socket.close().await, [say("1"), say("2")]);

    let sockets = ScriptedSockets::new([open()]);
    let socket = chat(&sockets).connect();
    socket.send(say("1")).await.expect("it waits");
    socket.flush().await;
    assert_eq!(socket.close().await, []);
    assert_eq!(sockets.messages(), [[json(&say("1"))]]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_can_end_the_session() {
    let sockets = ScriptedSockets::new([open()]);
    let mut socket = chat(&sockets).connect();
    until(&mut socket, "hello").await;
    socket.sender().clone().close();
    assert_eq!(until(&mut socket, "-").await, ["closed: the socket was closed by this program 0"]);
    assert!(socket.next().await.is_none(), "nothing comes after the end");
    assert_eq!(socket.state(), SocketState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_final_refusal_ends_the_session_with_the_servers_words() {
    for (status, code) in [(401, "credential_invalid"), (404, "route_not_found"), (426, "upgrade_required")] {
        let body = format!(r#"{{"error":"No.","code":"{code}","action":"Give up.","request_id":"r-1"}}"#);
        let sockets = ScriptedSockets::new([SocketScript::refused(status, body), open()]);
        let mut socket = chat(&sockets).connect();
        socket.send(say("1")).await.expect("it waits");
        let update = socket.next().await;
        assert!(matches!(&update, Some(Update::Closed { unsent, .. }) if *unsent == [say("1")]), "{update:?}");
        let error = error(update);
        assert_eq!(error.code().map(ErrorCode::as_str), Some(code));
        assert_eq!(error.request_id(), Some("r-1"));
        assert_eq!(sockets.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_passes_is_waited_out() {
    let sockets = ScriptedSockets::new([SocketScript::refused(503, ""), SocketScript::refused(502, ""), open()]);
    let mut socket = chat(&sockets).connect();
    let first = socket.next().await;
    assert_eq!(error(first).as_api().map(|refusal| refusal.status), Some(503));
    until(&mut socket, "hello").await;
    assert_eq!(sockets.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_given_up_and_no_greeting_too() {
    let sockets =
        ScriptedSockets::new([SocketScript::unanswered(), SocketScript::open(), open().falls_silent(), open()]);
    let mut socket = chat(&sockets).connect_timeout(Duration::from_secs(3)).connect();
    let begin = tokio::time::Instant::now();
    let error = error(socket.next().await);
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    assert!(until(&mut socket, "connected").await[0].contains("said nothing for 10s"));
    assert!(until(&mut socket, "resumed").await[1].contains("nothing came for 50s"));
    until(&mut socket, "hello").await;

    // The last one answers pings, and so it stays.
    assert!(tokio::time::timeout(Duration::from_secs(3600), socket.next()).await.is_err());
    let pings = sockets.frames()[3].iter().filter(|frame| matches!(frame, SocketFrame::Ping(_))).count();
    assert!((170..=180).contains(&pings), "{pings} in an hour");
}

#[tokio::test(start_paused = true)]
async fn the_request_carries_parameters_and_the_clients_credential() {
    let sockets = ScriptedSockets::new([open()]);
    let client =
        client(sockets.clone()).base_url("http://example.com/below/").device_token("t").build().expect("right");
    let mut socket =
        SocketBuilder::<Chat>::new(&client, vec![("room", "a b&c".to_owned()), ("x", "1".to_owned())]).connect();
    until(&mut socket, "hello").await;
    let request = &sockets.requests()[0];
    assert_eq!(request.url.as_str(), "http://example.com/below/chat?room=a+b%26c&x=1");
    assert_eq!(request.headers["authorization"], "Bearer t");
    assert!(request.headers["authorization"].is_sensitive());
    assert!(request.headers["user-agent"].to_str().expect("text").starts_with("flightdeck-rust/"));
    assert!(!format!("{request:?} {socket:?} {client:?}").contains("a+b"));
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_asked_before_every_connection() {
    let sockets = ScriptedSockets::new([open().closes(4002), SocketScript::unreachable(), open()]);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut socket = chat(&sockets)
        .credentials(move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                // One question fails, in a way that passes.
                match number {
                    1 => Err(Error::Timeout { after: Duration::ZERO, limit: crate::TimeLimit::Attempt }),
                    number => Ok(Some(format!("token-{number}").into())),
                }
            }
        })
        .connect();
    until(&mut socket, "hello").await;
    let told = until(&mut socket, "hello").await;
    assert!(told.contains(&"connected".to_owned()), "after an expired credential the session is a new one: {told:?}");
    let headers: Vec<_> = sockets.requests().iter().map(|request| request.headers["authorization"].clone()).collect();
    assert_eq!(headers, ["Bearer token-0", "Bearer token-2", "Bearer token-3"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_has_nothing_to_give_ends_the_session() {
    let sockets = ScriptedSockets::new([open()]);
    let mut socket = chat(&sockets).credentials(|| async { Err(Error::Configuration("logged out".into())) }).connect();
    assert_eq!(error(socket.next().await).to_string(), "logged out");
    assert_eq!(sockets.requests().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_requests_carry_none_a_message_shows_the_credential() {
    let sockets = ScriptedSockets::new([open().hears().breaks(), open().hears().breaks(), open()]);
    let mut socket = builder::<QuietChat>(client(sockets.clone())).token("first").connect();
    until(&mut socket, "disconnected").await;
    socket.send(login("second")).await.expect("it waits");
    until(&mut socket, "hello").await;
    until(&mut socket, "hello").await;
    socket.flush().await;
    until_quiet().await;
    assert!(sockets.requests().iter().all(|request| !request.headers.contains_key("authorization")));
    assert_eq!(sockets.messages(), [[json(&login("first"))], [json(&login("second"))], [json(&login("second"))]]);
}

/// Lets whatever can happen without time passing happen.
async fn until_quiet() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_keeps_it_alive_is_sent_on_time() {
    let sockets = ScriptedSockets::new([open()]);
    let mut socket = chat(&sockets).keep_alive(Duration::from_secs(7), say("I live")).connect();
    until(&mut socket, "hello").await;
    assert!(tokio::time::timeout(Duration::from_secs(22), socket.next()).await.is_err());
    assert_eq!(sockets.messages()[0].len(), 4);
}

/// Says the same forever, and counts how often.
#[derive(Debug, Clone, Default)]
struct Chatterbox {
    said: Arc<AtomicUsize>,
}

#[async_trait]
impl SocketTransport for Chatterbox {
    async fn open(&self, _request: SocketRequest) -> Result<SocketConnection, OpenError> {
        let said = Arc::clone(&self.said);
        let chatter = stream::repeat_with(move || {
            said.fetch_add(1, Ordering::Relaxed);
            Ok(SocketFrame::Text(json(&note("blah")).into()))
        });
        Ok(SocketConnection { incoming: Box::pin(chatter), outgoing: Box::pin(futures_util::sink::drain().sink_map()) })
    }
}

/// The drain of `futures` never fails; the socket's sink may.
trait SinkMap {
    fn sink_map(self) -> Pin<Box<dyn futures_util::Sink<SocketFrame, Error = crate::runtime::SocketError> + Send>>;
}

impl SinkMap for futures_util::sink::Drain<SocketFrame> {
    fn sink_map(self) -> Pin<Box<dyn futures_util::Sink<SocketFrame, Error = crate::runtime::SocketError> + Send>> {
        use futures_util::SinkExt;
        Box::pin(self.sink_map_err(|never| match never {}))
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_not_read_for() {
    let server = Chatterbox::default();
    let mut socket = builder::<Chat>(client(server.clone())).connect();
    assert!(matches!(socket.next().await, Some(Update::Connected { .. })));
    tokio::time::sleep(Duration::from_secs(600)).await;
    let said = server.said.load(Ordering::Relaxed);
    assert!((200..300).contains(&said), "{said} messages were read for nobody");
    assert_eq!(socket.state(), SocketState::Open);
    for _ in 0..10_000 {
        assert!(matches!(socket.next().await, Some(Update::Message(_))));
    }
    let said = server.said.load(Ordering::Relaxed);
    assert!((10_000..10_600).contains(&said), "{said} messages were read");
}

#[tokio::test(start_paused = true)]
async fn sending_waits_for_room() {
    let sockets = ScriptedSockets::new([open()]);
    let mut socket = chat(&sockets).queue(QueueLimits { messages: 2, bytes: 10_000 }).connect();
    socket.try_send(say("1")).expect("there is room");
    socket.try_send(say("2")).expect("there is room");
    let back = socket.try_send(say("3")).expect_err("there is none").into_message();
    let sender = socket.sender();
    let sending = tokio::spawn(async move {
        for text in ["3", "4", "5", "6"] {
            sender.send(say(text)).await.expect("there will be");
        }
        sender.flush().await;
    });
    assert_eq!(back, say("3"));
    until(&mut socket, "hello").await;
    sending.await.expect("everything was sent");
    let all: Vec<_> = ["1", "2", "3", "4", "5", "6"].map(|text| json(&say(text))).into();
    assert_eq!(sockets.messages(), [all]);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_room_ends_with_the_session() {
    let sockets = ScriptedSockets::new([SocketScript::unreachable(), SocketScript::refused(404, "")]);
    let socket = chat(&sockets).queue(QueueLimits { messages: 1, bytes: 10_000 }).connect();
    socket.try_send(say("1")).expect("there is room");
    let error = socket.send(say("2")).await.expect_err("there will never be");
    assert!(matches!(&error, SendError::Closed(message) if *message == say("2")), "{error:?}");
    socket.flush().await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_is_a_stream() {
    let sockets = ScriptedSockets::new([open().says(json(&note("1"))).says(json(&note("2"))).closes(1000)]);
    let told: Vec<_> = chat(&sockets).connect().map(|update| short(&update)).collect().await;
    assert_eq!(told[..4], ["connected", "hello", "note 1", "note 2"]);
    assert_eq!(told[4..], ["closed: It ended. Nothing. (code, 1000) 0"]);
}

#[tokio::test(start_paused = true)]
async fn attempts_can_be_limited() {
    let sockets = ScriptedSockets::new([]);
    let mut socket = chat(&sockets).reconnect(ReconnectPolicy::default().attempts(3)).connect();
    let told = until(&mut socket, "closed").await;
    assert_eq!(sockets.requests().len(), 4);
    assert!(
        told.last().expect("it ends").starts_with("closed: could not connect to http://127.0.0.1:8787"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_clock_that_is_moved_by_hand_does_not_hang() {
    let sockets = ScriptedSockets::new([open().falls_silent()]);
    let client = client(sockets.clone()).clock(ManualClock::default());
    let mut socket = builder::<Chat>(client).reconnect(ReconnectPolicy::default().attempts(2)).connect();
    let told = until(&mut socket, "closed").await;
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(sockets.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_does_not_leave_anybody_waiting() {
    let sockets = ScriptedSockets::new([open()]);
    let mut socket = chat(&sockets).credentials(|| async { panic!("a fault of the program") }).connect();
    assert_eq!(
        until(&mut socket, "-").await,
        [
            "closed: the connection broke (the task that drives the socket was stopped); what was sent last may not have \
          arrived 0"
        ]
    );
}

#[test]
fn a_runtime_that_ends_takes_the_session_with_it() {
    let sockets = ScriptedSockets::new([open()]);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let first = runtime();
    let mut socket = first.block_on(async {
        let mut socket = chat(&sockets).connect();
        until(&mut socket, "hello").await;
        socket
    });
    drop(first);
    let told = runtime().block_on(until(&mut socket, "-"));
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_shown_is_refused_without_showing_it() {
    let sockets = ScriptedSockets::new([open()]);
    let builder = chat(&sockets).token("hun\nter2");
    let shown = format!("{builder:?}");
    let mut socket = builder.connect();
    let update = socket.next().await;
    assert!(!format!("{shown} {update:?} {socket:?}").contains("ter2"), "{update:?}");
    assert!(matches!(error(update), Error::Configuration(_)));
}
