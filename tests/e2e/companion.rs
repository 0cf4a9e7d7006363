//! The companion on two servers with one PostgreSQL: it does not matter on which of them anybody is.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::Client;
use flightdeck_sdk::types::{AgentRegistration, AgentStatus, MessageSend};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::socket::document;
use flightdeck_tests::{Kind, RawSocket, Request, ServerProcess, block_on};
use serde_json::json;
use uuid::Uuid;

/// A machine may be silent for 30 seconds, and it takes up to five to notice.
const PATIENCE: Duration = Duration::from_secs(50);

/// Two servers, and the database under them.
struct Pair {
    one: ServerProcess,
    other: ServerProcess,
    _database: TestDatabase,
}

impl Pair {
    async fn start() -> Result<Self> {
        let database = TestDatabase::create(Kind::Postgres).await?;
        let one = ServerProcess::on(&database, &[("FLIGHTDECK_HUB_PORT", "off")]).await?;
        let other = ServerProcess::on(&database, &[("FLIGHTDECK_HUB_PORT", "off")]).await?;
        Ok(Self { one, other, _database: database })
    }

    fn clients(&self) -> (Client, Client) {
        (self.one.client(Kind::Postgres), self.other.client(Kind::Postgres))
    }
}

async fn open(server: &ServerProcess, agent: Uuid, role: &str) -> Result<RawSocket> {
    let request = Request::socket(format!("/realtime?agent_id={agent}&role={role}"));
    let opened = RawSocket::open(server.address(), &request, document::socket("companion"), Kind::Postgres).await?;
    let mut socket = opened.socket()?;
    socket.expect("hello").await?;
    // It need not wait to see whether this comes.
    socket.send(&json!({"type": "subscribe", "since_seq": 0})).await?;
    Ok(socket)
}

/// Reads until the server tells this status.
async fn told(socket: &mut RawSocket, status: &str) -> Result<()> {
    let wanted = json!(status);
    loop {
        let (_, message) = socket.recv().await.with_context(|| format!("waiting for {status}"))?;
        let page = message["events"].as_array().into_iter().flatten();
        if page.chain([&message["event"]]).any(|event| event["payload"]["status"] == wanted) {
            return Ok(());
        }
    }
}

#[test]
fn the_same_at_once_on_both_is_the_same() {
    block_on(async {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        for round in 0..20 {
            let registration = AgentRegistration::new(format!("agent {round}"));
            let here = one.companion().register_agent(&registration).into_future();
            let (here, there) = tokio::try_join!(here, other.companion().register_agent(&registration).into_future())?;
            ensure!(here.agent_id == there.agent_id, "one name became two agents");

            let message = |content| MessageSend::new(here.agent_id, content).with_client_msg_id("the same".to_owned());
            let (first, second) = (message("first"), message("second"));
            let here = one.companion().send_message(&first).into_future();
            let (here, there) = tokio::try_join!(here, other.companion().send_message(&second).into_future())?;
            ensure!(here.event_id == there.event_id && here.seq == 1 && there.seq == 1, "{here:?}, {there:?}");
        }
        Ok(())
    });
}

#[test]
fn a_machine_is_told_wherever_it_is() {
    block_on(async {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        let agent = one.companion().register_agent(&AgentRegistration::new("mac-mini-1")).await?.agent_id;
        let mut machine = open(&pair.one, agent, "pc").await?;
        let mut phone = open(&pair.other, agent, "ios").await?;
        told(&mut phone, "online").await?;

        other.companion().restart_agent(&agent).await?;
        machine.until("command").await?;
        told(&mut phone, "restart").await?;

        // Either server may be the one that notices; both let go of the machines that they have.
        let mut second = open(&pair.other, agent, "pc").await?;
        let noticed = async {
            while one.companion().list_agents().await?.agents.iter().any(|agent| agent.status != AgentStatus::Offline) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, noticed).await.context("nobody noticed that the machine is silent")??;
        told(&mut phone, "offline").await?;
        machine.expect_close("silent").await?;
        second.expect_close("silent").await
    });
}
