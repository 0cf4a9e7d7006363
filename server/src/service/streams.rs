//! Streams, for those who follow them: which there are, who may see which, and in which log.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use serde::Deserialize;
use uuid::Uuid;

use super::hub::Channel;
use crate::auth::AgentAccess;
use crate::clock::Clock;
use crate::log::{Log, Reader, ReaderLimits, Work, workspace_stream};
use crate::store::workspaces::{self, Scope};
use crate::store::{Store, StoreError, agents, chats, devices, facts, runs};

/// The fact that names the log of a database.
const EPOCH: &str = "log_epoch";

/// The event by which a workspace is told that one of its devices is revoked.
const REVOKED: &str = "device.revoked";

/// What somebody may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// The server itself, or a person on the same machine in development.
    Everything,
    Of {
        /// Its workspaces, and their runs and approvals.
        device: Option<Uuid>,
        /// The companion's agents.
        agents: bool,
        /// The hub's channels, as this agent sees them.
        hub_agent: Option<String>,
    },
}

/// Where a stream begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first event that is kept.
    pub first_seq: i64,
    /// 0 for one without events.
    pub last_seq: i64,
}

/// Where the end of a device is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    pub device_id: Uuid,
    pub stream: String,
    /// It was valid when this was the last event.
    pub seq: i64,
}

/// The streams of the log. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    store: Store,
    log: Log,
    clock: Arc<dyn Clock>,
    epoch: Arc<str>,
    agent_access: AgentAccess,
}

impl Streams {
    /// # Errors
    /// If the database can't be reached.
    pub async fn open(
        store: Store,
        log: Log,
        clock: Arc<dyn Clock>,
        agent_access: AgentAccess,
    ) -> Result<Self, ApiError> {
        let epoch = log
            .transact(None, move |work: &mut Work<'_>| {
                Box::pin(async move {
                    let new = Uuid::new_v4().simple().to_string();
                    facts::settle(work.tx().connection(), EPOCH, &new).await.map_err(ApiError::from)
                })
            })
            .await?;
        Ok(Self { store, log, clock, epoch: epoch.into(), agent_access })
    }

    /// Names the log: positions in another one mean nothing here.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The time, in Unix milliseconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    #[must_use]
    pub fn reader(&self, limits: ReaderLimits) -> Reader {
        self.log.reader(limits)
    }

    /// Where a stream begins and ends.
    ///
    /// # Errors
    /// `stream_not_found`, if there is no such stream or it is not in view; `unavailable`.
    pub async fn extent(&self, view: &View, stream: &str) -> Result<Extent, ApiError> {
        if !self.is_visible(view, stream).await? {
            return Err(ErrorCode::StreamNotFound.into());
        }
        let row = self.log.extent(stream).await?;
        Ok(row.map_or(Extent { first_seq: 1, last_seq: 0 }, |row| Extent {
            first_seq: row.first_seq,
            last_seq: row.last_seq,
        }))
    }

    /// Whether there is such a stream, and it is in view.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn is_visible(&self, view: &View, stream: &str) -> Result<bool, StoreError> {
        let reader = self.store.reader();
        let Some((kind, name)) = stream.split_once('/') else { return Ok(false) };
        if kind == "channels" {
            return Ok(Channel::parse(name).is_some_and(|channel| view.shows_channel(&channel)));
        }
        // One stream has one name, which is that of its events.
        let Some(id) = name.parse::<Uuid>().ok().filter(|id| id.to_string() == name) else { return Ok(false) };
        match kind {
            "runs" => Ok(runs::find(reader, id, &self.scope(view).await?).await?.is_some()),
            "workspaces" | "approvals" => Ok(workspaces::find(reader, id, &self.scope(view).await?).await?.is_some()),
            "chats" => {
                // Whoever may not talk with agents does not see what others of the workspace say to them, here as elsewhere.
                let scope = self.agent_access.narrow(self.scope(view).await?).unwrap_or(Scope::Workspaces(Vec::new()));
                Ok(chats::find(reader, id, &scope).await?.is_some())
            }
            "agents" => Ok(view.shows_agents() && agents::exists(reader, id).await?),
            _ => Ok(false),
        }
    }

    /// The workspaces in view, those paired a moment ago included.
    async fn scope(&self, view: &View) -> Result<Scope, StoreError> {
        Ok(match view {
            View::Everything => Scope::All,
            View::Of { device: Some(device), .. } => {
                Scope::Workspaces(workspaces::of_device(self.store.reader(), *device).await?)
            }
            View::Of { device: None, .. } => Scope::Workspaces(Vec::new()),
        })
    }

    /// Where to learn that a device is revoked.
    ///
    /// # Errors
    /// `device_revoked`, if it is by now; `unavailable`.
    pub async fn guard(&self, device_id: Uuid) -> Result<Guard, ApiError> {
        let reader = self.store.reader();
        // It is told in every workspace of the device, so one is enough.
        let workspace_id = workspaces::of_device(reader, device_id).await?.into_iter().next();
        let stream = workspace_stream(workspace_id.ok_or_else(|| ApiError::new(ErrorCode::CredentialInvalid))?);
        // The place first, then a look at the device: what comes after the look comes after the place, too.
        let seq = self.log.extent(&stream).await?.map_or(0, |row| row.last_seq);
        match devices::find(reader, device_id).await? {
            Some(row) if row.revoked_at.is_none() => Ok(Guard { device_id, stream, seq }),
            _ => Err(ErrorCode::DeviceRevoked.into()),
        }
    }
}

impl View {
    const fn shows_agents(&self) -> bool {
        matches!(self, Self::Everything | Self::Of { agents: true, .. })
    }

    /// An agent's own channel is its own.
    fn shows_channel(&self, channel: &Channel) -> bool {
        match self {
            Self::Everything => true,
            Self::Of { hub_agent: Some(agent), .. } => channel.agent().is_none_or(|owner| owner == agent),
            Self::Of { hub_agent: None, .. } => false,
        }
    }
}

/// Whether an event of the stream that guards a device says that the device is revoked.
#[must_use]
pub fn revokes(device_id: Uuid, kind: &str, payload: &str) -> bool {
    #[derive(Deserialize)]
    struct Named {
        device_id: Uuid,
    }
    kind == REVOKED && serde_json::from_str::<Named>(payload).is_ok_and(|named| named.device_id == device_id)
}

/// Whether an event says that some device is revoked.
#[must_use]
pub fn revokes_somebody(kind: &str) -> bool {
    kind == REVOKED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_own_channel_is_its_own() {
        let view = |hub_agent: Option<&str>| View::Of {
            device: Some(Uuid::nil()),
            agents: true,
            hub_agent: hub_agent.map(str::to_owned),
        };
        for (name, to_a, to_everybody) in [("global", true, true), ("agents/a", true, true), ("agents/b", false, true)]
        {
            let channel = Channel::parse(name).expect("a channel");
            assert_eq!(view(Some("a")).shows_channel(&channel), to_a, "{name}");
            assert!(!view(None).shows_channel(&channel), "{name}");
            assert_eq!(View::Everything.shows_channel(&channel), to_everybody, "{name}");
        }
    }

    #[test]
    fn only_its_own_end_ends_a_device() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let payload = |id: Uuid| format!(r#"{{"device_id":"{id}"}}"#);
        assert!(revokes(one, "device.revoked", &payload(one)));
        assert!(!revokes(one, "device.revoked", &payload(other)));
        assert!(!revokes(one, "device.paired", &payload(one)));
        assert!(!revokes(one, "device.revoked", "[]"));
    }
}
