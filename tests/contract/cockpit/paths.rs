//! Repositories that a session must not be about, and folders that a command must not run in: whatever they are called.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::{Answer, PairedWorkspace, Repository, TestOptions, TestServer, for_each_database};
use serde_json::json;

use super::Session;
use super::support::create;

const SECRET: &str = "what nobody may see";

/// A repository that no list names, with a file that is not committed.
fn outside(folder: &Path) -> Result<Repository> {
    let repository = Repository::create(folder.join("outside"))?;
    repository.write("secret.txt", SECRET)?;
    Ok(repository)
}

async fn open(server: &TestServer, workspace: &PairedWorkspace, repo: &Path) -> Result<Answer> {
    let repo = repo.to_str().context("a plain name")?;
    server.send(&create(&json!({"repo": repo})).bearer(&workspace.device_token)).await
}

fn is_refused(answer: &Answer, codes: &[&str], what: &str) -> Result<()> {
    ensure!(codes.contains(&answer.code().as_str()), "{what} was answered {} {}", answer.status, answer.json());
    Ok(())
}

/// Puts one thing in the place of another and back, as fast as it goes, until this is dropped.
struct Swapping {
    enough: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Swapping {
    /// In turn, the folder at `place` is there, nothing is, and a link that leads to `elsewhere`.
    fn start(place: &Path, elsewhere: &Path) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (place, elsewhere, told) = (place.to_owned(), elsewhere.to_owned(), enough.clone());
        let aside: PathBuf = place.with_extension("aside");
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(300));
                fs::rename(&place, &aside).expect("it is put aside");
                symlink(&elsewhere, &place).expect("a link is made");
                std::thread::sleep(Duration::from_micros(300));
                fs::remove_file(&place).expect("the link is removed");
                fs::rename(&aside, &place).expect("it is put back");
            }
        });
        Self { enough, thread: Some(thread) }
    }
}

impl Drop for Swapping {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "it stopped swapping");
        }
    }
}

for_each_database! {
    async fn what_is_not_below_the_list_is_refused(database) {
        let mut server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let folder = tempfile::tempdir()?;
        let outside = outside(folder.path())?;
        let allowed = server.database().repositories()?;
        let inside = server.repository()?;
        let name = inside.path().file_name().context("a name")?.to_owned();

        let sibling = Repository::create(allowed.with_file_name("repositories-of-others"))?;
        symlink(outside.path(), allowed.join("link"))?;
        symlink(folder.path(), allowed.join("folder"))?;
        symlink("link", allowed.join("link-of-link"))?;
        symlink("loop", allowed.join("loop"))?;
        let up = "../".repeat(allowed.components().count() + 1);
        let refused = ["repository_not_allowed", "repository_invalid"];
        for path in [
            outside.path().to_owned(),
            sibling.path().to_owned(),
            allowed.join("link"),
            allowed.join("link/"),
            allowed.join("link/."),
            allowed.join("link-of-link"),
            allowed.join("folder/outside"),
            allowed.join("loop"),
            allowed.join("..").join("repositories-of-others"),
            allowed.join(format!("{up}{}", outside.text().trim_start_matches('/'))),
            allowed.join(&name).join("../link"),
            PathBuf::from(format!("/proc/self/root{}", outside.text())),
            PathBuf::from("/proc/self/cwd"),
            PathBuf::from("/dev/fd/0"),
            PathBuf::from("/"),
            PathBuf::from("//"),
            PathBuf::from("~"),
            PathBuf::from(format!("file://{}", outside.text())),
            PathBuf::from("-c"),
            PathBuf::from("--upload-pack=id"),
            PathBuf::from(format!("{}*", allowed.display())),
        ] {
            is_refused(&open(&server, &workspace, &path).await?, &refused, &path.display().to_string())?;
        }
        // However it is written, it is the same repository, and is called by one name.
        symlink(inside.path(), allowed.join("alias"))?;
        for path in [
            inside.path().join("."),
            inside.path().join("../").join(&name),
            allowed.join("alias"),
            PathBuf::from(format!("{}/", inside.text())),
            PathBuf::from(format!("/proc/self/root{}", inside.text())),
        ] {
            let answer = open(&server, &workspace, &path).await?;
            if answer.status == 200 {
                let session = Session::of(&answer.success()?, &inside)?;
                let got = server.send(&session.get(format!("/api/session/{}", session.id))).await?.success()?;
                ensure!(got["repo"] == inside.text(), "{} is {got}", path.display());
            } else {
                is_refused(&answer, &refused, &path.display().to_string())?;
            }
        }
    }

    async fn what_is_no_repository_of_its_own_is_refused(database) {
        let mut server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let allowed = server.database().repositories()?;
        let folder = tempfile::tempdir()?;
        let outside = outside(folder.path())?;
        let inside = server.repository()?;
        inside.write("below/a.txt", "a")?;

        fs::create_dir(allowed.join("plain"))?;
        fs::write(allowed.join("file"), "")?;
        // Its history lies elsewhere: commits would go there.
        fs::create_dir(allowed.join("pointing"))?;
        fs::write(allowed.join("pointing/.git"), format!("gitdir: {}/.git\n", outside.text()))?;
        fs::create_dir(allowed.join("linking"))?;
        symlink(outside.path().join(".git"), allowed.join("linking/.git"))?;
        flightdeck_tests::repository::git(&allowed, &["init", "--quiet", "--bare", "bare"])?;
        for name in ["plain", "file", "file/.git", "missing", "pointing", "linking", "bare"] {
            let answer = open(&server, &workspace, &allowed.join(name)).await?;
            is_refused(&answer, &["repository_invalid", "repository_not_allowed"], name)?;
        }
        for path in [inside.path().join("below"), inside.path().join(".git"), inside.path().join("README.md")] {
            let answer = open(&server, &workspace, &path).await?;
            is_refused(&answer, &["repository_invalid"], &path.display().to_string())?;
        }
    }

    async fn without_a_list_there_is_nothing(database) {
        let server = TestServer::with(TestOptions::new(database).set("REPO_ALLOWLIST", "")).await;
        // An empty list is none, and either way nothing is allowed.
        let Ok(server) = server else { return Ok(()) };
        let workspace = server.pair().await?;
        let answer = open(&server, &workspace, server.repository()?.path()).await?;
        is_refused(&answer, &["repository_not_allowed"], "a repository")?;
    }

    /// A session is for what its repository was when it was opened. Somebody who swaps folders must not lead it elsewhere.
    async fn a_folder_that_is_swapped_all_the_time_leads_nowhere(database) {
        let options = TestOptions::new(database).set("CMD_ALLOWLIST", "touch marker");
        let server = TestServer::with(options).await?;
        let workspace = server.pair().await?;
        let folder = tempfile::tempdir()?;
        let outside = outside(folder.path())?;
        let repository = server.repository()?;
        repository.write("below/a.txt", "a")?;
        let session = Session::on(&server, &workspace, &repository).await?;
        fs::create_dir(outside.path().join("below"))?;

        let swapping = Swapping::start(repository.path(), outside.path());
        let mut opened = 0;
        for _ in 0..40 {
            let answer = open(&server, &workspace, repository.path()).await?;
            if answer.status == 200 {
                opened += 1;
            } else {
                is_refused(&answer, &["repository_invalid", "repository_not_allowed"], "a swapped repository")?;
            }
            let diff = server.send(&session.get("/api/git/diff")).await?;
            let seen = String::from_utf8_lossy(&diff.body);
            ensure!(!seen.contains(SECRET) && !seen.contains("secret.txt"), "{seen}");
            for cwd in [".", "below"] {
                let run = session.post("/api/cmd", &json!({"cmd": "touch marker", "cwd": cwd}));
                server.send(&run).await?;
            }
        }
        drop(swapping);
        ensure!(opened > 0, "no session could be opened between the swaps");
        for at in ["marker", "below/marker"] {
            ensure!(outside.read(at).is_none(), "a command ran in the folder outside: {at}");
        }
        ensure!(outside.log()? == ["Begin"] && outside.refs()? == ["refs/heads/main"], "the outside was changed");
    }

    async fn a_command_runs_in_the_session_s_repository_and_nowhere_else(database) {
        let options = TestOptions::new(database).set("CMD_ALLOWLIST", "sh where.sh,touch marker");
        let server = TestServer::with(options).await?;
        let workspace = server.pair().await?;
        let repository = server.repository()?;
        let neighbour = server.repository()?;
        let folder = tempfile::tempdir()?;
        for place in ["where.sh", "below/where.sh", "a b/where.sh"] {
            repository.write(place, "pwd -P > where.txt\n")?;
        }
        symlink(folder.path(), repository.path().join("away"))?;
        symlink("below", repository.path().join("near"))?;
        let session = Session::on(&server, &workspace, &repository).await?;
        let mut socket = session.follow(&server).await?;
        let absolute = repository.path().join("below");
        for (cwd, at) in [
            (None, ""),
            (Some("."), ""),
            (Some(""), ""),
            (Some("below"), "below"),
            (Some("./below/../below"), "below"),
            (Some("a b"), "a b"),
            (Some(absolute.to_str().context("a plain name")?), "below"),
        ] {
            let at = repository.path().join(at);
            drop(fs::remove_file(at.join("where.txt")));
            let body = cwd.map_or_else(|| json!({"cmd": "sh where.sh"}), |cwd| json!({"cmd": "sh where.sh", "cwd": cwd}));
            server.send(&session.post("/api/cmd", &body)).await?.success().with_context(|| format!("in {cwd:?}"))?;
            ensure!(socket.until("exit").await?["code"] == 0, "it failed in {cwd:?}");
            let told = fs::read_to_string(at.join("where.txt")).with_context(|| format!("in {cwd:?}"))?;
            ensure!(Path::new(told.trim_end()) == at.canonicalize()?, "{cwd:?} is {told}");
        }
        for cwd in [
            "..", "../", "below/../..", "/", "/tmp", "away", "away/.", "missing", "where.sh", "below\u{0}", "~", "$HOME",
            neighbour.text(), &format!("{}-other", repository.text()), folder.path().to_str().context("a plain name")?,
            "/proc/self/cwd", &"x/".repeat(1_000),
        ] {
            let answer = server.send(&session.post("/api/cmd", &json!({"cmd": "touch marker", "cwd": cwd}))).await?;
            let codes = ["directory_not_allowed", if cwd.contains('\0') { "invalid_request" } else { "directory_not_allowed" }];
            is_refused(&answer, &codes, cwd)?;
        }
        ensure!(!folder.path().join("marker").exists() && neighbour.read("marker").is_none(), "it ran elsewhere");
    }
}
