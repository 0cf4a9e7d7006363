//! Who is calling: which of the accepted ways to authenticate a request uses, and the headers that follow.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::operation::{Operation, Security};
use super::random::{self, Random};
use super::{Clock, Secret, sign};
use crate::{Error, Result};

const SIGNATURE: &str = "signature";
const DEVICE_TOKEN: &str = "deviceToken";
const DEVICE_ID: &str = "deviceId";

/// What a client may prove itself with. Each operation says what it accepts; the first of its alternatives that
/// these can fill is used.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Signs requests for a workspace: hook runners and IDE extensions.
    pub workspace: Option<WorkspaceCredentials>,
    /// Sent as a bearer token: paired phones and browsers.
    pub device_token: Option<Secret>,
    /// Names the device that decides.
    pub device_id: Option<Uuid>,
}

/// A workspace and the secret that signs for it, as pairing hands them out.
#[derive(Debug, Clone)]
pub struct WorkspaceCredentials {
    /// Sent along, so that the server knows whose signature it is.
    pub workspace_id: Uuid,
    /// The key of the signature; its text is used as it is.
    pub bridge_secret: Secret,
}

impl Credentials {
    /// The alternative that a call uses; none for an operation that is open to all.
    ///
    /// A bearer token that the caller gave for this very call goes before everything else.
    pub(crate) fn choose(&self, operation: &Operation, bearer: Option<&Secret>) -> Result<Option<Security>> {
        let usable = |security: &&Security| security.schemes().iter().all(|scheme| self.can_fill(scheme, bearer));
        let takes_bearer = |security: &&Security| security.schemes().iter().any(|scheme| is_bearer(scheme));

        let mut alternatives = operation.security.iter();
        let chosen = match bearer {
            Some(_) => {
                operation.security.iter().filter(usable).find(takes_bearer).or_else(|| alternatives.find(usable))
            }
            None => alternatives.find(usable),
        };
        match chosen {
            Some(security) => Ok(Some(*security)),
            None if operation.security.is_empty() => Ok(None),
            None => Err(Error::Credentials { operation: operation.id, accepted: describe(operation.security) }),
        }
    }

    fn can_fill(&self, scheme: &str, bearer: Option<&Secret>) -> bool {
        match scheme {
            SIGNATURE => self.workspace.is_some(),
            DEVICE_ID => self.device_id.is_some(),
            DEVICE_TOKEN => bearer.is_some() || self.device_token.is_some(),
            _ => bearer.is_some(),
        }
    }

    /// Adds the headers of one attempt. A signature is new each time: the server takes a nonce only once.
    pub(crate) fn apply(&self, security: Security, attempt: &Attempt<'_>, headers: &mut HeaderMap) -> Result<()> {
        for scheme in security.schemes() {
            match *scheme {
                SIGNATURE => {
                    if let Some(workspace) = &self.workspace {
                        workspace.sign(attempt, headers)?;
                    }
                }
                DEVICE_ID => {
                    if let Some(device_id) = self.device_id {
                        insert(headers, "x-device-id", &device_id.to_string())?;
                    }
                }
                scheme => {
                    let own = if scheme == DEVICE_TOKEN { self.device_token.as_ref() } else { None };
                    if let Some(token) = attempt.bearer.or(own) {
                        headers.insert(AUTHORIZATION, secret_header(&format!("Bearer {}", token.expose()))?);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What the credentials of one attempt are made from.
pub(crate) struct Attempt<'a> {
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) bearer: Option<&'a Secret>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) random: &'a dyn Random,
}

impl WorkspaceCredentials {
    fn sign(&self, attempt: &Attempt<'_>, headers: &mut HeaderMap) -> Result<()> {
        let timestamp = attempt.clock.now();
        let nonce = random::nonce(attempt.random);
        let signature = sign(&self.bridge_secret, timestamp, &nonce, attempt.body);
        insert(headers, "x-workspace-id", &self.workspace_id.to_string())?;
        insert(headers, "x-timestamp", &timestamp.as_millis().to_string())?;
        insert(headers, "x-nonce", &nonce)?;
        insert(headers, "x-signature", &signature)
    }
}

fn is_bearer(scheme: &str) -> bool {
    !matches!(scheme, SIGNATURE | DEVICE_ID)
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<()> {
    headers.insert(HeaderName::from_static(name), secret_header(value)?);
    Ok(())
}

fn secret_header(value: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::Configuration(
            "a credential holds a character that cannot be sent; copy it again, without line breaks".into(),
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn describe(alternatives: &[Security]) -> String {
    let alternatives: Vec<_> = alternatives
        .iter()
        .map(|security| security.schemes().iter().map(|scheme| how_to_set(scheme)).collect::<Vec<_>>().join(" and "))
        .collect();
    alternatives.join(", or ")
}

fn how_to_set(scheme: &str) -> String {
    match scheme {
        SIGNATURE => {
            "a workspace (`ClientBuilder::workspace`, or FLIGHTDECK_WORKSPACE_ID and FLIGHTDECK_BRIDGE_SECRET)".into()
        }
        DEVICE_TOKEN => "a device token (`ClientBuilder::device_token`, or FLIGHTDECK_DEVICE_TOKEN)".into(),
        DEVICE_ID => "a device id (`ClientBuilder::device_id`, or FLIGHTDECK_DEVICE_ID)".into(),
        other => format!("a bearer token for this call (`Call::bearer`, scheme `{other}`)"),
    }
}
