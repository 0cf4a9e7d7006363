//! Arrows point one way: `spec → codegen → {api, sdk}`, `server → api, migrations`, `tests → server, sdk`; and inside the
//! server `surface → service → log, store`.

use anyhow::{Result, ensure};

use crate::files::{SourceFile, files};

/// Files below `folder` whose code names one of `words` as the first segment of a path; `except` are allowed to.
fn users(folder: &str, words: &[&str], except: &[&str]) -> Result<Vec<String>> {
    let files = files(folder)?.into_iter().filter(SourceFile::is_rust);
    let files = files.filter(|file| !except.iter().any(|allowed| file.path.starts_with(allowed)));
    let uses = files.filter_map(|file| {
        let word = words.iter().find(|word| names(&file.text, word))?;
        Some(format!("{}: {word}", file.path))
    });
    Ok(uses.collect())
}

/// Whether code, not a comment, has `word` as a whole path segment before `::`, or imports it.
fn names(text: &str, word: &str) -> bool {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.into_iter().any(|line| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = &line[at + word.len()..];
            let whole = !before.is_some_and(|character| character.is_alphanumeric() || character == '_');
            whole && (after.starts_with("::") || (line.trim_start().starts_with("use ") && after.starts_with(';')))
        })
    })
}

fn nobody(folder: &str, words: &[&str], except: &[&str]) -> Result<()> {
    let users = users(folder, words, except)?;
    ensure!(users.is_empty(), "{words:?} must not be used here:\n{}", users.join("\n"));
    Ok(())
}

/// The packages of the workspace that a package depends on, tests included.
fn dependencies(folder: &str) -> Result<Vec<String>> {
    let manifest = std::fs::read_to_string(flightdeck_tests::spec::root().join(folder).join("Cargo.toml"))?;
    let lines = manifest.lines().map(str::trim);
    let names =
        lines.filter(|line| line.starts_with("flightdeck-")).filter_map(|line| line.split(['.', ' ', '=']).next());
    Ok(names.map(str::to_owned).collect())
}

#[test]
fn packages_depend_one_way() -> Result<()> {
    for (folder, allowed) in [
        ("api", &[][..]),
        ("codegen", &[][..]),
        ("migrations", &[][..]),
        ("sdk/rust", &[][..]),
        ("sdk/cli", &["flightdeck-sdk"][..]),
        ("server", &["flightdeck-api", "flightdeck-migrations"][..]),
        ("tests", &["flightdeck-api", "flightdeck-sdk", "flightdeck-server"][..]),
    ] {
        let wrong: Vec<_> =
            dependencies(folder)?.into_iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        ensure!(wrong.is_empty(), "{folder} must not depend on {wrong:?}");
    }
    Ok(())
}

#[test]
fn the_database_stays_in_the_store() -> Result<()> {
    nobody("server/src", &["sea_orm", "sea_query", "sqlx", "flightdeck_migrations"], &["server/src/store"])?;
    for folder in ["api", "codegen", "sdk"] {
        nobody(folder, &["sea_orm", "sea_query", "sqlx"], &[])?;
    }
    Ok(())
}

#[test]
fn the_web_framework_stays_at_the_edge() -> Result<()> {
    nobody("server/src", &["poem", "poem_openapi"], &["server/src/surface", "server/src/http"])?;
    for folder in ["codegen/src", "migrations", "sdk"] {
        nobody(folder, &["poem", "poem_openapi"], &[])?;
    }
    Ok(())
}

/// Frames are the edge's: the engine's on the server, the runtime's in the SDK. The stubs only share their bytes.
#[test]
fn websockets_stay_at_the_edge() -> Result<()> {
    let words = &["tungstenite", "tokio_tungstenite"];
    nobody("server/src", words, &["server/src/http"])?;
    nobody("api/src", words, &["api/src/support/socket"])?;
    nobody("sdk/rust/src", words, &["sdk/rust/src/runtime/socket"])?;
    for folder in ["codegen/src", "migrations", "sdk/cli"] {
        nobody(folder, words, &[])?;
    }
    Ok(())
}

/// Fails if code in one of the server's rooms names a room above it.
fn none_reaches_up(rooms: &[&str], above: &[&str]) -> Result<()> {
    for room in rooms {
        let files = files(&format!("server/src/{room}"))?.into_iter().filter(SourceFile::is_rust);
        let up: Vec<_> = files
            .filter_map(|file| {
                let room = above.iter().find(|room| names(&file.text, &format!("crate::{room}")))?;
                Some(format!("{}: {room}", file.path))
            })
            .collect();
        ensure!(up.is_empty(), "these reach up:\n{}", up.join("\n"));
    }
    Ok(())
}

#[test]
fn services_know_no_surface() -> Result<()> {
    none_reaches_up(&["service", "log", "bus", "store", "auth", "http"], &["surface"])
}

#[test]
fn the_log_the_bus_and_the_store_know_no_service() -> Result<()> {
    none_reaches_up(&["log", "bus", "store"], &["service", "auth", "http"])
}

/// The log has the bus tell of commits; the bus knows nothing of streams and readers.
#[test]
fn the_bus_and_the_store_know_no_log() -> Result<()> {
    none_reaches_up(&["bus", "store"], &["log"])?;
    none_reaches_up(&["store"], &["bus"])
}

/// Services write to the log and read from it; how other servers come to know is none of their business.
#[test]
fn services_know_no_bus() -> Result<()> {
    none_reaches_up(&["service", "surface", "auth"], &["bus"])
}

/// What moves bytes knows nothing of what they mean.
#[test]
fn http_knows_neither_rules_nor_data() -> Result<()> {
    none_reaches_up(&["http"], &["service", "log", "bus", "store"])
}

#[test]
fn the_search_sees_uses_and_no_comments() {
    assert!(names("use sea_orm::Entity;", "sea_orm"));
    assert!(names("let x = poem::Request::default();", "poem"));
    assert!(!names("// poem::Request", "poem"));
    assert!(!names("flightdeck_poem::x", "poem"));
    assert!(!names("use poem_openapi::Object;", "poem"));
}
