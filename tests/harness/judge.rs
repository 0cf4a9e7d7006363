//! Holds an answer against the protocol. Every answer that a test sees comes by here.

use anyhow::{Context, Result, bail, ensure};
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::OperationInfo;
use http::HeaderMap;
use serde_json::Value;

use crate::coverage::{self, Aspect};
use crate::socket::document::{self as sockets, Socket};
use crate::{Kind, document};

/// What the server serves beside the protocol: the protocol's own document, and the page that shows it.
const OUTSIDE: [&str; 3] = ["/openapi.json", "/asyncapi.json", "/docs"];

/// Codes of answers outside any operation.
const WITHOUT_OPERATION: [ErrorCode; 2] = [ErrorCode::RouteNotFound, ErrorCode::MethodNotAllowed];

/// One answer, and what was asked.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    pub database: Kind,
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// What an answer is about.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Operation(&'static OperationInfo),
    /// A request for a socket that did not open it.
    Socket(&'static Socket),
    Nothing,
}

impl Subject {
    fn of(exchange: &Exchange<'_>) -> Self {
        if let Some(operation) = document::find(exchange.method, exchange.path) {
            return Self::Operation(operation);
        }
        match sockets::find(exchange.path).filter(|_| exchange.method == "GET") {
            Some(socket) => Self::Socket(socket),
            None => Self::Nothing,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Operation(operation) => operation.id,
            Self::Socket(socket) => &socket.name,
            Self::Nothing => "",
        }
    }

    fn declares(self, code: ErrorCode) -> bool {
        match self {
            Self::Operation(operation) => operation.errors.contains(&code),
            Self::Socket(socket) => socket.errors.contains(code.as_str()),
            Self::Nothing => WITHOUT_OPERATION.contains(&code),
        }
    }
}

/// Judges an answer, and notes it for the coverage tests if it is good.
///
/// # Errors
/// The answer breaks the protocol; the message says how.
pub fn judge(exchange: &Exchange<'_>) -> Result<()> {
    if OUTSIDE.iter().any(|prefix| exchange.path == *prefix || exchange.path.starts_with(&format!("{prefix}/"))) {
        return Ok(());
    }
    judge_as(exchange, Subject::of(exchange))
}

/// Judges the answer to a request that was to open `socket`, at whatever path.
///
/// # Errors
/// The answer breaks the protocol; the message says how.
pub fn judge_refused_socket(exchange: &Exchange<'_>, socket: &'static Socket) -> Result<()> {
    judge_as(exchange, Subject::Socket(socket))
}

fn judge_as(exchange: &Exchange<'_>, subject: Subject) -> Result<()> {
    let refusal = verdict(exchange, subject).with_context(|| {
        let Exchange { method, path, status, body, .. } = exchange;
        format!(
            "{method} {path} ({:?}) answered {status}, which breaks the protocol: {}",
            subject.name(),
            String::from_utf8_lossy(body)
        )
    })?;
    match refusal {
        None => coverage::saw(exchange.database, subject.name(), Aspect::Success, &exchange.status.to_string()),
        Some(code) => coverage::saw(exchange.database, subject.name(), Aspect::Refusal, code),
    }
    Ok(())
}

fn verdict(exchange: &Exchange<'_>, subject: Subject) -> Result<Option<&'static str>> {
    let request_id = header(exchange, "x-request-id").context("X-Request-Id is missing")?;
    ensure!(!request_id.is_empty(), "X-Request-Id is empty");
    match subject {
        Subject::Operation(operation) => {
            document::check_body(operation, exchange.status, content_type(exchange), exchange.body)?;
        }
        Subject::Socket(_) | Subject::Nothing => document::check_refusal(exchange.body)?,
    }
    if matches!(subject, Subject::Operation(_)) && (200..300).contains(&exchange.status) {
        return Ok(None);
    }
    refusal(exchange, subject, request_id).map(Some)
}

fn refusal(exchange: &Exchange<'_>, subject: Subject, request_id: &str) -> Result<&'static str> {
    let body: Value = serde_json::from_slice(exchange.body)?;
    let text = body["code"].as_str().unwrap_or_default();
    let code = ErrorCode::ALL.iter().copied().find(|code| code.as_str() == text);
    let code = code.with_context(|| format!("the code {text:?} is not in the catalogue"))?;

    ensure!(subject.declares(code), "the code {text} is not declared here");
    ensure!(code.status() == exchange.status, "the code {text} belongs to the status {}", code.status());
    ensure!(body["action"] == code.action(), "the action is not the catalogue's");
    ensure!(body["request_id"] == request_id, "the body names another request than X-Request-Id, {request_id}");
    let waits = matches!(exchange.status, 429 | 503);
    let retry_after = header(exchange, "retry-after");
    match retry_after {
        Some(seconds) => ensure!(seconds.parse::<u32>().is_ok(), "Retry-After: {seconds} is not a number of seconds"),
        None if waits => bail!("Retry-After is missing"),
        None => {}
    }
    Ok(code.as_str())
}

fn header<'a>(exchange: &Exchange<'a>, name: &str) -> Option<&'a str> {
    exchange.headers.get(name)?.to_str().ok()
}

fn content_type<'a>(exchange: &Exchange<'a>) -> Option<&'a str> {
    header(exchange, "content-type").map(|value| value.split(';').next().unwrap_or_default().trim())
}
