//! A socket as a route: may the connection be made, and if so, its task.

use std::sync::Arc;
use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::{ApiError, Context, Socket, SocketSession};
use poem::error::MethodNotAllowedError;
use poem::http::{HeaderValue, Method, header};
use poem::{Endpoint, FromRequest, Request, RequestBody, Response, Result};
use poem_openapi::OperationId;

use super::Sockets;
use super::connection::{Connection, Kind};
use super::handshake::Handshake;
use crate::http::connections::upgraded;

/// When to come back if there are as many sockets as there may be.
const COME_BACK: Duration = Duration::from_secs(1);

/// Opens sockets of one kind.
pub struct SocketEndpoint<T> {
    socket: T,
    kind: Arc<Kind>,
    sockets: Sockets,
}

impl<T: Socket> SocketEndpoint<T> {
    pub(super) const fn new(socket: T, kind: Arc<Kind>, sockets: Sockets) -> Self {
        Self { socket, kind, sockets }
    }

    async fn open(&self, request: &Request, context: &Context) -> Result<Response, ApiError> {
        let handshake = Handshake::read(request).ok_or_else(|| ApiError::new(ErrorCode::UpgradeRequired))?;
        let place = self.sockets.list.admit(&T::INFO.limits, T::Session::SENDS_RAW);
        let place = place.ok_or_else(|| ApiError::new(ErrorCode::Unavailable).retry_after(COME_BACK))?;
        let session = self.socket.connect(context, request.uri().query().unwrap_or_default()).await?;
        let (response, upgrade) = handshake.accept();
        let (kind, tasks) = (self.kind.clone(), self.sockets.tasks.clone());
        self.sockets.tasks.spawn(async move {
            // The client may be gone by now.
            let Some((stream, rest)) = upgraded(upgrade).await else { return };
            // A task of its own: this one has room for the wait, which the socket would carry along for hours.
            tasks.spawn(Connection::new(stream, rest, session, kind, place).run());
        });
        Ok(response)
    }
}

impl<T: Socket> Endpoint for SocketEndpoint<T> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if *request.method() != Method::GET {
            return Err(MethodNotAllowedError.into());
        }
        let context = Context::from_request(&request, &mut RequestBody::default()).await?;
        let mut response = match self.open(&request, &context).await {
            Ok(response) => response,
            Err(error) => {
                self.kind.metrics.refused(error.code);
                let needs_upgrade = error.code == ErrorCode::UpgradeRequired;
                let mut response = T::INFO.refusal(error, &context);
                if needs_upgrade {
                    let headers = response.headers_mut();
                    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                }
                response
            }
        };
        response.set_data(OperationId(T::INFO.name));
        Ok(response)
    }
}
