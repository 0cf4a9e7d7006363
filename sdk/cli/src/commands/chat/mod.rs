//! `flightdeck chat`: talks with an agent that the server runs.

mod show;
mod talk;

use anyhow::{Result, anyhow};
use flightdeck_sdk::sockets::chats::ChatsParameters;
use flightdeck_sdk::types::{Chat, ChatCreate, ChatSubscribe};
use flightdeck_sdk::{Client, Error};
use uuid::Uuid;

use super::Scene;
use super::find::{Typed, fits, short, typed};
use crate::cli::ChatArguments;
use crate::exit::Failure;
use crate::term::{self, Colour, Table};
use talk::Talk;

pub(super) async fn run(scene: &Scene, arguments: ChatArguments) -> Result<()> {
    let client = client(scene)?;
    if arguments.list {
        return list(scene, &client).await;
    }
    let chat = match &arguments.chat {
        Some(word) => find(&client, word).await?,
        None => create(&client, &arguments).await?,
    };
    let mut builder = client.sockets().chats(&ChatsParameters::default());
    if let Some((token, _)) = &scene.effective.device {
        builder = builder.token(token.clone());
    }
    let socket = builder.connect();
    socket.send(ChatSubscribe::new(chat.id.to_string())).await.map_err(|error| anyhow!("{error}"))?;
    let said = (!arguments.message.is_empty()).then(|| arguments.message.join(" "));
    let mut talk = Talk::new(scene, client, socket, chat.id);
    if arguments.chat.is_some() {
        talk.join().await?;
    }
    talk.run(said, arguments.research).await
}

/// A person's device, or, in development on the server's own machine, nobody in particular.
fn client(scene: &Scene) -> Result<Client> {
    scene.effective.connect_device().unwrap_or_else(|| scene.effective.connect_anonymous())
}

/// The stream of the chat that a person means.
pub(super) async fn stream(scene: &Scene, word: &str) -> Result<String> {
    Ok(format!("chats/{}", find(&client(scene)?, word).await?.id))
}

async fn create(client: &Client, arguments: &ChatArguments) -> Result<Chat> {
    let mut new = ChatCreate::default();
    if let Some(agent) = &arguments.agent {
        new = new.with_agent(agent.clone());
    }
    if let Some(title) = &arguments.title {
        new = new.with_title(title.clone());
    }
    Ok(client.chats().create_chat(&new).await?)
}

/// The chat that a person means: by a part of its id, or `last`.
async fn find(client: &Client, word: &str) -> Result<Chat> {
    if let Ok(id) = word.parse() {
        return Ok(client.chats().get_chat(&id).await?);
    }
    let chats = client.chats().list_chats().await?;
    if word == "last" {
        let last = chats.into_iter().max_by_key(|chat| chat.updated_at);
        return last.ok_or_else(|| Failure::usage("there is no chat yet; leave out `--chat` to begin one"));
    }
    let Typed::Part(part) = typed(word)? else { return Err(Failure::usage(format!("{word:?} is no chat"))) };
    let mut found = chats.into_iter().filter(|chat| fits(chat.id, &part));
    let chat = found.next().ok_or_else(|| Failure::usage(format!("there is no chat with an id like {word:?}")))?;
    match found.next() {
        Some(other) => {
            let (one, two) = (chat.id, other.id);
            Err(Failure::usage(format!("{word:?} means more than one chat, {one} and {two}; give more letters")))
        }
        None => Ok(chat),
    }
}

async fn list(scene: &Scene, client: &Client) -> Result<()> {
    let chats = client.chats().list_chats().await?;
    if scene.json {
        return term::say_json(&chats);
    }
    if chats.is_empty() {
        return term::say("There is no chat yet; `flightdeck chat` begins one.");
    }
    let now = term::now();
    let mut table = Table::new(&["ID", "AGENT", "STATUS", "LAST", "TITLE"]);
    for chat in &chats {
        table.row(vec![
            (short(chat.id), Some(Colour::Accent)),
            (term::line(&chat.agent), None),
            (chat.status.as_str().to_owned(), None),
            (term::ago(chat.updated_at, now), None),
            (term::line(&chat.title), None),
        ]);
    }
    term::print(&table.render(scene.theme, term::width()))
}

/// Decides an approval of the chat, as the person at this terminal.
async fn decide(client: &Client, id: Uuid, approve: bool, note: Option<String>) -> Result<(), Error> {
    use flightdeck_sdk::types::{MobileDecision, MobileVerb};
    let mut decision = MobileDecision::new(if approve { MobileVerb::Approve } else { MobileVerb::Deny });
    if let Some(note) = note {
        decision = decision.with_note(note);
    }
    client.mobile().decide_mobile_approval(&id, &decision).await.map(|_| ())
}
