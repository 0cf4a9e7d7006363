//! Which channels an agent is on, also while it is away, and after the server was.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::HubEventName;
use flightdeck_api::support::ApiError;
use futures_util::future::BoxFuture;

use super::Hub;
use super::channel::Channel;
use super::presence::presence;
use super::progress::Progress;
use crate::log::{Work, WriteError, channel_stream};
use crate::store::hub_connections::{self, HubConnectionRow};
use crate::store::hub_subscriptions::{self, HubSubscriptionRow};
use crate::store::{StoreError, Tx, streams};

/// The most channels that are remembered of an agent.
pub(super) const MOST: usize = 1_000;

/// Attempts to get through where others write the same, and the pause between two.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(5);

/// An agent's place on a channel.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) channel: String,
    pub(super) progress: Progress,
    /// The channel's last event when the agent was seated.
    pub(super) last: i64,
}

/// Why a client is not taken onto a channel.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is on too many already.
    #[error("more than {MOST} channels")]
    TooMany,
    #[error(transparent)]
    Failed(#[from] ApiError),
}

impl Hub {
    /// Seats an agent that has come: on the channels that it was on, and on `wanted`, where it begins as far as is said
    /// there, or with what happens from now on. That it `came` is written down, and told, in the same moment.
    pub(super) async fn seat(
        &self,
        wanted: BTreeMap<String, Option<Progress>>,
        came: HubConnectionRow,
    ) -> Result<Vec<Seat>, ApiError> {
        let now = self.0.clock.now();
        let unsaved = self.0.keeper.take_of(&came.agent_id);
        let rows = unsaved.clone();
        let seated = self.transact(move |work: &mut Work<'_>| {
            let (rows, wanted, came) = (rows.clone(), wanted.clone(), came.clone());
            Box::pin(async move {
                hub_subscriptions::save(work.tx().connection(), &rows).await?;
                let seats = seat(work.tx(), &came.agent_id, &wanted, now).await?;
                work.append(vec![presence(HubEventName::AgentConnected, &came, now)]).await?;
                hub_connections::save(work.tx().connection(), &[came]).await?;
                Ok(seats)
            })
        });
        seated.await.inspect_err(|_| self.0.keeper.put_back(unsaved))
    }

    /// Seats an agent on one more channel. `has` is the last event that it says it has.
    pub(super) async fn add_seat(&self, agent_id: &str, channel: &Channel, has: Option<i64>) -> Result<Seat, Refusal> {
        let now = self.0.clock.now();
        let (agent_id, channel) = (agent_id.to_owned(), channel.name().to_owned());
        let seated = self.transact(move |work: &mut Work<'_>| {
            let (agent_id, channel) = (agent_id.clone(), channel.clone());
            Box::pin(async move {
                let connection = work.tx().connection();
                let last = streams::find(connection, &channel_stream(&channel)).await?.map_or(0, |row| row.last_seq);
                if let Some(row) = hub_subscriptions::find(connection, &agent_id, &channel).await? {
                    let progress = Progress::read(&row).up_to(last);
                    return Ok(Some(Seat { channel, progress, last }));
                }
                if hub_subscriptions::count(connection, &agent_id).await? >= MOST as u64 {
                    return Ok(None);
                }
                let progress = Progress::at(has.map_or(last, |has| has.min(last)));
                hub_subscriptions::insert(connection, vec![progress.row(&agent_id, &channel, now)]).await?;
                Ok(Some(Seat { channel, progress, last }))
            })
        });
        seated.await?.ok_or(Refusal::TooMany)
    }

    /// Takes an agent off a channel, for good.
    pub(super) async fn give_up_seat(&self, agent_id: &str, channel: &str) -> Result<(), ApiError> {
        let (agent_id, channels) = (agent_id.to_owned(), vec![channel.to_owned()]);
        let given_up = self.transact(move |work: &mut Work<'_>| {
            let (agent_id, channels) = (agent_id.clone(), channels.clone());
            Box::pin(async move { Ok(hub_subscriptions::forget(work.tx().connection(), &agent_id, &channels).await?) })
        });
        given_up.await
    }

    /// Does `work` in the log's transaction. Servers that share a database may get in each other's way over an agent that
    /// moves from one to the other; then it is done again.
    pub(super) async fn transact<T, F>(&self, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: for<'w> Fn(&'w mut Work<'_>) -> BoxFuture<'w, Result<T, Trouble>> + Clone + Send + 'static,
    {
        for _ in 0..ATTEMPTS {
            match self.0.log.transact(None, work.clone()).await {
                Ok(done) => return Ok(done),
                Err(Trouble::Other(error)) => return Err(error),
                Err(Trouble::Clash) => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(ErrorCode::Unavailable.into())
    }
}

/// Why a transaction came to nothing.
pub(super) enum Trouble {
    /// Another one was in its way.
    Clash,
    Other(ApiError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Self::Clash,
            error => Self::Other(error.into()),
        }
    }
}

impl From<WriteError> for Trouble {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Store(cause) if matches!(*cause, StoreError::Conflict(_)) => Self::Clash,
            error => Self::Other(error.into()),
        }
    }
}

async fn seat(
    tx: &Tx,
    agent_id: &str,
    wanted: &BTreeMap<String, Option<Progress>>,
    now: i64,
) -> Result<Vec<Seat>, StoreError> {
    let connection = tx.connection();
    // A few more than there may be, so that those can go that were there once too often.
    let rows = hub_subscriptions::of_agent(connection, agent_id, 2 * MOST as u64).await?;
    // Another agent's own channel is no place for it, however it came there.
    let (foreign, mut rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| is_foreign(&row.channel, agent_id));
    let known: HashSet<String> = rows.iter().map(|row| row.channel.clone()).collect();
    let channels: HashSet<&String> = known.iter().chain(wanted.keys()).collect();
    let lasts = streams::heads(connection, channels.into_iter().map(|channel| channel_stream(channel))).await?;
    let last = |channel: &str| lasts.get(&channel_stream(channel)).copied().unwrap_or(0);

    let new = wanted.iter().filter(|(channel, _)| !known.contains(*channel) && !is_foreign(channel, agent_id));
    let new: Vec<HubSubscriptionRow> = new
        .map(|(channel, progress)| {
            let last = last(channel);
            let progress = progress.clone().map_or(Progress::at(last), |progress| progress.up_to(last));
            progress.row(agent_id, channel, now)
        })
        .collect();
    hub_subscriptions::insert(connection, new.clone()).await?;
    rows.splice(0..0, new);
    // Those used last come first; an agent has a session after the other, and each has a channel.
    let gone = rows.drain(MOST.min(rows.len())..).chain(foreign);
    let gone: Vec<String> = gone.map(|row| row.channel).collect();
    hub_subscriptions::forget(connection, agent_id, &gone).await?;
    let used = rows.iter().map(|row| row.channel.clone());
    let used: Vec<String> =
        used.filter(|channel| wanted.contains_key(channel) || !channel.starts_with("sessions/")).collect();
    hub_subscriptions::touch(connection, agent_id, &used, now).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let last = last(&row.channel);
            Seat { progress: Progress::read(&row).up_to(last), last, channel: row.channel }
        })
        .collect())
}

fn is_foreign(channel: &str, agent_id: &str) -> bool {
    Channel::parse(channel).is_some_and(|channel| channel.is_of_another(agent_id))
}
