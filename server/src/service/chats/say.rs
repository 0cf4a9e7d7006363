//! Saying something in a chat, and taking it back.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::ChatTurnStatus;
use flightdeck_api::support::ApiError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::event::ChatEvent;
use super::research::slug;
use super::{Chats, idempotency};
use crate::log::{NonceGuard, Work};
use crate::store::chats::{self, ChatChange, ChatRow};
use crate::store::idempotency::Claim;
use crate::store::turns::{self, TurnRow};
use crate::store::workspaces::Scope;

/// Characters of a first message that become the chat's title.
const TITLE: usize = 80;

/// How long a client's own ids of messages are remembered, in milliseconds.
const REMEMBERED: i64 = 24 * 60 * 60 * 1_000;

/// What somebody says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saying {
    Message(String),
    Research { topic: String, repo_name: Option<String> },
}

/// What was said, and when it has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub message_id: Uuid,
    pub turn_id: Uuid,
    pub seq: i64,
    /// Turns that come before.
    pub queued: u64,
}

impl Saying {
    fn content(&self) -> &str {
        match self {
            Self::Message(content) => content,
            Self::Research { topic, .. } => topic,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Message(_) => "chat",
            Self::Research { .. } => "research",
        }
    }

    fn repo_name(&self) -> Option<String> {
        match self {
            Self::Message(_) => None,
            Self::Research { topic, repo_name } => Some(repo_name.clone().unwrap_or_else(|| slug(topic))),
        }
    }
}

/// The claim of a message that has its sender's own id. `sender` keeps the ids of different senders apart.
#[must_use]
pub fn claim_of(chat_id: Uuid, sender: &str, client_msg_id: Option<&str>, saying: &Saying) -> Option<Claim> {
    let said = [saying.kind(), saying.content(), saying.repo_name().as_deref().unwrap_or_default()].join("\0");
    client_msg_id.map(|id| Claim {
        scope: format!("chats/{chat_id}:{sender}"),
        key: id.to_owned(),
        request_digest: Sha256::digest(said).into(),
        lifetime: REMEMBERED,
    })
}

impl Chats {
    /// Stores what somebody says, and gives it a turn.
    ///
    /// # Errors
    /// `chat_not_found`, `chat_queue_full`, `idempotency_key_reused`.
    pub async fn say(
        &self,
        scope: &Scope,
        chat_id: Uuid,
        saying: Saying,
        claim: Option<Claim>,
        nonce: Option<NonceGuard>,
    ) -> Result<Said, ApiError> {
        let (now, most, scope) = (self.0.clock.now(), self.0.limits.queued, scope.clone());
        self.0
            .log
            .transact(nonce, move |work: &mut Work<'_>| {
                let (scope, saying, claim) = (scope.clone(), saying.clone(), claim.clone());
                Box::pin(async move {
                    let chat = chats::find(work.tx().connection(), chat_id, &scope).await?;
                    let chat = chat.ok_or_else(|| ApiError::new(ErrorCode::ChatNotFound))?;
                    if let Some(answer) = idempotency::known(work, claim.as_ref()).await? {
                        return serde_json::from_slice(&answer).map_err(|_| ErrorCode::Internal.into());
                    }
                    let said = said(work, &chat, &saying, most, now).await?;
                    let answer = serde_json::to_vec(&said).map_err(|_| ApiError::new(ErrorCode::Internal))?;
                    idempotency::remember(work, claim.as_ref(), &answer, now).await?;
                    Ok::<_, ApiError>(said)
                })
            })
            .await
    }

    /// Cancels a turn: the one that runs, if none is named. One that waits is over at once, one that runs soon; one that is
    /// over stays as it is.
    ///
    /// # Errors
    /// `chat_not_found`, `turn_not_found`.
    pub async fn cancel(
        &self,
        scope: &Scope,
        chat_id: Uuid,
        turn_id: Option<Uuid>,
        nonce: Option<NonceGuard>,
    ) -> Result<TurnRow, ApiError> {
        let (now, scope) = (self.0.clock.now(), scope.clone());
        self.0
            .log
            .transact(nonce, move |work: &mut Work<'_>| {
                let scope = scope.clone();
                Box::pin(async move {
                    let connection = work.tx().connection();
                    let chat = chats::find(connection, chat_id, &scope).await?;
                    chat.ok_or_else(|| ApiError::new(ErrorCode::ChatNotFound))?;
                    let turn = match turn_id {
                        Some(id) => turns::find(connection, chat_id, id).await?,
                        None => turns::first(connection, chat_id, "running").await?,
                    };
                    let mut turn = turn.ok_or_else(|| ApiError::new(ErrorCode::TurnNotFound))?;
                    if turns::advance(connection, turn.id, ("queued", "cancelled"), None, now).await? {
                        let status = ChatTurnStatus::Cancelled;
                        let (cost, usage) = (None, None);
                        let events = [
                            ChatEvent::Turn { turn_id: turn.id, status, error: None },
                            ChatEvent::Result { turn_id: turn.id, status, cost, duration_ms: 0, usage },
                        ];
                        work.append(events.iter().map(|event| event.of(chat_id, now)).collect()).await?;
                        turn = TurnRow { status: "cancelled".to_owned(), ended_at: Some(now), ..turn };
                    } else if turns::ask_to_end(work.tx().connection(), turn.id, now).await? {
                        work.append(vec![ChatEvent::CancelRequested { turn_id: turn.id }.of(chat_id, now)]).await?;
                        turn.cancel_requested_at = Some(now);
                    }
                    Ok::<_, ApiError>(turn)
                })
            })
            .await
    }
}

pub(super) async fn said(
    work: &mut Work<'_>,
    chat: &ChatRow,
    saying: &Saying,
    most: u64,
    now: i64,
) -> Result<Said, ApiError> {
    let (connection, chat_id) = (work.tx().connection(), chat.id);
    let (running, queued) = turns::open(connection, &[chat_id]).await?.remove(&chat_id).unwrap_or_default();
    if queued >= most {
        return Err(ErrorCode::ChatQueueFull.into());
    }
    let title = chat.title.is_none().then(|| title_of(saying.content()));
    chats::change(connection, chat_id, ChatChange { title, updated_at: Some(now), ..ChatChange::default() }).await?;
    let (turn_id, message_id) = (Uuid::now_v7(), Uuid::now_v7());
    let content = saying.content().to_owned();
    let events = [
        ChatEvent::UserMessage { turn_id, message_id, content: content.clone() },
        ChatEvent::Turn { turn_id, status: ChatTurnStatus::Queued, error: None },
    ];
    let placed = work.append(events.iter().map(|event| event.of(chat_id, now)).collect()).await?;
    let seq = placed.first().map_or(0, |event| event.seq);
    let row = TurnRow {
        id: turn_id,
        chat_id,
        seq,
        kind: saying.kind().to_owned(),
        content,
        repo_name: saying.repo_name(),
        status: "queued".to_owned(),
        error: None,
        created_at: now,
        started_at: None,
        ended_at: None,
        cancel_requested_at: None,
    };
    turns::insert(work.tx().connection(), row).await?;
    Ok(Said { message_id, turn_id, seq, queued: running + queued })
}

/// The first line, cut at a word.
pub(in crate::service) fn title_of(content: &str) -> String {
    let line = content.trim().lines().next().unwrap_or_default().trim();
    let mut title: String = line.chars().take(TITLE).collect();
    if title.len() < line.len() {
        if let Some(end) = title.rfind(' ') {
            title.truncate(end);
        }
        title.push('…');
    }
    if title.is_empty() { "New chat".to_owned() } else { title }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_beginning_of_the_first_message() {
        assert_eq!(title_of("  Fix the build\nplease"), "Fix the build");
        assert_eq!(title_of(" \n "), "New chat");
        let long = "word ".repeat(40);
        let title = title_of(&long);
        assert!(title.ends_with("word…") && title.chars().count() <= TITLE + 1, "{title}");
        assert_eq!(title_of(&"ä".repeat(200)).chars().count(), TITLE + 1);
    }
}
