//! Reads an answer that is not a success: the server's own explanation where there is one, and otherwise what can
//! be said about an answer that a proxy, or something else altogether, gave in its place.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::transport::RawResponse;
use super::{Timestamp, UnknownValue};
use crate::error::{ApiError, ErrorCode, ErrorDetail};

/// The longest part of a foreign body that is shown, in characters.
const EXCERPT: usize = 200;

/// The body of every refusal. Read leniently: a refusal that is odd in one place still says what it can.
#[derive(Deserialize)]
struct Body {
    error: String,
    code: ErrorCode,
    #[serde(default)]
    action: String,
    #[serde(default)]
    details: Vec<ErrorDetail>,
    #[serde(default)]
    request_id: Option<String>,
}

pub(crate) fn read(response: RawResponse, now: Timestamp) -> ApiError {
    let RawResponse { status, headers, body } = response;
    let retry_after = retry_after(&headers, now);
    let request_id = header(&headers, "x-request-id").map(str::to_owned);
    match serde_json::from_slice::<Body>(&body) {
        Ok(body) => ApiError {
            status,
            code: body.code,
            message: body.error,
            action: body.action,
            request_id: body.request_id.or(request_id),
            details: body.details,
            retry_after,
            headers,
        },
        Err(_) => {
            let (message, action) = foreign(status, &headers, &body);
            ApiError {
                status,
                code: ErrorCode::Unknown(UnknownValue::new(format!("http_{status}"))),
                message,
                action,
                request_id,
                details: Vec::new(),
                retry_after,
                headers,
            }
        }
    }
}

fn foreign(status: u16, headers: &HeaderMap, body: &[u8]) -> (String, String) {
    if let (300..400, Some(target)) = (status, header(headers, LOCATION.as_str())) {
        return (
            format!("The server redirects to {target:?}, which is not followed, because requests carry credentials."),
            "Set the base URL to where the server really is.".into(),
        );
    }
    let message = match excerpt(body) {
        text if text.is_empty() => "The answer does not explain itself.".to_owned(),
        text => format!("The answer is not Flightdeck's: {text:?}."),
    };
    (message, "Check the base URL, and any proxy in between.".into())
}

/// The beginning of a successful answer's body, for a message; nothing of JSON, even damaged, because what Flightdeck
/// answers may hold secrets.
pub(crate) fn excerpt_unless_json(body: &[u8]) -> String {
    let begins = body.iter().find(|byte| byte.is_ascii_graphic());
    let is_json = matches!(begins, Some(b'{' | b'[' | b'"')) || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if is_json { String::new() } else { excerpt(body) }
}

/// The beginning of a body, for a message.
fn excerpt(body: &[u8]) -> String {
    // No character is longer than four bytes.
    let start = &body[..body.len().min(EXCERPT * 4)];
    String::from_utf8_lossy(start).trim().chars().take(EXCERPT).collect()
}

/// Seconds, or a date; a date is measured by the server's own clock where it shows one.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER.as_str())?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let server_now = header(headers, DATE.as_str()).and_then(Timestamp::from_http_date);
    Some(Timestamp::from_http_date(text)?.since(server_now.unwrap_or(now)))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
