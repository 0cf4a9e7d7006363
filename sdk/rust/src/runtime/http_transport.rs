//! The transport that is used unless another is given: HTTP/1.1 by reqwest. How it opens sockets is in
//! `socket/upgrade.rs`.

use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use url::{Host, Url};

use super::transport::{RawResponse, Request, Transport, TransportError};
use crate::{Error, Result};

/// The server closes idle connections after 15 seconds. Giving them up first means never sending on one that is
/// just being closed.
const POOL_IDLE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(20);

/// HTTP by reqwest, with a connection pool. Follows no redirects: requests carry credentials, and a redirect could
/// take them to another origin.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    pub(super) client: reqwest::Client,
}

impl HttpTransport {
    /// A transport for a server. Outside the loopback interface, the proxy variables (`HTTPS_PROXY`, `NO_PROXY`, …)
    /// are obeyed.
    ///
    /// # Errors
    /// The machine's certificates cannot be loaded (`https` only).
    pub fn new(base_url: &Url) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(POOL_IDLE)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .tcp_nodelay(true)
            .http1_only();
        if base_url.scheme() == "http" {
            // A hook runner starts anew for every tool call. Reading the machine's certificates would take most of
            // its time, and without TLS nobody looks at them.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(base_url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            Error::Configuration(format!(
                "the HTTP client could not be set up: {error}; check that the machine's certificates are readable"
            ))
        })?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        let limit = request.body_limit;
        let mut builder = self.client.request(method(&request), request.url).headers(request.headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        read(builder.send().await.map_err(failed)?, limit).await
    }
}

/// Reads an answer whole.
pub(super) async fn read(mut response: reqwest::Response, limit: usize) -> Result<RawResponse, TransportError> {
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    // A declared length is not trusted with memory, only used to refuse early.
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(TransportError::TooLarge { status, limit });
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > limit {
            return Err(TransportError::TooLarge { status, limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(RawResponse { status, headers, body: body.freeze() })
}

fn method(request: &Request) -> http::Method {
    use super::Method;
    match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
    }
}

pub(super) fn failed(error: reqwest::Error) -> TransportError {
    // The URL is left out: the error above names the server, and a query may hold what does not belong in a log.
    let error = error.without_url();
    if error.is_connect() { TransportError::Connect(error.into()) } else { TransportError::Interrupted(error.into()) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
