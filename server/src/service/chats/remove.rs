//! Deleting a chat: at once for everybody who looks, and bit by bit in the database.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::Chats;
use super::event::{ChatEvent, chat_stream};
use super::runner::interrupt;
use crate::log::{NonceGuard, Work};
use crate::store::chats::{self, ChatChange};
use crate::store::workspaces::Scope;
use crate::store::{streams, turns};

/// Events removed in one transaction: whoever writes meanwhile should not wait for all of them.
const EVENTS: i64 = 2_000;

/// Chats looked up at once, and the time between two looks, in milliseconds.
const CHATS: u64 = 100;
const EVERY: i64 = 10_000;

impl Chats {
    /// Deletes a chat: its agent ends, and what was said is forgotten.
    ///
    /// # Errors
    /// `chat_not_found`.
    pub async fn delete(&self, scope: &Scope, id: Uuid, nonce: Option<NonceGuard>) -> Result<(), ApiError> {
        let (scope, now) = (scope.clone(), self.0.clock.now());
        self.0
            .log
            .transact(nonce, move |work: &mut Work<'_>| {
                let scope = scope.clone();
                Box::pin(async move {
                    let connection = work.tx().connection();
                    let chat = chats::find(connection, id, &scope).await?;
                    chat.ok_or_else(|| ApiError::new(ErrorCode::ChatNotFound))?;
                    let change = ChatChange { deleted_at: Some(now), ..ChatChange::default() };
                    chats::change(connection, id, change).await?;
                    work.append(vec![ChatEvent::Deleted {}.of(id, now)]).await?;
                    Ok::<_, ApiError>(())
                })
            })
            .await
    }
}

/// Removes what is left of deleted chats that nobody works on any more, until dropped.
pub async fn remove_deleted(chats: Chats) {
    let clock = chats.0.clock.clone();
    loop {
        clock.sleep_until(clock.now() + EVERY).await;
        let deleted = match chats::deleted(chats.0.store.reader(), clock.now(), CHATS).await {
            Ok(deleted) => deleted,
            Err(error) => {
                tracing::warn!(%error, "could not look for deleted chats; will try again");
                continue;
            }
        };
        for id in deleted {
            if let Err(error) = remove(&chats, id).await {
                tracing::warn!(chat_id = %id, %error, "could not remove a deleted chat; will try again");
            }
        }
    }
}

async fn remove(chats: &Chats, id: Uuid) -> Result<(), ApiError> {
    let now = chats.0.clock.now();
    let interrupted = loop {
        let removed = chats.0.log.transact(None, move |work: &mut Work<'_>| Box::pin(remove_some(work, id, now)));
        if let Some(interrupted) = removed.await? {
            break interrupted;
        }
    };
    for turn_id in interrupted {
        chats.withdraw_all_of(turn_id).await;
    }
    // A research's repository is the person's; the chat's own folder goes with it.
    match tokio::fs::remove_dir_all(chats.folder(id)).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(chat_id = %id, %error, "could not remove a deleted chat's folder");
        }
        _ => {}
    }
    Ok(())
}

/// Removes some of what was said, or, where that is all, the chat: then it returns the turns that still ran, because the server
/// that worked on them is gone.
async fn remove_some(work: &mut Work<'_>, id: Uuid, now: i64) -> Result<Option<Vec<Uuid>>, ApiError> {
    let (connection, name) = (work.tx().connection(), chat_stream(id));
    if let Some(stream) = streams::find(connection, &name).await?
        && stream.last_seq - stream.first_seq >= EVENTS
    {
        streams::trim(connection, stream.id, stream.first_seq + EVENTS).await?;
        return Ok(None);
    }
    let interrupted = match chats::find_deleted(connection, id).await? {
        Some(chat) => interrupt(work, &chat, now).await?,
        None => Vec::new(),
    };
    let connection = work.tx().connection();
    if let Some(stream) = streams::find(connection, &name).await? {
        streams::trim(connection, stream.id, stream.last_seq + 1).await?;
        streams::remove(connection, stream.id).await?;
    }
    turns::remove(connection, id).await?;
    chats::remove(connection, id).await?;
    Ok(Some(interrupted))
}
