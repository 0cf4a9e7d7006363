//! What a session has to send, in files: it outlives the hook, a server that is away, and a crash. Each item has a
//! key of its own, so that sending it twice does no harm.
//!
//! There are two queues, each in order. What a person waits for does not stand in line behind events, of which the
//! server takes only so many a minute.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flightdeck_sdk::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::session::{Locked, SessionFiles, overwrite};

/// Beyond this, events that only inform are left out: the server has been away for long.
const LARGEST: u64 = 1024 * 1024;

/// What is sent one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Withdrawals and receipts. They depend on no event, and go first.
    Answers,
    /// The timeline.
    Events,
}

/// One thing to send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// The idempotency key.
    pub(crate) id: Uuid,
    /// The folder whose credential sends it.
    pub(crate) folder: PathBuf,
    pub(crate) body: Body,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Body {
    Event {
        run_id: Uuid,
        event_type: String,
        event_ts: Timestamp,
        payload: Map<String, Value>,
    },
    Delivered {
        approval_id: Uuid,
    },
    Consumed {
        approval_id: Uuid,
    },
    Withdraw {
        approval_id: Uuid,
        reason: String,
        /// If there is a verdict after all: the agent acted on it.
        #[serde(default)]
        tool_ran: bool,
    },
}

impl Item {
    pub(crate) fn new(folder: &Path, body: Body) -> Self {
        Self { id: Uuid::new_v4(), folder: folder.to_owned(), body }
    }

    /// Whether it matters even when the outbox is full.
    fn is_essential(&self) -> bool {
        match &self.body {
            Body::Event { event_type, .. } => event_type.starts_with("RUN_"),
            _ => true,
        }
    }

    fn queue(&self) -> Queue {
        match &self.body {
            Body::Event { .. } => Queue::Events,
            Body::Delivered { .. } | Body::Consumed { .. } | Body::Withdraw { .. } => Queue::Answers,
        }
    }
}

/// The outbox of a session.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    files: SessionFiles,
}

impl Outbox {
    pub(crate) fn new(files: SessionFiles) -> Self {
        Self { files }
    }

    pub(crate) fn files(&self) -> &SessionFiles {
        &self.files
    }

    /// Adds items at the end of their queues, and says how many found no room.
    pub(crate) fn append(&self, _locked: &Locked, items: &[Item]) -> Result<usize> {
        let full = self.length(Queue::Events) >= LARGEST;
        let mut left_out = 0;
        for queue in [Queue::Answers, Queue::Events] {
            let mut text = Vec::new();
            for item in items.iter().filter(|item| item.queue() == queue) {
                if full && !item.is_essential() {
                    left_out += 1;
                    continue;
                }
                serde_json::to_writer(&mut text, item)?;
                text.push(b'\n');
            }
            self.write(queue, &text)?;
        }
        Ok(left_out)
    }

    fn write(&self, queue: Queue, text: &[u8]) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let path = self.file(queue);
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(&path)
            .and_then(|mut file| file.write_all(text))
            .with_context(|| format!("could not write {}", path.display()))
    }

    /// The next items of a queue, in order; `None` stands for one that cannot be read.
    pub(crate) fn peek(&self, queue: Queue, most: usize) -> Result<Vec<Option<Item>>> {
        let _locked = match self.has(queue) {
            false => return Ok(Vec::new()),
            true => self.files.lock()?,
        };
        let text = self.read(queue)?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.take(most).map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// Takes the first items of a queue away.
    pub(crate) fn remove(&self, queue: Queue, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let _locked = self.files.lock()?;
        let text = self.read(queue)?;
        let mut rest = text.as_slice();
        for _ in 0..count {
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
            rest = rest.get(end..).unwrap_or_default();
        }
        let path = self.file(queue);
        if rest.is_empty() { Ok(fs::remove_file(path)?) } else { overwrite(&path, rest) }
    }

    /// Whether nothing waits. Cheap, and without the lock.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has(Queue::Answers) && !self.has(Queue::Events)
    }

    /// Whether something waits in a queue. Cheap, and without the lock.
    pub(crate) fn has(&self, queue: Queue) -> bool {
        self.length(queue) > 0
    }

    fn length(&self, queue: Queue) -> u64 {
        fs::metadata(self.file(queue)).map_or(0, |metadata| metadata.len())
    }

    fn file(&self, queue: Queue) -> PathBuf {
        match queue {
            Queue::Answers => self.files.answers(),
            Queue::Events => self.files.outbox(),
        }
    }

    fn read(&self, queue: Queue) -> Result<Vec<u8>> {
        match fs::read(self.file(queue)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            result => Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Places;

    fn item(event_type: &str) -> Item {
        let body = Body::Event {
            run_id: Uuid::nil(),
            event_type: event_type.into(),
            event_ts: Timestamp::from_millis(0),
            payload: Map::new(),
        };
        Item::new(Path::new("/p"), body)
    }

    fn outbox(folder: &Path) -> Outbox {
        Outbox::new(SessionFiles::new(&Places::below(folder), "s"))
    }

    fn append(outbox: &Outbox, items: &[Item]) -> usize {
        outbox.append(&outbox.files.lock().expect("locks"), items).expect("appends")
    }

    #[test]
    fn items_come_out_in_order_and_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let outbox = outbox(folder.path());
        let items = [item("A"), item("B"), item("C")];
        append(&outbox, &items[..2]);
        append(&outbox, &items[2..]);
        let peek = |most| outbox.peek(Queue::Events, most).expect("peeks").into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(peek(2), items[..2]);
        outbox.remove(Queue::Events, 2).expect("removes");
        assert_eq!(peek(9), items[2..]);
        outbox.remove(Queue::Events, 1).expect("removes");
        assert!(outbox.is_empty() && peek(9).is_empty());
    }

    #[test]
    fn a_line_that_was_cut_does_not_block_the_others() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let outbox = outbox(folder.path());
        append(&outbox, &[item("A")]);
        let mut text = fs::read(outbox.files.outbox()).expect("reads");
        text.splice(0..0, *b"{\"id\":\n");
        fs::write(outbox.files.outbox(), text).expect("writes");
        let items = outbox.peek(Queue::Events, 9).expect("peeks");
        assert!(items[0].is_none() && items[1].is_some());
    }

    #[test]
    fn what_a_person_waits_for_has_a_queue_of_its_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let outbox = outbox(folder.path());
        let withdraw = Body::Withdraw { approval_id: Uuid::nil(), reason: "r".into(), tool_ran: false };
        let items = [item("A"), Item::new(Path::new("/p"), withdraw), item("B")];
        append(&outbox, &items);
        let peek = |queue| outbox.peek(queue, 9).expect("peeks").into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(peek(Queue::Answers), items[1..2]);
        assert_eq!(peek(Queue::Events), [items[0].clone(), items[2].clone()]);
        outbox.remove(Queue::Events, 2).expect("removes");
        assert!(outbox.has(Queue::Answers) && !outbox.is_empty());
        assert_eq!(SessionFiles::all(&Places::below(folder.path())).len(), 1, "it is found with either queue");
    }

    #[test]
    fn a_full_outbox_takes_only_what_matters() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let outbox = outbox(folder.path());
        drop(outbox.files.lock().expect("locks"));
        fs::write(outbox.files.outbox(), vec![b'\n'; usize::try_from(LARGEST).expect("fits")]).expect("writes");
        let withdraw = Body::Withdraw { approval_id: Uuid::nil(), reason: "r".into(), tool_ran: false };
        let items = [item("TOOL_STARTED"), item("RUN_FINISHED"), Item::new(Path::new("/p"), withdraw)];
        assert_eq!(append(&outbox, &items), 1);
    }
}
