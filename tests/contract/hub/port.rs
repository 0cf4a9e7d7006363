//! The hub's own port.

use anyhow::{Context, Result, ensure};
use flightdeck_tests::socket::document as sockets;
use flightdeck_tests::{Kind, RawSocket, Request, TestOptions, TestServer, for_each_database};
use serde_json::json;

use super::Client;

fn address(server: &TestServer) -> Result<String> {
    let url = server.hub_url().context("the hub has a port of its own")?;
    Ok(url.trim_start_matches("http://").to_owned())
}

async fn connect(server: &TestServer, path: &str, database: Kind) -> Result<Client> {
    let hub = sockets::find("/hub").context("there is a socket")?;
    let opened = RawSocket::open(&address(server)?, &Request::socket(path), hub, database).await?;
    Client::greeted(opened.socket()?).await
}

for_each_database! {
    async fn both_ports_are_one_hub(database) {
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_HUB_PORT", "on")).await?;
        let mut here = Client::connect(&server, "").await?;
        for path in ["/", "/ws", "/?agent_id=backend&session_id=s-1", "/ws?agent_id=backend"] {
            let mut there = connect(&server, path, database).await?;
            here.publish("global", "system.info", json!(path)).await?;
            there.expect("global", [json!(path)]).await?;
        }
    }

    async fn it_serves_the_original_s_paths_and_no_others(database) {
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_HUB_PORT", "on")).await?;
        let address = address(&server)?;
        let port: u16 = address.rsplit(':').next().context("an address has a port")?.parse()?;
        for path in ["/health", "/stats"] {
            let answer = Request::get(path).send(&address).await?;
            server.judge(&Request::get(path), &answer)?;
            ensure!(answer.status == 200 && answer.json()["connectedClients"] == 0, "{path}: {}", answer.json());
        }
        ensure!(Request::get("/health").send(&address).await?.json()["port"] == port, "it says where it is");
        ensure!(server.send(&Request::get("/health")).await?.json()["port"] == port, "and so does the other");
        let mint = Request::post("/api/auth/token", &json!({"agent_id": "a"}));
        ensure!(mint.send(&address).await?.status == 200, "tokens are minted here, too");
        for path in ["/hub", "/healthz", "/v1/runs", "/ws/", "/docs", "/openapi.json", "/agents"] {
            let answer = Request::get(path).send(&address).await?;
            ensure!(answer.code() == "route_not_found", "{path} was answered {}: {}", answer.status, answer.json());
        }
        for path in ["/", "/ws"] {
            let answer = Request::get(path).send(&address).await?;
            ensure!(answer.code() == "upgrade_required", "{path} was answered {}: {}", answer.status, answer.json());
            let foreign = Request::socket(path).header("Origin", "https://evil.example");
            ensure!(foreign.send(&address).await?.code() == "origin_not_allowed", "{path} lets other pages in");
        }
        let post = Request::post("/health", &json!({})).send(&address).await?;
        ensure!(post.code() == "method_not_allowed", "{}", post.json());
    }
}
