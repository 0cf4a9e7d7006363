//! A workspace that was paired as a machine and a phone pair, and what its phone asks.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::connection::Connection;
use crate::signing::Signer;

/// A machine's key and a phone's token.
pub(crate) struct Workspace {
    pub(crate) signer: Signer,
    pub(crate) phone: Phone,
}

impl Workspace {
    /// Pairs over `address`.
    pub(crate) async fn pair(address: &str) -> Result<Self> {
        let mut anyone = Phone::open(address, "").await?;
        let start = json!({"machine_id": Uuid::new_v4(), "workspace_fingerprint": "load", "display_name": "Load"});
        let started = anyone.post("/pair/start", &start).await.context("starting a pairing")?;
        let completion = json!({"pair_token": started["pair_token"], "platform": "ios", "push_token": ""});
        let completed = anyone.post("/pair/complete", &completion).await.context("completing a pairing")?;
        let mut machine = Phone::open(address, text(&started, "poll_token")?).await?;
        let outcome = machine.get("/pair/result").await.context("reading a pairing's outcome")?;
        let workspace_id = text(&outcome, "workspace_id")?.parse().context("the workspace's id is a UUID")?;
        Ok(Self {
            signer: Signer::new(workspace_id, text(&outcome, "bridge_secret")?)?,
            phone: Phone::open(address, text(&completed, "device_token")?).await?,
        })
    }
}

/// Idle connections are closed by the server after a while; one that has been idle for so long is opened anew.
const FRESH: Duration = Duration::from_secs(5);

/// Somebody with a bearer token and a connection.
pub(crate) struct Phone {
    address: String,
    connection: Connection,
    used_at: Instant,
    token: String,
}

impl Phone {
    pub(crate) async fn open(address: &str, token: &str) -> Result<Self> {
        let connection = Connection::open(address).await?;
        Ok(Self { address: address.to_owned(), connection, used_at: Instant::now(), token: token.to_owned() })
    }

    /// The same one on a connection of its own.
    pub(crate) async fn another(&self) -> Result<Self> {
        Self::open(&self.address, &self.token).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(self.get_raw(path).await?)?)
    }

    pub(crate) async fn get_raw(&mut self, path: &str) -> Result<&[u8]> {
        let request = self.request("GET", path, "");
        let answer = self.fresh().await?.exchange(&request).await?;
        // By hand, because the answer borrows the connection.
        match answer.status {
            200 => Ok(answer.body),
            _ => anyhow::bail!("GET {path} answered {}: {}", answer.status, String::from_utf8_lossy(answer.body)),
        }
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let request = self.request("POST", path, &body.to_string());
        let answer = self.fresh().await?.exchange(&request).await?;
        Ok(serde_json::from_slice(answer.ok().with_context(|| format!("POST {path}"))?)?)
    }

    /// The request's bytes.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let authorization = match self.token.as_str() {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let content = match body {
            "" => String::new(),
            _ => format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()),
        };
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}{content}\r\n{body}").into_bytes()
    }

    async fn fresh(&mut self) -> Result<&mut Connection> {
        if self.used_at.elapsed() > FRESH {
            self.connection = Connection::open(&self.address).await?;
        }
        self.used_at = Instant::now();
        Ok(&mut self.connection)
    }

    /// For those who time what they send.
    pub(crate) const fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// A field that is text.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str> {
    value[name].as_str().with_context(|| format!("there is no {name} in {value}"))
}
