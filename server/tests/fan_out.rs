//! What a burst costs for each follower, from the log to the network: no allocation.
//!
//! A program of its own, because it counts what its allocator is asked for. Everything is on one thread, and only that
//! thread's are counted.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::generated::sockets::stream::{STREAM, StreamServerMessage};
use flightdeck_api::support::{ApiError, Context, ContextParts, Outbox, Socket, SocketInfo, SocketSession, Taken};
use flightdeck_server::bus::{Bus, Proof};
use flightdeck_server::clock::ManualClock;
use flightdeck_server::http::{Limits, Sockets, serve};
use flightdeck_server::log::{Encoding, Item, Log, Reader, ReaderLimits, Readers, Start, Work};
use flightdeck_server::metrics::Metrics;
use flightdeck_server::secret::Secret;
use flightdeck_server::store::events::NewEvent;
use flightdeck_server::store::{SqliteSync, Store, StoreOptions};
use futures_util::{FutureExt, StreamExt};
use poem::http::{HeaderMap, Method};
use poem::{EndpointExt, Route};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::client_async;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Events that are committed together.
const BURST: usize = 40;

/// Bursts that are counted, and those before them that make room.
const BURSTS: usize = 100;
const WARM: usize = 10;

const CHANNEL: &str = "channels/topics/burst";
const PAYLOAD: &str = r#"{"text":"as much as an agent says about one of its steps"}"#;

/// A short frame and its header.
const FRAME: usize = 2 + PAYLOAD.len();

/// Follows the channel, as the sockets of the protocol do, and gives what comes as it is.
struct Follows(Log);

struct Following(Reader);

impl Socket for Follows {
    const INFO: &'static SocketInfo = &STREAM;
    type Session = Following;

    async fn connect(&self, _: &Context, _: &str) -> Result<Following, ApiError> {
        let limits = ReaderLimits { events: STREAM.limits.queue_events, bytes: STREAM.limits.queue_bytes };
        Ok(Following(self.0.reader(limits)))
    }
}

impl Following {
    fn give(item: &Item, out: &mut Outbox<StreamServerMessage>) {
        match item {
            Item::Live { event, .. } => {
                out.send_frame(event.frame(Encoding::Stream, |event| event.event.payload.as_str().into()));
            }
            _ => out.send_frame("{}".into()),
        }
    }
}

impl SocketSession for Following {
    type Message = StreamServerMessage;

    async fn opened(&mut self, _: &mut Outbox<StreamServerMessage>) -> Result<(), CloseCode> {
        self.0.follow(CHANNEL, Start::Now);
        Ok(())
    }

    async fn receive(&mut self, _: &str, _: &mut Outbox<StreamServerMessage>) -> Result<Taken, CloseCode> {
        Ok(Taken::Well)
    }

    async fn pending(&mut self, out: &mut Outbox<StreamServerMessage>) -> Result<(), CloseCode> {
        let mut next = self.0.next().await;
        loop {
            Self::give(&next.map_err(|_| CloseCode::Overloaded)?, out);
            match self.0.next().now_or_never() {
                Some(more) => next = more,
                None => return Ok(()),
            }
        }
    }

    async fn heartbeat(&mut self, _: &mut Outbox<StreamServerMessage>) -> Result<(), CloseCode> {
        self.0.tidy();
        Ok(())
    }

    async fn closed(self) {}
}

/// The log, and those who follow the channel: what is behind the handshake of each.
struct Stage {
    log: Log,
    followers: Vec<TcpStream>,
}

impl Stage {
    async fn with(followers: usize) -> Result<Self> {
        let options = StoreOptions { url: "sqlite::memory:".into(), sqlite_sync: SqliteSync::Normal, readers: 1 };
        let store = Store::open(&options).await?;
        let bus = Bus::of(&store, Proof::new(Secret::new("key")));
        let (log, _) = Log::start(store, bus, Readers::default());
        let sockets = Sockets::new(Arc::new(ManualClock::at(0)), Arc::new(Metrics::default()), followers);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let routes = Route::new().at("/", sockets.endpoint(Follows(log.clone()))).data(context()).map_to_response();
        let limits = Limits { connections: followers, head_timeout: Duration::from_secs(10) };
        tokio::spawn(serve(listener, Arc::new(routes), limits, CancellationToken::new(), TaskTracker::new()));
        let mut stage = Self { log, followers: Vec::new() };
        for _ in 0..followers {
            let stream = TcpStream::connect(address).await?;
            let (mut socket, _) = client_async(format!("ws://{address}/"), stream).await?;
            socket.next().await.context("it is told that it follows")??;
            stage.followers.push(socket.into_inner());
        }
        Ok(stage)
    }

    /// Commits a burst, and waits until everybody has it.
    async fn burst(&mut self, buffer: &mut [u8; BURST * FRAME]) -> Result<()> {
        let committed = self.log.transact(None, move |work: &mut Work<'_>| {
            Box::pin(async move { work.append((0..BURST).map(|_| event()).collect()).await.map_err(ApiError::from) })
        });
        ensure!(committed.await?.len() == BURST, "all of it");
        for follower in &mut self.followers {
            follower.read_exact(buffer).await?;
            ensure!(buffer[FRAME..][2..].starts_with(PAYLOAD.as_bytes()), "a frame begins where the last one ended");
        }
        Ok(())
    }
}

fn event() -> NewEvent {
    NewEvent {
        stream: CHANNEL.into(),
        id: Uuid::now_v7(),
        kind: "system.info".into(),
        created_at: 1,
        happened_at: None,
        payload: PAYLOAD.into(),
    }
}

fn context() -> Context {
    Context::new(ContextParts {
        request_id: "test".into(),
        peer: None,
        forwarded: false,
        method: Method::GET,
        path: "/".into(),
        headers: HeaderMap::new(),
        body: Default::default(),
    })
}

/// How many allocations it takes to give so many followers all bursts.
fn allocations(followers: usize) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stage = runtime.block_on(Stage::with(followers))?;
    let mut buffer = [0; BURST * FRAME];
    let mut bursts = |stage: &mut Stage, count: usize| {
        runtime.block_on(async {
            for _ in 0..count {
                stage.burst(&mut buffer).await?;
            }
            anyhow::Ok(())
        })
    };
    bursts(&mut stage, WARM)?;
    let mut outcome = Ok(());
    let counted = allocation_counter::measure(|| outcome = bursts(&mut stage, BURSTS));
    outcome.map(|()| counted.count_total)
}

#[test]
fn a_burst_costs_no_allocation_for_each_follower() -> Result<()> {
    let (few, many) = (allocations(10)?, allocations(100)?);
    // A little of it is chance: which task runs when.
    ensure!(many.abs_diff(few) < few / 100, "{few} allocations for 10 followers, {many} for 100");
    Ok(())
}
