//! What ends a command that uses more than it may.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::running::Running;
use super::stage::Stage;
use super::{Ended, Limits, OnDisconnect};
use crate::clock::Clock;
use crate::service::agents::process::Family;

/// How often a command's processes are counted.
const COUNT: Duration = Duration::from_millis(500);

/// Watches a command until it has ended.
pub(super) async fn watch(stage: Arc<Stage>, running: Arc<Running>, family: Family, limits: Limits) {
    let mut exit = running.exit.subscribe();
    let guards = async {
        let why = tokio::select! {
            () = stage.clock.sleep_until(later(&*stage.clock, limits.time)) => Ended::TimedOut,
            () = too_many(family, limits.processes) => Ended::TooManyProcesses,
            () = unwatched(&stage) => Ended::Unwatched,
        };
        running.end(why);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = exit.wait_for(Option::is_some) => {}
        () = guards => {}
    }
}

fn later(clock: &dyn Clock, by: Duration) -> i64 {
    clock.now().saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

/// Completes when there are more processes than there may be.
async fn too_many(family: Family, most: usize) {
    let mut ticks = tokio::time::interval(COUNT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let family = family.clone();
        let count = tokio::task::spawn_blocking(move || family.members().len()).await;
        if count.is_ok_and(|count| count > most) {
            return;
        }
    }
}

/// Completes when nobody has watched for as long as that may be.
async fn unwatched(stage: &Stage) {
    let OnDisconnect::Kill { after } = stage.on_disconnect else { return std::future::pending().await };
    let mut viewers = stage.viewers.subscribe();
    loop {
        let _ = viewers.wait_for(|viewers| *viewers == 0).await;
        tokio::select! {
            biased;
            _ = viewers.wait_for(|viewers| *viewers > 0) => {}
            () = stage.clock.sleep_until(later(&*stage.clock, after)) => return,
        }
    }
}
