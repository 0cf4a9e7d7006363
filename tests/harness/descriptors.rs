//! Open files: a test with thousands of connections needs more than most shells allow.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What servers, databases and the tests beside need, roughly.
const OTHERS: u64 = 500;

/// Fails, and says what to do, unless this process may open so many sockets beside everything else.
///
/// # Errors
/// It may not.
pub fn ensure_sockets(sockets: u64) -> Result<()> {
    // A shell inherits this process's limit, and asking it needs nothing that differs between systems.
    let asked = Command::new("sh").args(["-c", "ulimit -n"]).output().context("asking for the limit of open files")?;
    let limit = String::from_utf8(asked.stdout)?.trim().to_owned();
    let wanted = sockets + OTHERS;
    let enough = limit == "unlimited" || limit.parse().is_ok_and(|limit: u64| limit >= wanted);
    ensure!(
        enough,
        "this test opens {sockets} sockets, and a process may have only {limit} files open here: run \
         `ulimit -n {wanted}` first, or use `tests/run`, which does so where the system's own limit (`ulimit -Hn`) \
         allows it"
    );
    Ok(())
}
