//! How one connection is opened: the credential of the moment, the request, and what a refusal means.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{HeaderMap, USER_AGENT};
use url::Url;

use super::super::credentials::Attempt;
use super::super::execute::no_answer;
use super::super::{Method, Operation, Secret, refusal};
use super::protocol::SocketProtocol;
use super::transport::{OpenError, SocketConnection, SocketRequest, SocketTransport};
use crate::{Client, Error, Result};

/// The status with which HTTP gives way to another protocol.
const SWITCHING_PROTOCOLS: u16 = 101;

/// Gives the credential for the next connection; `None`: none.
pub(super) type Provider = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Option<Secret>>> + Send>> + Send + Sync>;

/// Where credentials come from.
pub(super) enum Source {
    /// The client's own, where the socket accepts one of them.
    Client,
    /// This one.
    Token(Secret),
    /// Asked before every connection.
    Provider(Provider),
}

pub(super) struct Connector<P: SocketProtocol> {
    pub(super) client: Client,
    pub(super) transport: Arc<dyn SocketTransport>,
    pub(super) source: Source,
    /// With the query.
    pub(super) url: Url,
    pub(super) message_limit: usize,
    pub(super) protocol: PhantomData<fn() -> P>,
}

impl<P: SocketProtocol> Connector<P> {
    /// Opens a connection. With it comes the message that shows the credential, where the request could not.
    pub(super) async fn open(&self) -> Result<(SocketConnection, Option<Secret>)> {
        let token = match &self.source {
            Source::Client => None,
            Source::Token(token) => Some(token.clone()),
            Source::Provider(provider) => provider().await?,
        };
        let (header, message) = match token {
            Some(token) if P::INFO.security.is_empty() => (None, Some(shown::<P>(&token)?)),
            token => (token, None),
        };
        let request = SocketRequest {
            url: self.url.clone(),
            headers: self.headers(header.as_ref())?,
            message_limit: self.message_limit,
            write_limit: P::INFO.limits.max_message_bytes,
        };
        let connection = self.transport.open(request).await.map_err(|error| self.refused(error))?;
        Ok((connection, message))
    }

    fn headers(&self, bearer: Option<&Secret>) -> Result<HeaderMap> {
        let client = self.client.shared();
        let operation = Operation {
            id: P::INFO.name,
            method: Method::Get,
            path: P::INFO.address,
            security: P::INFO.security,
            idempotent: false,
            repeatable: true,
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, client.user_agent.clone());
        if let Some(security) = client.credentials.choose(&operation, bearer)? {
            let attempt = Attempt { body: None, bearer, clock: &*client.clock, random: &*client.random };
            client.credentials.apply(security, &attempt, &mut headers)?;
        }
        Ok(headers)
    }

    fn refused(&self, error: OpenError) -> Error {
        let client = self.client.shared();
        match error {
            OpenError::Refused(response) => Error::Api(Box::new(refusal::read(*response, client.clock.now()))),
            OpenError::Transport(error) => no_answer(client, error),
            error @ OpenError::Handshake(_) => {
                Error::Decode { status: SWITCHING_PROTOCOLS, excerpt: String::new(), source: error.into() }
            }
        }
    }
}

/// The message that shows a token.
fn shown<P: SocketProtocol>(token: &Secret) -> Result<Secret> {
    let Some(message) = P::authenticate(token) else {
        return Err(Error::Configuration(format!("the socket `{}` takes no token; give none", P::INFO.name)));
    };
    let text = serde_json::to_string(&message).map_err(|_| {
        Error::Configuration(format!("the token for the socket `{}` cannot be written as JSON", P::INFO.name))
    })?;
    Ok(Secret::from(text))
}
