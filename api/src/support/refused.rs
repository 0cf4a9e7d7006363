//! The answer of an operation that does not do what it was asked, held to the codes that the spec declares for it.

use std::marker::PhantomData;

use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;

use super::context::Context;
use super::error::{ApiError, asks_to_wait};
use crate::generated::errors::ErrorCode;
use crate::generated::types;

/// The codes that one operation may refuse with.
pub trait DeclaredErrors: Send + Sync + 'static {
    /// The operation, as in the spec.
    const OPERATION: &'static str;
    /// In the catalogue's order.
    const CODES: &'static [ErrorCode];
}

/// A refusal of the operation that `D` belongs to.
#[derive(Debug)]
pub struct Refused<D> {
    error: ApiError,
    context: Context,
    operation: PhantomData<fn() -> D>,
}

impl<D: DeclaredErrors> Refused<D> {
    /// A code that the operation does not declare would break the contract: it is logged, and becomes `internal`.
    #[must_use]
    pub fn new(error: ApiError, context: &Context) -> Self {
        let error = declared(error, D::CODES, D::OPERATION, context);
        Self { error, context: context.clone(), operation: PhantomData }
    }

    /// What is told.
    #[must_use]
    pub const fn error(&self) -> &ApiError {
        &self.error
    }
}

impl<D> IntoResponse for Refused<D> {
    fn into_response(self) -> Response {
        self.error.into_answer(Some(&self.context))
    }
}

impl<D> From<Refused<D>> for poem::Error {
    fn from(refused: Refused<D>) -> Self {
        Self::from_response(refused.into_response())
    }
}

impl<D: DeclaredErrors> ApiResponse for Refused<D> {
    fn meta() -> MetaResponses {
        let mut statuses: Vec<u16> = D::CODES.iter().map(|code| code.status()).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let responses = statuses.into_iter().map(refusal::<D>).collect();
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        types::Error::register(registry);
    }
}

/// The error, if `of` declares its code among `codes`.
pub(super) fn declared(error: ApiError, codes: &[ErrorCode], of: &'static str, context: &Context) -> ApiError {
    if codes.contains(&error.code) {
        return error;
    }
    tracing::error!(
        of,
        code = error.code.as_str(),
        message = error.message,
        request_id = context.request_id(),
        "refused with a code that the spec does not declare"
    );
    ApiError::new(ErrorCode::Internal)
}

fn refusal<D: DeclaredErrors>(status: u16) -> MetaResponse {
    let waits = D::CODES.iter().any(|&code| code.status() == status && asks_to_wait(code));
    let retry_after = MetaHeader {
        name: "Retry-After".to_owned(),
        description: Some("Seconds to wait before the next attempt.".to_owned()),
        required: true,
        deprecated: false,
        schema: u64::schema_ref(),
    };
    MetaResponse {
        description: "The request is refused.",
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType { content_type: "application/json", schema: types::Error::schema_ref() }],
        headers: if waits { vec![retry_after] } else { Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OnlyInvalid;
    impl DeclaredErrors for OnlyInvalid {
        const OPERATION: &'static str = "onlyInvalid";
        const CODES: &'static [ErrorCode] = &[ErrorCode::InvalidRequest];
    }

    #[tokio::test]
    async fn tells_a_declared_code_with_its_details() {
        let context = Context::for_tests("req-1");
        let error = ApiError::new(ErrorCode::InvalidRequest).detail("/a", "wrong");
        let refused = Refused::<OnlyInvalid>::new(error, &context);
        let response = refused.into_response();
        assert_eq!(response.status().as_u16(), ErrorCode::InvalidRequest.status());
        assert!(response.extensions().get::<ApiError>().is_some());
        let body = response.into_body().into_string().await.expect("it has a body");
        let body: serde_json::Value = serde_json::from_str(&body).expect("it is JSON");
        assert_eq!(body["code"], "invalid_request");
        assert_eq!(body["request_id"], "req-1");
        assert_eq!(body["details"][0]["path"], "/a");
    }

    #[test]
    fn turns_an_undeclared_code_into_internal() {
        let context = Context::for_tests("req-2");
        let error = ApiError::new(ErrorCode::Unavailable).message("the secret cause");
        let refused = Refused::<OnlyInvalid>::new(error, &context);
        assert_eq!(refused.error(), &ApiError::new(ErrorCode::Internal));
    }

    #[test]
    fn says_when_to_come_back() {
        let wait = std::time::Duration::from_millis(1_200);
        let error = ApiError::new(ErrorCode::Unavailable).retry_after(wait);
        assert_eq!(error.into_response().header("retry-after"), Some("2"));
        let response = ApiError::new(ErrorCode::Internal).into_response();
        assert_eq!(response.header("retry-after"), None);
    }
}
