//! Refusals that the web framework makes on its own, said in the catalogue's words.

use poem::Error;
use poem::http::StatusCode;

use super::error::ApiError;
use crate::generated::errors::ErrorCode;

/// What an error of the framework means to a client.
///
/// An error that already is an answer, such as a [`Refused`](super::Refused) operation, is given back to be sent as
/// it is.
///
/// # Errors
///
/// The error itself, if it already is an answer.
pub fn api_error(error: Error) -> Result<ApiError, Error> {
    let error = match error.downcast::<ApiError>() {
        Ok(error) => return Ok(error),
        Err(error) => error,
    };
    if error.is_from_response() {
        return Err(error);
    }
    let code = match error.status() {
        StatusCode::NOT_FOUND => ErrorCode::RouteNotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => ErrorCode::BodyTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        status if status.is_client_error() => ErrorCode::InvalidRequest,
        _ => {
            tracing::error!(%error, "the web framework failed");
            ErrorCode::Internal
        }
    };
    Ok(ApiError::new(code))
}

#[cfg(test)]
mod tests {
    use poem::error::{MethodNotAllowedError, NotFoundError};

    use super::*;

    fn code(error: impl Into<Error>) -> ErrorCode {
        api_error(error.into()).expect("it is not an answer").code
    }

    #[test]
    fn names_what_the_framework_refuses() {
        assert_eq!(code(NotFoundError), ErrorCode::RouteNotFound);
        assert_eq!(code(MethodNotAllowedError), ErrorCode::MethodNotAllowed);
        assert_eq!(code(ApiError::new(ErrorCode::BodyTooLarge)), ErrorCode::BodyTooLarge);
        let teapot = Error::from_string("no", StatusCode::IM_A_TEAPOT);
        assert_eq!(code(teapot), ErrorCode::InvalidRequest);
        let broken = Error::from_string("secret", StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(code(broken), ErrorCode::Internal);
    }

    #[test]
    fn leaves_answers_alone() {
        let response = poem::Response::builder().status(StatusCode::CONFLICT).finish();
        assert!(api_error(Error::from_response(response)).is_err());
    }
}
