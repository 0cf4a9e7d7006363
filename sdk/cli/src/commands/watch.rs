//! `flightdeck watch`: follows streams, and shows each event as it happens.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use flightdeck_sdk::generated::workspaces::ListWorkspacesParameters;
use flightdeck_sdk::runtime::{Ending, Update};
use flightdeck_sdk::sockets::CloseCode;
use flightdeck_sdk::sockets::stream::{StreamProtocol, StreamServerMessage};
use flightdeck_sdk::types::{HubTokenRequest, StreamEvent, StreamFault, StreamSubscribe};
use flightdeck_sdk::{Client, Error, Secret, Socket};
use futures_util::stream::{SelectAll, StreamExt as _};
use serde::Serialize;

use super::Scene;
use super::find::{Typed, fits, short, typed};
use super::gist::{colour, gist};
use crate::cli::Watch;
use crate::config::connect;
use crate::exit::{Exit, Failure};
use crate::term::{self, Colour, Theme};

/// What `watch` is called on the hub, which it only listens to.
const HUB_NAME: &str = "flightdeck-watch";

pub(super) async fn run(scene: &Scene, watch: Watch) -> Result<()> {
    tokio::select! {
        result = follow(scene, watch) => result,
        // The usual way to end it, so no failure.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(scene: &Scene, watch: Watch) -> Result<()> {
    let streams = match watch.streams.as_slice() {
        [] => of_workspaces(scene).await?,
        words => {
            let mut streams = BTreeSet::new();
            for word in words {
                streams.insert(meant(scene, word).await?);
            }
            streams.into_iter().collect()
        }
    };
    let mut sockets = SelectAll::new();
    for access in [Access::Device, Access::Companion, Access::Hub] {
        let mine: Vec<_> = streams.iter().filter(|stream| access.opens(stream)).cloned().collect();
        if !mine.is_empty() {
            sockets.push(access.open(scene, mine, watch.since).await?);
        }
    }
    let width = streams.iter().map(|stream| shown(stream).chars().count()).max().unwrap_or_default();
    let mut show =
        Show { scene, beside: Theme::for_stderr(), width, open: streams.into_iter().collect(), was_there: false };
    while let Some(update) = sockets.next().await {
        show.update(update)?;
    }
    Ok(())
}

/// The approvals and the news of the workspaces that can be seen from here.
async fn of_workspaces(scene: &Scene) -> Result<Vec<String>> {
    let client = connect(&scene.effective)?;
    let mut workspaces =
        client.workspaces().list_workspaces_stream(&ListWorkspacesParameters::default().with_limit(200));
    let mut streams = Vec::new();
    while let Some(workspace) = workspaces.next().await {
        let id = workspace?.workspace_id;
        streams.extend([format!("approvals/{id}"), format!("workspaces/{id}")]);
    }
    if streams.is_empty() {
        let message = "there is no workspace to be seen from here; run `flightdeck pair` in a project";
        return Err(Failure::new(Exit::NotPaired, message).into());
    }
    Ok(streams)
}

/// The stream that a person means: its name, or the id of a run, of which a part will do.
async fn meant(scene: &Scene, word: &str) -> Result<String> {
    match word.split_once('/') {
        None | Some(("runs", _)) => {
            let word = word.strip_prefix("runs/").unwrap_or(word);
            if let Ok(Typed::Whole(id)) = typed(word) {
                return Ok(format!("runs/{id}"));
            }
            let run = super::runs::find(&connect(&scene.effective)?, word).await?;
            Ok(format!("runs/{}", run.run_id))
        }
        Some(("agents", word)) => agent(scene, word).await,
        Some(("chats", word)) => super::chat::stream(scene, word).await,
        Some(("workspaces" | "approvals" | "channels", _)) => Ok(word.to_owned()),
        Some(_) => Err(Failure::usage(format!(
            "{word:?} is no stream; streams are runs/ID, chats/ID, approvals/WORKSPACE, workspaces/WORKSPACE, agents/ID \
             and channels/CHANNEL"
        ))),
    }
}

/// The stream of an agent, by its id, a part of it, or its name.
async fn agent(scene: &Scene, word: &str) -> Result<String> {
    if let Ok(Typed::Whole(id)) = typed(word) {
        return Ok(format!("agents/{id}"));
    }
    let effective = &scene.effective;
    let mut call = effective.connect_anonymous()?.companion().list_agents();
    if let Some(token) = effective.companion_token.read()? {
        call = call.bearer(token);
    }
    let agents = call.await?.agents;
    let part = word.to_ascii_lowercase();
    let is_meant = |agent: &&flightdeck_sdk::types::Agent| agent.name == word || fits(agent.id, &part);
    let mut found = agents.iter().filter(is_meant);
    let agent = found.next().with_context(|| format!("there is no agent with a name or id like {word:?}"))?;
    if let Some(other) = found.next() {
        let (one, two) = (agent.id, other.id);
        return Err(Failure::usage(format!("{word:?} means more than one agent, {one} and {two}; give more letters")));
    }
    Ok(format!("agents/{}", agent.id))
}

/// A stream's name as it is shown: with the end of its id only.
fn shown(stream: &str) -> String {
    let id = stream.split_once('/').and_then(|(kind, id)| Some((kind, id.parse().ok()?)));
    term::line(&id.map_or_else(|| stream.to_owned(), |(kind, id)| format!("{kind}/{}", short(id))))
}

/// What opens a stream. Each kind has a connection of its own: whoever shows something sees what that shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Device,
    Companion,
    Hub,
}

impl Access {
    fn opens(self, stream: &str) -> bool {
        self == match stream.split_once('/') {
            Some(("agents", _)) => Self::Companion,
            Some(("channels", _)) => Self::Hub,
            _ => Self::Device,
        }
    }

    /// Connects and subscribes. Without a credential, in development on the server's own machine, everything is open.
    async fn open(self, scene: &Scene, streams: Vec<String>, since: Option<u64>) -> Result<Socket<StreamProtocol>> {
        let effective = &scene.effective;
        let client = effective.connect_anonymous()?;
        let builder = client.sockets().stream();
        let builder = match self {
            Self::Device => match &effective.device {
                Some((token, _)) => builder.token(token.clone()),
                None => builder,
            },
            Self::Companion => match effective.companion_token.read()? {
                Some(token) => builder.token(token),
                None => builder,
            },
            Self::Hub => match effective.companion_token.read()? {
                // It lasts for an hour, so it is asked for whenever a connection is made.
                Some(token) => builder.credentials(move || hub_token(client.clone(), token.clone())),
                None => builder,
            },
        };
        let socket = builder.connect();
        for stream in streams {
            let mut subscribe = StreamSubscribe::new(stream);
            subscribe.since_seq = since;
            socket.send(subscribe).await.map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        Ok(socket)
    }
}

async fn hub_token(client: Client, companion_token: Secret) -> flightdeck_sdk::Result<Option<Secret>> {
    let request = HubTokenRequest::new(HUB_NAME);
    let minted = client.hub().mint_hub_token(&request).bearer(companion_token).await?;
    Ok(Some(minted.token.into()))
}

/// One event, for programs.
#[derive(Serialize)]
struct Line<'a> {
    stream: &'a str,
    #[serde(flatten)]
    event: &'a StreamEvent,
}

/// What a person sees.
struct Show<'a> {
    scene: &'a Scene,
    beside: Theme,
    /// Of the longest stream's name.
    width: usize,
    /// The streams that were not refused.
    open: BTreeSet<String>,
    /// The server has been there.
    was_there: bool,
}

impl Show<'_> {
    fn update(&mut self, update: Update<StreamProtocol>) -> Result<()> {
        match update {
            Update::Message(message) => return self.message(message),
            Update::Connected { resumed: true } => self.remark("connected again"),
            Update::Connected { .. } => self.was_there = true,
            Update::Disconnected { reason: Ending::Failed(error), .. } if !self.was_there => return Err(error.into()),
            Update::Disconnected { reason, retry_in } => {
                self.remark(&format!("{reason} (the next attempt comes in {:.1} s)", retry_in.as_secs_f64()));
            }
            Update::Resync { key } => {
                let of = key.map_or_else(|| "some stream".to_owned(), |key| shown(&key));
                self.remark(&format!("{of}: events are missing"));
            }
            Update::Closed { reason, .. } => return Err(self.closed(reason)),
            _ => {}
        }
        Ok(())
    }

    fn message(&mut self, message: StreamServerMessage) -> Result<()> {
        match message {
            StreamServerMessage::Events(page) => {
                page.events.iter().try_for_each(|event| self.event(&page.stream, event))
            }
            StreamServerMessage::Event(live) => self.event(&live.stream, &live.event),
            StreamServerMessage::Synced(synced) => {
                let last = synced.seq;
                self.remark(&format!("{}: up to date, the last event is {last}", shown(&synced.stream)));
                Ok(())
            }
            StreamServerMessage::Gap(gap) => {
                let (since, next) = (gap.since_seq, gap.next_seq);
                let why = gap.reason.as_str();
                self.remark(&format!("{}: a gap after {since}, it goes on with {next} ({why})", shown(&gap.stream)));
                Ok(())
            }
            StreamServerMessage::Error(fault) => self.fault(&fault),
            StreamServerMessage::Unsubscribed(over) => {
                self.refused(&over.stream, "it cannot be seen any more with the credential from here", Exit::NotPaired)
            }
            _ => Ok(()),
        }
    }

    fn event(&self, stream: &str, event: &StreamEvent) -> Result<()> {
        if self.scene.json {
            return term::say_json_line(&Line { stream, event });
        }
        let theme = self.scene.theme;
        let (stream, kind) = (shown(stream), term::line(&event.r#type));
        let (time, width) = (term::clock(event.event_ts.unwrap_or(event.created_at)), self.width);
        let head = [
            theme.paint(Colour::Quiet, &time),
            theme.paint(Colour::Accent, &format!("{stream:<width$}")),
            format!("{:>5}", event.seq),
            theme.paint(colour(&event.r#type), &format!("{kind:<18}")),
        ];
        let said = term::line(&gist(&event.payload));
        // The head without its colours, and the gaps.
        let used = time.len() + width.max(stream.chars().count()) + 5 + kind.chars().count().max(18) + 8;
        let said = match term::width() {
            Some(columns) => term::cut(&said, columns.saturating_sub(used).max(20)),
            None => said,
        };
        term::say(&format!("{}  {said}", head.join("  ")))
    }

    fn fault(&mut self, fault: &StreamFault) -> Result<()> {
        let Some(stream) = &fault.stream else {
            self.remark(&format!("{} {}", fault.error, fault.action));
            return Ok(());
        };
        let shows_nothing = Access::Device.opens(stream) && self.scene.effective.device.is_none();
        if fault.code == "stream_not_found" && shows_nothing {
            let why = "there is no such stream, or only a device sees it, which this machine is not; run `flightdeck pair \
                       --add-device --self`";
            return self.refused(stream, why, Exit::NotPaired);
        }
        let why = match fault.code.as_str() {
            "stream_not_found" => {
                "there is no such stream, or it cannot be seen with the credential from here; agents and channels need \
                 FLIGHTDECK_COMPANION_TOKEN where the server has one"
                    .to_owned()
            }
            _ => format!("{} {}", fault.error, fault.action),
        };
        self.refused(stream, &why, Exit::Failed)
    }

    /// Goes on with the others, as long as there are any.
    fn refused(&mut self, stream: &str, why: &str, exit: Exit) -> Result<()> {
        self.open.remove(stream);
        let message = format!("{stream}: {why}");
        if self.open.is_empty() {
            return Err(Failure::new(exit, message).into());
        }
        self.remark(&message);
        Ok(())
    }

    fn closed(&self, reason: Ending<CloseCode>) -> anyhow::Error {
        let code = reason.close_code();
        match reason {
            Ending::Failed(error @ Error::Api(_)) => error.into(),
            reason => {
                let refused = code.is_some_and(|code| {
                    matches!(
                        code,
                        CloseCode::CredentialInvalid | CloseCode::CredentialExpired | CloseCode::Unauthenticated
                    )
                });
                let exit = if refused { Exit::NotPaired } else { Exit::Failed };
                Failure::new(exit, reason.to_string()).into()
            }
        }
    }

    /// Says what is no event, beside them.
    fn remark(&self, text: &str) {
        term::remark(&self.beside.paint(Colour::Quiet, &term::line(text)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_shown_short_and_opened_by_what_they_need() {
        let id = "01a1fa79-9eb9-7142-b351-5c0e09fc9ea3";
        assert_eq!(shown(&format!("runs/{id}")), "runs/09fc9ea3");
        assert_eq!(shown("channels/topics/\x1b[2J"), "channels/topics/␛[2J");
        for (stream, access) in [
            (format!("runs/{id}"), Access::Device),
            (format!("approvals/{id}"), Access::Device),
            (format!("agents/{id}"), Access::Companion),
            ("channels/agents/a".to_owned(), Access::Hub),
        ] {
            let opens: Vec<_> = [Access::Device, Access::Companion, Access::Hub]
                .into_iter()
                .filter(|access| access.opens(&stream))
                .collect();
            assert_eq!(opens, [access], "{stream}");
        }
    }
}
