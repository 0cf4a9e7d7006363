//! What nobody should send. Each is refused as the spec says, and the server goes on.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::raw::{exchange, read_answer};
use flightdeck_tests::{Request, TestOptions, TestServer, for_each_database};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::event;

const GOOD: &str = r#"{"machine_id":"m","workspace_fingerprint":"f","display_name":"d"}"#;

/// `GOOD` with one more member.
fn with_member(member: &str) -> Vec<u8> {
    GOOD.replacen('{', &format!("{{{member},"), 1).into_bytes()
}

/// Lists in each other, so many deep.
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn start_with(body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", "/pair/start").bytes(body).header("Content-Type", "application/json")
}

async fn lives(server: &TestServer) -> Result<()> {
    server.send(&Request::get("/healthz")).await?.success().context("the server does not live any more")?;
    Ok(())
}

for_each_database! {
    async fn bodies_that_are_not_what_was_asked_for(database) {
        let server = TestServer::start(database).await?;
        let bodies: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("null", b"null".to_vec()),
            ("a list", b"[]".to_vec()),
            ("a text", b"\"text\"".to_vec()),
            ("half an object", b"{\"machine_id\":".to_vec()),
            ("an empty object", b"{}".to_vec()),
            ("two documents", [GOOD, GOOD].concat().into_bytes()),
            ("a comment", with_member("/* x */ \"x\":1")),
            ("a trailing comma", GOOD.replace('}', ",}").into_bytes()),
            ("a number for a text", GOOD.replace("\"m\"", "1").into_bytes()),
            ("null for a text", GOOD.replace("\"m\"", "null").into_bytes()),
            ("a list for a text", GOOD.replace("\"m\"", "[\"m\"]").into_bytes()),
            ("the same key twice", with_member("\"machine_id\":\"n\"")),
            ("a text that is too long", GOOD.replace("\"m\"", &format!("\"{}\"", "m".repeat(201))).into_bytes()),
            ("a text that is empty", GOOD.replace("\"m\"", "\"\"").into_bytes()),
            ("NUL in a text", GOOD.replace("\"m\"", "\"m\\u0000\"").into_bytes()),
            ("half a surrogate pair", GOOD.replace("\"m\"", "\"\\ud800\"").into_bytes()),
            ("invalid UTF-8", [b"{\"machine_id\":\"\xff\xfe\",".as_slice(), &GOOD.as_bytes()[18..]].concat()),
            ("100,000 lists in each other", GOOD.replace("\"m\"", &nested(100_000)).into_bytes()),
            ("UTF-16", GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ];
        for (name, body) in bodies {
            let answer = server.send(&start_with(body)).await.context(name)?;
            answer.refused("invalid_request").context(name)?;
        }
        lives(&server).await?;
    }

    /// Where anything goes, not quite anything goes.
    async fn payloads_that_no_json_reader_could_keep(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let event = event(workspace.workspace_id, Uuid::new_v4()).to_string();
        for (name, value) in [
            ("100,000 lists in each other", nested(100_000)),
            ("a number that is too large", "1e400".to_owned()),
            ("not a number", "NaN".to_owned()),
            ("half a surrogate pair", "\"\\ud800\"".to_owned()),
        ] {
            let body = event.replacen('{', &format!("{{\"payload\":{{\"x\":{value}}},"), 1);
            let request = Request::new("POST", "/bridge/event").bytes(body).header("Content-Type", "application/json");
            let answer = server.send(&request.sign(&workspace.signer(&server))).await.context(name)?;
            answer.refused("invalid_request").context(name)?;
        }
        lives(&server).await?;
    }

    async fn bodies_that_are_unusual_and_right(database) {
        let server = TestServer::start(database).await?;
        for (name, body) in [
            ("an unknown field", with_member("\"x\":{\"y\":[1]}")),
            ("an unknown field that nobody could read", with_member(&format!("\"x\":{}", nested(100_000)))),
            ("white space", format!(" \r\n\t{GOOD} \n").into_bytes()),
            ("escapes", GOOD.replace("\"m\"", "\"\\u006d\\n\\ud83d\\ude80\"").into_bytes()),
            ("200 characters of four bytes", GOOD.replace("\"m\"", &format!("\"{}\"", "\u{1f680}".repeat(200))).into_bytes()),
        ] {
            server.send(&start_with(body)).await.context(name)?.success().context(name)?;
        }
        let with_charset = start_with(GOOD).header("Content-Type", "application/json; charset=utf-8");
        server.send(&with_charset).await?.success()?;
        let in_chunks = start_with(format!("{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len())).header("Transfer-Encoding", "chunked");
        server.send(&in_chunks).await?.success()?;
    }

    async fn bodies_that_do_not_say_that_they_are_json(database) {
        let server = TestServer::start(database).await?;
        for content_type in ["text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data", "json", ""] {
            let request = start_with(GOOD).header("Content-Type", content_type);
            server.send(&request).await?.refused("unsupported_media_type").context(content_type)?;
        }
        server.send(&start_with(GOOD).without("Content-Type")).await?.refused("unsupported_media_type")?;
    }

    async fn parameters_that_are_wrong(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let get = |target: &str| Request::get(target).bearer(&workspace.device_token);
        for target in [
            "/v1/runs?limit=0",
            "/v1/runs?limit=201",
            "/v1/runs?limit=-1",
            "/v1/runs?limit=ten",
            "/v1/runs?limit=1e2",
            "/v1/runs?limit=10.0",
            "/v1/runs?limit=",
            "/v1/runs?limit=99999999999999999999999",
            "/v1/runs?status=running",
            "/v1/runs?status=NOPE",
            "/v1/runs?status=RUNNING&status=NOPE",
            "/v1/runs?workspace_id=1",
            // PostgreSQL keeps no such text.
            "/v1/runs?provider=%00",
            "/v1/runs?provider=claude%00code",
            "/v1/devices?include_revoked=perhaps",
        ] {
            server.send(&get(target)).await?.refused("invalid_request").context(target)?;
        }
        let many = "status=RUNNING&".repeat(6);
        server.send(&get(&format!("/v1/runs?{many}"))).await?.refused("invalid_request")?;
        let long = "x".repeat(201);
        server.send(&get(&format!("/v1/runs?cursor={long}"))).await?.refused("invalid_request")?;
        server.send(&get("/v1/runs?unknown=1&limit=5")).await?.success()?;
    }

    async fn paths_that_lead_nowhere(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        for id in ["not-an-id", "0", "%00", "%ff%fe", "..%2f..%2fetc%2fpasswd", "'%20OR%201=1--", &"9".repeat(5_000)] {
            let target = format!("/v1/runs/{id}");
            let answer = server.send(&Request::get(&target).bearer(&workspace.device_token)).await?;
            ensure!(matches!(answer.status, 400 | 404), "{target} was answered {}", answer.status);
        }
        for target in ["/nothing", "/v1", "/v1/", "/v1/runs/", "//v1/runs", "/v1//runs", "/V1/runs", "/v1/runs/x/y", "/.git/config"] {
            let answer = server.send(&Request::get(target).bearer(&workspace.device_token)).await?;
            answer.refused("route_not_found").context(target)?;
        }
        for (method, target) in [("DELETE", "/v1/runs"), ("POST", "/healthz"), ("PUT", "/pair/start"), ("BREW", "/v1/runs")] {
            let answer = server.send(&Request::new(method, target)).await?;
            answer.refused("method_not_allowed").context(target)?;
        }
        lives(&server).await?;
    }

    async fn cursors_of_other_lists(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        for _ in 0..3 {
            crate::support::start_run(&server, &workspace).await?;
        }
        let get = |target: String| Request::get(target).bearer(&workspace.device_token);
        let page = server.send(&get("/v1/runs?limit=1".to_owned())).await?.success()?;
        let cursor = page["next_cursor"].as_str().context("there is a second page")?.to_owned();
        server.send(&get(format!("/v1/runs?limit=1&cursor={cursor}"))).await?.success()?;
        for wrong in [format!("{cursor}A"), cursor[1..].to_owned(), "AAAA".to_owned(), Uuid::new_v4().to_string(), "%00".to_owned()] {
            let answer = server.send(&get(format!("/v1/runs?cursor={wrong}"))).await?;
            answer.refused("cursor_invalid").context(wrong)?;
        }
    }

    /// Below HTTP's own rules there is no operation and so no declared answer: a plain refusal, or none.
    async fn bytes_that_are_hardly_http(database) {
        let server = TestServer::start(database).await?;
        let address = server.address().to_owned();
        let head = format!("POST /pair/start HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
        let large = "x".repeat(100 * 1024);
        for (name, bytes) in [
            ("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
            ("HTTP/0.9", b"GET /healthz\r\n\r\n".to_vec()),
            ("HTTP/9.9", b"GET /healthz HTTP/9.9\r\n\r\n".to_vec()),
            ("a line without end", vec![b'A'; 200 * 1024]),
            ("a header of 100 KiB", format!("{head}X-Large: {large}\r\n\r\n").into_bytes()),
            ("5,000 headers", format!("{head}{}\r\n", "X-Many: 1\r\n".repeat(5_000)).into_bytes()),
            ("NUL in a header", format!("{head}X-Nul: a\0b\r\n\r\n").into_bytes()),
            ("a header without a name", format!("{head}: x\r\n\r\n").into_bytes()),
            ("white space before the colon", format!("{head}Content-Length : 0\r\n\r\n").into_bytes()),
            ("two lengths", format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}").into_bytes()),
            ("a length that is no number", format!("{head}Content-Length: -1\r\n\r\n").into_bytes()),
            ("a chunk that is no number", format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes()),
            ("a chunk of 2^64 bytes", format!("{head}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n").into_bytes()),
        ] {
            let answer = exchange(&address, &bytes).await.context(name)?;
            let status = answer.map_or(400, |answer| answer.status);
            ensure!(matches!(status, 400 | 403 | 405 | 408 | 413 | 414 | 431 | 501 | 505), "{name} was answered {status}");
            lives(&server).await.context(name)?;
        }
    }

    /// A length and chunks: whoever believes the other one than the proxy in front smuggles requests.
    async fn a_request_has_one_end(database) {
        let server = TestServer::start(database).await?;
        let address = server.address().to_owned();
        let smuggled = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let bytes = format!(
            "POST /pair/start HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
            5 + smuggled.len()
        );
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(bytes.as_bytes()).await?;
        if let Some(answer) = read_answer(&mut stream).await? {
            ensure!((400..500).contains(&answer.status), "answered {}", answer.status);
        }
        let second = tokio::time::timeout(Duration::from_secs(5), read_answer(&mut stream)).await;
        ensure!(!matches!(second, Ok(Ok(Some(ref answer))) if answer.status == 200), "the second request was answered");
    }

    async fn heads_and_bodies_that_never_end_are_cut(database) {
        let options = TestOptions::new(database)
            .real_time()
            .set("FLIGHTDECK_HEAD_TIMEOUT_SECONDS", 1)
            .set("FLIGHTDECK_BODY_TIMEOUT_SECONDS", 1);
        let server = TestServer::with(options).await?;
        for start in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\n", "POST /pair/start HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"] {
            let started = Instant::now();
            let answer = exchange(server.address(), start.as_bytes()).await?;
            let took = started.elapsed();
            ensure!(took < Duration::from_secs(10), "{start:?} kept a connection for {took:?}");
            let status = answer.map_or(408, |answer| answer.status);
            ensure!(matches!(status, 400 | 403 | 408), "{start:?} was answered {status}");
        }
        lives(&server).await?;
    }

    /// A web page from elsewhere must not use a server on the visitor's machine, by its own name or another.
    async fn other_origins_and_other_hosts(database) {
        let options = TestOptions::new(database).set("CORS_ORIGINS", "https://screens.example");
        let server = TestServer::with(options).await?;
        let request = start_with(GOOD);
        for origin in ["https://elsewhere.example", "null", "https://screens.example.evil.example", "http://screens.example"] {
            let answer = server.send(&request.clone().header("Origin", origin)).await?;
            answer.refused("origin_not_allowed").context(origin)?;
        }
        for host in ["elsewhere.example", "elsewhere.example:8787", "127.0.0.1.elsewhere.example"] {
            let answer = server.send(&request.clone().header("Host", host)).await?;
            answer.refused("origin_not_allowed").context(host)?;
        }
        let allowed = server.send(&request.clone().header("Origin", "https://screens.example")).await?;
        let told = allowed.headers.get("access-control-allow-origin").and_then(|value| value.to_str().ok());
        ensure!(told == Some("https://screens.example"), "the browser is told {told:?}");
        allowed.success()?;
        let own = format!("http://{}", server.address());
        server.send(&request.header("Origin", own)).await?.success()?;
    }
}
