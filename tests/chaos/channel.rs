//! A channel of the hub, under the same disturbances: whoever publishes says it until it is acknowledged, and whoever follows
//! goes on by `since_seq`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flightdeck_sdk::Client;
use flightdeck_sdk::generated::sockets::hub::{HubParameters, HubProtocol, HubServerMessage};
use flightdeck_sdk::runtime::{Ending, Socket, Update};
use flightdeck_sdk::types::{HubEventName, HubPublish, HubSubscribe, HubUnsubscribe};
use serde_json::Value;

use super::following::{PATIENCE, soon};

const CHANNEL: &str = "topics/chaos";

/// After this, what was published is published again.
const AGAIN: Duration = Duration::from_secs(3);

/// What has been published at each place.
pub(crate) type Published = BTreeMap<u64, u64>;

async fn connect(client: &Client) -> Result<Socket<HubProtocol>> {
    let socket = client.sockets().hub(&HubParameters::default()).reconnect(soon()).connect();
    // What Flightdeck tells there would have to be acknowledged.
    socket.send(HubUnsubscribe::new("global")).await.ok().context("the queue has room")?;
    Ok(socket)
}

/// Publishes the numbers below `count`, each until it is acknowledged. Some may be there twice: nobody can know what became
/// of a message whose answer is lost.
pub(crate) async fn publish(client: Client, count: u64, mut paced: impl AsyncFnMut(u64)) -> Result<()> {
    let mut socket = connect(&client).await?;
    for number in 0..count {
        paced(number).await;
        let id = number.to_string();
        loop {
            let publish =
                HubPublish::new(CHANNEL, HubEventName::SystemInfo).with_data(Value::from(number)).with_id(&id);
            socket.send(publish).await.ok().context("the queue has room")?;
            // Without an answer in time it is said again, and then any of its answers will do.
            if tokio::time::timeout(AGAIN, acknowledged(&mut socket, &id)).await.unwrap_or(Ok(false))? {
                break;
            }
        }
    }
    Ok(())
}

/// `false`: the connection broke before it was.
async fn acknowledged(socket: &mut Socket<HubProtocol>, id: &str) -> Result<bool> {
    loop {
        match socket.next().await.context("the socket ended")? {
            Update::Message(HubServerMessage::Ack(ack)) if ack.id == id => {
                ensure!(ack.success, "a publish was refused: {ack:?}");
                return Ok(true);
            }
            Update::Disconnected { .. } => return Ok(false),
            Update::Closed { reason, .. } => bail!("the socket was closed for good: {reason:?}"),
            _ => {}
        }
    }
}

/// Follows the channel from its beginning until the number before `count` has come.
pub(crate) async fn follow(client: Client, count: u64) -> Result<Published> {
    let mut socket = connect(&client).await?;
    socket.send(HubSubscribe::new(CHANNEL).with_since_seq(0)).await.ok().context("the queue has room")?;
    let mut seen = Published::new();
    while seen.last_key_value().is_none_or(|(_, number)| number + 1 < count) {
        let update = tokio::time::timeout(PATIENCE, socket.next()).await;
        let update = update.with_context(|| format!("nothing came for a minute after {:?}", seen.last_key_value()))?;
        match update.context("the socket ended")? {
            Update::Message(HubServerMessage::Event(event)) if event.channel == CHANNEL => {
                let last = seen.last_key_value().map_or(0, |(seq, _)| *seq);
                ensure!(event.seq == Some(last + 1), "on the channel, after {last} comes {:?}", event.seq);
                seen.insert(last + 1, event.data.as_u64().context("a number was published")?);
            }
            Update::Message(HubServerMessage::Gap(gap)) => bail!("nothing is trimmed here, and still: {gap:?}"),
            Update::Disconnected { reason: reason @ Ending::Jump { .. }, .. } => bail!("{reason}"),
            Update::Closed { reason, .. } => bail!("the socket was closed for good: {reason:?}"),
            _ => {}
        }
    }
    Ok(seen)
}

/// Fails unless each saw everything that was published, and all saw the same.
pub(crate) fn compare(views: &[Published], count: u64) -> Result<()> {
    for view in views {
        let numbers: std::collections::BTreeSet<_> = view.values().copied().collect();
        ensure!(numbers.into_iter().eq(0..count), "a follower of the channel did not see everything");
        ensure!(
            view.iter().zip(&views[0]).all(|(mine, first)| mine == first),
            "two saw the channel in different orders"
        );
    }
    Ok(())
}
