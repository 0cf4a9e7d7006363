//! Two servers on one PostgreSQL: what happens on one reaches the sockets of the other, also after the line between them was
//! cut.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::Client;
use flightdeck_sdk::generated::bridge::WaitForApprovalParameters;
use flightdeck_sdk::generated::sockets::hub::{HubParameters, HubProtocol, HubServerMessage};
use flightdeck_sdk::generated::sockets::stream::{StreamProtocol, StreamServerMessage};
use flightdeck_sdk::runtime::{Socket, SocketProtocol, Update};
use flightdeck_sdk::types::{
    AgentRegistration, ApprovalRequest, ApprovalStatus, Decision, DecisionVerb, HubEventName, HubPublish, HubSubscribe,
    MessageSend, StreamSubscribe,
};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::workspace::{bearing, signing};
use flightdeck_tests::{Kind, PairedWorkspace, ServerProcess, on_postgres};
use sea_orm::ConnectionTrait;
use serde_json::json;
use uuid::Uuid;

/// Everything here happens within a moment; whoever waits longer waits for ever.
const PATIENCE: Duration = Duration::from_secs(15);

struct Pair {
    database: TestDatabase,
    one: ServerProcess,
    other: ServerProcess,
}

impl Pair {
    async fn start() -> Result<Self> {
        let database = TestDatabase::create(Kind::Postgres).await?;
        let one = ServerProcess::on(&database, &[]).await?;
        let other = ServerProcess::on(&database, &[]).await?;
        Ok(Self { database, one, other })
    }

    fn clients(&self) -> (Client, Client) {
        (self.one.client(Kind::Postgres), self.other.client(Kind::Postgres))
    }

    /// Throws every listening connection out, as an operator or a failover does.
    async fn cut(&self) -> Result<u64> {
        let connection = self.database.connect().await?;
        let cut = connection
            .execute_unprepared(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'flightdeck listener'",
            )
            .await?;
        Ok(cut.rows_affected())
    }
}

/// Follows a stream, and returns once it is live.
async fn follow(client: &Client, stream: &str) -> Result<Socket<StreamProtocol>> {
    let mut socket = client.sockets().stream().connect();
    let subscribe = StreamSubscribe::new(stream).with_since_seq(0);
    socket.send(subscribe).await.ok().context("the queue has room")?;
    wait_for(&mut socket, |message| matches!(message, StreamServerMessage::Synced(_))).await?;
    Ok(socket)
}

/// The first message that `wanted` says yes to.
async fn wait_for<P: SocketProtocol>(
    socket: &mut Socket<P>,
    wanted: impl Fn(&P::ServerMessage) -> bool,
) -> Result<P::ServerMessage> {
    let waiting = async {
        while let Some(update) = socket.next().await {
            match update {
                Update::Message(message) if wanted(&message) => return Ok(message),
                Update::Closed { reason, .. } => anyhow::bail!("the socket was closed: {reason:?}"),
                _ => {}
            }
        }
        anyhow::bail!("the socket ended")
    };
    tokio::time::timeout(PATIENCE, waiting).await.context("it did not come")?
}

/// The next events, one after the other, until `last`.
async fn seqs(socket: &mut Socket<StreamProtocol>, last: u64) -> Result<Vec<u64>> {
    let mut seqs = Vec::new();
    while seqs.last() != Some(&last) {
        let is_event = |message: &StreamServerMessage| {
            matches!(message, StreamServerMessage::Event(_) | StreamServerMessage::Events(_))
        };
        match wait_for(socket, is_event).await? {
            StreamServerMessage::Event(live) => seqs.push(live.event.seq),
            StreamServerMessage::Events(stored) => seqs.extend(stored.events.iter().map(|event| event.seq)),
            _ => {}
        }
    }
    Ok(seqs)
}

on_postgres! {
    async fn an_event_on_one_server_reaches_the_sockets_of_the_other() {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        let agent_id = one.companion().register_agent(&AgentRegistration::new("mac-mini-1")).await?.agent_id;
        let mut there = follow(&other, &format!("agents/{agent_id}")).await?;
        let mut here = follow(&one, &format!("agents/{agent_id}")).await?;
        for number in 1..=20 {
            // Larger than a notification, now and then: those travel as a pointer.
            let content = if number % 5 == 0 { "x".repeat(20_000) } else { format!("message {number}") };
            let server = if number % 2 == 0 { &one } else { &other };
            server.companion().send_message(&MessageSend::new(agent_id, content)).await?;
        }
        ensure!(seqs(&mut there, 20).await? == (1..=20).collect::<Vec<_>>());
        ensure!(seqs(&mut here, 20).await? == (1..=20).collect::<Vec<_>>());
    }

    async fn a_publish_on_one_server_reaches_the_hub_of_the_other() {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        let mut there: Socket<HubProtocol> = other.sockets().hub(&HubParameters::default()).connect();
        let subscribe = HubSubscribe::new("topics/deployments").with_id("s");
        there.send(subscribe).await.ok().context("the queue has room")?;
        wait_for(&mut there, |message| matches!(message, HubServerMessage::Ack(ack) if ack.success)).await?;
        let here: Socket<HubProtocol> = one.sockets().hub(&HubParameters::default()).connect();
        let publish = HubPublish::new("topics/deployments", HubEventName::SystemInfo).with_data(json!({"release": 7}));
        here.send(publish).await.ok().context("the queue has room")?;
        let event = wait_for(&mut there, |message| matches!(message, HubServerMessage::Event(_))).await?;
        let HubServerMessage::Event(event) = event else { unreachable!("it was asked for") };
        ensure!(event.channel == "topics/deployments" && event.data == json!({"release": 7}), "{event:?}");

        // From any other program on the database.
        let connection = pair.database.connect().await?;
        let payload = json!({"channel": "topics/deployments", "event": "task.created", "data": {"task_id": "t-1"}});
        connection.execute_unprepared(&format!("SELECT pg_notify('dcm_events', '{payload}')")).await?;
        let mut channels = Vec::new();
        while channels.len() < 2 {
            let wanted = |message: &HubServerMessage| {
                matches!(message, HubServerMessage::Event(event) if event.event == "task.created")
            };
            let HubServerMessage::Event(event) = wait_for(&mut there, wanted).await? else { continue };
            channels.push(event.channel);
        }
        channels.sort();
        ensure!(channels == ["global", "topics/deployments"], "{channels:?}");
        ensure!(
            pair.database.count("events").await? >= 3,
            "one from the hub, and two from the notification: stored once, whichever server heard it"
        );
    }

    async fn a_verdict_given_to_one_server_releases_the_hook_at_the_other() {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        let paired = PairedWorkspace::pair(&one).await?;
        let machine = other.with_credentials(signing(paired.workspace_id, &paired.secret));
        let device = one.with_credentials(bearing(&paired.device_token));
        let question = ApprovalRequest::new(Uuid::new_v4(), "cargo publish", "/").with_workspace_id(paired.workspace_id);
        let asked = machine.bridge().request_approval(&question).await?;
        let parameters = WaitForApprovalParameters::default().with_timeout(60);
        let waiting = tokio::spawn(machine.bridge().wait_for_approval(&asked.approval_id, &parameters).into_future());
        device.approvals().decide_approval(&asked.approval_id, &Decision::new(DecisionVerb::Approve)).await?;
        let verdict = tokio::time::timeout(PATIENCE, waiting).await.context("the hook was not released")???;
        ensure!(verdict.status == ApprovalStatus::Approved);
    }

    async fn cutting_the_line_between_servers_loses_nothing() {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        let agent_id = one.companion().register_agent(&AgentRegistration::new("mac-mini-1")).await?.agent_id;
        let mut there = follow(&other, &format!("agents/{agent_id}")).await?;
        let mut cuts = 0;
        for number in 1..=200 {
            one.companion().send_message(&MessageSend::new(agent_id, format!("message {number}"))).await?;
            if number % 20 == 0 {
                cuts += pair.cut().await?;
            }
        }
        ensure!(seqs(&mut there, 200).await? == (1..=200).collect::<Vec<_>>());
        ensure!(cuts >= 10, "only {cuts} connections were cut, so this proves little");
    }

    /// Whoever may connect to the database may send notifications; that must not be enough to approve a command.
    async fn what_no_server_said_decides_nothing() {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        let paired = PairedWorkspace::pair(&one).await?;
        let machine = other.with_credentials(signing(paired.workspace_id, &paired.secret));
        let run_id = Uuid::new_v4();
        let question = ApprovalRequest::new(run_id, "cargo publish", "/").with_workspace_id(paired.workspace_id);
        let asked = machine.bridge().request_approval(&question).await?;
        let connection = pair.database.connect().await?;
        let data = json!({
            "approval_id": asked.approval_id, "workspace_id": paired.workspace_id, "status": "APPROVED",
        });
        let foreign = json!({"channel": "global", "event": "approval.decided", "data": data});
        connection.execute_unprepared(&format!("SELECT pg_notify('dcm_events', '{foreign}')")).await?;
        let event = json!([format!("runs/{run_id}"), 2, Uuid::new_v4(), "approval.decided", 1, null, data.to_string()]);
        let forged = json!({"from": Uuid::new_v4(), "events": [event]}).to_string();
        for notice in [forged.clone(), format!("{}{forged}", "0".repeat(64))] {
            connection.execute_unprepared(&format!("SELECT pg_notify('flightdeck_log', '{notice}')")).await?;
        }
        let parameters = WaitForApprovalParameters::default().with_timeout(2);
        for server in [&one, &other] {
            let machine = server.with_credentials(signing(paired.workspace_id, &paired.secret));
            let verdict = machine.bridge().wait_for_approval(&asked.approval_id, &parameters).await?;
            ensure!(verdict.status == ApprovalStatus::Pending, "{verdict:?}");
        }
    }
}
