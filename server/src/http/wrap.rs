//! What happens to every request, whatever it asks: an id, a look at its origin, its whole body within bounds, one
//! error shape, a log line and a measurement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::{ApiError, Context, ContextParts, api_error};
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, Request, Response, Result};
use poem_openapi::OperationId;
use uuid::Uuid;

use super::Origins;
use crate::metrics::Metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps the routes.
pub struct Wrap<E> {
    pub routes: E,
    pub origins: Origins,
    pub max_body_bytes: usize,
    pub body_timeout: Duration,
    pub metrics: Arc<Metrics>,
}

impl<E: Endpoint<Output = Response>> Endpoint for Wrap<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let started = Instant::now();
        let request_id = request_id(request.headers());
        let method = request.method().clone();
        let cross_origin = self.origins.cross_origin(request.headers()).cloned();

        let mut response = if method == Method::OPTIONS && cross_origin.is_some() {
            preflight()
        } else {
            // Boxed: what reading a body needs is given back before the handler runs, and some handlers run for minutes.
            match Box::pin(self.admit(&mut request, &request_id)).await {
                Ok(context) => {
                    request.extensions_mut().insert(context.clone());
                    match self.routes.call(request).await {
                        Ok(response) => response,
                        Err(error) => answer(error, &context),
                    }
                }
                Err((error, context)) => error.into_answer(Some(&context)),
            }
        };

        self.log(&method, &response, &request_id, started.elapsed());
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            headers.insert(REQUEST_ID, value);
        }
        if let Some(origin) = cross_origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers
                .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("X-Request-Id, Retry-After"));
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        Ok(response)
    }
}

impl<E> Wrap<E> {
    /// Checks the origin and reads the body, so that handlers see whole requests only.
    async fn admit(&self, request: &mut Request, request_id: &str) -> Result<Context, (ApiError, Context)> {
        let checked = self.origins.check(request.headers());
        let body = match checked {
            Ok(()) => self.read_body(request).await,
            Err(error) => Err(error),
        };
        let (body, refused) = match body {
            Ok(body) => (body, None),
            Err(error) => (bytes::Bytes::new(), Some(error)),
        };
        let headers = request.headers();
        let context = Context::new(ContextParts {
            request_id: request_id.to_owned(),
            peer: request.remote_addr().as_socket_addr().copied(),
            forwarded: ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name)),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            headers: headers.clone(),
            body,
        });
        match refused {
            None => Ok(context),
            Some(error) => Err((error, context)),
        }
    }

    async fn read_body(&self, request: &mut Request) -> Result<bytes::Bytes, ApiError> {
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        if announced.unwrap_or(0) == 0 && !chunked {
            return Ok(bytes::Bytes::new());
        }
        let too_large = || {
            ApiError::new(ErrorCode::BodyTooLarge)
                .detail("Content-Length", format!("this server takes {} bytes", self.max_body_bytes))
        };
        if announced.is_some_and(|length| length > self.max_body_bytes as u64) {
            return Err(too_large());
        }
        let reading = request.take_body().into_bytes_limit(self.max_body_bytes);
        match tokio::time::timeout(self.body_timeout, reading).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(poem::error::ReadBodyError::PayloadTooLarge)) => Err(too_large()),
            Ok(Err(error)) => {
                Err(ApiError::new(ErrorCode::InvalidRequest).detail("", format!("the body broke off: {error}")))
            }
            Err(_) => Err(ApiError::new(ErrorCode::BodyTimeout)
                .detail("", format!("it did not arrive within {} seconds", self.body_timeout.as_secs()))),
        }
    }

    /// One line a request. Never the path, the query, a header or a body: they may hold secrets.
    fn log(&self, method: &Method, response: &Response, request_id: &str, took: Duration) {
        let operation = response.data::<OperationId>().map(|id| id.0);
        let status = response.status();
        self.metrics.request(operation, status.as_u16(), took);
        if !status.is_server_error() && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let error = response.data::<ApiError>();
        let code = error.map(|error| error.code.as_str());
        let milliseconds = took.as_secs_f64() * 1_000.0;
        let status_code = status.as_u16();
        if status.is_server_error() {
            let message = error.map(|error| error.message.as_str());
            tracing::error!(%method, operation, status_code, code, message, request_id, milliseconds, "request");
        } else {
            tracing::debug!(%method, operation, status_code, code, request_id, milliseconds, "request");
        }
    }
}

/// What the framework refused, in our shape.
fn answer(error: poem::Error, context: &Context) -> Response {
    let operation = error.data::<OperationId>().copied();
    let mut response = match api_error(error) {
        Ok(error) => error.into_answer(Some(context)),
        Err(answer) => answer.into_response(),
    };
    if let Some(operation) = operation {
        response.set_data(operation);
    }
    response
}

/// The caller's id if it is a decent one, so that a request can be followed through several systems; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(&REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            (1..=128).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        })
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn preflight() -> Response {
    Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE")
        .header(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, Idempotency-Key, X-Device-Id, X-Nonce, X-Request-Id, X-Signature, \
             X-Timestamp, X-Workspace-Id",
        )
        .header(header::ACCESS_CONTROL_MAX_AGE, "600")
        .body(Body::empty())
}
