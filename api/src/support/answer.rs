//! Successful answers with a status other than 200, and several of them together.

use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaResponses, Registry};

/// An answer with the status `STATUS`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<const STATUS: u16, P>(pub P);

/// An answer without a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoContent;

impl<const STATUS: u16, P: IntoResponse> IntoResponse for Answer<STATUS, P> {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.set_status(StatusCode::from_u16(STATUS).unwrap_or(StatusCode::OK));
        response
    }
}

impl<const STATUS: u16, P: ApiResponse> ApiResponse for Answer<STATUS, P> {
    fn meta() -> MetaResponses {
        let mut meta = P::meta();
        for response in &mut meta.responses {
            response.status = Some(STATUS);
        }
        meta
    }

    fn register(registry: &mut Registry) {
        P::register(registry);
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        Response::default()
    }
}

impl ApiResponse for NoContent {
    fn meta() -> MetaResponses {
        <() as ApiResponse>::meta()
    }

    fn register(_: &mut Registry) {}
}

/// The answers of an operation that succeeds in several ways.
#[must_use]
pub fn answers(each: impl IntoIterator<Item = MetaResponses>) -> MetaResponses {
    let responses = each.into_iter().flat_map(|meta| meta.responses).collect();
    MetaResponses { responses }
}
