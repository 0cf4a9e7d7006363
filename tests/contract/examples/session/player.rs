//! Plays one session on a server of its own. The script says when a client is connected again: until then the line is held,
//! so that what happens meanwhile happens meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flightdeck_tests::socket::Line;
use flightdeck_tests::socket::document::Socket;
use flightdeck_tests::{Kind, document};
use serde_json::Value;

use super::peer::{self, Peer, Reason, Told};
use super::script::{Action, Call, Scene, Script};
use crate::examples::example::{self, Step};
use crate::examples::player::{Player, options};

/// How long to wait for what passing time brings before it passes on.
const NUDGE: Duration = Duration::from_millis(250);

/// How long a request is repeated that waits for something.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn play(database: Kind, socket: &'static Socket, script: &Script) -> Result<()> {
    let mut player = Player::start(options(database, &script.given)?).await?;
    for step in &script.given {
        player.step(step).await?;
    }
    let mut session =
        Session { socket, player, clients: BTreeMap::new(), time_has_passed: false, waits_for_a_sign_of_life: false };
    for (index, scene) in script.session.iter().enumerate() {
        let Scene { client, action } = scene;
        session.act(client, action).await.with_context(|| format!("step {}, {client}: {action:?}", index + 1))?;
    }
    session.end().await
}

struct Session {
    socket: &'static Socket,
    player: Player,
    clients: BTreeMap<String, Client>,
    /// The server's time has been moved, and whatever that brings has not come yet.
    time_has_passed: bool,
    waits_for_a_sign_of_life: bool,
}

struct Client {
    peer: Box<dyn Peer>,
    line: Line,
    /// The raw data that has come and that no step was about.
    raw: Vec<u8>,
}

impl Session {
    async fn act(&mut self, name: &str, action: &Action) -> Result<()> {
        match action {
            Action::Connect { call, refused } => self.connect(name, call, refused.as_deref()).await?,
            Action::Send(message) => {
                let message = self.player.names.fill(message)?;
                self.client(name)?.peer.say(&message).await?;
            }
            Action::Type(text) => self.client(name)?.peer.type_in(text).await?,
            Action::Shows(text) => self.shows(name, text).await?,
            Action::Expect(messages) => {
                self.waits_for_a_sign_of_life = messages.iter().any(is_sign_of_life);
                self.expect(name, messages).await?;
                self.waits_for_a_sign_of_life = false;
            }
            Action::Drop => {
                self.client(name)?.line.cut();
                match self.told(name).await? {
                    Told::Disconnected(_) => {}
                    other => bail!("{other:?} came"),
                }
            }
            Action::Restart => self.restart().await?,
            Action::Resumed => self.connected(name, true).await?,
            Action::Renewed => self.connected(name, false).await?,
            Action::Resync(key) => {
                let key = key.as_ref().map(|key| self.player.names.fill_text(key)).transpose()?;
                match self.told(name).await? {
                    Told::Resync(of) if of == key => {}
                    other => bail!("{other:?} came"),
                }
            }
            Action::Close => {
                self.client(name)?.peer.close();
                match self.told(name).await? {
                    Told::Closed(Reason::Wanted) => drop(self.clients.remove(name)),
                    other => bail!("{other:?} came"),
                }
            }
            Action::Closed(code) => self.closed(name, code).await?,
            Action::Request(call) => self.request(call).await?,
            Action::Given(step) => {
                self.time_has_passed |= matches!(step, Step::Later(_));
                self.player.step(step).await?;
            }
        }
        Ok(())
    }

    async fn connect(&mut self, name: &str, call: &Call, refused: Option<&str>) -> Result<()> {
        ensure!(!self.clients.contains_key(name), "{name} is connected already");
        let token = match call.credential.as_deref() {
            None => None,
            Some("deviceToken") => Some(self.player.names.text("device_token")?),
            Some("companionToken") => Some(self.player.names.text("companion_token")?),
            Some("sessionToken") => Some(self.player.names.text("session_token")?),
            Some("hubToken") => Some(self.player.names.text("hub_token")?),
            Some(other) => bail!("{other} does not open a socket"),
        };
        let token = token.map(str::to_owned);
        let parameters = self.player.names.fill(&Value::Object(call.parameters.clone()))?;
        let parameters = parameters.as_object().context("parameters are a mapping")?;
        let line = Line::default();
        line.lead_to(self.player.server.address());
        let sdk = self.player.server.client_over(&line);
        let peer = peer::connect(&sdk, &self.socket.name, parameters, token.as_deref())?;
        self.clients.insert(name.to_owned(), Client { peer, line, raw: Vec::new() });
        let Some(code) = refused else { return self.connected(name, false).await };
        match self.told(name).await? {
            Told::Closed(Reason::Refused(with)) | Told::Disconnected(Reason::Refused(with)) if with == code => {
                self.clients.remove(name);
                Ok(())
            }
            other => bail!("{other:?} came in place of a refusal with {code}"),
        }
    }

    fn client(&mut self, name: &str) -> Result<&mut Client> {
        self.clients.get_mut(name).with_context(|| format!("{name} is not connected"))
    }

    /// What a client is told next. What goes by the server's time may have begun to wait only after that was moved; so it is
    /// moved on if nothing comes.
    async fn told(&mut self, name: &str) -> Result<Told> {
        let client = self.clients.get_mut(name).with_context(|| format!("{name} is not connected"))?;
        loop {
            let mut told = std::pin::pin!(client.peer.told());
            let told = loop {
                tokio::select! {
                    told = &mut told => break told?,
                    () = tokio::time::sleep(NUDGE), if self.time_has_passed => {
                        self.player.server.advance(Duration::from_secs(1));
                    }
                }
            };
            match &told {
                // Whoever is not asked about it passes it over.
                Told::Raw(data) => client.raw.extend(data),
                // They come when they come.
                Told::Message(message) if !self.waits_for_a_sign_of_life && is_sign_of_life(message) => {}
                _ => {
                    self.time_has_passed = false;
                    return Ok(told);
                }
            }
        }
    }

    /// Lets a client connect, once.
    async fn connected(&mut self, name: &str, resumed: bool) -> Result<()> {
        self.client(name)?.line.release();
        match self.told(name).await? {
            Told::Connected { resumed: got } if got == resumed => {}
            other => bail!("{other:?} came"),
        }
        self.client(name)?.line.hold();
        Ok(())
    }

    /// The next messages are these, in whatever order.
    async fn expect(&mut self, name: &str, messages: &[Value]) -> Result<()> {
        let mut missing: Vec<_> = messages.iter().collect();
        while !missing.is_empty() {
            let message = match self.told(name).await.with_context(|| format!("waiting for {missing:?}"))? {
                Told::Message(message) => message,
                other => bail!("{other:?} came in place of a message"),
            };
            let mut differences = Vec::new();
            let found = missing.iter().position(|expected| {
                // What does not fit must not bind names.
                let mut names = self.player.names.clone();
                match names.compare("", expected, &message) {
                    Ok(()) => {
                        self.player.names = names;
                        true
                    }
                    Err(error) => {
                        differences.push(format!("{error:#}"));
                        false
                    }
                }
            });
            let found = found.with_context(|| format!("{message} came: {}", differences.join("; ")))?;
            missing.remove(found);
        }
        Ok(())
    }

    /// Raw data with this in it comes, or has come.
    async fn shows(&mut self, name: &str, text: &str) -> Result<()> {
        let wanted = text.as_bytes();
        loop {
            let client = self.client(name)?;
            if let Some(at) = client.raw.windows(wanted.len()).position(|window| window == wanted) {
                client.raw.drain(..at + wanted.len());
                return Ok(());
            }
            match client.peer.told().await? {
                Told::Raw(data) => client.raw.extend(data),
                other => bail!("{other:?} came after {:?}", String::from_utf8_lossy(&client.raw)),
            }
        }
    }

    async fn restart(&mut self) -> Result<()> {
        self.player.server.restart().await?;
        let names: Vec<_> = self.clients.keys().cloned().collect();
        for name in &names {
            let address = self.player.server.address().to_owned();
            self.client(name)?.line.lead_to(&address);
            match self.told(name).await.with_context(|| format!("{name} after the restart"))? {
                Told::Disconnected(Reason::Code(code)) if code == "going_away" => {}
                other => bail!("{name} was told {other:?} of the restart"),
            }
        }
        Ok(())
    }

    async fn closed(&mut self, name: &str, code: &str) -> Result<()> {
        let row = self.socket.close_codes.values().find(|row| row.name == code);
        let row = row.with_context(|| format!("the socket does not declare {code}"))?;
        match (self.told(name).await?, row.reconnect.as_str()) {
            (Told::Closed(Reason::Code(with)), "never") if with == code => {
                self.clients.remove(name);
            }
            (Told::Disconnected(Reason::Code(with)), "resume" | "fresh") if with == code => {}
            (other, reconnect) => bail!("{other:?} came; after {code} a client should reconnect: {reconnect}"),
        }
        Ok(())
    }

    /// Calls an operation as its example does, but for what the script changes. Names in the answer are bound anew.
    async fn request(&mut self, call: &Call) -> Result<()> {
        let (_, id) = call.operation.split_once('/').context("a request is <surface>/<operationId>")?;
        let operation = document::operation(id);
        let mut example = example::load(operation, "success")?;
        call.apply(&mut example.request)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.player.request(Some(operation), &example.request)?;
            let got = self.player.server.send(&request).await?.success()?;
            let outcome = match (&call.response, &example.response.body) {
                (Some(expected), _) => self.player.names.compare("", expected, &got),
                (None, Some(example)) => {
                    self.player.names.rebind(example, &got);
                    Ok(())
                }
                (None, None) => Ok(()),
            };
            match outcome {
                Err(_) if call.repeat && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    if self.time_has_passed {
                        self.player.server.advance(Duration::from_secs(1));
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Nothing is left that nobody expected.
    async fn end(mut self) -> Result<()> {
        for (name, client) in &mut self.clients {
            while let Some(told) = client.peer.told_already().await? {
                if matches!(told, Told::Raw(_)) {
                    continue;
                }
                let expected = matches!(&told, Told::Message(message) if is_sign_of_life(message));
                ensure!(expected, "at the end, {name} was told {told:?}");
            }
        }
        Ok(())
    }
}

/// Whether a message says nothing but that the server is there.
fn is_sign_of_life(message: &Value) -> bool {
    matches!(message["type"].as_str(), Some("heartbeat" | "ping"))
}
