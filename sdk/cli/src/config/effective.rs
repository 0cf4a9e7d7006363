//! Which value counts: flag, then environment, then the project's credential, then `config.toml`, then the default.
//!
//! A pairing's key is used with the pairing's server only. A person who names another server is not paired there; the
//! hook does not listen to the environment where there is a pairing, because the agent may have a hand in it.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use flightdeck_sdk::{Client, Credentials as ClientCredentials, Secret, WorkspaceCredentials};
use uuid::Uuid;

use super::credentials::is_same_server;
use super::{
    CompanionToken, ConfigFile, Credentials, Delivery, DeviceCredential, Gate, HookConfig, Places, ProjectCredential,
    WhenUnreachable,
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
    /// What agents of the companion, and those who talk to them, prove themselves with.
    pub(crate) companion_token: CompanionToken,
    pub(crate) gate: (Gate, Source),
    pub(crate) when_unreachable: (WhenUnreachable, Source),
    pub(crate) delivery: (Delivery, Source),
    pub(crate) hook: HookConfig,
    /// Variables that contradict the pairing, where it goes before them.
    pub(crate) ignored: Vec<&'static str>,
}

/// What the command line says about the same values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    pub(crate) url: Option<String>,
    pub(crate) gate: Option<Gate>,
    pub(crate) when_unreachable: Option<WhenUnreachable>,
    /// The pairing says which server and which workspace, whatever the environment says. For hooks.
    pub(crate) pairing_first: bool,
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
        let fixed = project.as_ref().filter(|_| flags.pairing_first);
        let from_project =
            project.as_ref().map(|(root, credential)| (credential.url.clone(), Source::Pairing(root.clone())));
        let from_environment = || text("FLIGHTDECK_URL").map(|url| (url, Source::Variable("FLIGHTDECK_URL")));
        let url = flags
            .url
            .map(|url| (url, Source::Flag("--url")))
            .or_else(|| if fixed.is_some() { None } else { from_environment() })
            .or(from_project)
            .or_else(|| file.url.clone().map(|url| (url, Source::File)))
            .unwrap_or_else(|| (DEFAULT_URL.to_owned(), Source::Default));
        let device = credentials.device(&url.0).cloned();
        let workspace = match (fixed, from_variables()) {
            (Some(project), _) => Some(of_project(project)),
            (None, from_variables) => from_variables?.or_else(|| {
                let here = project.as_ref().filter(|(_, credential)| is_same_server(&credential.url, &url.0));
                here.map(of_project)
            }),
        };
        Ok(Self {
            ignored: fixed.map(|(_, credential)| contradictions(credential)).unwrap_or_default(),
            device: device_token(device.as_ref()),
            device_id: device.map(|device| device.device_id),
            companion_token: CompanionToken::find(&places, &file.companion),
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
        ..ClientCredentials::default()
    };
    if credentials.workspace.is_none() && credentials.device_token.is_none() {
        return Err(not_paired(effective));
    }
    client(effective, credentials)
}

/// A client that signs for the folder's workspace.
pub(crate) fn connect_signed(effective: &Effective) -> Result<Client> {
    let Some((workspace, _)) = &effective.workspace else { return Err(not_paired(effective)) };
    client(effective, signing(workspace))
}

/// The same, at the pairing's own address, for a person who gave another one with `--url`: one server may have several,
/// and others reach it by one that this machine does not use.
pub(crate) fn connect_paired(effective: &Effective) -> Result<Client> {
    match (&effective.workspace, &effective.project, &effective.url.1) {
        (None, Some(project), Source::Flag(_)) => {
            let (workspace, source) = of_project(project);
            client_at(&project.1.url, &source, signing(&workspace))
        }
        _ => connect_signed(effective),
    }
}

fn signing(workspace: &WorkspaceCredentials) -> ClientCredentials {
    ClientCredentials { workspace: Some(workspace.clone()), ..ClientCredentials::default() }
}

impl Effective {
    /// The server that the project is paired with, if it is not the one that counts here.
    pub(crate) fn paired_elsewhere(&self) -> Option<&str> {
        let (_, credential) = self.project.as_ref().filter(|_| self.workspace.is_none())?;
        Some(&credential.url)
    }

    /// A client without credentials, for what is open to all.
    pub(crate) fn connect_anonymous(&self) -> Result<Client> {
        client(self, ClientCredentials::default())
    }

    /// A client that is the device and nothing else.
    pub(crate) fn connect_device(&self) -> Option<Result<Client>> {
        let (token, _) = self.device.as_ref()?;
        let credentials = ClientCredentials { device_token: Some(token.clone()), ..ClientCredentials::default() };
        Some(client(self, credentials))
    }
}

fn client(effective: &Effective, credentials: ClientCredentials) -> Result<Client> {
    client_at(&effective.url.0, &effective.url.1, credentials)
}

fn client_at(url: &str, source: &Source, credentials: ClientCredentials) -> Result<Client> {
    let user_agent = concat!("flightdeck-cli/", env!("CARGO_PKG_VERSION"));
    Client::builder()
        .base_url(url)
        .credentials(credentials)
        .user_agent(user_agent)
        .build()
        .map_err(|error| anyhow!("{error} (the address is from: {source})"))
}

fn not_paired(effective: &Effective) -> anyhow::Error {
    let (url, source) = &effective.url;
    let message = match effective.paired_elsewhere() {
        Some(paired) => format!(
            "this project is paired with {paired}, and its key is for that server only, but the server here is {url} \
             (from: {source}); leave that out, or pair the project with that server: flightdeck pair --replace --url {url}"
        ),
        None => format!(
            "this folder is not paired with {url}, and neither is this machine as a device; run `flightdeck pair` here"
        ),
    };
    Failure::new(Exit::NotPaired, message).into()
}

fn of_project((root, credential): &(PathBuf, ProjectCredential)) -> (WorkspaceCredentials, Source) {
    let workspace =
        WorkspaceCredentials { workspace_id: credential.workspace_id, bridge_secret: credential.bridge_secret.clone() };
    (workspace, Source::Pairing(root.clone()))
}

/// The variables that say something else than the pairing.
fn contradictions(credential: &ProjectCredential) -> Vec<&'static str> {
    let url = text("FLIGHTDECK_URL").filter(|url| !is_same_server(url, &credential.url));
    let workspace = text("FLIGHTDECK_WORKSPACE_ID").filter(|id| *id != credential.workspace_id.to_string());
    [("FLIGHTDECK_URL", url), ("FLIGHTDECK_WORKSPACE_ID", workspace)]
        .into_iter()
        .filter_map(|(name, other)| other.map(|_| name))
        .collect()
}

fn from_variables() -> Result<Option<(WorkspaceCredentials, Source)>> {
    match (text("FLIGHTDECK_WORKSPACE_ID"), text("FLIGHTDECK_BRIDGE_SECRET")) {
        (Some(id), Some(secret)) => {
            let workspace_id = id
                .parse()
                .map_err(|_| anyhow!("FLIGHTDECK_WORKSPACE_ID is {id:?}, which is not an id; correct or unset it"))?;
            let workspace = WorkspaceCredentials { workspace_id, bridge_secret: secret.into() };
            Ok(Some((workspace, Source::Variable("FLIGHTDECK_BRIDGE_SECRET"))))
        }
        (None, None) => Ok(None),
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
pub(super) fn text(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}
