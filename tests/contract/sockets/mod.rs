//! What holds for every socket of the document: frames that nobody should send, pages from elsewhere, credentials, signs of
//! life, slow readers. No list of sockets is kept here, so none can be missed.
//!
//! What a socket's messages mean is told by the sessions in `spec/examples/sockets`, and tested beside its surface.

mod broken;
mod credentials;
mod floods;
mod frames;
mod life;
mod messages;
mod opening;
mod slow;
mod stream;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::socket::document::{Socket, Speaker, sockets};
use flightdeck_tests::{Kind, RawSocket, Request, TestOptions, TestServer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cockpit::Session;

/// A request that opens a socket, by somebody who may.
pub(super) async fn request(server: &TestServer, socket: &Socket) -> Result<Request> {
    Ok(match socket.name.as_str() {
        "companion" => {
            let agent_id = register(server).await?;
            Request::socket(format!("/realtime?agent_id={agent_id}&role=ios")).bearer(COMPANION_TOKEN)
        }
        // In production, only devices are let in.
        "chats" => Request::socket(&*socket.address).bearer(&server.pair().await?.device_token),
        "cockpit" => Session::open(server).await?.events(),
        "terminal" => Session::open(server).await?.terminal(),
        "stream" => Request::socket("/v1/stream").bearer(COMPANION_TOKEN),
        _ => Request::socket(&*socket.address),
    })
}

/// Makes a new agent known to the companion.
pub(super) async fn register(server: &TestServer) -> Result<Uuid> {
    let registration = json!({"name": format!("agent-{}", Uuid::new_v4())});
    let request = Request::post("/agents/register", &registration).bearer(COMPANION_TOKEN);
    let agent = server.send(&request).await?.success()?;
    Ok(agent["agent_id"].as_str().context("an agent has an id")?.parse()?)
}

/// Opens a socket, and takes its greeting.
pub(super) async fn open(server: &TestServer, socket: &Socket) -> Result<RawSocket> {
    let mut opened = server.open(&request(server, socket).await?).await?;
    opened.recv().await.context("a socket begins with a greeting")?;
    if socket.has_raw(Speaker::Server) {
        // The screen, as it is.
        opened.settle().await?;
    }
    Ok(opened)
}

/// Whether whatever a client says is a message, right or wrong. Elsewhere it may be what is typed.
fn is_in_words(socket: &Socket) -> bool {
    !socket.has_raw(Speaker::Client)
}

/// Something that the server has to answer, and the name of the answer.
pub(super) fn question(socket: &Socket) -> (Value, &'static str) {
    match socket.name.as_str() {
        "companion" => (json!({"type": "heartbeat"}), "event"),
        _ => (json!({"type": "ping"}), "pong"),
    }
}

/// Fails unless the server answers on this socket.
pub(super) async fn is_served(opened: &mut RawSocket, socket: &Socket) -> Result<()> {
    if !is_in_words(socket) {
        opened.settle().await.context("the server does not answer any more")?;
        return Ok(());
    }
    let (question, answer) = question(socket);
    opened.send(&question).await?;
    opened.until(answer).await.context("the server does not answer any more")?;
    Ok(())
}

/// Runs a check for each socket of the document, side by side, and names each one that fails. The server is shared, and must
/// serve somebody who did nothing wrong from the beginning to the end.
pub(super) async fn each<Check>(options: TestOptions, check: Check) -> Result<()>
where
    Check: AsyncFn(&TestServer, &'static Socket) -> Result<()>,
{
    each_of(options, |_| true, check).await
}

/// The same for sockets on which a client says nothing but messages.
pub(super) async fn each_in_words<Check>(options: TestOptions, check: Check) -> Result<()>
where
    Check: AsyncFn(&TestServer, &'static Socket) -> Result<()>,
{
    each_of(options, is_in_words, check).await
}

async fn each_of<Check>(options: TestOptions, wanted: impl Fn(&Socket) -> bool, check: Check) -> Result<()>
where
    Check: AsyncFn(&TestServer, &'static Socket) -> Result<()>,
{
    let server = TestServer::with(options).await?;
    let sockets: Vec<_> = sockets().iter().filter(|socket| wanted(socket)).collect();
    let checks = sockets.iter().map(async |socket| {
        let mut witness = open(&server, socket).await.context("the witness")?;
        check(&server, socket).await?;
        is_served(&mut witness, socket).await.context("the witness at the end")
    });
    let outcomes = futures_util::future::join_all(checks).await;
    let faults: Vec<_> = sockets
        .iter()
        .zip(outcomes)
        .filter_map(|(socket, outcome)| Some(format!("{}: {:?}", socket.name, outcome.err()?)))
        .collect();
    ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    Ok(())
}

/// A server in development, whose clock stands still, with a token for the companion. Whoever is paired may open sessions, in
/// production, too.
pub(super) fn development(database: Kind) -> TestOptions {
    TestOptions::new(database).set("COMPANION_TOKEN", COMPANION_TOKEN).set("FLIGHTDECK_AGENT_WORKSPACES", "*")
}
