//! Credentials of sockets: wherever a client puts them, and however wrong they are, the server's log does not hold them.

use anyhow::{Context, Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::server::{COMPANION_TOKEN, HUB_SECRET, SERVER_SECRET};
use flightdeck_tests::socket::document;
use flightdeck_tests::{Kind, Opened, PairedWorkspace, RawSocket, Request, ServerProcess, for_each_database};
use serde_json::{Value, json};

const SEAL_KEY: &str = "5ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea1";

/// What a client makes up. Each is said in a place of its own, so that a leak says which.
const WRONG_QUERY: &str = "made-up-for-the-query";
const WRONG_HEADER: &str = "made-up-for-the-header";
const WRONG_MESSAGE: &str = "made-up-for-a-message";
const MALFORMED: &str = "made-up-for-a-message-that-is-none";
const CUT_SHORT: &str = "made-up-for-a-message-that-is-cut-short";

/// A server that says everything that it can.
struct Talkative {
    process: ServerProcess,
    database: Kind,
}

impl Talkative {
    async fn try_open(&self, request: &Request) -> Result<Opened> {
        let socket = document::find(request.path()).context("there is a socket at this path")?;
        RawSocket::open(self.process.address(), request, socket, self.database).await
    }

    async fn open(&self, request: &Request, greeting: &str) -> Result<RawSocket> {
        let mut socket = self.try_open(request).await?.socket()?;
        socket.expect(greeting).await?;
        Ok(socket)
    }

    async fn post(&self, target: &str, body: &Value) -> Result<Value> {
        Request::post(target, body).bearer(COMPANION_TOKEN).send(self.process.address()).await?.success()
    }
}

/// The token is in the query, or in the header.
async fn companion(server: &Talkative) -> Result<()> {
    let agent = server.post("/agents/register", &json!({"name": "mac-mini-1"})).await?["agent_id"].take();
    let target = format!("/realtime?agent_id={}&role=pc", agent.as_str().context("an agent has an id")?);
    let with = |token: &str| Request::socket(format!("{target}&token={token}"));
    let header = |token: &str| Request::socket(&target).bearer(token);
    // The query goes before the header, and the header is read all the same.
    for right in [with(COMPANION_TOKEN), header(COMPANION_TOKEN), with(COMPANION_TOKEN).bearer(WRONG_HEADER)] {
        server.open(&right, "hello").await?.close().await?;
    }
    for wrong in [with(WRONG_QUERY), header(WRONG_HEADER), with(WRONG_QUERY).bearer(COMPANION_TOKEN)] {
        server.try_open(&wrong).await?.refused("credential_invalid")?;
    }
    // Refused for another reason, and by somebody who takes it for an ordinary address.
    server
        .try_open(&Request::socket(format!("/realtime?role=pc&token={COMPANION_TOKEN}")))
        .await?
        .refused("invalid_request")?;
    let plain = Request::get(format!("{target}&token={COMPANION_TOKEN}")).send(server.process.address()).await?;
    ensure!(plain.status == 426, "a request that opens no socket was answered {}", plain.status);
    Ok(())
}

/// The token is in a message; gives one that the server has made.
async fn hub(server: &Talkative) -> Result<String> {
    let minted = server.post("/api/auth/token", &json!({"agent_id": "backend"})).await?;
    let token = minted["token"].as_str().context("a token is a text")?.to_owned();
    let mut socket = server.open(&Request::socket("/hub"), "connected").await?;
    for (message, success) in [
        (json!({"type": "auth", "token": WRONG_MESSAGE, "id": "1"}), false),
        // Of another shape than a token has, and with another signature.
        (json!({"type": "auth", "token": format!("{token}0"), "id": "2"}), false),
        (json!({"type": "auth", "token": token, "id": "3"}), true),
    ] {
        socket.send(&message).await?;
        let ack = socket.until("ack").await?;
        ensure!(ack["success"] == success, "{message} was answered {ack}");
    }
    for malformed in malformed("auth", &token) {
        socket.send_text(&malformed).await?;
        socket.until("error").await?;
    }
    socket.close().await?;
    Ok(token)
}

/// The token of a device is in the header, and in a message.
async fn stream(server: &Talkative, device_token: &str, hub_token: &str) -> Result<()> {
    server.open(&Request::socket("/v1/stream").bearer(device_token), "hello").await?.close().await?;
    server.try_open(&Request::socket("/v1/stream").bearer(WRONG_HEADER)).await?.refused("credential_invalid")?;
    let mut socket = server.open(&Request::socket("/v1/stream"), "hello").await?;
    for token in [device_token, hub_token, COMPANION_TOKEN] {
        socket.send(&json!({"type": "authenticate", "token": token})).await?;
        socket.expect("authenticated").await?;
    }
    for malformed in malformed("authenticate", device_token) {
        socket.send_text(&malformed).await?;
        socket.expect("error").await?;
    }
    socket.send(&json!({"type": "authenticate", "token": WRONG_MESSAGE})).await?;
    socket.until("error").await?;
    Ok(())
}

/// What is nearly a message with a token: another type, no JSON, a token that is none, and one beside the right place.
fn malformed(kind: &str, token: &str) -> [String; 4] {
    [
        json!({"type": kind, "token": [MALFORMED, token]}).to_string(),
        format!(r#"{{"type":"{kind}","token":"{CUT_SHORT} {token}"#),
        json!({"type": kind, "token": {MALFORMED: token}}).to_string(),
        json!({"type": format!("{kind}_"), "token": token, "agent_id": [MALFORMED]}).to_string(),
    ]
}

for_each_database! {
    /// At its most talkative, so that what a library would say is heard, too.
    async fn no_credential_of_a_socket_is_logged(database) {
        let store = TestDatabase::create(database).await?;
        let process = ServerProcess::on(&store, &[
            ("FLIGHTDECK_LOG", "trace"),
            ("FLIGHTDECK_ENV", "production"),
            ("HMAC_SECRET", SERVER_SECRET),
            ("COMPANION_TOKEN", COMPANION_TOKEN),
            ("WS_AUTH_SECRET", HUB_SECRET),
            ("FLIGHTDECK_SEAL_KEY", SEAL_KEY),
        ]).await?;
        let mut server = Talkative { process, database };
        let workspace = PairedWorkspace::pair(&server.process.client(database)).await?;
        companion(&server).await?;
        let token = hub(&server).await?;
        stream(&server, &workspace.device_token, &token).await?;
        server.process.terminate().await?;

        let output = server.process.output();
        ensure!(output.lines().count() > 20, "it logged hardly anything, so this proves nothing:\n{output}");
        let (payload, signature) = token.split_once('.').context("a token has two parts")?;
        for (what, secret) in [
            ("the companion's token", COMPANION_TOKEN),
            ("the device's token", &workspace.device_token),
            ("the hub's token", payload),
            ("the signature of the hub's token", signature),
            ("the server's secret", SERVER_SECRET),
            ("the hub's secret", HUB_SECRET),
            ("the seal key", SEAL_KEY),
            ("the wrong token of a query", WRONG_QUERY),
            ("the wrong token of a header", WRONG_HEADER),
            ("the wrong token of a message", WRONG_MESSAGE),
            ("a token of a malformed message", MALFORMED),
            ("a token of a message that is no JSON", CUT_SHORT),
        ] {
            ensure!(!output.contains(secret), "the log holds {what}");
        }
    }
}
