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
use super::outbox::{Item, Outbox};
use super::session::{SessionFiles, open_lock};
use crate::config::{Delivery, Places};

const BATCH: usize = 32;
/// How long the process stays when there is nothing to send, and how often it looks.
const LINGER: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);
/// How long it tries to reach a server that is away. The next event starts another one.
const GIVE_UP: Duration = Duration::from_secs(60);
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
    let mut away_since = None;
    let mut pause = Duration::from_millis(100);
    loop {
        let items = outbox.peek(BATCH)?;
        if items.is_empty() {
            if idle_since.elapsed() >= stay.linger {
                // The last look: whoever adds an item from here on finds the session locked, and then no sender.
                let _locked = outbox.files().lock()?;
                if outbox.is_empty() {
                    drop(sender);
                    return Ok(());
                }
                continue;
            }
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let mut done = 0;
        let mut trouble = None;
        for item in &items {
            match item {
                None => log.add("an item of the outbox could not be read and is left out"),
                Some(item) => match courier.deliver(item).await {
                    Outcome::Sent => {}
                    Outcome::Dropped(why) => log.add(&format!("not sent, and never will be: {why}")),
                    Outcome::Later(why, wish) => {
                        trouble = Some((why, wish));
                        break;
                    }
                },
            }
            done += 1;
        }
        outbox.remove(done)?;
        idle_since = Instant::now();
        let Some((why, wish)) = trouble else {
            away_since = None;
            continue;
        };
        if away_since.get_or_insert_with(Instant::now).elapsed() >= stay.give_up {
            log.add(&format!("the server is away, events wait in the outbox: {why}"));
            return Ok(());
        }
        tokio::time::sleep(wish.unwrap_or(pause).min(GIVE_UP)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
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
        assert_eq!(outbox.peek(9).expect("peeks").len(), 2);
        assert!(script.tried.len() < 40, "it does not hammer: {}", script.tried.len());
    }
}
