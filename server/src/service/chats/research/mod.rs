//! Research: a topic becomes a repository with a notebook, and a prompt for an agent that works there.
//!
//! What the repository begins with and what the agent is told is a template: files that an operator can replace.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minijinja::{Environment, context};
use tokio::process::Command;
use uuid::Uuid;

/// The built-in template: each file by its name. The prompt is not part of the repository.
const BUILT_IN: [(&str, &str); 3] = [
    ("prompt.md", include_str!("template/prompt.md")),
    ("README.md", include_str!("template/README.md")),
    ("notebook.py", include_str!("template/notebook.py")),
];

const PROMPT: &str = "prompt.md";

/// How long git may take for one step.
const PATIENCE: Duration = Duration::from_secs(30);

/// Characters of a repository's name that is made from a topic.
const NAME: usize = 60;

/// Makes repositories for research.
#[derive(Debug, Clone)]
pub struct Research {
    root: PathBuf,
    template: Option<PathBuf>,
}

impl Research {
    /// Repositories are made in `root`, from the files in `template` or the built-in ones.
    #[must_use]
    pub const fn new(root: PathBuf, template: Option<PathBuf>) -> Self {
        Self { root, template }
    }

    /// The workspace's repository of this name, which is made if there is none, and what the agent is told.
    ///
    /// # Errors
    /// Why it can't be, for a person.
    pub async fn prepare(&self, workspace_id: Uuid, topic: &str, repo_name: &str) -> Result<(PathBuf, String), String> {
        let files = self.files().await?;
        let render = |text: &str| {
            let environment = Environment::new();
            let rendered = environment.render_str(text, context! { topic => topic, repo_name => repo_name });
            rendered.map_err(|error| format!("The research template is not valid: {error}"))
        };
        let mut prompt = None;
        let mut contents = Vec::new();
        for (name, text) in files {
            if name == PROMPT { prompt = Some(render(&text)?) } else { contents.push((name, render(&text)?)) }
        }
        let prompt = prompt.ok_or_else(|| format!("The research template has no {PROMPT}."))?;
        let root = self.root.join(workspace_id.to_string());
        Ok((repository(&root, topic, repo_name, contents).await?, prompt))
    }

    async fn files(&self) -> Result<Vec<(String, String)>, String> {
        let Some(folder) = &self.template else {
            return Ok(BUILT_IN.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
        };
        let wrong =
            |error: std::io::Error| format!("The research template {} can't be read: {error}", folder.display());
        let mut entries = tokio::fs::read_dir(folder).await.map_err(wrong)?;
        let mut files = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(wrong)? {
            if entry.file_type().await.map_err(wrong)?.is_file() {
                let text = tokio::fs::read_to_string(entry.path()).await.map_err(wrong)?;
                files.push((entry.file_name().to_string_lossy().into_owned(), text));
            }
        }
        files.sort();
        Ok(files)
    }
}

async fn repository(root: &Path, topic: &str, name: &str, files: Vec<(String, String)>) -> Result<PathBuf, String> {
    let wrong = |error: std::io::Error| format!("The repository {name} can't be made: {error}");
    tokio::fs::create_dir_all(root).await.map_err(wrong)?;
    let root = tokio::fs::canonicalize(root).await.map_err(wrong)?;
    let repository = root.join(name);
    match tokio::fs::create_dir(&repository).await {
        Ok(()) => {}
        // Not through a link to somewhere else.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = tokio::fs::symlink_metadata(&repository).await.map_err(wrong)?;
            if !found.is_dir() {
                return Err(format!("The repository {name} can't be used: there is something else of that name."));
            }
        }
        Err(error) => return Err(wrong(error)),
    }
    // Git does what a repository's configuration says, and that of one that is used again is its agent's.
    if tokio::fs::symlink_metadata(repository.join(".git")).await.is_ok() {
        return Ok(repository);
    }
    for (file, text) in files {
        let path = repository.join(file);
        // What is there already is somebody's work.
        if tokio::fs::symlink_metadata(&path).await.is_err() {
            tokio::fs::write(&path, text).await.map_err(wrong)?;
        }
    }
    git(&repository, &["init", "--quiet", "--template="]).await?;
    git(&repository, &["add", "--all"]).await?;
    let message = format!("Begin the research on {topic}");
    let who = ["-c", "user.name=Flightdeck", "-c", "user.email=flightdeck@localhost", "-c", "commit.gpgsign=false"];
    git(&repository, &[&who[..], &["commit", "--quiet", "--message", &message]].concat()).await?;
    Ok(repository)
}

/// Runs git, without hooks and without anything of the server's environment but what git needs.
async fn git(repository: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("git");
    command.args(["-c", "core.hooksPath=/dev/null"]).args(arguments).current_dir(repository).env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"));
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.map_err(|_| "git does not end.".to_owned())?;
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => "There is no git on the server's machine; install it there.".to_owned(),
        _ => format!("git can't be run: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("git {} failed: {}", arguments.first().unwrap_or(&""), said.trim()))
}

/// A repository's name made from a topic.
#[must_use]
pub fn slug(topic: &str) -> String {
    let mut name = String::new();
    for character in topic.chars() {
        if name.len() >= NAME {
            break;
        }
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() { "research".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_becomes_a_name() {
        for (topic, name) in [
            ("Short Term Reversal", "short-term-reversal"),
            ("  ../../etc & Ünï  ", "etc-n"),
            ("…", "research"),
            (&"x".repeat(100), &"x".repeat(NAME)),
        ] {
            assert_eq!(slug(topic), *name, "{topic}");
        }
    }

    #[tokio::test]
    async fn a_repository_is_made_once_and_used_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let research = Research::new(folder.path().join("root"), None);
        let (repository, prompt) =
            research.prepare(Uuid::nil(), "Short \"Term\" Reversal", "str").await.expect("it is made");
        assert!(prompt.contains("Short \"Term\" Reversal") && repository.join(".git/refs/heads").is_dir());
        let notebook = repository.join("notebook.py");
        assert!(notebook.is_file() && !repository.join(PROMPT).exists());
        std::fs::write(&notebook, "mine").expect("it can be written");
        assert_eq!(research.prepare(Uuid::nil(), "Another", "str").await.expect("it is used").0, repository);
        assert_eq!(std::fs::read_to_string(&notebook).expect("it is there"), "mine");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_to_elsewhere_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::tempdir().expect("another");
        let place = folder.path().join(Uuid::nil().to_string());
        std::fs::create_dir(&place).expect("a folder");
        std::os::unix::fs::symlink(elsewhere.path(), place.join("link")).expect("a link");
        let error = Research::new(folder.path().to_owned(), None)
            .prepare(Uuid::nil(), "x", "link")
            .await
            .expect_err("it is refused");
        assert!(error.contains("something else"), "{error}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).expect("it is there").count(), 0);
    }

    #[tokio::test]
    async fn an_operator_replaces_the_template() {
        let folder = tempfile::tempdir().expect("a folder");
        let template = folder.path().join("template");
        std::fs::create_dir(&template).expect("a folder");
        std::fs::write(template.join(PROMPT), "Look into {{ topic }}.").expect("it can be written");
        std::fs::write(template.join("notes.txt"), "{{ repo_name }}").expect("it can be written");
        let research = Research::new(folder.path().join("root"), Some(template));
        let (repository, prompt) = research.prepare(Uuid::nil(), "tea", "tea-1").await.expect("it is made");
        assert_eq!(prompt, "Look into tea.");
        assert_eq!(std::fs::read_to_string(repository.join("notes.txt")).expect("it is there"), "tea-1");
        assert!(!repository.join("notebook.py").exists());
    }
}
