//! Which agents are here, on whatever server: what is told of that is true also after a server has ended without a word.
//!
//! Each connection whose agent is known has a row, and a server that has any gives a sign of life now and then. Another one
//! that has seen none for a while tells that the agents are gone. On SQLite there is no other: the next to start does.

use std::collections::HashMap;
use std::sync::Arc;

use flightdeck_api::generated::types::HubEventName;
use flightdeck_api::support::ApiError;
use parking_lot::Mutex;
use serde_json::json;
use uuid::Uuid;

use super::channel::Channel;
use super::{Hub, Identity, projection};
use crate::log::Work;
use crate::store::events::NewEvent;
use crate::store::hub_connections::{self, HubConnectionRow};
use crate::store::{DatabaseKind, StoreError};

/// Between two signs of life, and two looks at those of others, in milliseconds.
const EVERY: i64 = 5_000;

/// So many looks in a row that find no new sign of life. Looks, not time: while the database is away there are none, and no
/// server can give a sign; and two servers' clocks may differ.
const LOOKS: u32 = 6;

/// Connections told of in one transaction.
const CONNECTIONS: u64 = 500;

/// The agents of this server's connections.
pub(super) struct Presence {
    server_id: Uuid,
    here: Mutex<HashMap<Key, Here>>,
}

/// A connection, and the agent that it is.
type Key = (String, String);

#[derive(Debug, Clone)]
struct Here {
    session_id: Option<String>,
    /// It is here no more, and that may not have been told yet.
    gone: bool,
}

impl Presence {
    pub(super) fn new() -> Self {
        Self { server_id: Uuid::new_v4(), here: Mutex::default() }
    }

    /// A connection is this agent.
    pub(super) fn came(&self, client_id: &str, identity: &Identity) {
        let here = Here { session_id: identity.session_id.clone(), gone: false };
        self.here.lock().insert((client_id.to_owned(), identity.agent_id.clone()), here);
    }

    /// A connection is not this agent any more; [`keep_presence`] tells it.
    pub(super) fn went(&self, client_id: &str, identity: &Identity) {
        let here = Here { session_id: identity.session_id.clone(), gone: true };
        self.here.lock().insert((client_id.to_owned(), identity.agent_id.clone()), here);
    }

    fn told(&self, key: &Key) {
        let mut here = self.here.lock();
        if here.get(key).is_some_and(|here| here.gone) {
            here.remove(key);
        }
    }

    fn untold(&self) -> Vec<(Key, Here)> {
        let here = self.here.lock();
        here.iter().filter(|(_, here)| here.gone).map(|(key, here)| (key.clone(), here.clone())).collect()
    }

    fn any(&self) -> Option<String> {
        self.here.lock().iter().find(|(_, here)| !here.gone).map(|((client_id, _), _)| client_id.clone())
    }

    fn rows(&self, now: i64) -> Vec<HubConnectionRow> {
        let here = self.here.lock();
        let here = here.iter().filter(|(_, here)| !here.gone);
        here.map(|(key, here)| self.row(key, here.session_id.clone(), now)).collect()
    }

    fn row(&self, key: &Key, session_id: Option<String>, now: i64) -> HubConnectionRow {
        let (client_id, agent_id) = key.clone();
        HubConnectionRow { client_id, agent_id, session_id, server_id: self.server_id, seen_at: now }
    }
}

impl Hub {
    /// What is written down of an agent that comes.
    pub(super) fn connection(&self, client_id: &str, identity: &Identity) -> HubConnectionRow {
        let key = (client_id.to_owned(), identity.agent_id.clone());
        self.0.presence.row(&key, identity.session_id.clone(), self.0.clock.now())
    }

    /// The agent goes on with another session.
    pub(super) async fn rename_session(&self, client_id: &str, identity: &Identity) -> Result<(), ApiError> {
        let row = self.connection(client_id, identity);
        let saved = self.transact(move |work: &mut Work<'_>| {
            let row = row.clone();
            Box::pin(async move { Ok(hub_connections::save(work.tx().connection(), &[row]).await?) })
        });
        saved.await?;
        self.0.presence.came(client_id, identity);
        Ok(())
    }

    /// Tells that an agent is gone. What can't be told now is told later.
    pub(super) async fn leave(&self, client_id: &str, identity: &Identity) {
        self.0.presence.went(client_id, identity);
        let key = (client_id.to_owned(), identity.agent_id.clone());
        if let Err(error) = self.tell_gone(key, identity.session_id.clone()).await {
            tracing::warn!(%error, "could not tell that an agent left the hub; will try again");
        }
    }

    async fn tell_gone(&self, key: Key, session_id: Option<String>) -> Result<(), ApiError> {
        let row = self.0.presence.row(&key, session_id, self.0.clock.now());
        let told = self.transact(move |work: &mut Work<'_>| {
            let row = row.clone();
            Box::pin(async move {
                // Another server may have taken this one for gone, and told it.
                if hub_connections::forget(work.tx().connection(), &row.client_id, &row.agent_id).await? {
                    work.append(vec![presence(HubEventName::AgentDisconnected, &row, row.seen_at)]).await?;
                }
                Ok(())
            })
        });
        told.await?;
        self.0.presence.told(&key);
        Ok(())
    }

    /// Tells that the agents of servers that ended without a word are gone, where that is known from the start.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn tell_who_is_gone(&self) -> Result<(), ApiError> {
        if self.0.store.kind() == DatabaseKind::Sqlite {
            for (server_id, _) in self.other_servers().await? {
                self.tell_all_gone(server_id).await?;
            }
        }
        Ok(())
    }

    async fn other_servers(&self) -> Result<Vec<(Uuid, i64)>, StoreError> {
        hub_connections::servers_but(self.0.store.reader(), self.0.presence.server_id).await
    }

    async fn tell_all_gone(&self, server_id: Uuid) -> Result<(), ApiError> {
        loop {
            let rows = hub_connections::some_of(self.0.store.reader(), server_id, CONNECTIONS).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let (rows, now): (Arc<[_]>, _) = (rows.into(), self.0.clock.now());
            let told = self.transact(move |work: &mut Work<'_>| {
                let rows = rows.clone();
                Box::pin(async move {
                    let mut gone = Vec::new();
                    for row in rows.iter() {
                        if hub_connections::forget(work.tx().connection(), &row.client_id, &row.agent_id).await? {
                            gone.push(presence(HubEventName::AgentDisconnected, row, now));
                        }
                    }
                    work.append(gone).await?;
                    Ok(())
                })
            });
            told.await?;
        }
    }

    /// Gives a sign of life, if anybody is here. A server that was taken for gone tells that its agents are here after all.
    async fn give_sign(&self) -> Result<(), ApiError> {
        let Some(client_id) = self.0.presence.any() else { return Ok(()) };
        let (hub, now) = (self.clone(), self.0.clock.now());
        let given = self.transact(move |work: &mut Work<'_>| {
            let (hub, client_id) = (hub.clone(), client_id.clone());
            Box::pin(async move {
                let own = &hub.0.presence;
                if hub_connections::see(work.tx().connection(), own.server_id, &client_id, now).await? {
                    return Ok(());
                }
                // Asked here, where nobody else writes: who leaves now does so after this.
                let rows = own.rows(now);
                hub_connections::save(work.tx().connection(), &rows).await?;
                let came = rows.iter().map(|row| presence(HubEventName::AgentConnected, row, now)).collect();
                work.append(came).await?;
                Ok(())
            })
        });
        given.await
    }

    /// Looks for signs of life of other servers.
    async fn look(&self, others: &mut HashMap<Uuid, Other>) -> Result<(), ApiError> {
        let servers = self.other_servers().await?;
        others.retain(|known, _| servers.iter().any(|(server_id, _)| server_id == known));
        for (server_id, seen_at) in servers {
            let other = others.entry(server_id).or_insert(Other { seen_at, looks: 0 });
            other.looks = if other.seen_at == seen_at { other.looks + 1 } else { 0 };
            other.seen_at = seen_at;
            if other.looks > LOOKS {
                self.tell_all_gone(server_id).await?;
            }
        }
        Ok(())
    }

    async fn keep_presence(&self, others: &mut HashMap<Uuid, Other>) -> Result<(), ApiError> {
        for (key, Here { session_id, .. }) in self.0.presence.untold() {
            self.tell_gone(key, session_id).await?;
        }
        if self.0.store.kind() == DatabaseKind::Postgres {
            self.give_sign().await?;
            self.look(others).await?;
        }
        Ok(())
    }
}

/// What is known of another server.
struct Other {
    seen_at: i64,
    /// Looks that found this.
    looks: u32,
}

/// Keeps what is known of agents true until dropped.
pub async fn keep_presence(hub: Hub) {
    let clock = hub.0.clock.clone();
    let mut others = HashMap::new();
    loop {
        clock.sleep_until(clock.now() + EVERY).await;
        if let Err(error) = hub.keep_presence(&mut others).await {
            tracing::warn!(%error, "could not find out which agents are gone from the hub; will try again");
        }
    }
}

/// What tells that an agent came or went.
pub(super) fn presence(name: HubEventName, row: &HubConnectionRow, now: i64) -> NewEvent {
    let HubConnectionRow { client_id, agent_id, session_id, .. } = row;
    let data = json!({ "agent_id": agent_id, "client_id": client_id, "session_id": session_id });
    projection::new_event(&Channel::global(), name, data.to_string(), now)
}
