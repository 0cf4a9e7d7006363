//! `flightdeck watch`: what happens is to be seen as it happens, also after the connection was lost. Every frame is judged on
//! its way.

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::types::{AgentRegistration, ApprovalRequest, MessageSend};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::proxy::Proxy;
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::workspace::signing;
use flightdeck_tests::{Kind, ServerProcess, block_on, for_each_database};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};
use uuid::Uuid;

use crate::companion_cli::Seat;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A terminal in which something is watched.
struct Watching {
    process: Child,
    events: Lines<BufReader<ChildStdout>>,
    remarks: Lines<BufReader<ChildStderr>>,
}

impl Watching {
    fn start(seat: &Seat, url: &str, arguments: &[&str]) -> Result<Self> {
        let mut process = seat.flightdeck(url, &[&["watch"], arguments].concat())?.spawn()?;
        let events = BufReader::new(process.stdout.take().context("it has a stdout")?).lines();
        let remarks = BufReader::new(process.stderr.take().context("it has a stderr")?).lines();
        Ok(Self { process, events, remarks })
    }

    /// The next line with an event.
    async fn event(&mut self) -> Result<String> {
        next(&mut self.events).await
    }

    /// Reads what is said beside the events, until this comes.
    async fn remark(&mut self, wanted: &str) -> Result<String> {
        loop {
            let line = next(&mut self.remarks).await.with_context(|| format!("waiting for {wanted:?}"))?;
            if line.contains(wanted) {
                return Ok(line);
            }
        }
    }

    async fn ends(&mut self) -> Result<Option<i32>> {
        Ok(tokio::time::timeout(PATIENCE, self.process.wait()).await.context("it does not end")??.code())
    }
}

async fn next<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> Result<String> {
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.context("no line came")??;
    line.context("it has ended")
}

for_each_database! {
    async fn approvals_and_news_are_seen_as_they_happen(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let (proxy, seat) = (Proxy::judging(server.address(), database).await?, Seat::new()?);
        let (client, url) = (server.client(database), proxy.url());
        let paired = seat.flightdeck(&url, &["pair", "--self", "--json"])?.output().await?;
        ensure!(paired.status.success(), "{}", String::from_utf8_lossy(&paired.stderr));
        let file = std::fs::read_to_string(seat.path("config/credentials.json"))?;
        let file: Value = serde_json::from_str(&file)?;
        let project = file["projects"].as_object().and_then(|all| all.values().next()).context("it is paired")?;
        let workspace: Uuid = serde_json::from_value(project["workspace_id"].clone())?;
        let secret = project["bridge_secret"].as_str().context("with a key")?;

        let mut watching = Watching::start(&seat, &url, &[])?;
        watching.remark("approvals/").await?;
        watching.remark("workspaces/").await?;
        let run = Uuid::new_v4();
        let question = ApprovalRequest::new(run, "ls\u{9b}2J", "/").with_workspace_id(workspace);
        let machine = client.with_credentials(signing(workspace, secret));
        let asked = machine.bridge().request_approval(&question).await?;
        let line = watching.event().await?;
        ensure!(line.contains("approval.requested") && line.contains("ls\\u{9b}2J"), "{line:?}");
        ensure!(!line.contains('\x1b'), "nobody asked for colours: {line:?}");

        // The same again, for a program, and by a part of the run's id.
        let part = run.simple().to_string();
        let mut run_watching = Watching::start(&seat, &url, &[&part[..6], "--since", "0", "--json"])?;
        let line: Value = serde_json::from_str(&run_watching.event().await?)?;
        ensure!(line["stream"] == format!("runs/{run}") && line["seq"] == 1, "{line}");
        ensure!(line["payload"]["approval_id"] == asked.approval_id.to_string(), "{line}");

        let id = asked.approval_id.to_string();
        let decided = seat.flightdeck(&url, &["approvals", "deny", &id, "--note", "no"])?.output().await?;
        ensure!(decided.status.success(), "{}", String::from_utf8_lossy(&decided.stderr));
        let line = watching.event().await?;
        ensure!(line.contains("approval.decided") && line.contains("(no)"), "{line:?}");
    }
}

#[test]
fn a_lost_connection_is_told_and_nothing_is_missing() {
    block_on(async {
        let store = TestDatabase::create(Kind::Sqlite).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let proxy = Proxy::judging(server.address(), Kind::Sqlite).await?;
        let (client, seat) = (server.client(Kind::Sqlite), Seat::new()?);
        let agent = client.companion().register_agent(&AgentRegistration::new("mac-mini-1")).await?.agent_id;
        let mut watching = Watching::start(&seat, &proxy.url(), &["agents/mac-mini-1"])?;
        watching.remark("up to date").await?;
        for number in 1..=20 {
            client.companion().send_message(&MessageSend::new(agent, format!("message {number}"))).await?;
            if number % 7 == 0 {
                proxy.cut();
                watching.remark("the next attempt comes").await?;
            }
            // What comes while it is away is not forgotten.
            if number % 7 == 2 && number > 2 {
                watching.remark("connected again").await?;
            }
        }
        for number in 1..=20 {
            let line = watching.event().await?;
            ensure!(line.ends_with(&format!("  message {number}")), "event {number} is {line:?}");
        }

        let id = watching.process.id().context("it runs")?.to_string();
        tokio::process::Command::new("kill").args(["-INT", &id]).status().await?;
        ensure!(watching.ends().await? == Some(0), "Ctrl-C is the usual way to end it");
        Ok(())
    });
}

#[test]
fn agents_and_channels_open_with_the_companion_token() {
    block_on(async {
        let store = TestDatabase::create(Kind::Sqlite).await?;
        let server = ServerProcess::on(&store, &[("COMPANION_TOKEN", COMPANION_TOKEN)]).await?;
        let (proxy, seat) = (Proxy::judging(server.address(), Kind::Sqlite).await?, Seat::new()?);
        let (client, url) = (server.client(Kind::Sqlite), proxy.url());
        let registration = AgentRegistration::new("mac-mini-1");
        let agent = client.companion().register_agent(&registration).bearer(COMPANION_TOKEN).await?.agent_id;

        let stream = format!("agents/{agent}");
        let mut command = seat.flightdeck(&url, &["watch", &stream])?;
        let refused =
            command.env("FLIGHTDECK_DEVICE_TOKEN", "fdd_wrong").env("COMPANION_TOKEN", "wrong").output().await?;
        ensure!(refused.status.code() == Some(3), "{}", String::from_utf8_lossy(&refused.stderr));

        let mut command = seat.flightdeck(&url, &["watch", &stream, "channels/global", "--since", "0"])?;
        let mut process = command.env("COMPANION_TOKEN", COMPANION_TOKEN).spawn()?;
        let events = BufReader::new(process.stdout.take().context("it has a stdout")?).lines();
        let remarks = BufReader::new(process.stderr.take().context("it has a stderr")?).lines();
        let mut watching = Watching { process, events, remarks };
        watching.remark("up to date").await?;
        watching.remark("up to date").await?;
        let message = MessageSend::new(agent, "hello");
        client.companion().send_message(&message).bearer(COMPANION_TOKEN).await?;
        let mut streams = [watching.event().await?, watching.event().await?];
        streams.sort_by_key(|line| line.contains("channels/"));
        ensure!(streams[0].contains("message_in") && streams[1].contains("message.new"), "{streams:?}");

        let nowhere = seat.flightdeck(&url, &["watch", &format!("runs/{}", Uuid::new_v4())])?.output().await?;
        ensure!(nowhere.status.code() == Some(3) || nowhere.status.code() == Some(1), "{nowhere:?}");
        Ok(())
    });
}
