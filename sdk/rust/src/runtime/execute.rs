//! Carries out one call: attempts, the waits between them, and the deadline above them all. Not generic, so that
//! it is compiled once and not for each type of answer.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use tracing::{Instrument, Span, debug, field};
use url::Url;

use super::credentials::Attempt;
use super::refusal;
use super::transport::{RawResponse, Request, TransportError};
use super::{Operation, Secret, random, retry};
use crate::client::Shared;
use crate::error::TimeLimit;
use crate::{Error, Result};

/// Everything about a call that is the same for each attempt.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) operation: Operation,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) bearer: Option<Secret>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Duration,
    pub(crate) retries: u32,
}

/// A successful answer, and how many attempts it took.
pub(crate) struct Delivered {
    pub(crate) response: RawResponse,
    pub(crate) attempts: u32,
}

pub(crate) async fn execute(client: &Shared, plan: Plan) -> Result<Delivered> {
    let span = tracing::debug_span!(
        "flightdeck.call",
        otel.name = plan.operation.id,
        operation = plan.operation.id,
        method = plan.operation.method.as_str(),
        route = plan.operation.path,
        attempts = field::Empty,
        status = field::Empty,
    );
    let result = attempts(client, plan, &span).instrument(span.clone()).await;
    match &result {
        Ok(delivered) => span.record("status", delivered.response.status),
        Err(Error::Api(refusal)) => span.record("status", refusal.status),
        Err(_) => &span,
    };
    result
}

async fn attempts(client: &Shared, mut plan: Plan, span: &Span) -> Result<Delivered> {
    // One key for the whole call: by it the server knows a repetition from a new request.
    if plan.operation.idempotent && plan.idempotency_key.is_none() {
        plan.idempotency_key = Some(random::uuid(&*client.random, client.clock.now()).to_string());
    }
    let repeatable = plan.operation.repeatable || plan.idempotency_key.is_some();
    let deadline = client.clock.elapsed().saturating_add(plan.deadline);

    let mut repetition = 0_u32;
    loop {
        span.record("attempts", repetition + 1);
        let remaining = deadline.saturating_sub(client.clock.elapsed());
        let error = match attempt(client, &plan, repetition, remaining).await {
            Ok(response) => {
                client.budget.refund();
                return Ok(Delivered { response, attempts: repetition + 1 });
            }
            Err(error) => error,
        };
        if repetition >= plan.retries || !retry::may_repeat(&error, repeatable) {
            return Err(error);
        }
        let delay = client.retry.delay(&error, repetition, &*client.random);
        let remaining = deadline.saturating_sub(client.clock.elapsed());
        // Waiting past the deadline would only turn this error into a less useful one.
        if delay >= remaining || !client.budget.take() {
            return Err(error);
        }
        debug!(%error, ?delay, repetition, "attempt failed, will repeat");
        client.clock.sleep(delay).await;
        repetition += 1;
    }
}

async fn attempt(client: &Shared, plan: &Plan, repetition: u32, remaining: Duration) -> Result<RawResponse> {
    let request = request(client, plan, repetition)?;
    let (after, limit) =
        if remaining < plan.timeout { (remaining, TimeLimit::Deadline) } else { (plan.timeout, TimeLimit::Attempt) };
    let outcome = tokio::select! {
        biased;
        outcome = client.transport.send(request) => outcome,
        () = client.clock.sleep(after) => {
            let after = if limit == TimeLimit::Deadline { plan.deadline } else { after };
            return Err(Error::Timeout { after, limit });
        }
    };
    let response = outcome.map_err(|error| no_answer(client, error))?;
    if (200..300).contains(&response.status) {
        Ok(response)
    } else {
        Err(Error::Api(Box::new(refusal::read(response, client.clock.now()))))
    }
}

fn request(client: &Shared, plan: &Plan, repetition: u32) -> Result<Request> {
    let mut headers = plan.headers.clone();
    headers.insert(http::header::USER_AGENT, client.user_agent.clone());
    if let Some(key) = &plan.idempotency_key {
        let value = HeaderValue::from_str(key).map_err(|_| {
            Error::Configuration(
                "the idempotency key holds characters that cannot be sent; use letters, digits and dashes".into(),
            )
        })?;
        headers.insert(HeaderName::from_static("idempotency-key"), value);
    }
    if repetition > 0 {
        headers.insert(HeaderName::from_static("x-retry-count"), HeaderValue::from(repetition));
    }
    if let Some(security) = client.credentials.choose(&plan.operation, plan.bearer.as_ref())? {
        let attempt = Attempt {
            body: plan.body.as_deref(),
            bearer: plan.bearer.as_ref(),
            clock: &*client.clock,
            random: &*client.random,
        };
        client.credentials.apply(security, &attempt, &mut headers)?;
    }
    Ok(Request {
        method: plan.operation.method,
        url: plan.url.clone(),
        headers,
        body: plan.body.clone(),
        body_limit: client.body_limit,
    })
}

pub(crate) fn no_answer(client: &Shared, error: TransportError) -> Error {
    let server = || client.base_url.origin().ascii_serialization();
    match error {
        TransportError::Connect(source) => Error::Connection { server: server(), maybe_delivered: false, source },
        TransportError::Interrupted(source) => Error::Connection { server: server(), maybe_delivered: true, source },
        TransportError::TooLarge { status, .. } => {
            Error::Decode { status, excerpt: String::new(), source: error.into() }
        }
    }
}
