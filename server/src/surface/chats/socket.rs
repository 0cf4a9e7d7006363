//! Opening the chat's socket.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::chats::{ChatsParameters, ChatsSocket};
use flightdeck_api::support::{ApiError, Context};
use uuid::Uuid;

use super::session::Session;
use crate::auth::{Authority, bearer};
use crate::service::chats::Chats;
use crate::service::streams::Streams;
use crate::store::workspaces::Scope;

/// Opens connections.
pub(in crate::surface) struct ChatSockets(Arc<Services>);

/// What connections need, shared by all of them.
pub(super) struct Services {
    pub(super) authority: Authority,
    pub(super) chats: Chats,
    pub(super) streams: Streams,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Device(Uuid),
    /// A person on this machine, in development.
    Local,
}

impl ChatSockets {
    pub(in crate::surface) fn new(authority: Authority, chats: Chats, streams: Streams) -> Self {
        Self(Arc::new(Services { authority, chats, streams }))
    }
}

impl Services {
    /// The chats that somebody may see, as things stand now.
    pub(super) async fn scope(&self, who: Who) -> Result<Scope, ApiError> {
        match who {
            Who::Device(id) => self.authority.agents_of(id).await,
            Who::Local => Ok(Scope::All),
        }
    }
}

impl ChatsSocket for ChatSockets {
    type Session = Session;

    async fn connect(&self, context: &Context, parameters: ChatsParameters) -> Result<Session, ApiError> {
        let Services { authority, streams, .. } = &*self.0;
        let token = match parameters.token.as_deref() {
            Some(token) => Some(token),
            None => bearer(context)?,
        };
        match token {
            Some(token) => {
                let guard = streams.guard(authority.device_by_token(token).await?).await?;
                Ok(Session::new(self.0.clone(), Who::Device(guard.device_id), Some(guard)))
            }
            None if authority.is_local(context) => Ok(Session::new(self.0.clone(), Who::Local, None)),
            None => Err(ErrorCode::CredentialMissing.into()),
        }
    }
}
