//! Signs of life: the server gives them, and wants them; and what becomes of sockets when the server ends.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flightdeck_tests::socket::document::{Socket, sockets};
use flightdeck_tests::{RawSocket, Received, TestOptions, TestServer, for_each_database};

use super::{development, is_served, open, request};

/// Waits for the server's next sign of life.
async fn sign_of_life(opened: &mut RawSocket) -> Result<()> {
    loop {
        match opened.next().await? {
            Received::Message(..) | Received::Ping(_) => return Ok(()),
            Received::Raw(_) | Received::Pong(_) => {}
            end => bail!("{end:?} came in place of a sign of life"),
        }
    }
}

/// Runs a check for each socket, each on a server of its own: they move the clock.
async fn apart<Check>(options: TestOptions, check: Check) -> Result<()>
where
    Check: AsyncFn(&TestServer, &'static Socket) -> Result<()>,
{
    let checks = sockets().iter().map(async |socket| {
        let server = TestServer::with(options.clone()).await?;
        check(&server, socket).await.with_context(|| socket.name.clone())
    });
    futures_util::future::try_join_all(checks).await?;
    Ok(())
}

for_each_database! {
    /// A socket with nothing to say is not a dead one.
    async fn the_server_gives_signs_of_life_and_clients_that_do_so_stay(database) {
        apart(development(database), async |server, socket| {
            let mut opened = open(server, socket).await?;
            let began = server.now();
            let long = 3_000 * i64::try_from(socket.limits.silence_seconds)?;
            server
                .hurry(async {
                    while server.now() - began < long {
                        sign_of_life(&mut opened).await?;
                    }
                    is_served(&mut opened, socket).await
                })
                .await
        })
        .await?;
    }

    async fn a_client_that_gives_no_sign_of_life_is_closed(database) {
        apart(development(database), async |server, socket| {
            let mut silent = open(server, socket).await?.silent();
            let began = server.now();
            server.hurry(silent.expect_close("silent")).await?;
            let took = u64::try_from(server.now() - began)? / 1_000;
            let limit = socket.limits.silence_seconds;
            ensure!((limit..limit * 2).contains(&took), "it was closed after {took} s instead of {limit}");
            Ok(())
        })
        .await?;
    }

    async fn sockets_are_told_when_the_server_ends(database) {
        let mut server = TestServer::with(development(database)).await?;
        let mut opened = Vec::new();
        for socket in sockets() {
            for _ in 0..3 {
                opened.push(open(&server, socket).await?);
            }
        }
        let began = Instant::now();
        let told = async {
            for socket in &mut opened {
                socket.expect_close("going_away").await?;
            }
            anyhow::Ok(began.elapsed())
        };
        let ((), told) = tokio::join!(server.stop(), told);
        let (told, stopped) = (told?, began.elapsed());
        ensure!(told < Duration::from_secs(2), "the last socket was told after {told:?}");
        ensure!(stopped < Duration::from_secs(5), "the server ended after {stopped:?}");
    }

    /// Whoever does not listen must not keep the server.
    async fn clients_that_do_not_say_goodbye_do_not_keep_the_server(database) {
        let mut server = TestServer::with(development(database)).await?;
        let mut opened = Vec::new();
        for socket in sockets() {
            opened.push(open(&server, socket).await?.silent());
        }
        let began = Instant::now();
        server.stop().await;
        let stopped = began.elapsed();
        ensure!(stopped < Duration::from_secs(5), "the server ended after {stopped:?}");
        drop(opened);
    }

    async fn more_sockets_than_there_may_be_are_refused(database) {
        for socket in sockets() {
            let server = TestServer::with(development(database).set("FLIGHTDECK_MAX_SOCKETS", 2)).await?;
            let first = open(&server, socket).await?;
            let _second = open(&server, socket).await?;
            let request = request(&server, socket).await?;
            server.try_open(&request).await?.refused("unavailable").with_context(|| socket.name.clone())?;
            first.close().await?;
            // Its place is free when its task has ended, which is soon.
            let deadline = Instant::now() + Duration::from_secs(5);
            while let flightdeck_tests::Opened::Refused(answer) = server.try_open(&request).await? {
                ensure!(Instant::now() < deadline, "{}: {} after one has left", socket.name, answer.json());
                tokio::task::yield_now().await;
            }
        }
    }
}
