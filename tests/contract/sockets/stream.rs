//! The native socket: what may be followed by whom, how much, and what happens to credentials meanwhile. How it usually goes
//! is in `spec/examples/sockets/stream`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::{PairedWorkspace, RawSocket, Request, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{development, register};
use crate::support::start_run;

async fn open(server: &TestServer, token: Option<&str>) -> Result<RawSocket> {
    let request = Request::socket("/v1/stream");
    let mut socket = server.open(&token.map_or(request.clone(), |token| request.bearer(token))).await?;
    socket.expect("hello").await?;
    Ok(socket)
}

/// What a subscription is answered: `subscribed`, or the code of a refusal.
async fn follow(socket: &mut RawSocket, stream: &str) -> Result<String> {
    let id = Uuid::new_v4().to_string();
    socket.send(&json!({"type": "subscribe", "stream": stream, "id": id})).await?;
    loop {
        let (name, message) = socket.recv().await.with_context(|| format!("following {stream}"))?;
        if message["id"] == id.as_str() {
            ensure!(message["stream"] == stream, "{message} is about another stream than {stream}");
            return Ok(if name == "subscribed" { name.to_owned() } else { code(&message) });
        }
    }
}

fn code(message: &Value) -> String {
    message["code"].as_str().unwrap_or_default().to_owned()
}

/// Streams of every kind, by whoever may follow them.
struct Streams {
    of_device: Vec<String>,
    of_companion: Vec<String>,
    of_hub: Vec<String>,
}

async fn streams(server: &TestServer, workspace: &PairedWorkspace) -> Result<Streams> {
    let run_id = start_run(server, workspace).await?;
    let workspace_id = workspace.workspace_id;
    Ok(Streams {
        of_device: vec![
            format!("runs/{run_id}"),
            format!("workspaces/{workspace_id}"),
            format!("approvals/{workspace_id}"),
        ],
        of_companion: vec![format!("agents/{}", register(server).await?)],
        of_hub: vec!["channels/global".to_owned(), "channels/topics/deployments".to_owned()],
    })
}

async fn hub_token(server: &TestServer) -> Result<String> {
    let request = Request::post("/api/auth/token", &json!({"agent_id": "ada"})).bearer(COMPANION_TOKEN);
    let minted = server.send(&request).await?.success()?;
    Ok(minted["token"].as_str().context("there is a token")?.to_owned())
}

/// Lets time pass for clients that give signs of life.
async fn pass(server: &TestServer, seconds: u64, sockets: &mut [&mut RawSocket]) -> Result<()> {
    for _ in 0..seconds / 30 {
        server.advance(Duration::from_secs(30));
        for socket in &mut *sockets {
            socket.settle().await?;
        }
    }
    Ok(())
}

for_each_database! {
    async fn each_credential_opens_its_own_streams_and_no_others(database) {
        let server = TestServer::with(development(database).production()).await?;
        let workspace = server.pair().await?;
        let Streams { of_device, of_companion, of_hub } = streams(&server, &workspace).await?;
        let tokens = [workspace.device_token.clone(), COMPANION_TOKEN.to_owned(), hub_token(&server).await?];
        let kinds = [of_device, of_companion, of_hub];
        for (holder, token) in tokens.iter().enumerate() {
            let mut socket = open(&server, Some(token)).await?;
            for (owner, streams) in kinds.iter().enumerate() {
                let wanted = if owner == holder { "subscribed" } else { "stream_not_found" };
                for stream in streams {
                    let got = follow(&mut socket, stream).await?;
                    ensure!(got == wanted, "{stream} was answered {got} instead of {wanted}");
                }
            }
        }
    }

    /// Credentials add up: a screen that shows everything needs one connection.
    async fn one_connection_may_carry_several_credentials(database) {
        let server = TestServer::with(development(database).production()).await?;
        let workspace = server.pair().await?;
        let Streams { of_device, of_companion, of_hub } = streams(&server, &workspace).await?;
        let mut socket = open(&server, Some(&workspace.device_token)).await?;
        for token in [COMPANION_TOKEN.to_owned(), hub_token(&server).await?] {
            socket.send(&json!({"type": "authenticate", "token": token})).await?;
            socket.expect("authenticated").await?;
        }
        for stream in of_device.iter().chain(&of_companion).chain(&of_hub) {
            let got = follow(&mut socket, stream).await?;
            ensure!(got == "subscribed", "{stream} was answered {got}");
        }
    }

    async fn in_development_this_machine_follows_everything(database) {
        let server = TestServer::with(development(database)).await?;
        let workspace = server.pair().await?;
        let Streams { of_device, of_companion, of_hub } = streams(&server, &workspace).await?;
        let mut socket = open(&server, None).await?;
        for stream in of_device.iter().chain(&of_companion).chain(&of_hub) {
            let got = follow(&mut socket, stream).await?;
            ensure!(got == "subscribed", "{stream} was answered {got}");
        }
    }

    /// What belongs to somebody else looks as if it were not there.
    async fn not_yours_and_not_there_look_the_same(database) {
        let server = TestServer::with(development(database).production()).await?;
        let mine = server.pair().await?;
        let theirs = server.pair().await?;
        let Streams { of_device, .. } = streams(&server, &theirs).await?;
        let mut socket = open(&server, Some(&mine.device_token)).await?;
        for stream in of_device {
            let (kind, _) = stream.split_once('/').context("a stream has a kind")?;
            let mut answers = Vec::new();
            for stream in [stream.clone(), format!("{kind}/{}", Uuid::new_v4())] {
                socket.send(&json!({"type": "subscribe", "stream": stream})).await?;
                let mut error = socket.expect("error").await?;
                ensure!(error["stream"] == stream.as_str(), "{error} does not name {stream}");
                error["stream"] = Value::Null;
                ensure!(!error.to_string().contains(stream.split('/').next_back().unwrap_or_default()), "{error}");
                answers.push(error);
            }
            ensure!(answers[0] == answers[1], "the answers differ: {answers:?}");
            ensure!(code(&answers[0]) == "stream_not_found", "{answers:?}");
        }
    }

    async fn what_is_no_stream_is_refused(database) {
        let server = TestServer::with(development(database)).await?;
        let mut socket = open(&server, None).await?;
        for stream in [
            "runs", "runs/", "/runs", "runs/1", "RUNS/00000000-0000-4000-8000-000000000000",
            "runs/00000000-0000-4000-8000-000000000000", "tasks/1", "channels/", "channels/topics/", "channels/topics",
            "channels/..", "agents/1", "approvals", "workspaces/'--", "pairings/1", "runs/\u{0}",
        ] {
            let got = follow(&mut socket, stream).await?;
            ensure!(got == "stream_not_found", "{stream:?} was answered {got}");
        }
    }

    async fn one_connection_follows_so_many_streams_and_no_more(database) {
        let server = TestServer::with(development(database)).await?;
        let mut socket = open(&server, None).await?;
        let most = flightdeck_tests::socket::document::socket("stream").limits.subscriptions;
        let stream = |number: usize| format!("channels/topics/topic-{number}");
        for number in 0..most {
            socket.send(&json!({"type": "subscribe", "stream": stream(number)})).await?;
        }
        for _ in 0..most {
            socket.until("synced").await?;
        }
        let got = follow(&mut socket, &stream(most)).await?;
        ensure!(got == "too_many_streams", "one too many was answered {got}");
        // One that is followed already is none more, and one that is left makes room.
        let got = follow(&mut socket, &stream(0)).await?;
        ensure!(got == "subscribed", "a second time was answered {got}");
        socket.send(&json!({"type": "unsubscribe", "stream": stream(1)})).await?;
        socket.until("unsubscribed").await?;
        let got = follow(&mut socket, &stream(most)).await?;
        ensure!(got == "subscribed", "when there was room, it was answered {got}");
    }

    async fn who_never_shows_a_credential_is_closed(database) {
        let server = TestServer::with(development(database).production()).await?;
        let mut socket = open(&server, None).await?;
        let got = follow(&mut socket, &format!("runs/{}", Uuid::new_v4())).await?;
        ensure!(got == "stream_not_found", "without a credential it was answered {got}");
        let began = server.now();
        server.hurry(socket.expect_close("unauthenticated")).await?;
        let took = server.now() - began;
        ensure!((9_000..30_000).contains(&took), "it was closed after {took} ms");
    }

    async fn a_wrong_credential_in_a_message_is_refused_and_the_old_one_stays(database) {
        let server = TestServer::with(development(database).production()).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        let mut socket = open(&server, Some(&workspace.device_token)).await?;
        let revoked = server.pair().await?;
        revoked.machine.devices().revoke_device(&revoked.device_id).await?;
        for (token, wanted) in [("made-up", "credential_invalid"), (revoked.device_token.as_str(), "device_revoked")] {
            socket.send(&json!({"type": "authenticate", "token": token, "id": "a"})).await?;
            let error = socket.expect("error").await?;
            ensure!(code(&error) == wanted && error["id"] == "a", "{token} was answered {error}");
            ensure!(!error.to_string().contains(token), "the answer repeats the token: {error}");
        }
        let got = follow(&mut socket, &format!("runs/{run_id}")).await?;
        ensure!(got == "subscribed", "it was answered {got}");
    }

    async fn a_device_that_is_revoked_hears_nothing_more(database) {
        let server = TestServer::with(development(database).production()).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        let mut socket = open(&server, Some(&workspace.device_token)).await?;
        follow(&mut socket, &format!("runs/{run_id}")).await?;
        workspace.machine.devices().revoke_device(&workspace.device_id).await?;
        server.hurry(socket.expect_close("credential_invalid")).await?;
    }

    async fn a_credential_that_expires_ends_the_connection_unless_it_is_renewed(database) {
        let server = TestServer::with(development(database).production()).await?;
        let mut left_alone = open(&server, Some(&hub_token(&server).await?)).await?;
        let mut renewed = open(&server, Some(&hub_token(&server).await?)).await?;
        for socket in [&mut left_alone, &mut renewed] {
            follow(socket, "channels/global").await?;
        }
        pass(&server, 3_000, &mut [&mut left_alone, &mut renewed]).await?;
        renewed.send(&json!({"type": "authenticate", "token": hub_token(&server).await?})).await?;
        let authenticated = renewed.until("authenticated").await?;
        ensure!(authenticated["expires_at"].is_string(), "{authenticated}");
        pass(&server, 570, &mut [&mut left_alone, &mut renewed]).await?;
        server.hurry(left_alone.expect_close("credential_expired")).await?;
        let got = follow(&mut renewed, "channels/topics/x").await?;
        ensure!(got == "subscribed", "the renewed one was answered {got}");
    }
}
