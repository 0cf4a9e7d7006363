//! Commands: which run, what they get, how they end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::process::running;
use flightdeck_tests::{TestOptions, TestServer, for_each_database};
use serde_json::json;
use uuid::Uuid;

use super::Session;

async fn until_running(mark: &str, wanted: usize) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while running(mark).len() != wanted {
        ensure!(Instant::now() < deadline, "{:?} run instead of {wanted}", running(mark));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// So many seconds that no other test sleeps for.
fn unique() -> String {
    format!("6{:08}", Uuid::new_v4().as_u128() % 100_000_000)
}

for_each_database! {
    async fn an_end_is_told_with_its_code(database) {
        let server = TestServer::with(TestOptions::new(database).set("CMD_ALLOWLIST", "true,false,sh seven.sh,sh kill.sh")).await?;
        let session = Session::open(&server).await?;
        session.repository.write("seven.sh", "exit 7\n")?;
        session.repository.write("kill.sh", "kill -9 $$\n")?;
        let mut socket = session.follow(&server).await?;
        for (command, code) in [("true", 0), ("false", 1), ("sh seven.sh", 7), ("sh kill.sh", 137)] {
            let started = server.send(&session.run(command)).await?.success()?;
            let exit = socket.until("exit").await?;
            ensure!(exit["code"] == code && exit["commandId"] == started["commandId"], "{command}: {exit}");
            ensure!(exit.get("reason").is_none(), "the server did not end it: {exit}");
        }
    }

    /// Nothing but the whole command, word for word; and no shell reads it.
    async fn what_is_not_allowed_word_for_word_does_not_run(database) {
        let options = TestOptions::new(database).set("CMD_ALLOWLIST", "touch allowed,touch '$(touch inner)',touch 'a b'");
        let server = TestServer::with(options).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        for command in [
            "touch marker", "touch", "touch allowed marker", "touch allowed;touch marker", "touch allowed; touch marker",
            "touch allowed && touch marker", "touch allowed || touch marker", "touch allowed | touch marker",
            "touch allowed & touch marker", "touch allowed\ntouch marker", "touch allowed\r\ntouch marker",
            "touch allowed `touch marker`", "touch $(touch marker)", "touch allowed $(touch marker)", "touch ${IFS}marker",
            "touch allowed > marker", "touch allowed >marker", "touch allowed #", "A=b touch allowed", "env touch allowed",
            "PATH=. touch allowed", "LD_PRELOAD=./marker.so touch allowed", "/bin/touch allowed", "./touch allowed",
            "../touch allowed", "TOUCH allowed", "touch ALLOWED", "touch -- allowed", "touch allowed\\", "sh", "sh -c 'touch marker'",
            "touch '$(touch marker)'", "touch \"$(touch inner)\" marker", "touch a b", "touch 'allowed", "touch \"allowed",
            "touch allowed\u{a0}marker", "touch\u{a0}allowed", "touch аllowed", "touch allowed\u{200b}", "touch allowed*",
            "touch {allowed,marker}", "touch ~/allowed", "''", "' '", "touch ''", "touch allowed ''",
        ] {
            let answer = server.send(&session.run(command)).await?;
            answer.refused("command_not_allowed").with_context(|| format!("{command:?}"))?;
        }
        for command in ["", "touch allowed\u{0}", "touch allowed\u{0}marker", &"x".repeat(5_000)] {
            let answer = server.send(&session.run(command)).await?;
            let code = answer.code();
            ensure!(["invalid_request", "command_not_allowed"].contains(&code.as_str()), "{command:?}: {}", answer.json());
        }
        ensure!(session.repository.status()?.is_empty(), "something ran: {}", session.repository.status()?);
        for (command, made) in [
            ("touch allowed", "allowed"),
            ("  touch   allowed  ", "allowed"),
            ("touch \"allowed\"", "allowed"),
            ("touch '$(touch inner)'", "$(touch inner)"),
            ("touch \"a b\"", "a b"),
        ] {
            server.send(&session.run(command)).await?.success().with_context(|| command.to_owned())?;
            ensure!(socket.until("exit").await?["code"] == 0, "{command} failed");
            ensure!(session.repository.read(made).is_some(), "{command} made no {made:?}");
        }
        ensure!(session.repository.read("inner").is_none(), "a shell read it");
    }

    /// A program of the repository's must not pass for one of the machine's, and secrets of the server are its own.
    async fn a_command_gets_no_secrets_of_the_server(database) {
        let options = TestOptions::new(database).production().set("FLIGHTDECK_AGENT_WORKSPACES", "*")
            .set("JWT_SECRET", "the-key-of-sessions-0123456789abcdef0123456789").set("CMD_ALLOWLIST", "sh env.sh");
        let server = TestServer::with(options).await?;
        let session = Session::open(&server).await?;
        session.repository.write("env.sh", "env > env.txt\n")?;
        session.repository.write("sh", "#!/bin/sh\ntouch marker\n")?;
        let mut socket = session.follow(&server).await?;
        server.send(&session.run("sh env.sh")).await?.success()?;
        ensure!(socket.until("exit").await?["code"] == 0, "it failed");
        let environment = session.repository.read("env.txt").context("it was not run")?;
        for name in ["SECRET", "TOKEN=", "DATABASE_URL", "SEAL_KEY", "FLIGHTDECK_TEST_POSTGRES_URL", "CARGO"] {
            let found = environment.lines().find(|line| line.contains(name));
            ensure!(found.is_none(), "it is told {found:?}");
        }
        ensure!(environment.contains("TERM="), "a terminal has a kind: {environment}");
        ensure!(session.repository.read("marker").is_none(), "a program of the repository ran");
    }

    async fn who_takes_too_long_is_ended_with_all_that_it_started(database) {
        let seconds = unique();
        let options = TestOptions::new(database).set("CMD_ALLOWLIST", "sh long.sh");
        let server = TestServer::with(options).await?;
        let session = Session::open(&server).await?;
        session.repository.write("long.sh", format!("trap '' HUP TERM\nsleep {seconds} &\nsetsid sleep {seconds} &\nsleep {seconds}\n"))?;
        let mut socket = session.follow(&server).await?;
        let run = session.post("/api/cmd", &json!({"cmd": "sh long.sh", "timeoutMs": 2_000}));
        server.send(&run).await?.success()?;
        until_running(&seconds, 3).await?;
        let exit = server.hurry(socket.until("exit")).await?;
        ensure!(exit["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "it is not said why: {exit}");
        ensure!(exit["code"].as_i64().is_some_and(|code| code != 0), "{exit}");
        until_running(&seconds, 0).await?;
        // The next one may run.
        let run = session.post("/api/cmd", &json!({"cmd": "sh long.sh", "timeoutMs": 1}));
        server.send(&run).await?.success()?;
        server.hurry(socket.until("exit")).await?;
        until_running(&seconds, 0).await?;
    }

    async fn the_server_s_own_limit_holds_whatever_is_asked_for(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_COMMAND_SECONDS", 2).set("CMD_ALLOWLIST", "sleep 600");
        let server = TestServer::with(options).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        server.send(&session.post("/api/cmd", &json!({"cmd": "sleep 600", "timeoutMs": 86_400_000}))).await?.success()?;
        let exit = server.hurry(socket.until("exit")).await?;
        ensure!(exit["reason"].is_string(), "{exit}");
    }

    async fn two_sessions_run_side_by_side_and_end_apart(database) {
        let seconds = unique();
        let command = format!("sleep {seconds}");
        let server = TestServer::with(TestOptions::new(database).set("CMD_ALLOWLIST", &command)).await?;
        let workspace = server.pair().await?;
        let repository = server.repository()?;
        let mine = Session::on(&server, &workspace, &repository).await?;
        let other = Session::on(&server, &workspace, &repository).await?;
        let mut told = other.follow(&server).await?;
        for session in [&mine, &other] {
            server.send(&session.run(&command)).await?.success()?;
            server.send(&session.run(&command)).await?.refused("command_running")?;
        }
        until_running(&seconds, 2).await?;
        server.send(&mine.end()).await?.success()?;
        until_running(&seconds, 1).await?;
        ensure!(told.settle().await?.is_empty(), "the other session is told");
        server.send(&other.end()).await?.success()?;
        until_running(&seconds, 0).await?;
    }

    async fn a_session_that_expires_and_a_server_that_stops_end_commands(database) {
        let seconds = unique();
        let command = format!("sleep {seconds}");
        let options = TestOptions::new(database).set("CMD_ALLOWLIST", &command).set("SESSION_TTL_SECONDS", 100);
        let mut server = TestServer::with(options).await?;
        let session = Session::open(&server).await?;
        server.send(&session.run(&command)).await?.success()?;
        until_running(&seconds, 1).await?;
        server.hurry(until_running(&seconds, 0)).await?;
        let session = Session::open(&server).await?;
        server.send(&session.run(&command)).await?.success()?;
        until_running(&seconds, 1).await?;
        server.stop().await;
        ensure!(running(&seconds).is_empty(), "it runs on: {:?}", running(&seconds));
    }
}
