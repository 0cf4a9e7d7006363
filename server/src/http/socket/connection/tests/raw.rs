//! Raw data: beside messages in both directions, and never faster than the client reads.

use std::sync::atomic::AtomicBool;

use flightdeck_api::support::{RAW_FRAME, RawSender, SendsRaw};
use tokio::sync::mpsc;

use super::*;

impl SendsRaw for Said {}

/// A source that never ends, a client's keys, and a message after the last of the data.
struct Terminal {
    /// What it prints, or forever a full frame of zeros.
    prints: Option<mpsc::UnboundedReceiver<Bytes>>,
    raw: RawSender,
    printed: Arc<AtomicUsize>,
    typed: mpsc::UnboundedSender<Bytes>,
    ended: Arc<AtomicBool>,
}

impl SocketSession for Terminal {
    type Message = Said;

    const TAKES_RAW: bool = true;
    const SENDS_RAW: bool = true;

    async fn opened(&mut self, _: &mut Outbox<Said>) -> Result<(), CloseCode> {
        Ok(())
    }

    async fn receive(&mut self, text: &str, _: &mut Outbox<Said>) -> Result<Taken, CloseCode> {
        if text == "fault" {
            return Ok(Taken::Faulty);
        }
        let _ = self.typed.send(Bytes::from(format!("text {text}")));
        Ok(Taken::Well)
    }

    async fn raw(&mut self, data: Bytes, _: &mut Outbox<Said>) -> Result<(), CloseCode> {
        let _ = self.typed.send(data);
        Ok(())
    }

    async fn pending(&mut self, out: &mut Outbox<Said>) -> Result<(), CloseCode> {
        let data = match &mut self.prints {
            None => Bytes::from_static(&[0; RAW_FRAME]),
            Some(prints) => match prints.recv().await {
                Some(data) => data,
                None => {
                    self.raw.finish(out);
                    out.send(Said("exit".into()));
                    return Err(CloseCode::Normal);
                }
            },
        };
        self.printed.fetch_add(data.len(), Ordering::SeqCst);
        self.raw.send(data, out);
        Ok(())
    }

    async fn heartbeat(&mut self, out: &mut Outbox<Said>) -> Result<(), CloseCode> {
        out.send(Said("heartbeat".into()));
        Ok(())
    }

    async fn closed(self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

struct Scene {
    client: DuplexStream,
    print: mpsc::UnboundedSender<Bytes>,
    typed: mpsc::UnboundedReceiver<Bytes>,
    printed: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    line: Arc<Line>,
    writes: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// A connection that holds `room` bytes on the way. `endless`: it prints without end.
fn scene(room: usize, endless: bool, raw: RawSender) -> Scene {
    let (client, server) = duplex(room);
    let (print, prints) = mpsc::unbounded_channel();
    let (typed, keys) = mpsc::unbounded_channel();
    let (printed, ended): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
    let session =
        Terminal { prints: (!endless).then_some(prints), raw, printed: printed.clone(), typed, ended: ended.clone() };
    let place = place();
    let line = place.line().clone();
    let writes = Arc::new(AtomicUsize::new(0));
    let stream = Counted { stream: server, writes: writes.clone() };
    let task = tokio::spawn(Connection::new(stream, Bytes::new(), session, kind(), place).run());
    Scene { client, print, typed: keys, printed, ended, line, writes, task }
}

async fn binary(client: &mut (impl Stream<Item = Result<Message, impl std::fmt::Debug>> + Unpin)) -> Payload {
    match client.next().await {
        Some(Ok(Message::Binary(data))) => data,
        other => panic!("raw data was expected: {other:?}"),
    }
}

#[tokio::test]
async fn it_keeps_its_order_among_messages_to_the_end() {
    let mut scene = scene(10_000, false, RawSender::binary());
    let mut client = client(scene.client).await;
    for typed in [Message::binary(b"\xffls".to_vec()), Message::text("resize"), Message::binary(b"q".to_vec())] {
        client.send(typed).await.expect("sent");
    }
    for expected in [&b"\xffls"[..], b"text resize", b"q"] {
        assert_eq!(scene.typed.recv().await.expect("it listens"), expected);
    }
    let large = Bytes::from((0..RAW_FRAME * 3).map(|at| at as u8).collect::<Vec<u8>>());
    scene.print.send(large.clone()).expect("it listens");
    scene.print.send(Bytes::from_static(b"\xc3")).expect("it listens");
    drop(scene.print);
    let mut read = Vec::new();
    for _ in 0..3 {
        let frame = binary(&mut client).await;
        assert_eq!(frame.len(), RAW_FRAME);
        read.extend_from_slice(&frame);
    }
    assert!(read == large, "it is what was printed");
    assert_eq!(binary(&mut client).await, b"\xc3"[..]);
    assert_eq!(text(&mut client).await, "exit");
    assert_eq!(close(&mut client).await, (1000, "normal".to_owned()));
    drop(client);
    scene.task.await.expect("it ends");
    assert!(scene.ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_client_that_reads_text_gets_text() {
    let scene = scene(10_000, false, RawSender::text());
    let mut client = client(scene.client).await;
    for piece in [&b"a\xc3"[..], b"\xa4{", b"{}", b"\xc3"] {
        scene.print.send(Bytes::copy_from_slice(piece)).expect("it listens");
    }
    drop(scene.print);
    for expected in ["a", "ä{", "{", "}", "\u{fffd}", "exit"] {
        assert_eq!(text(&mut client).await, expected);
    }
    assert_eq!(close(&mut client).await, (1000, "normal".to_owned()));
    drop(client);
    scene.task.await.expect("it ends");
}

#[tokio::test]
async fn data_between_faults_is_no_fault() {
    let mut scene = scene(10_000, false, RawSender::binary());
    let mut client = client(scene.client).await;
    for said in ["fault", "fault"] {
        client.send(Message::text(said)).await.expect("sent");
    }
    client.send(Message::binary(b"x".to_vec())).await.expect("sent");
    for said in ["fault", "fault"] {
        client.send(Message::text(said)).await.expect("sent");
    }
    client.send(Message::binary(b"y".to_vec())).await.expect("sent");
    for expected in [&b"x"[..], b"y"] {
        assert_eq!(scene.typed.recv().await.expect("it goes on"), expected);
    }
    for said in ["fault", "fault", "fault"] {
        client.send(Message::text(said)).await.expect("sent");
    }
    assert_eq!(close(&mut client).await, (4010, "too_many_faults".to_owned()));
}

#[tokio::test]
async fn data_that_is_too_large_ends_it() {
    let mut scene = scene(10_000, false, RawSender::binary());
    let mut client = client(scene.client).await;
    client.send(Message::binary(vec![b'x'; 1_000])).await.expect("sent");
    assert_eq!(scene.typed.recv().await.expect("that is as much as it takes").len(), 1_000);
    client.send(Message::binary(vec![b'x'; 1_001])).await.expect("sent");
    // `too_large` is not among the codes of this socket, so that it counts as a fault of the server.
    assert_eq!(close(&mut client).await, (1011, "internal".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn keys_come_at_their_pace_like_messages() {
    let mut scene = scene(1 << 20, false, RawSender::binary());
    let mut client = client(scene.client).await;
    let started = Instant::now();
    for number in 0..500_u32 {
        client.send(Message::binary(number.to_be_bytes().to_vec())).await.expect("sent");
    }
    for number in 0..500_u32 {
        assert_eq!(scene.typed.recv().await.expect("it listens"), number.to_be_bytes()[..]);
    }
    let took = started.elapsed();
    assert!((2_900..3_500).contains(&took.as_millis()), "{took:?}");
}

/// Waits until everything that can be printed is: until nothing has been for a while.
async fn printed(scene: &Scene) -> usize {
    settle().await;
    scene.printed.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_client_that_reads_nothing_stops_the_source_and_is_heard_none_the_less() {
    const ON_THE_WAY: usize = 1_000;
    let mut scene = scene(ON_THE_WAY, true, RawSender::binary());
    let first = printed(&scene).await;
    assert!((RAW_FRAME..=ON_THE_WAY + 3 * RAW_FRAME).contains(&first), "{first} bytes were taken from the source");
    assert!(scene.line.report().blocked);
    // Not even a look at it takes more, and what must be said does not open the tap.
    for _ in 0..100 {
        scene.line.order(Orders::LOOK);
        scene.line.order(Orders::HEARTBEAT);
        settle().await;
    }
    assert_eq!(printed(&scene).await, first);
    let key = [0x82, 0x81, 0, 0, 0, 0, 3];
    scene.client.write_all(&key).await.expect("it listens");
    assert_eq!(scene.typed.recv().await.expect("it listens"), b"\x03"[..]);
    // Byte by byte, the source follows the reader.
    let mut crumb = [0; 1_024];
    let mut read = 0;
    for _ in 0..200 {
        scene.client.read_exact(&mut crumb).await.expect("there is more");
        read += crumb.len();
        settle().await;
        let ahead = scene.printed.load(Ordering::SeqCst).saturating_sub(read);
        assert!(ahead <= ON_THE_WAY + 64 * 1_024, "{ahead} bytes ahead of the reader");
    }
    assert!(scene.printed.load(Ordering::SeqCst) > first);
    scene.line.order(Orders::STUCK);
    drop(scene.client);
    scene.task.await.expect("it ends");
    assert!(scene.ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_client_that_reads_gets_everything_in_large_pieces() {
    let scene = scene(1 << 20, true, RawSender::binary());
    let mut client = client(scene.client).await;
    for _ in 0..1_000 {
        assert_eq!(binary(&mut client).await.len(), RAW_FRAME);
    }
    let writes = scene.writes.load(Ordering::SeqCst);
    assert!(writes <= 1_100, "{writes} writes for 1000 frames of 16 KiB");
    scene.line.order(Orders::LEAVE);
    while let Some(Ok(frame)) = client.next().await {
        if matches!(frame, Message::Close(_)) {
            break;
        }
    }
    drop(client);
    scene.task.await.expect("it ends");
}
