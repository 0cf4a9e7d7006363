//! Where the conversation is: up to which event of the agent its messages have been typed. Kept in a file, so that a
//! message is typed once, also when the companion was away, or died.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use flightdeck_sdk::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::{Places, create_private_folder, read_private, write_private};
use crate::exit::{Exit, Failure};

const VERSION: u32 = 1;

/// How far the conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The messages up to this event have been typed.
    pub(super) typed: u64,
    /// What was said before the very first session, and is not typed; gone once it is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) past: Option<Past>,
}

/// The events up to `seq` that are older than `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) seq: u64,
    pub(super) until: Timestamp,
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    /// For people who look into it.
    url: String,
    name: String,
    agent_id: Uuid,
    #[serde(flatten)]
    progress: Progress,
}

/// The file of one agent. Nobody else has it at the same time.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    url: String,
    name: String,
    known: Option<(Uuid, Progress)>,
    _lock: File,
}

impl Place {
    /// Opens the file of the agent of this name on this server.
    ///
    /// # Errors
    /// Another companion has it: both would type the same messages.
    pub(super) fn open(places: &Places, url: &str, name: &str) -> Result<Self> {
        let folder = places.companions_folder();
        create_private_folder(&folder)?;
        let url = url.trim().trim_end_matches('/');
        let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{url}\n{name}").as_bytes());
        let lock_path = folder.join(format!("{id}.lock"));
        let lock =
            File::create(&lock_path).with_context(|| format!("could not create the file {}", lock_path.display()))?;
        if lock.try_lock().is_err() {
            let message = format!(
                "a companion called {name:?} runs on this machine already, and both would type the same messages; end \
                 it, or give this one another name with --name"
            );
            return Err(Failure::new(Exit::Failed, message).into());
        }
        let path = folder.join(format!("{id}.json"));
        let record: Option<Record> = match read_private(&path)? {
            Some(text) => Some(serde_json::from_str(&text).with_context(|| {
                format!("{} is damaged; delete it, and messages are typed from now on", path.display())
            })?),
            None => None,
        };
        let known = record.map(|record| (record.agent_id, record.progress));
        Ok(Self { path, url: url.to_owned(), name: name.to_owned(), known, _lock: lock })
    }

    /// How far the conversation with this agent is; `None` if there was none.
    pub(super) fn progress(&self, agent_id: Uuid) -> Option<Progress> {
        // The name may belong to another agent by now, whose events are counted anew.
        self.known.filter(|(known, _)| *known == agent_id).map(|(_, progress)| progress)
    }

    /// Writes down how far it is, if that has changed.
    pub(super) fn note(&mut self, agent_id: Uuid, progress: Progress) -> Result<()> {
        if self.known == Some((agent_id, progress)) {
            return Ok(());
        }
        self.known = Some((agent_id, progress));
        let (url, name) = (self.url.clone(), self.name.clone());
        let record = Record { version: VERSION, url, name, agent_id, progress };
        write_private(&self.path, &serde_json::to_vec(&record)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: Uuid = Uuid::from_u128(7);

    fn folder() -> (tempfile::TempDir, Places) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        (folder, places)
    }

    fn progress(typed: u64) -> Progress {
        Progress { typed, past: Some(Past { seq: 9, until: Timestamp::from_millis(1_234) }) }
    }

    #[test]
    fn it_is_found_again_by_the_next_companion_of_that_name() {
        let (_folder, places) = folder();
        let mut place = Place::open(&places, "http://h/", "a").expect("opens");
        assert_eq!(place.progress(AGENT), None);
        place.note(AGENT, progress(3)).expect("writes");
        assert_eq!(place.progress(AGENT), Some(progress(3)));
        drop(place);
        let place = Place::open(&places, "http://h", "a").expect("opens");
        assert_eq!((place.progress(AGENT), place.progress(Uuid::nil())), (Some(progress(3)), None));
        let others = [("http://h", "b"), ("http://other", "a")];
        for (url, name) in others {
            assert_eq!(Place::open(&places, url, name).expect("opens").progress(AGENT), None);
        }
    }

    #[test]
    fn one_name_has_one_companion() {
        let (_folder, places) = folder();
        let first = Place::open(&places, "http://h", "a").expect("opens");
        let message = Place::open(&places, "http://h", "a").expect_err("is refused").to_string();
        assert!(message.contains("--name"), "{message}");
        drop(first);
        Place::open(&places, "http://h", "a").expect("is free again");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let (_folder, places) = folder();
        let mut place = Place::open(&places, "http://h", "a").expect("opens");
        place.note(AGENT, progress(1)).expect("writes");
        let path = place.path.clone();
        drop(place);
        write_private(&path, b"{").expect("writes");
        let message = format!("{:#}", Place::open(&places, "http://h", "a").expect_err("is refused"));
        assert!(message.contains("delete it"), "{message}");
    }
}
