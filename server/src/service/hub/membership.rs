//! Which channels an agent is on, also while it is away, and after the server was.

use std::collections::{BTreeMap, HashSet};

use flightdeck_api::support::ApiError;

use super::Hub;
use super::channel::Channel;
use super::progress::Progress;
use crate::log::{Work, channel_stream};
use crate::store::events::NewEvent;
use crate::store::hub_subscriptions::{self, HubSubscriptionRow};
use crate::store::{StoreError, Tx, streams};

/// The most channels that are remembered of an agent.
pub(super) const MOST: usize = 1_000;

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

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<crate::log::WriteError> for Refusal {
    fn from(error: crate::log::WriteError) -> Self {
        Self::Failed(error.into())
    }
}

impl Hub {
    /// Seats an agent that has come: on the channels that it was on, and on `wanted`, where it begins as far as is said
    /// there, or with what happens from now on. `came` is told in the same moment.
    pub(super) async fn seat(
        &self,
        agent_id: &str,
        wanted: BTreeMap<String, Option<Progress>>,
        came: NewEvent,
    ) -> Result<Vec<Seat>, ApiError> {
        let now = self.0.clock.now();
        let unsaved = self.0.keeper.take_of(agent_id);
        let rows = unsaved.clone();
        let agent_id = agent_id.to_owned();
        let seated = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let (rows, agent_id, wanted, came) = (rows.clone(), agent_id.clone(), wanted.clone(), came.clone());
            Box::pin(async move {
                hub_subscriptions::save(work.tx().connection(), &rows).await?;
                let seats = seat(work.tx(), &agent_id, &wanted, now).await?;
                work.append(vec![came]).await?;
                Ok::<_, ApiError>(seats)
            })
        });
        seated.await.inspect_err(|_| self.0.keeper.put_back(unsaved))
    }

    /// Seats an agent on one more channel. `has` is the last event that it says it has.
    pub(super) async fn add_seat(&self, agent_id: &str, channel: &Channel, has: Option<i64>) -> Result<Seat, Refusal> {
        let now = self.0.clock.now();
        let (agent_id, channel) = (agent_id.to_owned(), channel.name().to_owned());
        let seated = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let (agent_id, channel) = (agent_id.clone(), channel.clone());
            Box::pin(async move {
                let connection = work.tx().connection();
                let last = streams::find(connection, &channel_stream(&channel)).await?.map_or(0, |row| row.last_seq);
                if let Some(row) = hub_subscriptions::find(connection, &agent_id, &channel).await? {
                    let progress = Progress::read(&row).up_to(last);
                    return Ok(Seat { channel, progress, last });
                }
                if hub_subscriptions::count(connection, &agent_id).await? >= MOST as u64 {
                    return Err(Refusal::TooMany);
                }
                let progress = Progress::at(has.map_or(last, |has| has.min(last)));
                hub_subscriptions::insert(connection, vec![progress.row(&agent_id, &channel, now)]).await?;
                Ok(Seat { channel, progress, last })
            })
        });
        seated.await
    }

    /// Takes an agent off a channel, for good.
    pub(super) async fn give_up_seat(&self, agent_id: &str, channel: &str) -> Result<(), ApiError> {
        let (agent_id, channels) = (agent_id.to_owned(), vec![channel.to_owned()]);
        let given_up = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let (agent_id, channels) = (agent_id.clone(), channels.clone());
            Box::pin(async move {
                hub_subscriptions::forget(work.tx().connection(), &agent_id, &channels).await.map_err(ApiError::from)
            })
        });
        given_up.await
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
    let mut rows = hub_subscriptions::of_agent(connection, agent_id, 2 * MOST as u64).await?;
    let known: HashSet<String> = rows.iter().map(|row| row.channel.clone()).collect();
    let channels: HashSet<&String> = known.iter().chain(wanted.keys()).collect();
    let lasts = streams::heads(connection, channels.into_iter().map(|channel| channel_stream(channel))).await?;
    let last = |channel: &str| lasts.get(&channel_stream(channel)).copied().unwrap_or(0);

    let new = wanted.iter().filter(|(channel, _)| !known.contains(*channel));
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
    let gone: Vec<String> = rows.drain(MOST.min(rows.len())..).map(|row| row.channel).collect();
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
