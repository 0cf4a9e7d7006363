//! The answer of a long poll: its head is sent at once, its body when there is something to say.
//!
//! Until then, nothing of the request is kept but the future that makes the body. A handler that waits itself keeps its
//! request, its context and every layer that it came through.

use std::future::Future;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, stream};
use poem::http::{HeaderValue, header};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type;
use serde::Serialize;

use super::json::Json;

/// A JSON body that is still to come.
pub struct Later<T>(BoxFuture<'static, T>);

impl<T> Later<T> {
    /// The body is what `body` gives. Dropped when the client goes away.
    pub fn new(body: impl Future<Output = T> + Send + 'static) -> Self {
        Self(body.boxed())
    }
}

impl<T: Serialize + 'static> IntoResponse for Later<T> {
    fn into_response(self) -> Response {
        let body = self.0.map(|value| serde_json::to_vec(&value).map(Bytes::from).map_err(std::io::Error::from));
        let mut response = Body::from_bytes_stream(stream::once(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl<T: Type + Serialize + 'static> ApiResponse for Later<T> {
    fn meta() -> MetaResponses {
        Json::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        <Json<T> as ApiResponse>::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_head_does_not_wait_for_the_body() {
        let (tell, told) = tokio::sync::oneshot::channel::<u64>();
        let response = Later::new(async move { told.await.unwrap_or(0) }).into_response();
        assert_eq!(response.content_type(), Some("application/json"));
        tell.send(7).expect("it waits");
        assert_eq!(response.into_body().into_string().await.expect("a body"), "7");
    }
}
