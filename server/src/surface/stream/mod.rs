//! The native socket.

mod credentials;
mod frame;
mod session;

use std::sync::Arc;

use flightdeck_api::generated::sockets::stream::StreamSocket;
use flightdeck_api::support::{ApiError, Context};

use crate::auth::{Authority, HubTokens, bearer};
use crate::service::streams::Streams;
use session::Session;

/// Opens connections.
pub(in crate::surface) struct StreamSurface(Arc<Services>);

/// What connections need, shared by all of them.
struct Services {
    authority: Authority,
    hub_tokens: HubTokens,
    streams: Streams,
}

impl StreamSurface {
    pub(super) fn new(authority: Authority, hub_tokens: HubTokens, streams: Streams) -> Self {
        Self(Arc::new(Services { authority, hub_tokens, streams }))
    }
}

impl StreamSocket for StreamSurface {
    type Session = Session;

    async fn connect(&self, context: &Context) -> Result<Session, ApiError> {
        let mut session = Session::new(self.0.clone(), self.0.authority.is_local(context));
        if let Some(token) = bearer(context)? {
            session.accept(token).await?;
        }
        tracing::debug!(connection_id = %session.connection_id(), request_id = context.request_id(), "a stream socket opens");
        Ok(session)
    }
}
