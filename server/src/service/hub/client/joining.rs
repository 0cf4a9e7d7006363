//! Coming onto channels and leaving them, as somebody or as nobody.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;

use super::{Client, End, Identity};
use crate::log::{Item, Start, Subscription, channel_stream};
use crate::service::hub::alarm::monotonic;
use crate::service::hub::channel::Channel;
use crate::service::hub::followed::Followed;
use crate::service::hub::membership::{MOST, Refusal, Seat};
use crate::service::hub::progress::Progress;

/// How long it may take to find out where a channel ends; the connection does nothing else meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

impl Client {
    /// Follows a channel from now on, or from the event after `since`. Once this returns, nothing that is published on it
    /// is missed.
    ///
    /// # Errors
    /// If it follows too many already, or the database can't be reached.
    pub async fn join(&mut self, channel: &Channel, since: Option<i64>) -> Result<(), Refusal> {
        if let Some(index) = self.index_of(channel.name()) {
            if let Some(since) = since {
                self.begin_anew(index, since);
            }
            return Ok(());
        }
        if self.followed.len() >= MOST {
            return Err(Refusal::TooMany);
        }
        if let Some(identity) = &self.identity {
            let seat = self.hub.add_seat(&identity.agent_id, channel, since).await?;
            match since {
                Some(since) => self.follow_from(channel, since),
                None => self.take_seat(seat),
            }
        } else if let Some(since) = since {
            self.follow_from(channel, since);
        } else {
            self.follow_now(channel).await?;
        }
        if channel.is_metrics() {
            self.tell_metrics().await;
        }
        Ok(())
    }

    /// Leaves a channel, and so does its agent.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn leave(&mut self, channel: &Channel) -> Result<(), ApiError> {
        let Some(index) = self.index_of(channel.name()) else { return Ok(()) };
        if let Some(identity) = &self.identity {
            self.hub.give_up_seat(&identity.agent_id, channel.name()).await?;
        }
        self.unfollow(index);
        Ok(())
    }

    /// The client is an agent: it is back on its channels.
    ///
    /// # Errors
    /// If the database can't be reached; then nothing has changed.
    pub async fn authenticate(&mut self, identity: Identity) -> Result<(), Refusal> {
        let session = identity.session_id.as_deref().and_then(Channel::of_session);
        if self.identity.as_ref().is_some_and(|known| known.agent_id == identity.agent_id) {
            // Nobody came: it only goes on.
            if let Some(session) = session {
                self.join(&session, None).await?;
            }
            if self.identity.as_ref().is_some_and(|known| known.session_id != identity.session_id) {
                self.hub.rename_session(&self.id, &identity).await?;
            }
            self.believe(identity);
            return Ok(());
        }
        let own = Channel::of_agent(&identity.agent_id);
        // What it follows already becomes the agent's, from where it is; but not what is another agent's own.
        let is_foreign = |channel: &str| Channel::parse(channel).is_none_or(|it| it.is_of_another(&identity.agent_id));
        let mut wanted: BTreeMap<String, Option<Progress>> = BTreeMap::new();
        for followed in &self.followed {
            if !is_foreign(followed.channel()) {
                let progress = followed.progress(self.deliveries.seqs_of(followed.subscription()));
                wanted.insert(followed.channel().to_owned(), Some(progress));
            }
        }
        for channel in [own, session, Some(Channel::global())].into_iter().flatten() {
            wanted.entry(channel.name().to_owned()).or_default();
        }
        let seated = self.hub.seat(wanted, self.hub.connection(&self.id, &identity)).await;
        // Perhaps it was written down all the same.
        let seats = seated.inspect_err(|_| self.hub.0.presence.went(&self.id, &identity))?;
        if let Some(formerly) = self.identity.clone() {
            self.go(&formerly).await;
        }
        while let Some(index) = self.followed.iter().position(|followed| is_foreign(followed.channel())) {
            self.unfollow(index);
        }
        self.hub.0.presence.came(&self.id, &identity);
        self.believe(identity);
        let mut metrics = false;
        for seat in seats {
            metrics |= Channel::metrics().name() == seat.channel && self.index_of(&seat.channel).is_none();
            self.take_seat(seat);
        }
        if metrics {
            self.tell_metrics().await;
        }
        Ok(())
    }

    fn believe(&mut self, identity: Identity) {
        let clock = &self.hub.0.clock;
        if let Some(until) = identity.until {
            self.alarm.set(clock, monotonic(clock) + (until - clock.now()));
        }
        self.identity = Some(identity);
    }

    /// Follows a channel as the agent's seat on it says.
    fn take_seat(&mut self, Seat { channel, progress, last }: Seat) {
        let Some(index) = self.index_of(&channel) else {
            let Some(channel) = Channel::parse(&channel) else { return };
            let subscription = self.reader.follow(&channel.stream(), Start::After(progress.floor().min(last)));
            self.followed.push(Followed::seated(subscription, channel.name(), progress, last));
            return;
        };
        // It is followed from now on already. What the agent lacks from earlier times is told with what comes, in order.
        let followed = &self.followed[index];
        if !followed.is_behind(&progress) {
            return;
        }
        let (former, stream) = (followed.subscription(), channel_stream(&channel));
        self.reader.unfollow(former);
        let subscription = self.reader.follow(&stream, Start::After(progress.floor()));
        self.deliveries.rename(former, subscription);
        let followed = self.followed.remove(index).seated_again(subscription, progress);
        self.followed.push(followed);
    }

    /// Follows a channel for a client that keeps its own place.
    fn follow_from(&mut self, channel: &Channel, since: i64) {
        let subscription = self.reader.follow(&channel.stream(), Start::After(since));
        self.followed.push(Followed::by_position(subscription, channel.name(), since));
        self.changed(subscription);
    }

    /// The same where the channel is followed already: the client says what it has, and is believed.
    fn begin_anew(&mut self, index: usize, since: i64) {
        let Some(channel) = Channel::parse(self.followed[index].channel()) else { return };
        self.unfollow(index);
        self.follow_from(&channel, since);
    }

    /// Follows a channel for a client that wants what happens from now on.
    async fn follow_now(&mut self, channel: &Channel) -> Result<(), ApiError> {
        let stream = channel.stream();
        let subscription = self.reader.follow(&stream, Start::Now);
        let end = tokio::time::timeout(PATIENCE, self.end_of(subscription)).await;
        if let Ok(Ok(Some(end))) = end {
            self.followed.push(Followed::live(subscription, channel.name(), end));
            return Ok(());
        }
        self.reader.unfollow(subscription);
        end.map_err(|_| ErrorCode::Unavailable)??;
        // Its other channels have too much to wait for the reader.
        let looking = tokio::time::timeout(PATIENCE, self.hub.0.log.extent(&stream)).await;
        let last = looking.map_err(|_| ErrorCode::Unavailable)??.map_or(0, |row| row.last_seq);
        let subscription = self.reader.follow(&stream, Start::After(last));
        self.followed.push(Followed::live(subscription, channel.name(), last));
        Ok(())
    }

    /// Waits until the reader says where a channel ends, and keeps what it says of others before. `None`: there is more of
    /// that than may be kept.
    async fn end_of(&mut self, subscription: Subscription) -> Result<Option<i64>, ApiError> {
        let mut kept = self.items.iter().map(size).fold((0, 0), add);
        while kept.0 < self.limits.events && kept.1 < self.limits.bytes {
            match self.reader.next().await? {
                Item::Synced { subscription: synced, seq } if synced == subscription => return Ok(Some(seq)),
                // Nothing more would come, and so no end of this.
                Item::FellBehind => {
                    self.ended = Some(End::FellBehind);
                    return Err(ErrorCode::Unavailable.into());
                }
                item => {
                    kept = add(kept, size(&item));
                    self.items.push_back(item);
                }
            }
        }
        Ok(None)
    }

    fn unfollow(&mut self, index: usize) {
        let followed = self.followed.remove(index);
        let before = self.deliveries.len();
        self.reader.unfollow(followed.subscription());
        self.deliveries.drop_those_of(followed.subscription());
        self.hub.0.pending.fetch_sub(before - self.deliveries.len(), Ordering::Relaxed);
    }

    fn index_of(&self, channel: &str) -> Option<usize> {
        self.followed.iter().position(|followed| followed.channel() == channel)
    }

    async fn tell_metrics(&mut self) {
        match self.hub.latest_metrics().await {
            Ok(event) => {
                let subscription =
                    self.index_of(Channel::metrics().name()).map(|index| self.followed[index].subscription());
                let told = subscription.and_then(|subscription| self.live(subscription, &event));
                self.told.extend(told);
            }
            Err(error) => tracing::warn!(%error, "could not take the hub's figures"),
        }
    }
}

/// The events of an item, and their bytes.
fn size(item: &Item) -> (usize, usize) {
    match item {
        Item::Stored { events, .. } => (events.len(), events.iter().map(|event| event.payload.len()).sum()),
        Item::Live { event, .. } => (1, event.event.payload.len()),
        Item::Gap { .. } | Item::Synced { .. } | Item::FellBehind => (1, 0),
    }
}

const fn add(one: (usize, usize), other: (usize, usize)) -> (usize, usize) {
    (one.0 + other.0, one.1 + other.1)
}
