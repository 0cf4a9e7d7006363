//! `flightdeck companion`, with a shell script as the agent: what it says is to be seen, what is said to it is typed in,
//! whatever happens to the network, the server and the companion itself. Every frame between the two is judged on its way.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::Client;
use flightdeck_sdk::generated::companion::ListMessagesParameters;
use flightdeck_sdk::types::{AgentEventType, AgentRegistration, MessageSend};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::process::program;
use flightdeck_tests::proxy::Proxy;
use flightdeck_tests::{Kind, ServerProcess, block_on, for_each_database};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the agents here are called.
const NAME: &str = "the agent";

/// Writes every line that is typed into a file, and says what it heard.
const LISTENS: &str = "while IFS= read -r line; do printf '%s\\n' \"$line\" >>typed; echo \"heard $line\"; \
                       [ \"$line\" = quit ] && exit 3; done";

/// A machine where companions run.
pub(crate) struct Seat {
    folder: TempDir,
}

impl Seat {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// `flightdeck`, as it is run here.
    pub(crate) fn flightdeck(&self, url: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("flightdeck")?);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("FLIGHTDECK_URL", url)
            .env("FLIGHTDECK_CONFIG_DIR", self.folder.path().join("config"))
            .env("FLIGHTDECK_STATE_DIR", self.folder.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Starts an agent with its companion.
    fn start(&self, url: &str, script: &str) -> Result<Child> {
        let mut command = self.flightdeck(url, &["companion", "--name", NAME, "--", "sh", "-c", script])?;
        // Nobody reads along here, and a full pipe would hold the agent up.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("starting the companion")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What has been typed into the agent.
    fn typed(&self) -> String {
        std::fs::read_to_string(self.path("typed")).unwrap_or_default()
    }

    async fn until_typed(&self, wanted: &str) -> Result<()> {
        until(&format!("{wanted:?} was typed"), async || Ok(self.typed() == wanted))
            .await
            .with_context(|| format!("it was {:?}", self.typed()))
    }
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await? {
        ensure!(Instant::now() < deadline, "it never happened that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The agent, once the server knows it.
async fn agent(client: &Client) -> Result<Uuid> {
    until("the agent is registered", async || Ok(!client.companion().list_agents().await?.agents.is_empty())).await?;
    let agents = client.companion().list_agents().await?.agents;
    Ok(agents.first().context("there is an agent")?.id)
}

/// Everything that the agent has said: text, and how many lines of it are missing.
async fn said(client: &Client, agent: Uuid) -> Result<(String, u64)> {
    let (mut said, mut left_out, mut since) = (String::new(), 0, 0);
    loop {
        let parameters = ListMessagesParameters::new(agent).with_since_seq(since).with_limit(200);
        let events = client.companion().list_messages(&parameters).await?.events;
        let Some(last) = events.last() else { return Ok((said, left_out)) };
        since = last.seq;
        for event in events.iter().filter(|event| event.r#type == AgentEventType::MessageOut) {
            said.push_str(event.payload.get("content").and_then(Value::as_str).context("it has content")?);
            said.push('\n');
            left_out += event.payload.get("left_out_lines").and_then(Value::as_u64).unwrap_or_default();
        }
    }
}

async fn until_said(client: &Client, agent: Uuid, wanted: &str) -> Result<String> {
    until(&format!("the agent said {wanted:?}"), async || Ok(said(client, agent).await?.0.contains(wanted))).await?;
    Ok(said(client, agent).await?.0)
}

async fn tell(client: &Client, agent: Uuid, content: &str) -> Result<()> {
    client.companion().send_message(&MessageSend::new(agent, content)).await?;
    Ok(())
}

/// Whether a process is there, apart from its remains.
async fn lives(id: &str) -> Result<bool> {
    let listed = Command::new("ps").args(["-o", "stat=", "-p", id]).output().await?;
    let state = String::from_utf8(listed.stdout)?;
    Ok(!state.trim().is_empty() && !state.trim().starts_with('Z'))
}

async fn ends(mut companion: Child) -> Result<Option<i32>> {
    let status = tokio::time::timeout(PATIENCE, companion.wait()).await.context("the companion does not end")??;
    Ok(status.code())
}

for_each_database! {
    async fn what_is_said_goes_both_ways(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let proxy = Proxy::judging(server.address(), database).await?;
        let (client, seat) = (server.client(database), Seat::new()?);
        let script = format!("printf '\\033[1;32mready\\033[0m\\n\\033[?2004h'; {LISTENS}");
        let companion = seat.start(&proxy.url(), &script)?;
        let id = agent(&client).await?;
        // It may not have started yet; what is said to it now is typed all the same.
        tell(&client, id, "first").await?;
        let text = until_said(&client, id, "heard first").await?;
        ensure!(text.starts_with("ready\n"), "with colours, or not from the beginning: {text:?}");
        tell(&client, id, "two\nlines\x03").await?;
        tell(&client, id, "quit").await?;
        ensure!(ends(companion).await? == Some(3), "it ended with another code than its agent");
        ensure!(seat.typed() == "first\n\x1b[200~two\nlines\x1b[201~\nquit\n", "{:?}", seat.typed());
        ensure!(said(&client, id).await?.0.ends_with("heard quit\n"), "the last words are lost");
        let agents = client.companion().list_agents().await?.agents;
        ensure!(agents.len() == 1 && agents[0].name == NAME, "{agents:?}");
    }

    async fn a_message_is_typed_once_whenever_the_companion_is_there(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let proxy = Proxy::judging(server.address(), database).await?;
        let (client, seat) = (server.client(database), Seat::new()?);
        let id = client.companion().register_agent(&AgentRegistration::new(NAME)).await?.agent_id;
        tell(&client, id, "before the very first session").await?;
        // The companion knows the server's time no better than the way to the server is quick.
        tokio::time::sleep(Duration::from_secs(1)).await;

        let mut companion = seat.start(&proxy.url(), &format!("echo ready; {LISTENS}"))?;
        until_said(&client, id, "ready").await?;
        tell(&client, id, "first").await?;
        seat.until_typed("first\n").await?;
        companion.kill().await?;
        tell(&client, id, "while it was away").await?;
        let mut companion = seat.start(&proxy.url(), LISTENS)?;
        seat.until_typed("first\nwhile it was away\n").await?;
        companion.kill().await?;
        let companion = seat.start(&proxy.url(), LISTENS)?;
        tell(&client, id, "quit").await?;
        ensure!(ends(companion).await? == Some(3));
        ensure!(seat.typed() == "first\nwhile it was away\nquit\n", "{:?}", seat.typed());
    }
}

/// The network is cut again and again, and the server killed: every line is to be seen once and in order, and every message
/// is typed once.
#[test]
fn nothing_is_lost_or_doubled_when_connections_break() {
    block_on(async {
        let store = TestDatabase::create(Kind::Sqlite).await?;
        let mut server = ServerProcess::on(&store, &[]).await?;
        let proxy = Proxy::judging(server.address(), Kind::Sqlite).await?;
        let (mut client, seat) = (server.client(Kind::Sqlite), Seat::new()?);
        let script = "stty -echo; number=0; until [ -e enough ]; do number=$((number + 1)); echo \"line $number\"; \
                      echo $number >count; sleep 0.02; done; echo end; while IFS= read -r line; do printf '%s\\n' \"$line\" >>typed; done";
        let _companion = seat.start(&proxy.url(), script)?;
        let id = agent(&client).await?;
        let mut told = String::new();
        for number in 1..=6 {
            let content = format!("message {number}");
            tell(&client, id, &content).await?;
            told.push_str(&content);
            told.push('\n');
            let lines = said(&client, id).await?.0.lines().count();
            // What the agent says now is on its way when the connection breaks: some of it gets there, some does not.
            server.signal("STOP").await?;
            let count = || std::fs::read_to_string(seat.path("count")).ok()?.trim().parse::<u32>().ok();
            let before = count().unwrap_or_default();
            until("the agent goes on", async || Ok(count().is_some_and(|count| count > before + 20))).await?;
            if number == 3 {
                server.kill().await?;
                server = ServerProcess::on(&store, &[]).await?;
                client = server.client(Kind::Sqlite);
                proxy.lead_to(server.address());
            } else {
                proxy.cut();
                server.signal("CONT").await?;
            }
            until("it is back", async || Ok(said(&client, id).await?.0.lines().count() > lines)).await?;
        }
        std::fs::write(seat.path("enough"), "")?;
        let text = until_said(&client, id, "end\n").await?;
        let lines = text.lines().count() - 1;
        let expected: String = (1..=lines).map(|number| format!("line {number}\n")).collect();
        ensure!(text == format!("{expected}end\n"), "what was said is {text}");
        seat.until_typed(&told).await
    });
}

#[test]
fn an_agent_is_started_anew_when_it_is_told_to() {
    block_on(async {
        let store = TestDatabase::create(Kind::Sqlite).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let proxy = Proxy::judging(server.address(), Kind::Sqlite).await?;
        let (client, seat) = (server.client(Kind::Sqlite), Seat::new()?);
        // Neither it nor what it has started wants to go.
        let script = format!("trap '' TERM HUP; (sleep 1000) & echo \"agent $$ and $!.\"; {LISTENS}");
        let companion = seat.start(&proxy.url(), &script)?;
        let id = agent(&client).await?;
        let text = until_said(&client, id, ".").await?;
        let first: Vec<_> =
            text.split(|letter: char| !letter.is_ascii_digit()).filter(|word| !word.is_empty()).collect();
        ensure!(first.len() == 2, "{text}");
        tell(&client, id, "to the first").await?;
        seat.until_typed("to the first\n").await?;

        client.companion().restart_agent(&id).await?;
        until("another agent runs", async || Ok(said(&client, id).await?.0.matches("agent ").count() == 2)).await?;
        for process in first {
            ensure!(!lives(process).await?, "process {process} of the first agent is left");
        }
        tell(&client, id, "quit").await?;
        ensure!(ends(companion).await? == Some(3));
        ensure!(seat.typed() == "to the first\nquit\n", "{:?}", seat.typed());
        Ok(())
    });
}

#[test]
fn an_agent_without_a_server_is_heard_when_there_is_one() {
    block_on(async {
        let proxy = Proxy::judging("127.0.0.1:9", Kind::Sqlite).await?;
        let seat = Seat::new()?;
        // More than is kept.
        let script = format!("stty -echo; seq -f 'line %.0f' 60000; touch done; {LISTENS}");
        let companion = seat.start(&proxy.url(), &script)?;
        until("the agent runs although nobody is there", async || Ok(seat.path("done").exists())).await?;

        let store = TestDatabase::create(Kind::Sqlite).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let client = server.client(Kind::Sqlite);
        proxy.lead_to(server.address());
        let id = agent(&client).await?;
        let text = until_said(&client, id, "line 60000\n").await?;
        let (_, left_out) = said(&client, id).await?;
        let marker = format!("[… {left_out} lines left out …]\n");
        let kept: String = (left_out + 1..=60_000).map(|number| format!("line {number}\n")).collect();
        ensure!(left_out > 0 && text == format!("{marker}{kept}"), "{left_out} lines are missing, and it is {text}");
        ensure!(kept.len() > 200 * 1024, "only {} bytes were kept", kept.len());
        tell(&client, id, "quit").await?;
        ensure!(ends(companion).await? == Some(3));
        Ok(())
    });
}
