//! Channels that nobody uses any more are forgotten: anybody who may publish can make as many as they like.

use std::collections::HashSet;
use std::sync::Arc;

use flightdeck_api::support::ApiError;

use super::Hub;
use crate::log::{Work, channel_stream};
use crate::store::streams;

/// Channels forgotten in one transaction.
const CHANNELS: u64 = 500;

impl Hub {
    /// Forgets the channels whose history is trimmed, that nobody follows here, and that no agent is on. Who follows one
    /// on another server loses nothing: the channel goes on above its place there.
    pub(super) async fn forget_the_unused(&self) -> Result<(), ApiError> {
        let followers = self.0.log.followers(&channel_stream("")).into_iter();
        let followed: HashSet<String> = followers.map(|(stream, _)| stream).collect();
        let mut after = 0;
        loop {
            let unused = streams::unused_channels(self.0.store.reader(), after, CHANNELS).await?;
            let Some(last) = unused.last() else { return Ok(()) };
            after = last.id;
            let ids = unused.iter().filter(|stream| !followed.contains(&stream.name)).map(|stream| stream.id);
            let ids: Arc<[i64]> = ids.collect();
            if ids.is_empty() {
                continue;
            }
            let forgotten = self.0.log.transact(None, move |work: &mut Work<'_>| {
                let ids = ids.clone();
                Box::pin(async move { streams::forget(work.tx().connection(), &ids).await.map_err(ApiError::from) })
            });
            forgotten.await?;
        }
    }
}
