//! The spec's scripted sessions (`spec/examples/sockets/`), played through the SDK against a real server.
//!
//! `script` is the format, `peer` is a client of any socket, `player` plays; here are the tests.

mod peer;
mod player;
mod script;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::socket::document::{Socket, sockets};
use flightdeck_tests::{Kind, for_each_database, spec};

/// The files of a socket's sessions.
fn files(socket: &Socket) -> Result<Vec<PathBuf>> {
    let folder = spec::folder().join("examples/sockets").join(&socket.name);
    let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// Plays every session of a socket, each on a server of its own, and names all that do not go as they are written.
async fn play_all(socket: &'static Socket, database: Kind) -> Result<()> {
    let mut faults = Vec::new();
    for path in files(socket)? {
        let played = async { player::play(database, socket, &script::load(&path)?).await };
        if let Err(error) = played.await {
            faults.push(format!("{}: {error:?}", path.display()));
        }
    }
    ensure!(faults.is_empty(), "{} sessions go otherwise:\n\n{}", faults.len(), faults.join("\n\n"));
    Ok(())
}

for_each_database! {
    /// One test, so that a socket that is added needs no line here. Sockets are played side by side: a session mostly waits.
    async fn every_session_goes_as_it_is_written(database) {
        let played = futures_util::future::join_all(sockets().iter().map(|socket| play_all(socket, database))).await;
        let faults: Vec<_> = played.into_iter().filter_map(Result::err).map(|fault| format!("{fault:?}")).collect();
        ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    }
}

/// What a session shows is in its first lines, for whoever writes a client.
#[test]
fn every_session_says_what_it_shows() -> Result<()> {
    for socket in sockets() {
        for path in files(socket)? {
            let text = std::fs::read_to_string(&path)?;
            ensure!(text.starts_with("# "), "{} does not begin with what it shows", path.display());
        }
    }
    Ok(())
}
