//! Empties outboxes, in a process of its own: the agent waits for its hook, and the network is slower than the agent.
//!
//! At most one process sends for a session. It stays for a moment when it is done, so that the next event finds an
//! open connection instead of starting a process.

use std::fs::File;
use std::future::Future;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use super::ledger::ServerCourier;
use super::log::Log;
use super::outbox::{Item, Outbox, Queue};
use super::session::{SessionFiles, open_lock};
use crate::config::{Delivery, Places};

const BATCH: usize = 32;
/// How long the process stays when there is nothing to send, and how often it looks.
const LINGER: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);
/// How long it tries to reach a server that is away. The next event starts another one.
const GIVE_UP: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the hook itself may send, where it does.
const INLINE: Duration = Duration::from_secs(1);

/// What became of an item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Sent,
    /// It will never be taken.
    Dropped(String),
    /// The server is away, or busy and wants to be left alone for so long.
    Later(String, Option<Duration>),
}

/// Sends one item, once.
pub(crate) trait Courier {
    fn deliver(&mut self, item: &Item) -> impl Future<Output = Outcome>;
}

/// How long to go on.
#[derive(Debug, Clone, Copy)]
struct Stay {
    linger: Duration,
    give_up: Duration,
}

/// Whether a process sends for this session already. To be asked while the session is locked: a sender looks for
/// new items once more, with the same lock, before it ends.
pub(crate) fn is_running(files: &SessionFiles) -> bool {
    open_lock(&files.sender_lock()).is_ok_and(|lock| lock.try_lock().is_err())
}

/// Makes sure that what is in the outbox gets sent. `running`: what [`is_running`] said when the items were added.
pub(crate) fn see_to_delivery(places: &Places, files: &SessionFiles, delivery: Delivery, running: bool, log: &Log) {
    let result = match delivery {
        _ if running => Ok(()),
        Delivery::Background => start(files),
        Delivery::Inline => send(places, files.clone(), Stay { linger: Duration::ZERO, give_up: INLINE }, log),
    };
    if let Err(error) = result {
        log.add(&format!("events wait in the outbox: {error:#}"));
    }
}

/// Starts this program again, detached: without its parent's streams, and in a process group of its own, because
/// the agent ends the group of a hook that it does not want any more.
fn start(files: &SessionFiles) -> Result<()> {
    let program = std::env::current_exe().context("could not find this program's file")?;
    let mut command = Command::new(program);
    command.args(["hook", "deliver", "--session", files.key()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().map(drop).context("could not start a process to send them")
}

/// `flightdeck hook deliver`: sends for one session, then whatever other sessions have left behind.
pub(crate) fn deliver(places: &Places, session: String) {
    let log = Log::new(places);
    let own = SessionFiles::with_key(places, session);
    let stay = Stay { linger: LINGER, give_up: GIVE_UP };
    if let Err(error) = send(places, own.clone(), stay, &log) {
        log.add(&format!("could not send: {error:#}"));
    }
    for files in SessionFiles::all(places).into_iter().filter(|files| files.key() != own.key()) {
        let stay = Stay { linger: Duration::ZERO, give_up: Duration::ZERO };
        if let Err(error) = send(places, files, stay, &log) {
            log.add(&format!("could not send what an earlier session left: {error:#}"));
        }
    }
}

fn send(places: &Places, files: SessionFiles, stay: Stay, log: &Log) -> Result<()> {
    let sender = open_lock(&files.sender_lock())?;
    if sender.try_lock().is_err() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut courier = ServerCourier::new(places.clone());
    let outbox = Outbox::new(files);
    let work = drain(&mut courier, &outbox, stay, log, sender);
    runtime.block_on(async {
        if stay.linger.is_zero() && !stay.give_up.is_zero() {
            // Inline: the agent waits, so even a request on its way is given up. It is repeated with the same key.
            tokio::time::timeout(stay.give_up, work).await.unwrap_or(Ok(()))
        } else {
            work.await
        }
    })
}

/// Sends until there is nothing left, or the server stays away. `sender` is the lock that says so to others.
async fn drain(courier: &mut impl Courier, outbox: &Outbox, stay: Stay, log: &Log, sender: File) -> Result<()> {
    let mut idle_since = Instant::now();
    let mut lanes = [Lane::new(Queue::Answers), Lane::new(Queue::Events)];
    loop {
        if let Some(lane) = lanes.iter_mut().find(|lane| lane.is_due() && outbox.has(lane.queue)) {
            lane.send(courier, outbox, stay, log).await?;
            idle_since = Instant::now();
        } else if !outbox.is_empty() {
            if lanes.iter().all(|lane| lane.given_up || !outbox.has(lane.queue)) {
                return Ok(());
            }
            // Not for as long as one queue has to wait: something may come for the other.
            tokio::time::sleep(LOOK).await;
        } else if idle_since.elapsed() < stay.linger {
            tokio::time::sleep(LOOK).await;
        } else {
            // The last look: whoever adds an item from here on finds the session locked, and then no sender.
            let _locked = outbox.files().lock()?;
            if outbox.is_empty() {
                drop(sender);
                return Ok(());
            }
        }
    }
}

/// One of the queues. The server may take what is in one and want to be left alone with the other.
struct Lane {
    queue: Queue,
    due: Instant,
    away_since: Option<Instant>,
    pause: Duration,
    given_up: bool,
}

impl Lane {
    fn new(queue: Queue) -> Self {
        Self { queue, due: Instant::now(), away_since: None, pause: FIRST_PAUSE, given_up: false }
    }

    fn is_due(&self) -> bool {
        !self.given_up && Instant::now() >= self.due
    }

    /// Sends the next items, until one has to wait, or something comes that goes before them.
    async fn send(&mut self, courier: &mut impl Courier, outbox: &Outbox, stay: Stay, log: &Log) -> Result<()> {
        let mut done = 0;
        let mut trouble = None;
        for item in outbox.peek(self.queue, BATCH)? {
            match item {
                None => log.add("an item of the outbox could not be read and is left out"),
                Some(item) => match courier.deliver(&item).await {
                    Outcome::Sent => {}
                    Outcome::Dropped(why) => log.add(&format!("not sent, and never will be: {why}")),
                    Outcome::Later(why, wish) => {
                        trouble = Some((why, wish));
                        break;
                    }
                },
            }
            done += 1;
            if self.queue == Queue::Events && outbox.has(Queue::Answers) {
                break;
            }
        }
        outbox.remove(self.queue, done)?;
        if done > 0 {
            self.away_since = None;
            self.pause = FIRST_PAUSE;
        }
        let Some((why, wish)) = trouble else { return Ok(()) };
        if self.away_since.get_or_insert_with(Instant::now).elapsed() >= stay.give_up {
            log.add(&format!("this has to wait in the outbox for the next event: {why}"));
            self.given_up = true;
        }
        self.due = Instant::now() + wish.unwrap_or(self.pause).min(GIVE_UP);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use uuid::Uuid;

    use super::super::outbox::Body;
    use super::*;

    /// Answers by a script, then with success.
    #[derive(Default)]
    struct Script {
        outcomes: Vec<Outcome>,
        tried: Vec<Uuid>,
    }

    impl Courier for Script {
        async fn deliver(&mut self, item: &Item) -> Outcome {
            self.tried.push(item.id);
            if self.outcomes.is_empty() { Outcome::Sent } else { self.outcomes.remove(0) }
        }
    }

    /// A server that takes no more events for a minute. A withdrawal comes after it has said so.
    struct Busy<'a> {
        outbox: &'a Outbox,
        sent: Vec<Duration>,
        started: Instant,
    }

    impl Courier for Busy<'_> {
        async fn deliver(&mut self, item: &Item) -> Outcome {
            if !matches!(item.body, Body::Event { .. }) {
                self.sent.push(self.started.elapsed());
                return Outcome::Sent;
            }
            if self.sent.len() == 1 {
                let withdraw = Body::Withdraw { approval_id: Uuid::nil(), reason: "r".into(), tool_ran: false };
                let locked = self.outbox.files().lock().expect("locks");
                self.outbox.append(&locked, &[Item::new(Path::new("/p"), withdraw)]).expect("appends");
            }
            Outcome::Later("too many".into(), Some(Duration::from_secs(59)))
        }
    }

    #[test]
    fn what_a_person_waits_for_does_not_wait_for_events() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        let outbox = Outbox::new(SessionFiles::new(&places, "s"));
        let event = |event_type: &str| Body::Event {
            run_id: Uuid::nil(),
            event_type: event_type.into(),
            event_ts: flightdeck_sdk::Timestamp::from_millis(0),
            payload: serde_json::Map::new(),
        };
        let bodies = [event("A"), event("B"), Body::Consumed { approval_id: Uuid::nil() }];
        let items = bodies.map(|body| Item::new(Path::new("/p"), body));
        outbox.append(&outbox.files().lock().expect("locks"), &items).expect("appends");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let sender = open_lock(&outbox.files().sender_lock()).expect("opens");
        let sent = runtime.expect("a runtime").block_on(async {
            let mut busy = Busy { outbox: &outbox, sent: Vec::new(), started: Instant::now() };
            drain(&mut busy, &outbox, STAY, &Log::new(&places), sender).await.expect("drains");
            busy.sent
        });
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|after| *after < Duration::from_secs(1)), "{sent:?}");
        assert_eq!(outbox.peek(Queue::Events, 9).expect("peeks").len(), 2, "the events wait for their turn");
    }

    fn filled(folder: &Path, count: usize) -> (Outbox, Log, Vec<Uuid>) {
        let places = Places::below(folder);
        let files = SessionFiles::new(&places, "s");
        let items: Vec<_> =
            (0..count).map(|_| Item::new(Path::new("/p"), Body::Consumed { approval_id: Uuid::nil() })).collect();
        let outbox = Outbox::new(files);
        outbox.append(&outbox.files().lock().expect("locks"), &items).expect("appends");
        (outbox, Log::new(&places), items.iter().map(|item| item.id).collect())
    }

    fn drained(script: &mut Script, outbox: &Outbox, log: &Log, stay: Stay) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let sender = open_lock(&outbox.files().sender_lock()).expect("opens");
        sender.try_lock().expect("locks");
        runtime.expect("a runtime").block_on(drain(script, outbox, stay, log, sender)).expect("drains");
        assert!(!is_running(outbox.files()));
    }

    const STAY: Stay = Stay { linger: LINGER, give_up: GIVE_UP };

    #[test]
    fn everything_is_sent_in_order_and_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (outbox, log, ids) = filled(folder.path(), 70);
        let mut script = Script::default();
        drained(&mut script, &outbox, &log, STAY);
        assert_eq!(script.tried, ids);
        assert!(outbox.is_empty());
    }

    #[test]
    fn an_item_that_is_refused_does_not_block_the_others() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (outbox, log, ids) = filled(folder.path(), 2);
        let mut script = Script { outcomes: vec![Outcome::Dropped("no".into())], ..Script::default() };
        drained(&mut script, &outbox, &log, STAY);
        assert_eq!(script.tried, ids);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_server_that_comes_back_gets_the_same_item_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (outbox, log, ids) = filled(folder.path(), 2);
        let away = || Outcome::Later("away".into(), None);
        let mut script = Script { outcomes: vec![Outcome::Sent, away(), away()], ..Script::default() };
        drained(&mut script, &outbox, &log, STAY);
        assert_eq!(script.tried, [ids[0], ids[1], ids[1], ids[1]]);
    }

    #[test]
    fn a_server_that_stays_away_leaves_the_items_where_they_are() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (outbox, log, _) = filled(folder.path(), 2);
        let mut script = Script { outcomes: vec![Outcome::Later("away".into(), None); 1_000], ..Script::default() };
        drained(&mut script, &outbox, &log, STAY);
        assert_eq!(outbox.peek(Queue::Answers, 9).expect("peeks").len(), 2);
        assert!(script.tried.len() < 40, "it does not hammer: {}", script.tried.len());
    }
}
