//! One channel that a connection follows: which of its events the client is told, and how far its agent is with them.

use std::sync::Arc;

use uuid::Uuid;

use super::progress::{MOST as MOST_OPEN, Progress};
use crate::log::Subscription;

/// Whether the client is told of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Not,
    Once,
    /// Until it acknowledges.
    Tracked,
}

/// A channel that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    subscription: Subscription,
    channel: Arc<str>,
    /// Every event up to here has been looked at.
    seen: i64,
    /// The client is told of every event after this one. Of those before, see `former`.
    begins: i64,
    /// The client was told of those up to here when this connection followed the channel before.
    had: i64,
    /// How far the agent was when it came: of the events up to `begins` it is told what is tracked and not done with.
    former: Option<Box<Progress>>,
    history: History,
    /// The places of what was sent as often as it ever is, while nobody is known to have been at the other end. The
    /// first of them: those after them are not done with either way, see [`Progress::new`].
    unheard: Vec<i64>,
    saved: i64,
    unsaved: bool,
}

/// What the client has to do with history.
#[derive(Debug)]
enum History {
    /// It did not ask for any.
    None,
    /// It keeps its own place, and so is told where it is.
    Asked {
        reading: bool,
        /// The place before what was told from history, and the last tracked event of that: a client that does not say it
        /// has that one is taken to have nothing of it.
        told: Option<(i64, Uuid)>,
    },
}

impl Followed {
    /// Follows from `begins` on, for a client that did not ask for history.
    pub(super) fn live(subscription: Subscription, channel: &str, begins: i64) -> Self {
        Self {
            subscription,
            channel: channel.into(),
            seen: begins,
            begins,
            had: begins,
            former: None,
            history: History::None,
            unheard: Vec::new(),
            saved: begins,
            unsaved: false,
        }
    }

    /// Follows for an agent that is as far as `progress` says, on a channel whose last event is `last`.
    pub(super) fn seated(subscription: Subscription, channel: &str, progress: Progress, last: i64) -> Self {
        let floor = progress.floor().min(last);
        let saved = progress.acknowledged();
        Self { seen: floor, saved, former: Some(Box::new(progress)), ..Self::live(subscription, channel, last) }
    }

    /// Follows for a client that has everything up to `since`.
    pub(super) fn by_position(subscription: Subscription, channel: &str, since: i64) -> Self {
        let history = History::Asked { reading: true, told: None };
        Self { history, ..Self::live(subscription, channel, since) }
    }

    /// Follows again from where the agent is, and goes on from where this connection was.
    pub(super) fn seated_again(self, subscription: Subscription, progress: Progress) -> Self {
        Self {
            subscription,
            had: self.seen,
            seen: progress.floor(),
            saved: progress.acknowledged(),
            former: Some(Box::new(progress)),
            ..self
        }
    }

    pub(super) const fn subscription(&self) -> Subscription {
        self.subscription
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn shared_channel(&self) -> Arc<str> {
        self.channel.clone()
    }

    /// Whether an agent that is as far as `progress` says lacks something from before this connection followed.
    pub(super) fn is_behind(&self, progress: &Progress) -> bool {
        matches!(self.history, History::None) && self.former.is_none() && progress.floor() < self.begins
    }

    /// Whether it still tells the agent what it lacked.
    pub(super) const fn catches_up(&self) -> bool {
        self.former.is_some()
    }

    /// An event comes. Those that are not kept have the place 0.
    pub(super) fn comes(&mut self, id: Uuid, seq: i64, tracked: bool) -> Verdict {
        if seq == 0 {
            return Verdict::Once;
        }
        self.seen = self.seen.max(seq);
        if seq <= self.begins {
            let lacked = self.former.as_ref().is_some_and(|former| !former.includes(seq));
            return if tracked && lacked { Verdict::Tracked } else { Verdict::Not };
        }
        if seq <= self.had {
            return Verdict::Not;
        }
        if !tracked {
            return Verdict::Once;
        }
        match &mut self.history {
            // The client has its place, and asks again from there.
            History::Asked { reading: true, told } => {
                let before = told.map_or(seq - 1, |(before, _)| before);
                *told = Some((before, id));
                Verdict::Once
            }
            _ => Verdict::Tracked,
        }
    }

    /// The client has an event; its subscription, if that was the last one of history.
    pub(super) fn acknowledge(&mut self, id: Uuid) -> Option<Subscription> {
        let History::Asked { told, .. } = &mut self.history else { return None };
        told.take_if(|(_, last)| *last == id).map(|_| self.subscription)
    }

    /// There is nothing between what came and `next`; says whether the client is told.
    pub(super) fn gap(&mut self, next: i64) -> bool {
        self.seen = next - 1;
        let asked = matches!(self.history, History::Asked { .. });
        if asked {
            // The place asked for may be beyond the end: then everything there is comes.
            self.begins = self.begins.min(next - 1);
            self.had = self.begins;
        }
        // An agent that comes back lacks what it has not acknowledged.
        asked || self.former.is_some()
    }

    /// Everything up to `seq` has come; says whether the client is told.
    pub(super) fn synced(&mut self, seq: i64) -> bool {
        self.seen = self.seen.max(seq);
        self.former = None;
        match &mut self.history {
            History::Asked { reading, .. } => std::mem::replace(reading, false),
            History::None => false,
        }
    }

    /// An event is not sent any more, and may never have arrived.
    pub(super) fn give_up(&mut self, seq: i64) {
        if self.unheard.len() <= MOST_OPEN {
            self.unheard.push(seq);
        }
    }

    /// The client lives: what was given up before has arrived. Says whether that changes anything.
    pub(super) fn heard(&mut self) -> bool {
        !std::mem::take(&mut self.unheard).is_empty()
    }

    pub(super) const fn mark_unsaved(&mut self) {
        self.unsaved = true;
    }

    /// How far the agent is, if that is to be saved. `open` are the places of what it has not acknowledged.
    pub(super) fn progress_to_save(&mut self, everything: bool, open: impl Iterator<Item = i64>) -> Option<Progress> {
        let changed = self.unsaved || (everything && self.seen != self.saved);
        if !changed {
            return None;
        }
        let progress = self.progress(open);
        self.unsaved = false;
        self.saved = progress.acknowledged();
        Some(progress)
    }

    /// How far the agent is.
    pub(super) fn progress(&self, open: impl Iterator<Item = i64>) -> Progress {
        let open = open.chain(self.unheard.iter().copied());
        let progress = match &self.former {
            None => Progress::new(self.seen, open),
            // What it lacked and has not been told yet, it lacks still.
            Some(former) => {
                let acknowledged = self.seen.max(former.acknowledged());
                Progress::new(acknowledged, open.chain(former.open_after(self.seen)))
            }
        };
        match &self.history {
            History::Asked { told: Some((before, _)), .. } => progress.capped(*before),
            _ => progress,
        }
    }
}
