//! Plays one example, and before it everything that it is given, against a server of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::OperationInfo;
use flightdeck_tests::raw::Signer;
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::{Answer, Kind, Request, TestOptions, TestServer, document};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::example::{self, Example, ExampleRequest, RepositoryState, Step, plain};
use super::names::Names;

/// What a request proves itself with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Credential {
    OfTheExample,
    None,
    /// One of the schemes of `openapi.yaml`, or `deviceSignature`.
    Scheme(&'static str),
}

/// What an agent does in an example is done sooner.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a stranger, or anybody else, comes to have credentials.
const PAIRING: [&str; 3] = ["pairing/startPairing", "pairing/completePairing", "pairing/getPairingResult"];

/// The names of the two keys that a workspace has after its pairing.
const OF_THE_MACHINE: &str = "bridge_secret";
const OF_THE_DEVICE: &str = "device_bridge_secret";

/// Plays an example.
pub(super) async fn play(database: Kind, operation: Option<&OperationInfo>, example: &Example) -> Result<()> {
    Player::start(options(database, &example.given)?).await?.play(operation, example).await
}

/// The settings of the server that an example is given.
pub(super) fn options(database: Kind, given: &[Step]) -> Result<TestOptions> {
    let mut options = TestOptions::new(database);
    for (index, step) in given.iter().enumerate() {
        // Settings hold for the whole server, so they are needed before it starts.
        if let Step::Server(settings) = step {
            ensure!(index == 0, "`server` has to be the first step");
            options = settings.iter().fold(options, |options, (name, value)| match (name.as_str(), value.as_str()) {
                // With the secrets that an example would only be cluttered by.
                ("FLIGHTDECK_ENV", "production") => options.production(),
                _ => options.set(name, value),
            });
        }
    }
    Ok(options)
}

/// Somebody who does what examples say, and remembers what they bound.
pub(crate) struct Player {
    pub(crate) server: TestServer,
    pub(super) names: Names,
    done: BTreeSet<String>,
}

impl Player {
    pub(crate) async fn start(options: TestOptions) -> Result<Self> {
        let server = TestServer::with(options).await?;
        let mut names = Names::default();
        names.bind("companion_token", COMPANION_TOKEN);
        Ok(Self { server, names, done: BTreeSet::new() })
    }

    /// Brings about what the success of an operation is given, and gives the request that would succeed now, with or
    /// without its credential. Asking again gives it again, signed anew.
    pub(crate) async fn ready(&mut self, operation: &OperationInfo, credential: Credential) -> Result<Request> {
        let mut example = example::load(operation, "success")?;
        for step in &example.given {
            self.step(step).await?;
        }
        match credential {
            Credential::OfTheExample => {}
            Credential::None => example.request.credential = None,
            Credential::Scheme(scheme) => example.request.credential = Some(scheme.to_owned()),
        }
        self.request(Some(operation), &example.request)
    }

    /// Signs a request, in place of whatever signature it has.
    pub(crate) fn sign(&self, request: Request) -> Result<Request> {
        let unsigned =
            ["X-Signature", "X-Timestamp", "X-Nonce"].iter().fold(request, |request, name| request.without(name));
        Ok(unsigned.sign(&self.signer(OF_THE_MACHINE)?))
    }

    /// Brings about one more thing.
    pub(crate) async fn given(&mut self, step: &str) -> Result<()> {
        let step: Step = serde_json::from_value(step.into())?;
        self.step(&step).await
    }

    async fn play(&mut self, operation: Option<&OperationInfo>, example: &Example) -> Result<()> {
        for step in &example.given {
            Box::pin(self.step(step)).await?;
        }
        let request = self.request(operation, &example.request)?;
        let expected = example.response.status()?;
        let mut answer = self.server.send(&request).await?;
        for _ in 1..example.request.repeat.unwrap_or(1) {
            if answer.status == expected {
                break;
            }
            // A repeated request is a new one, so it is signed anew.
            let request = self.request(operation, &example.request)?;
            answer = self.server.send(&request).await?;
        }
        self.compare(example, expected, &answer)
            .with_context(|| format!("{} {} answered {}", request.method, request.target, shown(&answer)))
    }

    pub(super) async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Server(_) => {}
            Step::Later(duration) => self.server.advance(*duration),
            Step::DatabaseGone => self.server.database().take_away().await?,
            Step::DatabaseBroken => self.server.database().break_tables().await?,
            Step::Success(name) => self.success(name).await?,
            Step::Repository(RepositoryState::Clean) => {
                if !self.names.has("repo") {
                    self.names.bind("repo", self.server.repository()?.text());
                }
            }
            Step::Repository(state) => super::repository::turn(Path::new(self.names.text("repo")?), *state)?,
            Step::TaskReady => self.task_is_ready().await?,
            Step::Stranger => {
                self.names.forget_pairing();
                if self.names.has("session_id") {
                    self.names.forget_session();
                    self.done.retain(|name| !name.starts_with("cockpit/"));
                }
                for name in PAIRING {
                    self.done.remove(name);
                }
                self.success(PAIRING[2]).await?;
            }
        }
        Ok(())
    }

    /// Waits for the agent of the task to be done.
    async fn task_is_ready(&self) -> Result<()> {
        let request = Request::get(format!("/api/tasks/{}", self.names.text("task_id")?));
        let request = request.bearer(self.names.text("session_token")?);
        let ready = self.server.hurry(async {
            loop {
                let task = self.server.send(&request).await?.success()?;
                match task["status"].as_str().unwrap_or_default() {
                    "ready" => return anyhow::Ok(()),
                    "planning" | "running" => tokio::time::sleep(Duration::from_millis(10)).await,
                    other => bail!("the task is {other}: {task}"),
                }
            }
        });
        tokio::time::timeout(PATIENCE, ready).await.context("the task does not become ready")?
    }

    /// Plays the success of `<surface>/<operationId>`, once.
    async fn success(&mut self, name: &str) -> Result<()> {
        if !self.done.insert(name.to_owned()) {
            return Ok(());
        }
        let (surface, id) = name.split_once('/').with_context(|| format!("{name:?} is not a step"))?;
        let operation = document::operation(id);
        ensure!(operation.surface == surface, "{id} belongs to the surface {}", operation.surface);
        let example = example::load(operation, "success")?;
        self.play(Some(operation), &example).await.with_context(|| format!("in the step {name}"))
    }

    pub(super) fn request(&mut self, operation: Option<&OperationInfo>, example: &ExampleRequest) -> Result<Request> {
        let (method, template) = match (operation, &example.method, &example.route) {
            (Some(operation), None, None) => (operation.method, operation.path),
            (None, Some(method), Some(route)) => (method.as_str(), route.as_str()),
            _ => bail!("a request belongs to an operation, or has `method` and `route`"),
        };
        let mut target = template.to_owned();
        for (name, value) in &example.path {
            let placeholder = format!("{{{name}}}");
            ensure!(target.contains(&placeholder), "{template} has no parameter {name}");
            target = target.replace(&placeholder, &plain(&self.names.fill(value)?));
        }
        ensure!(!target.contains('{'), "{target} lacks a parameter");
        target.push_str(&self.query(example)?);

        let mut request = Request::new(method, target);
        match (&example.body, &example.text) {
            (Some(body), None) => request = request.json(&self.names.fill(body)?),
            (None, Some(text)) => request = request.bytes(text.as_str()),
            (None, None) => {}
            (Some(_), Some(_)) => bail!("a request has either `body` or `text`"),
        }
        for (name, value) in &example.headers {
            request = request.header(name, plain(&self.names.fill(value)?));
        }
        self.prove(request.withhold(example.withhold), example.credential.as_deref())
    }

    fn query(&mut self, example: &ExampleRequest) -> Result<String> {
        if example.query.is_empty() {
            return Ok(String::new());
        }
        let mut query = form_urlencoded::Serializer::new(String::from("?"));
        for (name, value) in &example.query {
            let value = self.names.fill(value)?;
            for item in value.as_array().unwrap_or(&vec![value.clone()]) {
                query.append_pair(name, &plain(item));
            }
        }
        Ok(query.finish())
    }

    fn prove(&mut self, request: Request, credential: Option<&str>) -> Result<Request> {
        Ok(match credential {
            None => request,
            Some("deviceToken") => request.bearer(self.names.text("device_token")?),
            Some("pollToken") => request.bearer(self.names.text("poll_token")?),
            Some("companionToken") => request.bearer(self.names.text("companion_token")?),
            Some("sessionToken") => request.bearer(self.names.text("session_token")?),
            Some("hubToken") => request.bearer(self.names.text("hub_token")?),
            Some("deviceId") => request.header("X-Device-Id", self.names.text("device_id")?),
            Some("signature") => self.signed(request, OF_THE_MACHINE)?,
            Some("deviceSignature") => self.signed(request, OF_THE_DEVICE)?,
            Some(other) => bail!("{other} is not a credential"),
        })
    }

    fn signed(&mut self, request: Request, key: &str) -> Result<Request> {
        let request = request.sign(&self.signer(key)?);
        self.names.bind("nonce", request.header_text("X-Nonce").unwrap_or_default());
        Ok(request)
    }

    fn signer(&self, key: &str) -> Result<Signer> {
        Ok(Signer {
            workspace_id: self.names.text("workspace_id")?.parse()?,
            secret: self.names.text(key)?.to_owned(),
            now: self.server.now(),
        })
    }

    fn compare(&mut self, example: &Example, expected: u16, answer: &Answer) -> Result<()> {
        ensure!(answer.status == expected, "the status is {} instead of {expected}", answer.status);
        let response = &example.response;
        if let Some(code) = &response.error {
            let catalogue = ErrorCode::ALL.iter().find(|known| known.as_str() == code).context("an unknown code")?;
            let got = answer.json();
            // The sentence is for a person and may be more precise than the catalogue's.
            let mut body = json!({
                "code": catalogue.as_str(),
                "action": catalogue.action(),
                "error": "${text}",
                "request_id": "${text}",
            });
            match &response.details {
                Some(details) => body["details"] = details.clone(),
                None if got.get("details").is_some() => body["details"] = "${any}".into(),
                None => {}
            }
            return self.names.compare("", &body, &got);
        }
        match &response.body {
            None => ensure!(answer.body.is_empty(), "there is a body"),
            Some(Value::String(text)) if text == "${text}" => ensure!(!answer.body.is_empty(), "there is no body"),
            Some(body) => self.names.compare("", body, &answer.json())?,
        }
        Ok(())
    }
}

fn shown(answer: &Answer) -> String {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
}
