//! The `FLIGHTDECK_*` variables. Values are checked when they are used, so that a wrong one which the program
//! overrides does no harm.

use std::time::Duration;

use uuid::Uuid;

use crate::runtime::{Secret, WorkspaceCredentials};
use crate::{Error, Result};

const URL: &str = "FLIGHTDECK_URL";
const WORKSPACE_ID: &str = "FLIGHTDECK_WORKSPACE_ID";
const BRIDGE_SECRET: &str = "FLIGHTDECK_BRIDGE_SECRET";
const DEVICE_TOKEN: &str = "FLIGHTDECK_DEVICE_TOKEN";
const DEVICE_ID: &str = "FLIGHTDECK_DEVICE_ID";
const TIMEOUT: &str = "FLIGHTDECK_TIMEOUT_MS";
const DEADLINE: &str = "FLIGHTDECK_DEADLINE_MS";
const RETRIES: &str = "FLIGHTDECK_RETRIES";

/// The variables as they were found. Not read: nothing is set.
#[derive(Default)]
pub(crate) struct Environment {
    url: Option<String>,
    workspace_id: Option<String>,
    bridge_secret: Option<Secret>,
    device_token: Option<Secret>,
    device_id: Option<String>,
    timeout: Option<String>,
    deadline: Option<String>,
    retries: Option<String>,
}

impl Environment {
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        Self {
            url: text(URL),
            workspace_id: text(WORKSPACE_ID),
            bridge_secret: text(BRIDGE_SECRET).map(Secret::from),
            device_token: text(DEVICE_TOKEN).map(Secret::from),
            device_id: text(DEVICE_ID),
            timeout: text(TIMEOUT),
            deadline: text(DEADLINE),
            retries: text(RETRIES),
        }
    }

    pub(crate) fn base_url(&self) -> Option<String> {
        self.url.clone()
    }

    pub(crate) fn workspace(&self) -> Result<Option<WorkspaceCredentials>> {
        let missing = |missing: &str, given: &str| {
            Error::Configuration(format!(
                "{given} is set but {missing} is not; a workspace needs both, so set or unset both"
            ))
        };
        match (&self.workspace_id, &self.bridge_secret) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(missing(BRIDGE_SECRET, WORKSPACE_ID)),
            (None, Some(_)) => Err(missing(WORKSPACE_ID, BRIDGE_SECRET)),
            (Some(id), Some(secret)) => {
                Ok(Some(WorkspaceCredentials { workspace_id: uuid(WORKSPACE_ID, id)?, bridge_secret: secret.clone() }))
            }
        }
    }

    pub(crate) fn device_token(&self) -> Option<Secret> {
        self.device_token.clone()
    }

    pub(crate) fn device_id(&self) -> Result<Option<Uuid>> {
        self.device_id.as_deref().map(|id| uuid(DEVICE_ID, id)).transpose()
    }

    pub(crate) fn timeout(&self) -> Result<Option<Duration>> {
        self.timeout.as_deref().map(|text| millis(TIMEOUT, text)).transpose()
    }

    pub(crate) fn deadline(&self) -> Result<Option<Duration>> {
        self.deadline.as_deref().map(|text| millis(DEADLINE, text)).transpose()
    }

    pub(crate) fn retries(&self) -> Result<Option<u32>> {
        let parse = |text: &str| text.parse().map_err(|_| wrong(RETRIES, text, "a number of repetitions, such as 4"));
        self.retries.as_deref().map(parse).transpose()
    }
}

fn uuid(name: &str, text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| wrong(name, text, "an id such as 0192f0c1-0000-7000-8000-000000000000"))
}

fn millis(name: &str, text: &str) -> Result<Duration> {
    match text.parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err(wrong(name, text, "a time in milliseconds above zero, such as 30000")),
    }
}

fn wrong(name: &str, text: &str, expected: &str) -> Error {
    Error::Configuration(format!("{name} is {text:?}, which is not {expected}; set it to that, or unset it"))
}
