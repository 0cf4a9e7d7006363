//! What terminals leave behind that have come and gone: nothing.
//!
//! A program of its own, because the descriptors and children of others would be counted too.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flightdeck_server::clock::SystemClock;
use flightdeck_server::service::agents::process::Supervisor;
use flightdeck_server::service::terminal::{CommandPolicy, Ended, Limits, OnDisconnect, Output, Terminal};

const COMMAND: &str = "sh -c 'echo ready; exec sleep 1000'";

const PATIENCE: Duration = Duration::from_secs(30);

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Opens and closes terminals, each with a command and a viewer.
async fn open_and_close(times: usize) -> Result<()> {
    let command = CommandPolicy::new(vec![COMMAND.to_owned()])?.prepare(COMMAND)?;
    for round in 0..times {
        let terminal = Terminal::start(Supervisor::new(Vec::new(), None), Arc::new(SystemClock), OnDisconnect::Keep);
        let mut viewer = terminal.attach(None);
        let mut run = terminal.run(&command, File::open("/")?.into(), Limits::default()).await?;
        let mut printed = Vec::new();
        while !printed.windows(5).any(|window| window == b"ready") {
            let output = tokio::time::timeout(PATIENCE, viewer.next()).await.context("nothing is printed")?;
            if let Output::Bytes(bytes) | Output::Snapshot { bytes, .. } = output.context("it was closed")? {
                printed.extend_from_slice(&bytes);
            }
        }
        // One that is closed, and one that everybody forgets.
        if round % 2 == 0 {
            terminal.close().await;
        }
        drop((terminal, viewer));
        let exit = tokio::time::timeout(PATIENCE, run.exited()).await.context("it does not end")?;
        ensure!(exit.why == Ended::Closed, "{exit:?}");
    }
    Ok(())
}

#[tokio::test]
async fn five_hundred_terminals_leave_no_descriptor_and_no_process() -> Result<()> {
    open_and_close(5).await?;
    let before = descriptors();
    open_and_close(500).await?;
    let none_left = async {
        while descriptors() > before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, none_left).await.context("descriptors are left")?;
    let own = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/self/task/{own}/children"))?;
    ensure!(children.trim().is_empty(), "these are left: {children}");
    Ok(())
}
