//! The engine with a session of its own, over a connection in memory, against a client that others wrote.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::ready;

use flightdeck_api::support::{Frame, ServerMessage, SocketLimits};
use futures_util::{SinkExt, Stream, StreamExt};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Bytes as Payload, Message};

use super::*;
use crate::clock::ManualClock;
use crate::http::socket::line::Line;
use crate::http::socket::sweep::List;
use crate::metrics::Metrics;

static INFO: SocketInfo = SocketInfo {
    name: "test",
    address: "/test",
    security: &[],
    errors: &[],
    faults: &[],
    close_codes: &[
        CloseCode::Normal,
        CloseCode::GoingAway,
        CloseCode::UnsupportedData,
        CloseCode::Internal,
        CloseCode::SlowReader,
        CloseCode::Silent,
        CloseCode::TooManyFaults,
    ],
    client_messages: &[],
    server_messages: &[],
    limits: SocketLimits {
        max_message_bytes: 1_000,
        messages_per_second: 100,
        faults_in_a_row: 3,
        subscriptions: 1,
        queue_events: 1,
        queue_bytes: 1,
        heartbeat: Duration::from_secs(20),
        silence: Duration::from_secs(60),
    },
};

#[derive(Serialize)]
struct Said(String);

impl ServerMessage for Said {
    fn name(&self) -> &'static str {
        "said"
    }

    fn frame(&self) -> Frame {
        self.0.as_str().into()
    }
}

/// Repeats what it hears, and passes on what it is given.
struct Parrot {
    given: mpsc::UnboundedReceiver<String>,
    passed_on: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl SocketSession for Parrot {
    type Message = Said;

    async fn opened(&mut self, out: &mut Outbox<Said>) -> Result<(), CloseCode> {
        out.send(Said("hello".into()));
        Ok(())
    }

    async fn receive(&mut self, text: &str, out: &mut Outbox<Said>) -> Result<Taken, CloseCode> {
        match text {
            "fault" => return Ok(Taken::Faulty),
            "panic" => panic!("as asked"),
            "undeclared" => return Err(CloseCode::NotFound),
            "bye" => {
                out.send(Said("bye".into()));
                return Err(CloseCode::Normal);
            }
            text => out.send(Said(text.into())),
        }
        Ok(Taken::Well)
    }

    async fn pending(&mut self, out: &mut Outbox<Said>) -> Result<(), CloseCode> {
        match self.given.recv().await {
            Some(text) if text == "fell behind" => Err(CloseCode::SlowReader),
            Some(text) => {
                self.passed_on.fetch_add(1, Ordering::SeqCst);
                out.send(Said(text));
                Ok(())
            }
            None => std::future::pending().await,
        }
    }

    async fn heartbeat(&mut self, out: &mut Outbox<Said>) -> Result<(), CloseCode> {
        out.send(Said("heartbeat".into()));
        Ok(())
    }

    async fn closed(self) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

/// A running connection, its client's end, and the strings behind it.
struct Stage {
    client: DuplexStream,
    give: mpsc::UnboundedSender<String>,
    line: Arc<Line>,
    passed_on: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

fn place() -> Place {
    let list = Arc::new(List::new(Arc::new(ManualClock::at(0)), 1));
    list.admit(&INFO.limits, false).expect("there is room")
}

fn kind() -> Arc<Kind> {
    Arc::new(Kind { info: &INFO, metrics: Metrics::default().socket(INFO.name) })
}

/// A connection that holds `room` bytes on the way.
fn stage(room: usize) -> Stage {
    let (client, server) = duplex(room);
    let (give, given) = mpsc::unbounded_channel();
    let [passed_on, closed, writes] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let place = place();
    let line = place.line().clone();
    let session = Parrot { given, passed_on: passed_on.clone(), closed: closed.clone() };
    let stream = Counted { stream: server, writes: writes.clone() };
    let task = tokio::spawn(Connection::new(stream, Bytes::new(), session, kind(), place).run());
    Stage { client, give, line, passed_on, closed, writes, task }
}

/// Counts the calls that write.
struct Counted {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

async fn client(stream: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

async fn text(client: &mut (impl Stream<Item = Result<Message, impl std::fmt::Debug>> + Unpin)) -> String {
    match client.next().await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("a text was expected: {other:?}"),
    }
}

/// The code and the reason of the close frame that comes next.
async fn close(client: &mut (impl Stream<Item = Result<Message, impl std::fmt::Debug>> + Unpin)) -> (u16, String) {
    match client.next().await {
        Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => (code.into(), reason.to_string()),
        other => panic!("a close frame was expected: {other:?}"),
    }
}

#[tokio::test]
async fn it_talks_with_a_client_until_that_says_goodbye() {
    let stage = stage(10_000);
    let mut client = client(stage.client).await;
    assert_eq!(text(&mut client).await, "hello");
    client.send(Message::text("one")).await.expect("sent");
    assert_eq!(text(&mut client).await, "one");
    client.send(Message::Ping(Payload::from_static(b"?"))).await.expect("sent");
    assert_eq!(client.next().await.expect("an answer").expect("a frame"), Message::Pong(Payload::from_static(b"?")));
    stage.give.send("news".into()).expect("it listens");
    assert_eq!(text(&mut client).await, "news");
    stage.line.order(Orders::HEARTBEAT);
    assert!(matches!(client.next().await, Some(Ok(Message::Ping(_)))));
    assert_eq!(text(&mut client).await, "heartbeat");
    let goodbye = CloseFrame { code: 4444.into(), reason: "enough".into() };
    client.close(Some(goodbye)).await.expect("sent");
    assert_eq!(close(&mut client).await, (4444, String::new()), "the code comes back");
    assert!(client.next().await.is_none());
    stage.task.await.expect("it ends");
    assert_eq!(stage.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_session_ends_it_after_its_last_words() {
    let stage = stage(10_000);
    let mut client = client(stage.client).await;
    client.send(Message::text("bye")).await.expect("sent");
    assert_eq!(text(&mut client).await, "hello");
    assert_eq!(text(&mut client).await, "bye");
    assert_eq!(close(&mut client).await, (1000, "normal".to_owned()));
    drop(client);
    stage.task.await.expect("it ends");
    assert_eq!(stage.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_ends_it_has_its_code() {
    let faults = ["fault", "fault", "x", "fault", "fault", "fault"];
    let cases: [(&[&str], Option<Orders>, u16, &str); 6] = [
        (&faults, None, 4010, "too_many_faults"),
        (&["panic"], None, 1011, "internal"),
        (&["undeclared"], None, 1011, "internal"),
        (&[], Some(Orders::LEAVE), 1001, "going_away"),
        (&[], Some(Orders::SILENT), 4009, "silent"),
        (&[], Some(Orders::STUCK.and(Orders::HEARTBEAT)), 4008, "slow_reader"),
    ];
    for (says, order, code, reason) in cases {
        let stage = stage(10_000);
        let mut client = client(stage.client).await;
        assert_eq!(text(&mut client).await, "hello");
        for says in says {
            client.send(Message::text(*says)).await.expect("sent");
        }
        if let Some(order) = order {
            stage.line.order(order);
        }
        if says.len() > 1 {
            assert_eq!(text(&mut client).await, "x");
        }
        assert_eq!(close(&mut client).await, (code, reason.to_owned()), "{says:?} {order:?}");
        drop(client);
        stage.task.await.expect("the task itself never panics");
        assert_eq!(stage.closed.load(Ordering::SeqCst), 1, "{reason}");
    }
}

#[tokio::test]
async fn what_can_not_be_read_is_answered_with_a_close_frame() {
    let stage = stage(10_000);
    let mut client = client(stage.client).await;
    assert_eq!(text(&mut client).await, "hello");
    client.send(Message::binary(vec![1, 2, 3])).await.expect("sent");
    assert_eq!(close(&mut client).await, (1003, "unsupported_data".to_owned()));
    drop(client);
    stage.task.await.expect("it ends");
}

#[tokio::test]
async fn a_client_that_vanishes_ends_it() {
    let stage = stage(10_000);
    drop(stage.client);
    stage.task.await.expect("it ends");
    assert_eq!(stage.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_burst_leaves_in_few_pieces() {
    let stage = stage(1 << 20);
    for number in 0..640 {
        stage.give.send(format!("{number:08}")).expect("it listens");
    }
    let mut client = client(stage.client).await;
    assert_eq!(text(&mut client).await, "hello");
    for number in 0..640 {
        assert_eq!(text(&mut client).await, format!("{number:08}"));
    }
    let writes = stage.writes.load(Ordering::SeqCst);
    assert!(writes <= 25, "{writes} writes for 641 frames");
}

#[tokio::test]
async fn a_client_that_talks_without_a_pause_gets_answers() {
    let stage = stage(1 << 20);
    let mut client = client(stage.client).await;
    for _ in 0..150 {
        client.feed(Message::text("again")).await.expect("there is room");
    }
    client.flush().await.expect("sent");
    for expected in std::iter::once("hello").chain(["again"; 150]) {
        assert_eq!(text(&mut client).await, expected);
    }
    let writes = stage.writes.load(Ordering::SeqCst);
    assert!((8..=20).contains(&writes), "{writes} writes for 150 answers");
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_holds_up_a_bounded_amount_and_is_dropped() {
    let stage = stage(1_000);
    let large = "x".repeat(10_000);
    for _ in 0..100 {
        stage.give.send(large.clone()).expect("it listens");
    }
    settle().await;
    assert!(stage.line.report().blocked);
    // It looks for the news that it has fallen behind, one at a time, though there is no room.
    stage.give.send("fell behind".into()).expect("it listens");
    let started = Instant::now();
    for _ in 0..100 {
        stage.line.order(Orders::LOOK);
        settle().await;
    }
    assert_eq!(stage.closed.load(Ordering::SeqCst), 1, "the session has ended");
    stage.task.await.expect("it ends");
    assert_eq!(started.elapsed(), DELIVER, "that long it tried");
    drop(stage.client);
}

#[tokio::test]
async fn a_client_that_hardly_reads_holds_up_a_bounded_amount() {
    let mut stage = stage(1_000);
    for _ in 0..100 {
        stage.give.send("x".repeat(100_000)).expect("it listens");
    }
    let mut crumb = [0; 100];
    for _ in 0..100 {
        stage.line.order(Orders::LOOK);
        settle().await;
        stage.client.read_exact(&mut crumb).await.expect("it is there");
    }
    let passed_on = stage.passed_on.load(Ordering::SeqCst);
    assert!((9..=12).contains(&passed_on), "{passed_on} of 100 KB each");
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_what_waits_and_the_reason() {
    let stage = stage(1_000);
    let large = "x".repeat(40_000);
    for _ in 0..10 {
        stage.give.send(large.clone()).expect("it listens");
    }
    settle().await;
    stage.line.order(Orders::STUCK);
    settle().await;
    let mut client = client(stage.client).await;
    assert_eq!(text(&mut client).await, "hello");
    // As much as it had room for; the rest is for the next connection.
    assert_eq!(text(&mut client).await, large);
    assert_eq!(text(&mut client).await, large);
    assert_eq!(close(&mut client).await, (4008, "slow_reader".to_owned()));
    drop(client);
    stage.task.await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_talks_fast_is_heard_at_its_pace() {
    let stage = stage(1 << 20);
    let mut client = client(stage.client).await;
    let started = Instant::now();
    for number in 0..500 {
        client.send(Message::text(number.to_string())).await.expect("sent");
    }
    assert_eq!(text(&mut client).await, "hello");
    for number in 0..500 {
        assert_eq!(text(&mut client).await, number.to_string());
    }
    let took = started.elapsed();
    // 200 at once, the others at 100 a second.
    assert!((2_900..3_500).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn pings_without_end_do_not_fill_the_memory() {
    let stage = stage(4_096);
    let (mut read, mut write) = tokio::io::split(stage.client);
    // Empty pings, masked with zeros, and nobody reads the answers.
    let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(1_000);
    let flood = tokio::spawn(async move { while write.write_all(&pings).await.is_ok() {} });
    settle().await;
    assert!(!flood.is_finished(), "it is not listened to any more");
    flood.abort();
    let mut some = [0; 6];
    read.read_exact(&mut some).await.expect("the first frame is there");
    assert_eq!(&some[2..], b"hell");
}

/// Each byte is there once for every socket, idle or not.
#[test]
fn a_connection_is_small() {
    let (_, given) = mpsc::unbounded_channel();
    let session = Parrot { given, passed_on: Arc::default(), closed: Arc::default() };
    let own = size_of_val(&session);
    let (_, server) = duplex(1);
    let connection = Connection::new(Box::pin(server), Bytes::new(), session, kind(), place());
    let size = size_of_val(&connection.run());
    assert!(size - own <= 576, "{size} bytes, {own} of them the session's");
}

mod raw;
