//! Two thousand clients that send a byte at a time, half of them their heads, half their bodies: each is cut at the
//! server's time limit, and everybody else is served meanwhile. What that costs in memory is measured by `load`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::descriptors::ensure_sockets;
use flightdeck_tests::{Kind, Request, TestOptions, TestServer, block_on};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Of each kind.
const CLIENTS: usize = 1_000;

/// The server's limits, in seconds; short, so that the test is.
const LIMIT: u64 = 3;

/// Two thousand goodbyes at once take a moment, on a machine that does something else besides. Without the limits, the
/// connections would be cut much later, or never.
const GRACE: Duration = Duration::from_secs(5);

/// Between two bytes.
const DRIP: Duration = Duration::from_millis(200);

const HEAD: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
const BODY: &[u8] =
    b"POST /pair/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n{";

/// Sends `start`, and then a byte at a time. Gives how long the server bore it.
async fn drip(mut stream: TcpStream, start: &[u8]) -> Result<Duration> {
    let started = Instant::now();
    // A slow machine may have been cut before it could begin; that is a cut, too.
    if stream.write_all(start).await.is_err() {
        return Ok(started.elapsed());
    }
    let mut drips = tokio::time::interval(DRIP);
    let mut buffer = [0; 1024];
    loop {
        tokio::select! {
            // There may be an answer first; the end is what counts.
            received = stream.read(&mut buffer) => match received {
                Ok(0) | Err(_) => return Ok(started.elapsed()),
                Ok(_) => {}
            },
            _ = drips.tick() => if stream.write_all(b"a").await.is_err() {
                return Ok(started.elapsed());
            },
        }
        let borne = started.elapsed();
        ensure!(borne < Duration::from_secs(LIMIT) + GRACE, "a connection is still there after {borne:?}");
    }
}

#[test]
fn two_thousand_that_drip_are_cut_and_hold_nobody_up() {
    block_on(async {
        // Both ends are in this process.
        ensure_sockets(4 * CLIENTS as u64)?;
        let options = TestOptions::new(Kind::Sqlite)
            .real_time()
            .set("FLIGHTDECK_HEAD_TIMEOUT_SECONDS", LIMIT)
            .set("FLIGHTDECK_BODY_TIMEOUT_SECONDS", LIMIT);
        let server = TestServer::with(options).await?;
        // All are there before the first one sends anything.
        let mut clients = Vec::with_capacity(2 * CLIENTS);
        for _ in 0..CLIENTS {
            for start in [HEAD, BODY] {
                clients.push((TcpStream::connect(server.address()).await.context("connecting")?, start));
            }
        }
        let mut drips = JoinSet::new();
        for (stream, start) in clients {
            drips.spawn(drip(stream, start));
        }
        let mut looks = 0;
        let mut cut = 0;
        while cut < 2 * CLIENTS {
            let asked = Instant::now();
            server.send(&Request::get("/healthz")).await?.success().context("while others drip")?;
            let took = asked.elapsed();
            ensure!(took < Duration::from_secs(2), "/healthz took {took:?} while others drip");
            looks += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            while let Some(ended) = drips.try_join_next() {
                ended??;
                cut += 1;
            }
        }
        ensure!(looks >= 20, "only {looks} looks at /healthz, so this proves little");
        Ok(())
    });
}
