//! The bridge for foreign publishers: whatever a program sends with PostgreSQL's `NOTIFY dcm_events` becomes an event of its
//! channel, and one of `global`.
//!
//! Every server hears it and one writes it down; the others keep it for a while, see `standby`. A notification is not kept by
//! the database: what is sent while no server listens is lost, as it was with the original.

use std::time::Duration;

use flightdeck_api::support::ApiError;
use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Hub;
use super::activity::copy_id;
use super::channel::Channel;
use super::standby::Standby;
use crate::log::Work;
use crate::store::DatabaseKind;
use crate::store::events::NewEvent;
use crate::store::notifications::{Heard, Listener};

const CHANNELS: &[&str] = &["dcm_events"];

/// The lock of the one that writes down.
const LOCK: i64 = 7_166_101;

/// What has been heard and is not yet written. With more, the listener waits, and the database keeps what comes.
const QUEUE: usize = 4_096;

/// Notifications written down in one transaction.
const BATCH: usize = 256;

/// Bytes of an event's name.
const LONGEST_NAME: usize = 64;

/// How the names of Flightdeck's own decisions begin: nobody else makes any.
const RESERVED: &str = "approval.";

/// Attempts to write, and the pause between two.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// What a foreign publisher sends.
#[derive(Deserialize)]
struct Foreign<'n> {
    channel: String,
    event: String,
    #[serde(borrow, default)]
    data: Option<&'n RawValue>,
}

/// Passes on what foreign publishers say until `shutdown`, and then what it has heard. Without PostgreSQL there are none.
pub async fn bridge_foreign(hub: Hub, shutdown: CancellationToken) {
    if hub.0.store.kind() != DatabaseKind::Postgres {
        return;
    }
    let (heard, waiting) = mpsc::channel(QUEUE);
    let mut listener = hub.0.store.listen(CHANNELS, Some(LOCK));
    tokio::join!(listen(&hub, &mut listener, heard, shutdown), write(&hub, waiting));
    // Only now may another one lead: it finds in the log what this one has heard.
    listener.leave().await;
}

async fn listen(hub: &Hub, listener: &mut Listener, heard: mpsc::Sender<Vec<NewEvent>>, shutdown: CancellationToken) {
    let mut standby = Standby::default();
    let mut leads = false;
    look(hub, &mut standby).await;
    while let Some(said) = shutdown.run_until_cancelled(listener.hear()).await {
        if !std::mem::replace(&mut leads, listener.leads()) && leads {
            take_over(hub, &mut standby, &heard).await;
        }
        match said {
            Heard::Notification { payload, .. } => pass_on(hub, &payload, leads, &mut standby, &heard).await,
            Heard::Interrupted => tracing::info!("listening to foreign publishers again after an interruption"),
            Heard::Asked if leads => {}
            Heard::Asked => look(hub, &mut standby).await,
        }
    }
    // What has arrived already. With more than that, somebody else has to go on.
    for _ in 0..QUEUE {
        let Some(Heard::Notification { payload, .. }) = listener.hear().now_or_never() else { break };
        pass_on(hub, &payload, leads, &mut standby, &heard).await;
    }
}

/// Has a notification written down, or keeps it if another server does that.
async fn pass_on(hub: &Hub, payload: &str, leads: bool, standby: &mut Standby, heard: &mpsc::Sender<Vec<NewEvent>>) {
    match read(payload, hub.0.clock.now()) {
        // The other end is there for as long as this one.
        Ok(events) if leads => drop(heard.send(events).await),
        Ok(events) => standby.keep(events),
        Err(problem) if leads => tracing::warn!(problem, "dropped a notification of a foreign publisher"),
        Err(_) => {}
    }
}

async fn look(hub: &Hub, standby: &mut Standby) {
    if let Err(error) = standby.look(&hub.0.log).await {
        tracing::debug!(%error, "could not look where the log ends");
    }
}

/// Has written down what the server that led before has heard, but not written.
async fn take_over(hub: &Hub, standby: &mut Standby, heard: &mpsc::Sender<Vec<NewEvent>>) {
    if standby.is_empty() {
        return;
    }
    // It may have ended in the middle of a commit.
    tokio::time::sleep(PAUSE).await;
    for _ in 0..ATTEMPTS {
        match standby.unwritten(&hub.0.log).await {
            Ok(unwritten) => {
                tracing::info!(notifications = unwritten.len(), "goes on writing down what foreign publishers say");
                for events in unwritten {
                    drop(heard.send(events).await);
                }
                return standby.clear();
            }
            Err(error) => {
                tracing::warn!(%error, "could not find out what another server has written down; will try again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    tracing::error!("lost what a foreign publisher may have said while another server ended");
    standby.clear();
}

/// Writes down what waits, in order, many at once; a notification's events together.
async fn write(hub: &Hub, mut waiting: mpsc::Receiver<Vec<NewEvent>>) {
    let mut notifications = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut notifications, BATCH).await > 0 {
        let events: Vec<NewEvent> = notifications.drain(..).flatten().collect();
        for attempt in 1..=ATTEMPTS {
            let batch = events.clone();
            let appended = hub.0.log.transact(None, move |work: &mut Work<'_>| {
                let batch = batch.clone();
                Box::pin(async move { work.append(batch).await.map_err(ApiError::from) })
            });
            match appended.await {
                Ok(_) => break,
                Err(error) if attempt < ATTEMPTS => {
                    tracing::warn!(%error, "could not write down what a foreign publisher said; will try again");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(%error, events = events.len(), "lost what a foreign publisher said");
                }
            }
        }
    }
}

/// The events that a notification becomes: one on its channel, and a copy on `global`.
fn read(payload: &str, now: i64) -> Result<Vec<NewEvent>, &'static str> {
    // Text that is kept as it is must be readable to those who get it: no number too large, nothing nested too deeply.
    serde_json::from_str::<Value>(payload).map_err(|_| "it is not JSON that everybody can read")?;
    let foreign: Foreign<'_> =
        serde_json::from_str(payload).map_err(|_| "it is not an object with `channel`, `event` and `data`")?;
    let channel = Channel::parse(&foreign.channel).ok_or("its channel is none of the hub's")?;
    if channel.is_metrics() {
        return Err("nobody but the hub itself tells metrics");
    }
    let name = foreign.event;
    if !is_name(&name) {
        return Err("its event has no proper name");
    }
    if name.starts_with(RESERVED) {
        return Err("its event has a name that is Flightdeck's own");
    }
    let data = foreign.data.map_or("null", RawValue::get);
    let mut channels = vec![channel];
    if !channels[0].is_global() {
        channels.push(Channel::global());
    }
    let event = |(place, channel): (usize, &Channel)| NewEvent {
        stream: channel.stream(),
        id: if place == 0 { Uuid::now_v7() } else { copy_id() },
        kind: name.clone(),
        created_at: now,
        happened_at: None,
        payload: data.to_owned(),
    };
    Ok(channels.iter().enumerate().map(event).collect())
}

/// Whether an event can have this name: `[a-z][a-z0-9_.]*`, and not too long.
fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.');
    text.len() <= LONGEST_NAME && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_foreign_reaches_its_channel_and_everybody() {
        let payload = r#"{"channel":"topics/x","event":"build.done","data":{"n":12345678901234567890.10}}"#;
        let events = read(payload, 5).expect("it is right");
        let told: Vec<_> = events.iter().map(|event| (event.stream.as_str(), event.kind.as_str())).collect();
        assert_eq!(told, [("channels/topics/x", "build.done"), ("channels/global", "build.done")]);
        assert!(
            events.iter().all(|event| event.payload == r#"{"n":12345678901234567890.10}"# && event.created_at == 5)
        );
        assert_ne!(events[0].id, events[1].id);
    }

    #[test]
    fn what_is_global_is_told_once_and_data_may_be_missing() {
        let events = read(r#"{"channel":"global","event":"system.info"}"#, 5).expect("it is right");
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].payload, "null");
    }

    #[test]
    fn what_is_wrong_is_dropped() {
        for payload in [
            "",
            "hello",
            "[]",
            r#"{"channel":"global"}"#,
            r#"{"channel":"nowhere","event":"x","data":1}"#,
            r#"{"channel":"global","event":"","data":1}"#,
            r#"{"channel":"global","event":"a\u0000b","data":1}"#,
            r#"{"channel":"global","event":"x","data":}"#,
            r#"{"channel":"global","event":"x","data":1e999}"#,
            r#"{"channel":"global","event":"x","data":"\ud800"}"#,
            r#"{"channel":"global","event":"X","data":1}"#,
            r#"{"channel":"global","event":".x","data":1}"#,
            r#"{"channel":"global","event":"a b","data":1}"#,
            r#"{"channel":"global","event":"approval.decided","data":1}"#,
            r#"{"channel":"metrics","event":"metric.update","data":1}"#,
        ] {
            assert!(read(payload, 5).is_err(), "{payload}");
        }
        let named = |name: &str| read(&format!(r#"{{"channel":"global","event":"{name}"}}"#), 5);
        assert!(named(&"a".repeat(64)).is_ok() && named(&"a".repeat(65)).is_err());
        let nested = |depth| {
            let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            read(&format!(r#"{{"channel":"global","event":"x","data":{data}}}"#), 5)
        };
        assert!(nested(100).is_ok() && nested(127).is_err() && nested(3_000).is_err());
    }
}
