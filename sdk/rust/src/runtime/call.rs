//! One call, ready to go: generated methods fill it in, the caller may adjust it, `.await` sends it.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use super::answer::Answer;
use super::execute::{self, Delivered, Plan};
use super::parameter::ToParameter;
use super::{Operation, Secret, refusal};
use crate::{Client, Error, Result};

/// A call that answers with a `T`. Nothing is sent before it is awaited, and dropping it stops it.
///
/// ```no_run
/// # async fn example(call: flightdeck_sdk::runtime::Call<String>) -> flightdeck_sdk::Result<()> {
/// use std::time::Duration;
///
/// let answer = call.timeout(Duration::from_secs(5)).retries(0).await?;
/// # Ok(()) }
/// ```
#[must_use = "a call is sent only when it is awaited"]
pub struct Call<T> {
    client: Client,
    plan: Result<Plan>,
    answer: PhantomData<fn() -> T>,
}

/// An answer with what surrounds it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Response<T> {
    /// What the call answers with.
    pub value: T,
    /// The HTTP status, from 200 to 299.
    pub status: u16,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// Names the request in the server's log.
    pub request_id: Option<String>,
    /// How many attempts it took; 1 when the first succeeded.
    pub attempts: u32,
}

impl<T> Call<T> {
    pub(crate) fn new(client: &Client, operation: Operation, path: &str) -> Self {
        let shared = client.shared();
        let plan = shared.url(path).map(|url| Plan {
            operation,
            url,
            headers: HeaderMap::new(),
            body: None,
            bearer: None,
            idempotency_key: None,
            timeout: shared.timeout,
            deadline: shared.deadline,
            retries: shared.retry.retries,
        });
        Self { client: client.clone(), plan, answer: PhantomData }
    }

    /// Adds a query parameter.
    pub fn query(self, name: &str, value: &(impl ToParameter + ?Sized)) -> Self {
        self.query_option(name, &[value])
    }

    /// Adds a query parameter once for each value: an `Option` or a list.
    pub fn query_option<Values: ?Sized>(self, name: &str, values: &Values) -> Self
    where
        for<'a> &'a Values: IntoIterator<Item: ToParameter>,
    {
        self.with(|plan| {
            let mut values = values.into_iter().peekable();
            // Even an empty editor would leave a bare `?` behind.
            if values.peek().is_some() {
                let mut pairs = plan.url.query_pairs_mut();
                for value in values {
                    pairs.append_pair(name, &value.to_parameter());
                }
            }
            Ok(())
        })
    }

    /// Sets a header. Those that the runtime sends by itself (credentials, key, user agent) win over it.
    pub fn header(self, name: &str, value: &(impl ToParameter + ?Sized)) -> Self {
        self.header_option(name, Some(value))
    }

    /// Sets a header, if there is a value.
    pub fn header_option(self, name: &str, value: Option<&(impl ToParameter + ?Sized)>) -> Self {
        let Some(value) = value else { return self };
        self.with(|plan| {
            let unusable = |what: &str| {
                Error::Configuration(format!(
                    "the {what} of the header `{}` cannot be sent; remove control characters",
                    name.escape_debug()
                ))
            };
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable("name"))?;
            let value = HeaderValue::from_str(&value.to_parameter()).map_err(|_| unusable("value"))?;
            plan.headers.insert(header, value);
            Ok(())
        })
    }

    /// Sets the body. The same bytes are signed and sent on every attempt.
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Self {
        self.with(|plan| {
            let body = serde_json::to_vec(body).map_err(|error| {
                Error::Configuration(format!("the body of `{}` cannot be written as JSON: {error}", plan.operation.id))
            })?;
            plan.body = Some(Bytes::from(body));
            plan.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok(())
        })
    }

    /// Proves this call with a token of its own, such as the poll token of a pairing.
    pub fn bearer(self, token: impl Into<Secret>) -> Self {
        self.set(|plan| plan.bearer = Some(token.into()))
    }

    /// The time for one attempt.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(|plan| plan.timeout = timeout)
    }

    /// The time for the whole call, with all attempts and the waits between them.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.set(|plan| plan.deadline = deadline)
    }

    /// How many attempts may follow the first.
    pub fn retries(self, retries: u32) -> Self {
        self.set(|plan| plan.retries = retries)
    }

    /// The key by which the server knows a repetition of this call, instead of one made for it. With it the call
    /// can be repeated even by another process.
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.set(|plan| plan.idempotency_key = Some(key.into()))
    }

    /// Names the request in the server's log, instead of a name that the server makes up.
    pub fn request_id(self, request_id: &str) -> Self {
        self.header("x-request-id", request_id)
    }

    fn set(self, change: impl FnOnce(&mut Plan)) -> Self {
        self.with(|plan| {
            change(plan);
            Ok(())
        })
    }

    /// Changes the plan. The first thing that goes wrong is kept for whoever awaits the call.
    fn with(mut self, change: impl FnOnce(&mut Plan) -> Result<()>) -> Self {
        if let Ok(plan) = &mut self.plan
            && let Err(error) = change(plan)
        {
            self.plan = Err(error);
        }
        self
    }
}

impl<T: Answer> Call<T> {
    /// Sends the call, and answers with the status and headers beside the value.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn with_response(self) -> Result<Response<T>> {
        let Delivered { response, attempts } = execute::execute(self.client.shared(), self.plan?).await?;
        let value = T::decode(response.status, &response.body).map_err(|error| Error::Decode {
            status: response.status,
            excerpt: refusal::excerpt_unless_json(&response.body),
            source: error.into(),
        })?;
        let request_id = response.headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        Ok(Response { value, status: response.status, headers: response.headers, request_id, attempts })
    }
}

impl<T: Answer + 'static> IntoFuture for Call<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { Ok(self.with_response().await?.value) })
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.plan.as_ref().map(|plan| plan.url.as_str()).ok();
        let operation = self.plan.as_ref().map(|plan| plan.operation.id).ok();
        formatter.debug_struct("Call").field("operation", &operation).field("url", &url).finish_non_exhaustive()
    }
}
