//! Who works on which chat: wakes the runner of a chat when somebody says something, wherever that was said.
//!
//! The log tells; what it may not have told is looked up. A server holds the chats whose agents it runs, and renews that
//! while it lives. What a server that is gone has left, another one takes up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use flightdeck_api::support::ApiError;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::event::{ChatEvent, chat_of};
use super::live::Live;
use super::{Chats, runner};
use crate::log::{CommitListener, Committed, Work};
use crate::store::{DatabaseKind, chats, turns};

/// For how long a chat is held, in milliseconds, and how often that is renewed. What a server that was killed has left is taken
/// up after that time; clocks of servers that share a database must agree far better.
pub(super) const HELD: i64 = 15_000;
const RENEWED: i64 = 3_000;

/// After so long without being renewed, what is held counts as lost: earlier than another server may take it.
const DOUBTFUL: Duration = Duration::from_secs(12);

/// What an attempt to renew it gets in any case, so that a machine that stood still asks before it gives up.
const LATE: Duration = Duration::from_secs(1);

/// Chats that nobody attends to, taken up at once.
const UNATTENDED: u64 = 1_000;

/// The desks of this server, by chat.
#[derive(Debug, Default)]
pub(super) struct Desks {
    desks: DashMap<Uuid, Arc<Desk>>,
    pub(super) leaving: CancellationToken,
    /// Something may not have been told.
    missed: Notify,
    pub(super) tasks: TaskTracker,
}

/// Where one chat is worked on.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Rings when there may be something to do.
    pub(super) bell: Notify,
    pub(super) live: Live,
    /// The chat is deleted.
    pub(super) gone: CancellationToken,
    /// Another server may have the chat.
    pub(super) lost: CancellationToken,
    /// Whether this server has the chat: otherwise it can't be lost.
    pub(super) is_held: AtomicBool,
    turn: Mutex<CurrentTurn>,
}

#[derive(Debug, Default)]
struct CurrentTurn {
    current: Option<(Uuid, CancellationToken)>,
    /// Turns that are to be cancelled and have not begun here.
    cancelled: HashSet<Uuid>,
}

impl Desk {
    /// A turn begins; what it gets is cancelled when somebody wants the turn to end.
    pub(super) fn begin(&self, turn_id: Uuid) -> CancellationToken {
        let mut turn = self.turn.lock();
        let token = CancellationToken::new();
        if turn.cancelled.remove(&turn_id) {
            token.cancel();
        }
        turn.current = Some((turn_id, token.clone()));
        token
    }

    pub(super) fn end(&self) {
        *self.turn.lock() = CurrentTurn::default();
    }

    /// Gives up a chat that this server had.
    fn lose(&self, chat_id: Uuid) {
        // It may have let go of the chat just now.
        if self.is_held.load(Ordering::Acquire) {
            tracing::warn!(%chat_id, "another server may have this chat; its agent is ended here");
            self.lost.cancel();
        }
    }

    fn cancel(&self, turn_id: Uuid) {
        let mut turn = self.turn.lock();
        match &turn.current {
            Some((current, token)) if *current == turn_id => token.cancel(),
            _ => _ = turn.cancelled.insert(turn_id),
        }
    }
}

impl Desks {
    pub(super) fn find(&self, chat_id: Uuid) -> Option<Arc<Desk>> {
        self.desks.get(&chat_id).map(|desk| desk.clone())
    }

    /// The desks whose chats this server has.
    fn held(&self) -> HashMap<Uuid, Arc<Desk>> {
        let held = self.desks.iter().filter(|desk| desk.is_held.load(Ordering::Acquire));
        held.map(|desk| (*desk.key(), desk.value().clone())).collect()
    }

    pub(super) fn clear(&self, chat_id: Uuid) {
        self.desks.remove(&chat_id);
    }
}

/// What the log tells about chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// Somebody said something here.
    Said(Uuid),
    /// Somebody said something to another server. That one takes the chat if nobody has it: its client then sees the pieces.
    SaidElsewhere(Uuid),
    Cancelled(Uuid, Uuid),
    Deleted(Uuid),
    /// Something may not have been told.
    Missed,
}

/// Listens to the log for [`attend`].
#[derive(Debug)]
pub struct Signals(mpsc::UnboundedSender<Signal>);

/// What [`attend`] hears.
#[derive(Debug)]
pub struct Heard(mpsc::UnboundedReceiver<Signal>);

impl Signals {
    #[must_use]
    pub fn new() -> (Self, Heard) {
        let (teller, heard) = mpsc::unbounded_channel();
        (Self(teller), Heard(heard))
    }

    fn tell(&self, signal: Signal) {
        // Nobody listens any more when the server shuts down.
        let _ = self.0.send(signal);
    }

    fn tell_of(&self, events: &[Committed], said: fn(Uuid) -> Signal) {
        for Committed { event, .. } in events {
            let Some(chat_id) = chat_of(&event.stream) else { continue };
            match event.kind.as_str() {
                "user_message" => self.tell(said(chat_id)),
                "deleted" => self.tell(Signal::Deleted(chat_id)),
                "cancel_requested" => {
                    if let Some(ChatEvent::CancelRequested { turn_id }) = ChatEvent::read(&event.kind, &event.payload) {
                        self.tell(Signal::Cancelled(chat_id, turn_id));
                    }
                }
                _ => {}
            }
        }
    }
}

impl CommitListener for Signals {
    fn committed(&self, events: &[Committed]) {
        self.tell_of(events, Signal::Said);
    }

    fn heard(&self, events: &[Committed]) {
        self.tell_of(events, Signal::SaidElsewhere);
    }

    fn missed_in(&self, stream: &str) {
        if let Some(chat_id) = chat_of(stream) {
            self.tell(Signal::SaidElsewhere(chat_id));
        }
    }

    fn missed(&self) {
        self.tell(Signal::Missed);
    }
}

/// Passes on what the log tells about chats, until dropped.
pub async fn attend(chats: Chats, Heard(mut heard): Heard) {
    while let Some(signal) = heard.recv().await {
        let desk = |chat_id| chats.0.desks.find(chat_id);
        match signal {
            Signal::Said(chat_id) => chats.wake(chat_id),
            Signal::SaidElsewhere(chat_id) => _ = desk(chat_id).map(|desk| desk.bell.notify_one()),
            Signal::Cancelled(chat_id, turn_id) => _ = desk(chat_id).map(|desk| desk.cancel(turn_id)),
            Signal::Deleted(chat_id) => _ = desk(chat_id).map(|desk| desk.gone.cancel()),
            Signal::Missed => chats.0.desks.missed.notify_one(),
        }
    }
}

/// Renews what this server holds, and takes up what nobody attends to, until dropped.
pub async fn tend(chats: Chats) {
    // Whoever held these is gone: one server at a time has the file, or this home.
    let (alone, home) = (chats.0.store.kind() == DatabaseKind::Sqlite, chats.0.home);
    let released = chats.0.log.transact(None, move |work: &mut Work<'_>| {
        Box::pin(async move {
            let connection = work.tx().connection();
            let released =
                if alone { chats::release_all(connection).await } else { chats::release_home(connection, home).await };
            released.map_err(ApiError::from)
        })
    });
    if let Err(error) = released.await {
        tracing::warn!(%error, "could not take up the chats of the server before; will do so in a while");
    }
    let clock = chats.0.clock.clone();
    let mut renewed = Instant::now();
    loop {
        // What is held is held from here on, however long the database takes to say so. It may hang: the clock decides.
        let begun = Instant::now();
        let until = (renewed + DOUBTFUL).max(begun + LATE);
        match tokio::time::timeout_at(until.into(), chats.look_around()).await {
            Ok(Ok(())) => renewed = begun,
            Ok(Err(error)) => tracing::warn!(%error, "could not look after the chats; will try again"),
            Err(_) => tracing::warn!("could not look after the chats in time; will try again"),
        }
        if renewed.elapsed() >= DOUBTFUL {
            chats.0.desks.held().iter().for_each(|(chat_id, desk)| desk.lose(*chat_id));
        }
        tokio::select! {
            () = clock.sleep_until(clock.now() + RENEWED) => {}
            () = chats.0.desks.missed.notified() => {}
        }
    }
}

impl Chats {
    /// Makes sure that somebody works on a chat.
    pub(super) fn wake(&self, chat_id: Uuid) {
        let Desks { desks, leaving, tasks, .. } = &self.0.desks;
        if leaving.is_cancelled() {
            return;
        }
        let desk = desks.entry(chat_id).or_insert_with(|| {
            let desk = Arc::<Desk>::default();
            tasks.spawn(runner::run(self.clone(), chat_id, desk.clone()));
            desk
        });
        desk.bell.notify_one();
    }

    async fn look_around(&self) -> Result<(), ApiError> {
        let (server, now) = (self.0.server, self.0.clock.now());
        // As it is before: a desk that takes its chat meanwhile may not be among those that are kept, and has lost nothing.
        let held = self.0.desks.held();
        if !held.is_empty() {
            // Only those: what nobody here works on runs out, whatever became of its desk.
            let ids: Vec<Uuid> = held.keys().copied().collect();
            let kept = self.0.log.transact(None, move |work: &mut Work<'_>| {
                let ids = ids.clone();
                Box::pin(async move {
                    chats::keep(work.tx().connection(), server, &ids, now + HELD).await.map_err(ApiError::from)
                })
            });
            let kept: HashMap<Uuid, bool> = kept.await?.into_iter().collect();
            for (chat_id, desk) in &held {
                match kept.get(chat_id) {
                    None => desk.lose(*chat_id),
                    Some(true) => desk.gone.cancel(),
                    Some(false) => {}
                }
            }
            // What may not have been told.
            let kept: Vec<Uuid> = kept.into_keys().collect();
            for (chat_id, turn_id) in turns::ending(self.0.store.reader(), &kept).await? {
                let _ = held.get(&chat_id).map(|desk| desk.cancel(turn_id));
            }
            // Whoever is rung writes, so only where something waits.
            for (chat_id, (_, queued)) in turns::open(self.0.store.reader(), &kept).await? {
                let _ = held.get(&chat_id).filter(|_| queued > 0).map(|desk| desk.bell.notify_one());
            }
        }
        let unattended = turns::unattended(self.0.store.reader(), self.0.home, now, now - RENEWED, UNATTENDED).await?;
        unattended.into_iter().for_each(|chat_id| self.wake(chat_id));
        Ok(())
    }

    /// Ends all agents, because the server goes away: turns that run are interrupted.
    pub async fn leave(&self) {
        self.0.desks.leaving.cancel();
        self.0.desks.tasks.close();
        self.0.desks.tasks.wait().await;
    }
}
