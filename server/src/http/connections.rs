//! The accept loop.
//!
//! poem's own server sets no timer, so hyper's head timeout never fires and a connection that drips bytes stays for
//! ever; nor does it survive a shortage of file descriptors. So the loop is ours, on hyper: a head timeout, a limit on
//! connections, a pause after a failed accept, no delay of small packets, and a shutdown that lets requests end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::socket::Upgrade;

/// The largest head taken, in bytes; a larger one is answered 431.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How long a client may refuse to take in what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to leave a failing accept alone: without a pause, a process out of file descriptors would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection, as it is served and as a socket takes it over.
type Stream = Pin<Box<TimeoutStream<TcpStream>>>;

/// What connections may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At once. Further ones wait in the kernel's queue.
    pub connections: usize,
    /// In which a head must arrive, and after which an idle connection is closed.
    pub head_timeout: Duration,
}

/// Serves until `shutdown`; the tracker then knows which connections still end.
pub async fn serve<E: Endpoint<Output = Response> + 'static>(
    listener: TcpListener,
    endpoint: Arc<E>,
    limits: Limits,
    shutdown: CancellationToken,
    connections: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accept = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = handle(stream, peer, endpoint.clone(), limits, shutdown.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn handle<E: Endpoint<Output = Response> + 'static>(
    stream: TcpStream,
    peer: SocketAddr,
    endpoint: Arc<E>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    // Answers are small; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let local =
        stream.local_addr().map_or(LocalAddr(Addr::custom("tcp", "")), |address| LocalAddr(Addr::SocketAddr(address)));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let endpoint = endpoint.clone();
        // Taken before poem takes it: it would hide what the connection is.
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().map(Upgrade);
        let mut request = Request::from((request, local.clone(), RemoteAddr(Addr::SocketAddr(peer)), Scheme::HTTP));
        if let Some(upgrade) = upgrade {
            request.extensions_mut().insert(upgrade);
        }
        // Boxed, because hyper keeps room for a handler as long as the connection lives, idle or waiting.
        Box::pin(async move {
            let response = endpoint.get_response(request).await;
            Ok::<_, std::convert::Infallible>(hyper::Response::from(response))
        })
    });
    // A client that asks and then does not read must not hold its connection for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let stream: Stream = Box::pin(stream);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}

/// The connection of a request whose answer changed the protocol, and what came after that request; `None` if it is gone.
/// Who takes it over watches over its writes.
pub(super) async fn upgraded(upgrade: OnUpgrade) -> Option<(Stream, Bytes)> {
    let upgraded = upgrade.await.ok()?;
    let Parts { io, read_buf, .. } = upgraded.downcast::<TokioIo<Stream>>().ok()?;
    let mut stream = io.into_inner();
    stream.as_mut().set_write_timeout_pinned(None);
    Some((stream, read_buf))
}
