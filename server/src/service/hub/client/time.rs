//! What a connection does as time passes: sending again, saving how far its agent is, ending when nobody vouches for the
//! client any more.

use std::sync::atomic::Ordering;

use super::{Client, End, Identity, Told, UNSAVED};
use crate::log::Subscription;
use crate::service::hub::alarm::monotonic;
use crate::service::hub::deliveries::Due;

impl Client {
    /// Does what is due.
    pub(super) fn on_time(&mut self) {
        let clock = self.hub.0.clock.clone();
        let now = monotonic(&clock);
        let until = self.identity.as_ref().and_then(|identity| identity.until);
        if until.is_some_and(|until| clock.now() >= until) {
            self.ended = Some(End::Expired);
            return;
        }
        while let Some(due) = self.deliveries.next_due(now) {
            match due {
                Due::Again(frame) => {
                    self.hub.0.metrics.hub_delivery("repeated");
                    self.told.push_back(Told::Event(frame));
                }
                Due::Over(delivery) => {
                    self.hub.0.metrics.hub_delivery("given_up");
                    self.hub.0.pending.fetch_sub(1, Ordering::Relaxed);
                    // A connection can be gone long before that is known: then it was sent to nobody.
                    if self.identity.is_some()
                        && self.heard_at <= delivery.sent_at()
                        && let Some(followed) = self.followed(delivery.subscription)
                    {
                        followed.give_up(delivery.seq);
                        self.unheard = true;
                    }
                    self.changed(delivery.subscription);
                }
            }
        }
        if self.save_at.is_some_and(|at| at <= now)
            && let Some(identity) = self.identity.clone()
        {
            self.save(&identity.agent_id, false);
        }
        let until = until.map(|until| now + (until - clock.now()));
        for at in [self.deliveries.due(), self.save_at, until].into_iter().flatten() {
            self.alarm.set(&clock, at);
        }
    }

    /// The client gave a sign of life: it has what it was sent before.
    pub fn heard(&mut self) {
        self.heard_at = monotonic(&self.hub.0.clock);
        if std::mem::take(&mut self.unheard) {
            let heard =
                self.followed.iter_mut().filter_map(|followed| followed.heard().then(|| followed.subscription()));
            for subscription in heard.collect::<Vec<_>>() {
                self.changed(subscription);
            }
        }
    }

    /// How far the agent is with a channel has changed.
    pub(super) fn changed(&mut self, subscription: Subscription) {
        if self.identity.is_none() {
            return;
        }
        let clock = self.hub.0.clock.clone();
        let Some(followed) = self.followed(subscription) else { return };
        followed.mark_unsaved();
        if self.save_at.is_none() {
            let at = monotonic(&clock) + UNSAVED;
            self.save_at = Some(at);
            self.alarm.set(&clock, at);
        }
    }

    /// Hands over how far the agent is: where that is known to have changed, or where it is not as it was saved.
    pub(super) fn save(&mut self, agent_id: &str, everything: bool) {
        self.save_at = None;
        let now = self.hub.0.clock.now();
        let deliveries = &self.deliveries;
        let rows = self.followed.iter_mut().filter_map(|followed| {
            let open = deliveries.seqs_of(followed.subscription());
            let progress = followed.progress_to_save(everything, open)?;
            Some(progress.row(agent_id, followed.channel(), now))
        });
        self.hub.0.keeper.put(rows);
    }

    /// The agent that the client was is gone from this connection.
    pub(super) async fn go(&mut self, identity: &Identity) {
        self.save(&identity.agent_id, true);
        self.hub.leave(&self.id, identity).await;
    }
}
