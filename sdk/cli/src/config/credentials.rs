//! `credentials.json`: what pairing gave. One workspace for each project on this machine, and one device for each
//! server where this machine also supervises.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use flightdeck_sdk::Secret;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::{Places, create_private_folder, read_private, write_private};

const VERSION: u32 = 1;

/// How many tasks are kept; the oldest are forgotten.
const KEPT_TASKS: usize = 100;

/// Everything that pairings have given to this machine.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Credentials {
    version: u32,
    /// By the canonical path of the project's root.
    #[serde(default)]
    projects: BTreeMap<String, ProjectCredential>,
    /// By the server's address.
    #[serde(default)]
    devices: BTreeMap<String, DeviceCredential>,
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tasks: Vec<KeptTask>,
}

/// A task that was started from here, and the session that it may be applied with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptTask {
    pub(crate) task_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) url: String,
    #[serde(serialize_with = "expose")]
    pub(crate) token: Secret,
    pub(crate) repo: String,
}

/// Signs for a project's workspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProjectCredential {
    pub(crate) url: String,
    pub(crate) workspace_id: Uuid,
    #[serde(serialize_with = "expose")]
    pub(crate) bridge_secret: Secret,
    pub(crate) display_name: String,
}

/// Speaks as a device, to decide and to watch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeviceCredential {
    pub(crate) device_id: Uuid,
    #[serde(serialize_with = "expose")]
    pub(crate) device_token: Secret,
    pub(crate) name: String,
}

/// The one place where a secret is written: this file, which nobody else may read.
fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// Whether two addresses are one server's, as far as that can be seen.
pub(crate) fn is_same_server(one: &str, other: &str) -> bool {
    server_key(one) == server_key(other)
}

/// One spelling for each server, so that a device is found again.
fn server_key(url: &str) -> String {
    url.trim().trim_end_matches('/').to_owned()
}

impl Credentials {
    /// Reads the file; one that does not exist holds nothing.
    pub(crate) fn read(places: &Places) -> Result<Self> {
        let path = places.credentials_file();
        let Some(text) = read_private(&path)? else {
            return Ok(Self { version: VERSION, ..Self::default() });
        };
        let credentials: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; move it away and pair again", path.display()))?;
        if credentials.version > VERSION {
            bail!(
                "{} was written by a newer flightdeck (format {}, this one knows {VERSION}); update flightdeck",
                path.display(),
                credentials.version,
            );
        }
        Ok(credentials)
    }

    /// Reads, changes and writes the file, while no other process does.
    pub(crate) fn change<T>(places: &Places, change: impl FnOnce(&mut Self) -> T) -> Result<T> {
        create_private_folder(places.config_folder())?;
        let lock = places.config_folder().join("credentials.lock");
        let lock = File::create(&lock).with_context(|| format!("could not create {}", lock.display()))?;
        lock.lock().context("could not lock the credentials")?;
        let mut credentials = Self::read(places)?;
        let result = change(&mut credentials);
        let mut text = serde_json::to_vec_pretty(&credentials)?;
        text.push(b'\n');
        write_private(&places.credentials_file(), &text)?;
        Ok(result)
    }

    /// The credential of the nearest paired folder at or above this one.
    pub(crate) fn for_folder(&self, folder: &Path) -> Option<(PathBuf, &ProjectCredential)> {
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        folder.ancestors().find_map(|ancestor| {
            let credential = self.projects.get(ancestor.to_str()?)?;
            Some((ancestor.to_owned(), credential))
        })
    }

    pub(crate) fn device(&self, url: &str) -> Option<&DeviceCredential> {
        self.devices.get(&server_key(url))
    }

    pub(crate) fn projects(&self) -> impl Iterator<Item = (&str, &ProjectCredential)> {
        self.projects.iter().map(|(root, credential)| (root.as_str(), credential))
    }

    pub(crate) fn set_project(&mut self, root: &Path, credential: ProjectCredential) {
        self.projects.insert(root.to_string_lossy().into_owned(), credential);
    }

    pub(crate) fn remove_project(&mut self, root: &Path) -> Option<ProjectCredential> {
        self.projects.remove(root.to_str()?)
    }

    pub(crate) fn set_device(&mut self, url: &str, device: DeviceCredential) {
        self.devices.insert(server_key(url), device);
    }

    /// The tasks that were started on a server, oldest first.
    pub(crate) fn tasks<'a>(&'a self, url: &'a str) -> impl Iterator<Item = &'a KeptTask> {
        self.tasks.iter().filter(move |task| is_same_server(&task.url, url))
    }

    pub(crate) fn keep_task(&mut self, task: KeptTask) {
        self.tasks.push(task);
        let surplus = self.tasks.len().saturating_sub(KEPT_TASKS);
        self.tasks.drain(..surplus);
    }

    pub(crate) fn forget_tasks(&mut self, of: impl Fn(&KeptTask) -> bool) {
        self.tasks.retain(|task| !of(task));
    }

    pub(crate) fn remove_device(&mut self, url: &str) -> Option<DeviceCredential> {
        self.devices.remove(&server_key(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(name: &str) -> ProjectCredential {
        ProjectCredential {
            url: "http://127.0.0.1:8787".into(),
            workspace_id: Uuid::nil(),
            bridge_secret: "shh".into(),
            display_name: name.into(),
        }
    }

    #[test]
    fn the_nearest_paired_folder_counts() {
        let mut credentials = Credentials::default();
        credentials.set_project(Path::new("/repo"), credential("outer"));
        credentials.set_project(Path::new("/repo/inner"), credential("inner"));
        let found = |path: &str| credentials.for_folder(Path::new(path)).map(|(_, found)| found.display_name.clone());
        assert_eq!(found("/repo/src").as_deref(), Some("outer"));
        assert_eq!(found("/repo/inner/src").as_deref(), Some("inner"));
        assert_eq!(found("/repository"), None);
    }

    #[test]
    fn what_is_written_is_read_again_and_not_shown() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        Credentials::change(&places, |credentials| credentials.set_project(Path::new("/repo"), credential("one")))
            .expect("writes");
        let credentials = Credentials::read(&places).expect("reads");
        let (_, found) = credentials.for_folder(Path::new("/repo")).expect("is there");
        assert_eq!(found.bridge_secret.expose(), "shh");
        assert!(!format!("{credentials:?}").contains("shh"));
    }

    #[test]
    fn the_newest_tasks_are_kept_for_their_server() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        let task = |number: usize, url: &str| KeptTask {
            task_id: Uuid::from_u128(number as u128),
            session_id: Uuid::nil(),
            url: url.into(),
            token: "shh".into(),
            repo: "/repo".into(),
        };
        Credentials::change(&places, |credentials| {
            (0..=KEPT_TASKS).for_each(|number| credentials.keep_task(task(number, "http://a")));
            credentials.keep_task(task(1_000, "http://b"));
            credentials.forget_tasks(|task| task.task_id == Uuid::from_u128(7));
        })
        .expect("writes");
        let credentials = Credentials::read(&places).expect("reads");
        let kept: Vec<_> = credentials.tasks("http://a/").map(|task| task.task_id.as_u128()).collect();
        assert_eq!((kept.first(), kept.len()), (Some(&2), KEPT_TASKS - 2));
        assert!(!kept.contains(&7));
        assert_eq!(credentials.tasks("http://b").next().map(|task| task.token.expose().to_owned()), Some("shh".into()));
        assert!(!format!("{credentials:?}").contains("shh"));
    }

    #[test]
    fn a_slash_at_the_end_makes_no_other_server() {
        assert_eq!(server_key("http://a/ "), server_key("http://a"));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        write_private(&places.credentials_file(), br#"{"version":2}"#).expect("writes");
        assert!(Credentials::read(&places).expect_err("refuses").to_string().contains("update flightdeck"));
    }
}
