//! The operations of the `chats` surface.

use flightdeck_api::generated::chats::{ChatsApi, ListChatMessagesParameters};
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context, Timestamp};
use uuid::Uuid;

use super::frame;
use crate::auth::Authority;
use crate::service::chats::{Chats, CountedChat, NewChat, Say};
use crate::service::claim;
use crate::store::turns::TurnRow;
use crate::surface::convert;

/// The title of a chat in which nothing has been said yet.
const UNTITLED: &str = "New chat";

pub(in crate::surface) struct ChatsSurface {
    pub(in crate::surface) authority: Authority,
    pub(in crate::surface) chats: Chats,
}

impl ChatsApi for ChatsSurface {
    async fn list_chats(&self, context: &Context) -> Result<Vec<types::Chat>, ApiError> {
        let caller = self.authority.agents(context).await?;
        Ok(self.chats.list(&caller.scope).await?.into_iter().map(chat).collect())
    }

    async fn create_chat(&self, context: &Context, body: types::ChatCreate) -> Result<types::Chat, ApiError> {
        let caller = self.authority.agents(context).await?;
        let claim = claim(context, "createChat", &caller.name)?;
        let new =
            NewChat { title: body.title.take(), agent: body.agent.take(), workspace_id: body.workspace_id.take() };
        Ok(chat(self.chats.create(&caller.scope, new, claim, caller.nonce).await?))
    }

    async fn get_chat(&self, context: &Context, id: Uuid) -> Result<types::Chat, ApiError> {
        let caller = self.authority.agents(context).await?;
        Ok(chat(self.chats.get(&caller.scope, id).await?))
    }

    async fn update_chat(&self, context: &Context, id: Uuid, body: types::ChatUpdate) -> Result<types::Chat, ApiError> {
        let caller = self.authority.agents(context).await?;
        Ok(chat(self.chats.rename(&caller.scope, id, body.title, caller.nonce).await?))
    }

    async fn delete_chat(&self, context: &Context, id: Uuid) -> Result<types::ChatDeleted, ApiError> {
        let caller = self.authority.agents(context).await?;
        self.chats.delete(&caller.scope, id, caller.nonce).await?;
        Ok(types::ChatDeleted { ok: true, id })
    }

    async fn list_chat_messages(
        &self,
        context: &Context,
        id: Uuid,
        parameters: ListChatMessagesParameters,
    ) -> Result<Vec<types::ChatMessage>, ApiError> {
        let caller = self.authority.agents(context).await?;
        let since = i64::try_from(parameters.since_seq).unwrap_or(i64::MAX);
        let rows = self.chats.messages(&caller.scope, id, since, parameters.limit).await?;
        Ok(rows.iter().filter_map(|row| frame::message(id, row)).collect())
    }

    async fn send_chat_message(
        &self,
        context: &Context,
        id: Uuid,
        body: types::ChatMessageSend,
    ) -> Result<types::ChatMessageSent, ApiError> {
        let caller = self.authority.agents(context).await?;
        let claim = claim(context, "sendChatMessage", &caller.name)?;
        let said = self.chats.say(&caller.scope, id, Say::Message(body.content), claim, caller.nonce).await?;
        Ok(types::ChatMessageSent {
            message_id: said.message_id,
            turn_id: said.turn_id,
            seq: convert::seq(said.seq),
            queued: said.queued,
        })
    }

    async fn list_chat_turns(&self, context: &Context, id: Uuid) -> Result<types::ChatTurnList, ApiError> {
        let caller = self.authority.agents(context).await?;
        let turns = self.chats.turns(&caller.scope, id).await?.into_iter().map(turn);
        Ok(types::ChatTurnList { turns: turns.collect::<Result<_, _>>()? })
    }

    async fn cancel_chat_turn(
        &self,
        context: &Context,
        id: Uuid,
        body: types::ChatCancel,
    ) -> Result<types::ChatTurn, ApiError> {
        let caller = self.authority.agents(context).await?;
        turn(self.chats.cancel(&caller.scope, id, body.turn_id.take(), caller.nonce).await?)
    }
}

fn chat(counted: CountedChat) -> types::Chat {
    let CountedChat { chat, runs, queued, last_seq } = counted;
    types::Chat {
        id: chat.id,
        title: chat.title.unwrap_or_else(|| UNTITLED.to_owned()),
        created_at: Timestamp(chat.created_at),
        updated_at: Timestamp(chat.updated_at),
        workspace_id: chat.workspace_id,
        agent: chat.agent,
        status: if runs { types::ChatStatus::Running } else { types::ChatStatus::Idle },
        queued,
        last_seq: convert::seq(last_seq),
    }
}

fn turn(row: TurnRow) -> Result<types::ChatTurn, ApiError> {
    let status = match convert::stored(&row.status)? {
        types::ChatTurnStatus::Running if row.cancel_requested_at.is_some() => types::ChatTurnStatus::Cancelling,
        status => status,
    };
    Ok(types::ChatTurn {
        turn_id: row.id,
        chat_id: row.chat_id,
        status,
        kind: convert::stored(&row.kind)?,
        content: row.content,
        created_at: Timestamp(row.created_at),
        started_at: row.started_at.map(Timestamp),
        ended_at: row.ended_at.map(Timestamp),
        error: row.error,
    })
}
