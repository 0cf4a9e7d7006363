//! Which value counts: flag, then environment, then the project's credential, then `config.toml`, then the default.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use flightdeck_sdk::{Client, Credentials as ClientCredentials, Secret, WorkspaceCredentials};
use uuid::Uuid;

use super::{
    ConfigFile, Credentials, Delivery, DeviceCredential, Gate, HookConfig, Places, ProjectCredential, WhenUnreachable,
};
use crate::exit::{Exit, Failure};

const DEFAULT_URL: &str = "http://127.0.0.1:8787";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Flag(&'static str),
    Variable(&'static str),
    Pairing(PathBuf),
    File,
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(formatter, "flag {name}"),
            Self::Variable(name) => write!(formatter, "variable {name}"),
            Self::Pairing(root) => write!(formatter, "pairing of {}", root.display()),
            Self::File => formatter.write_str("config.toml"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// The values that count in a folder.
#[derive(Debug)]
pub(crate) struct Effective {
    pub(crate) places: Places,
    pub(crate) url: (String, Source),
    /// The workspace to sign for, if the folder belongs to one.
    pub(crate) workspace: Option<(WorkspaceCredentials, Source)>,
    /// The pairing that covers the folder, and its root.
    pub(crate) project: Option<(PathBuf, ProjectCredential)>,
    /// The device that this machine is on the server.
    pub(crate) device: Option<(Secret, Source)>,
    pub(crate) device_id: Option<Uuid>,
    pub(crate) gate: (Gate, Source),
    pub(crate) when_unreachable: (WhenUnreachable, Source),
    pub(crate) delivery: (Delivery, Source),
    pub(crate) hook: HookConfig,
}

/// What the command line says about the same values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    pub(crate) url: Option<String>,
    pub(crate) gate: Option<Gate>,
    pub(crate) when_unreachable: Option<WhenUnreachable>,
}

impl Effective {
    /// The values for a folder.
    pub(crate) fn load(places: Places, flags: Flags, folder: &Path) -> Result<Self> {
        let file = ConfigFile::read(&places.config_file())?;
        Self::with_file(places, file, flags, folder)
    }

    /// The same, with the file's content at hand.
    pub(crate) fn with_file(places: Places, file: ConfigFile, flags: Flags, folder: &Path) -> Result<Self> {
        let credentials = Credentials::read(&places)?;
        let project = credentials.for_folder(folder).map(|(root, credential)| (root, credential.clone()));
        let from_project =
            project.as_ref().map(|(root, credential)| (credential.url.clone(), Source::Pairing(root.clone())));
        let url = flags
            .url
            .map(|url| (url, Source::Flag("--url")))
            .or_else(|| text("FLIGHTDECK_URL").map(|url| (url, Source::Variable("FLIGHTDECK_URL"))))
            .or(from_project)
            .or_else(|| file.url.clone().map(|url| (url, Source::File)))
            .unwrap_or_else(|| (DEFAULT_URL.to_owned(), Source::Default));
        let device = credentials.device(&url.0).cloned();
        let workspace = workspace(project.as_ref())?;
        Ok(Self {
            device: device_token(device.as_ref()),
            device_id: device.map(|device| device.device_id),
            workspace,
            project,
            gate: choose(flags.gate, "--gate", "FLIGHTDECK_GATE", file.hook.gate)?,
            when_unreachable: choose(
                flags.when_unreachable,
                "--when-unreachable",
                "FLIGHTDECK_WHEN_UNREACHABLE",
                file.hook.when_unreachable,
            )?,
            delivery: choose(None, "", "FLIGHTDECK_DELIVERY", file.hook.delivery)?,
            hook: file.hook,
            url,
            places,
        })
    }
}

/// A client that decides and watches: as the device if there is one, else as the workspace.
pub(crate) fn connect(effective: &Effective) -> Result<Client> {
    let credentials = ClientCredentials {
        workspace: effective.workspace.as_ref().map(|(workspace, _)| workspace.clone()),
        device_token: effective.device.as_ref().map(|(token, _)| token.clone()),
        device_id: None,
    };
    if credentials.workspace.is_none() && credentials.device_token.is_none() {
        return Err(not_paired(effective));
    }
    client(effective, credentials)
}

/// A client that signs for the folder's workspace.
pub(crate) fn connect_signed(effective: &Effective) -> Result<Client> {
    let Some((workspace, _)) = &effective.workspace else { return Err(not_paired(effective)) };
    let credentials = ClientCredentials { workspace: Some(workspace.clone()), device_token: None, device_id: None };
    client(effective, credentials)
}

impl Effective {
    /// A client without credentials, for what is open to all.
    pub(crate) fn connect_anonymous(&self) -> Result<Client> {
        client(self, ClientCredentials::default())
    }

    /// A client that is the device and nothing else.
    pub(crate) fn connect_device(&self) -> Option<Result<Client>> {
        let (token, _) = self.device.as_ref()?;
        let credentials = ClientCredentials { workspace: None, device_token: Some(token.clone()), device_id: None };
        Some(client(self, credentials))
    }
}

fn client(effective: &Effective, credentials: ClientCredentials) -> Result<Client> {
    let user_agent = concat!("flightdeck-cli/", env!("CARGO_PKG_VERSION"));
    Client::builder()
        .base_url(&effective.url.0)
        .credentials(credentials)
        .user_agent(user_agent)
        .build()
        .map_err(|error| anyhow!("{error} (the address is from: {})", effective.url.1))
}

fn not_paired(effective: &Effective) -> anyhow::Error {
    Failure::new(
        Exit::NotPaired,
        format!(
            "this folder is not paired with {}, and neither is this machine as a device; run `flightdeck pair` here",
            effective.url.0
        ),
    )
    .into()
}

fn workspace(project: Option<&(PathBuf, ProjectCredential)>) -> Result<Option<(WorkspaceCredentials, Source)>> {
    match (text("FLIGHTDECK_WORKSPACE_ID"), text("FLIGHTDECK_BRIDGE_SECRET")) {
        (Some(id), Some(secret)) => {
            let workspace_id = id
                .parse()
                .map_err(|_| anyhow!("FLIGHTDECK_WORKSPACE_ID is {id:?}, which is not an id; correct or unset it"))?;
            let workspace = WorkspaceCredentials { workspace_id, bridge_secret: secret.into() };
            Ok(Some((workspace, Source::Variable("FLIGHTDECK_BRIDGE_SECRET"))))
        }
        (None, None) => Ok(project.map(|(root, credential)| {
            let workspace = WorkspaceCredentials {
                workspace_id: credential.workspace_id,
                bridge_secret: credential.bridge_secret.clone(),
            };
            (workspace, Source::Pairing(root.clone()))
        })),
        _ => Err(anyhow!(
            "FLIGHTDECK_WORKSPACE_ID and FLIGHTDECK_BRIDGE_SECRET go together, but only one is set; set or unset both"
        )),
    }
}

fn device_token(device: Option<&DeviceCredential>) -> Option<(Secret, Source)> {
    text("FLIGHTDECK_DEVICE_TOKEN")
        .map(|token| (Secret::from(token), Source::Variable("FLIGHTDECK_DEVICE_TOKEN")))
        .or_else(|| {
            let device = device?;
            Some((device.device_token.clone(), Source::Pairing(PathBuf::from(&device.name))))
        })
}

fn choose<T: ValueEnum + Default>(
    flag: Option<T>,
    flag_name: &'static str,
    variable: &'static str,
    file: Option<T>,
) -> Result<(T, Source)> {
    if let Some(value) = flag {
        return Ok((value, Source::Flag(flag_name)));
    }
    if let Some(value) = text(variable) {
        let value = T::from_str(&value, true).map_err(|_| {
            let names: Vec<_> = T::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
            let names: Vec<_> = names.iter().map(PossibleValue::get_name).collect();
            anyhow!("{variable} is {value:?}, which is none of {}; correct or unset it", names.join(", "))
        })?;
        return Ok((value, Source::Variable(variable)));
    }
    Ok(file.map_or((T::default(), Source::Default), |value| (value, Source::File)))
}

/// A variable that is set and not blank.
fn text(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}
