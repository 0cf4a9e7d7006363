//! A session's terminal: how much a command may print in a second, and how soon a key is echoed while another terminal is
//! flooded. Beside it, the same command on a bare pseudo-terminal, and the same keys without a flood.

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pty_process::blocking as pty;
use serde_json::json;
use tempfile::TempDir;

use crate::Bench;
use crate::options::{Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::Server;
use crate::sockets::Socket;
use crate::statistics::{Takes, percentile};
use crate::workspace::{Phone, text};

/// What is printed: lines as a build prints them.
const FILE: &str = "lines.txt";
const LINE: usize = 64;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let mebibytes = bench.options.choose(64, 16);
    let keys = bench.options.choose(1_000, 200);
    let repository = repository(mebibytes)?;
    let (mut printed, mut bare) = <(Takes, Takes)>::default();
    let (mut flooded, mut quiet) = <(Takes, Takes)>::default();
    for _ in 0..bench.options.choose(3, 1) {
        bench.say(&format!("terminal: {mebibytes} MiB, and {keys} keys"));
        bare.push(mebibytes as f64 / on_a_bare_terminal(repository.path())?.as_secs_f64());
        let server = Server::start_with(bench, Store::Sqlite(Sync::Full), &settings(repository.path())).await?;
        let mut loud = Deck::open(&server, repository.path()).await?;
        printed.push(mebibytes as f64 / loud.print(mebibytes << 20).await?.as_secs_f64());
        let mut typing = Deck::open(&server, repository.path()).await?;
        typing.run("cat").await?;
        quiet.push(percentile(&mut typing.echoes(keys).await?, 0.99));
        loud.run("yes").await?;
        let flood = async {
            loop {
                if let Err(error) = loud.socket.message().await {
                    return error;
                }
            }
        };
        let took = tokio::select! {
            took = typing.echoes(keys) => took?,
            error = flood => return Err(error.context("the flood ended")),
        };
        flooded.push(percentile(&mut { took }, 0.99));
        server.stop().await?;
    }
    report.add(Figure {
        bar: Some(Bar::AtLeast(50.0)),
        baselines: vec![("bare terminal".to_owned(), bare.median())],
        detail: format!("lines of {LINE} bytes, to the last one"),
        ..Figure::new("terminal", format!("{mebibytes} MiB to one who watches"), "MiB/s", printed)
    });
    report.add(Figure {
        bar: Some(Bar::AtMost(3.0)),
        baselines: vec![("without a flood".to_owned(), quiet.median())],
        ..Figure::new("terminal", "echo of a key while another terminal is flooded, p99", "ms", flooded)
    });
    Ok(())
}

/// A repository with a large file in it.
fn repository(mebibytes: usize) -> Result<TempDir> {
    let folder = tempfile::tempdir().context("making a repository")?;
    let git = Command::new("git").args(["init", "--quiet"]).arg(folder.path()).status().context("starting git")?;
    ensure!(git.success(), "git made no repository");
    let line = format!("{}\n", "x".repeat(LINE - 1));
    std::fs::write(folder.path().join(FILE), line.repeat((mebibytes << 20) / LINE)).context("writing a large file")?;
    Ok(folder)
}

fn settings(repository: &Path) -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    let settings = [
        ("REPO_ALLOWLIST", repository.display().to_string()),
        ("CMD_ALLOWLIST", format!("cat {FILE},cat,yes")),
        // The server's environment is its own.
        ("PATH", path),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).into()
}

/// How long the file takes to be printed on a pseudo-terminal that somebody only reads.
fn on_a_bare_terminal(repository: &Path) -> Result<Duration> {
    let (mut pty, pts) = pty::open().context("opening a terminal")?;
    let began = Instant::now();
    let mut child = pty::Command::new("cat").arg(FILE).current_dir(repository).spawn(pts).context("starting cat")?;
    let mut buffer = vec![0; 64 << 10];
    // The end of a terminal is an error on Linux.
    while pty.read(&mut buffer).is_ok_and(|count| count > 0) {}
    child.wait().context("waiting for cat")?;
    Ok(began.elapsed())
}

/// A session, and its terminal.
struct Deck {
    phone: Phone,
    socket: Socket,
}

impl Deck {
    async fn open(server: &Server, repository: &Path) -> Result<Self> {
        let body = json!({"repo": repository.to_str().context("the repository's path is text")?});
        let session = Phone::open(server.address(), "").await?.post("/api/session", &body).await?;
        let (id, token) = (text(&session, "sessionId")?, text(&session, "token")?);
        let socket = Socket::open(server.address(), &format!("/ws/pty?sessionId={id}&token={token}")).await?;
        Ok(Self { phone: Phone::open(server.address(), token).await?, socket })
    }

    async fn run(&mut self, command: &str) -> Result<()> {
        self.phone.post("/api/cmd", &json!({"cmd": command})).await.map(|_| ())
    }

    /// How long the file takes to be printed, until its end is told.
    async fn print(&mut self, bytes: usize) -> Result<Duration> {
        let began = Instant::now();
        self.run(&format!("cat {FILE}")).await?;
        let mut count = 0;
        loop {
            let message = self.socket.message().await?;
            if message.starts_with(b"{\"type\":\"exit\"") {
                break;
            }
            count += message.len();
        }
        ensure!(count >= bytes, "{count} bytes came of {bytes}: it read too slowly");
        Ok(began.elapsed())
    }

    /// How long each of so many keys takes to be echoed.
    async fn echoes(&mut self, keys: usize) -> Result<Vec<Duration>> {
        let mut took = Vec::with_capacity(keys);
        for key in (b'a'..=b'z').cycle().take(keys) {
            let key = [key];
            let began = Instant::now();
            self.socket.send(std::str::from_utf8(&key)?).await?;
            self.socket.wait_for(&key).await?;
            took.push(began.elapsed());
        }
        Ok(took)
    }
}
