//! JSON bodies, decoded and encoded without a detour, and checked against the contract's limits.
//!
//! poem's own payload goes through a tree of values, takes numbers for text, and stops at the first unchecked detail.
//! This one reads straight into the type and says where a body is wrong.

use bytes::Bytes;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Body, FromRequest, IntoResponse, Request, RequestBody, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::check::{Location, Problems, Validate};
use super::context::Context;
use super::error::ApiError;
use super::explain::explain;
use crate::generated::errors::ErrorCode;

const JSON: &str = "application/json";

/// A body of JSON, in a request or in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Json<T>(pub T);

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = JSON;

    fn check_content_type(content_type: &str) -> bool {
        is_json(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<'a, T: Type + DeserializeOwned + Validate> ApiExtractor<'a> for Json<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest { description: None, content: vec![media_type::<T>()], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let content_type = request.content_type().unwrap_or_default();
        if !is_json(content_type) && !is_mislabelled(content_type, request.headers()) {
            return Err(ApiError::new(ErrorCode::UnsupportedMediaType).into());
        }
        let known = request.extensions().get::<Context>().map(Context::body);
        let bytes = match known {
            Some(bytes) if !bytes.is_empty() => bytes.clone(),
            _ => <Bytes as FromRequest<'_>>::from_request(request, body).await?,
        };
        Ok(Self(decode(&bytes)?))
    }
}

impl<T: Type + Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        response(StatusCode::OK, &self.0)
    }
}

impl<T: Type + Serialize> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "",
                status: Some(200),
                status_range: None,
                content: vec![media_type::<T>()],
                headers: Vec::new(),
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

fn media_type<T: Type>() -> MetaMediaType {
    MetaMediaType { content_type: JSON, schema: T::schema_ref() }
}

/// An answer with a JSON body.
pub(super) fn response(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let mut response = Body::from_vec(body).into_response();
            response.set_status(status);
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// `application/json`, or a type that ends in `+json`; parameters do not matter.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let suffixed = || {
        let (_, suffix) = essence.rsplit_once('+').unwrap_or_default();
        essence.contains('/') && suffix.eq_ignore_ascii_case("json")
    };
    essence.eq_ignore_ascii_case(JSON) || suffixed()
}

/// What `curl -d` and its like send: JSON under the label of a form. A page of somebody else's could send that, too, but no
/// credential of its own making with it.
fn is_mislabelled(content_type: &str, headers: &HeaderMap) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let credential = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_bearer = credential.split_once(' ').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    is_bearer && essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn decode<T: DeserializeOwned + Validate>(bytes: &[u8]) -> Result<T, ApiError> {
    let value: T = serde_json::from_slice(bytes).map_err(|_| refusal::<T>(bytes))?;
    let mut problems = Problems::new();
    value.validate(&Location::Body, &mut problems);
    problems.into_result()?;
    Ok(value)
}

/// Decodes a wrong body once more to learn where it is wrong, which is too slow to watch for in right ones.
#[cold]
fn refusal<T: DeserializeOwned>(bytes: &[u8]) -> ApiError {
    let invalid = ApiError::new(ErrorCode::InvalidRequest);
    match explain::<T>(bytes) {
        Some((path, sentence)) => invalid.detail(path, sentence),
        None => invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Line {
        amount: u64,
    }

    impl Validate for Order {
        fn validate(&self, at: &Location<'_>, problems: &mut Problems) {
            let lines = at.property("lines");
            problems.max_items(&lines, self.lines.len(), 2);
            for (index, line) in self.lines.iter().enumerate() {
                problems.maximum(&lines.item(index).property("amount"), line.amount, 10);
            }
        }
    }

    fn details(body: &str) -> Vec<(String, String)> {
        let error = decode::<Order>(body.as_bytes()).expect_err("the body is wrong");
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        let details = error.details.into_iter();
        details.map(|detail| (detail.path, detail.message)).collect()
    }

    #[test]
    fn says_where_a_body_is_wrong() {
        let found = details(r#"{"lines":[{"amount":1},{"amount":"2"}]}"#);
        let message = "invalid type: string \"2\", expected u64";
        assert_eq!(found, [("/lines/1/amount".to_owned(), message.to_owned())]);
        assert_eq!(details(r#"{"lines":[{}]}"#)[0].0, "/lines/0");
        assert_eq!(details(r#"{"lines":"#)[0].0, "/lines");
        assert_eq!(details(r#"{"lines":[]} {}"#)[0].0, "");
        assert_eq!(details("")[0].0, "");
    }

    #[test]
    fn tells_every_broken_limit_at_once() {
        let found = details(r#"{"lines":[{"amount":1},{"amount":11},{"amount":12}]}"#);
        let paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/lines", "/lines/1/amount", "/lines/2/amount"]);
    }

    #[test]
    fn knows_json_by_its_media_type() {
        for right in ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"] {
            assert!(is_json(right), "{right}");
        }
        for wrong in ["", "text/json", "text/plain", "json", "+json", "application/jsonx"] {
            assert!(!is_json(wrong), "{wrong}");
        }
    }
}
