//! Chats: what is said in them, who hears it, and who is refused. Whole conversations are in `spec/examples/sockets/chats`.

mod holding;
mod refusals;
mod resuming;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::types::{ChatCancel, ChatCreate, ChatMessageSend, ChatTurnStatus, ChatUpdate};
use flightdeck_tests::{PairedWorkspace, RawSocket, Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

/// A script for the mock, in a file that lives as long as the test.
pub(super) struct Script(tempfile::TempDir);

impl Script {
    pub(super) fn new(text: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("script.toml"), text)?;
        Ok(Self(folder))
    }

    pub(super) fn apply(&self, options: TestOptions) -> TestOptions {
        options.set("FLIGHTDECK_MOCK_SCRIPT", self.0.path().join("script.toml").display())
    }
}

/// A new chat of the workspace.
pub(super) async fn chat(workspace: &PairedWorkspace) -> Result<Uuid> {
    Ok(workspace.device.chats().create_chat(&ChatCreate::default()).await?.id)
}

/// A connection of the workspace's device, greeted.
pub(super) async fn connect(server: &TestServer, workspace: &PairedWorkspace) -> Result<RawSocket> {
    let mut socket = server.open(&Request::socket("/ws").bearer(&workspace.device_token)).await?;
    socket.expect("connected").await?;
    Ok(socket)
}

/// The same, and it follows the chat.
pub(super) async fn follow(server: &TestServer, workspace: &PairedWorkspace, id: Uuid) -> Result<RawSocket> {
    let mut socket = connect(server, workspace).await?;
    socket.send(&json!({"type": "subscribe", "chatId": id})).await?;
    socket.until("synced").await?;
    Ok(socket)
}

/// What the agent says until the turn is over, its pieces in their places.
pub(super) async fn told(socket: &mut RawSocket) -> Result<String> {
    let mut text = String::new();
    let mut begins = 0;
    loop {
        let (name, message) = socket.recv().await?;
        match name {
            "assistant_message" => {
                let offset = usize::try_from(message["offset"].as_u64().context("a piece has a place")?)?;
                if offset == 0 {
                    begins = text.len();
                }
                ensure!(begins + offset == text.len(), "a piece at {offset} comes after {} bytes", text.len() - begins);
                text.push_str(message["content"].as_str().context("a piece has a text")?);
            }
            "result" | "error" => return Ok(text),
            _ => {}
        }
    }
}

pub(super) fn say(id: Uuid, content: &str) -> Value {
    json!({"type": "chat", "chatId": id, "content": content})
}

for_each_database! {
    async fn all_clients_of_a_chat_see_the_same(database) {
        let script = Script::new("turns = [{ steps = [{ stream = { text = 'ä{turn} ', times = 200 } }, { say = 'end' }] }]")?;
        let server = TestServer::with(script.apply(TestOptions::new(database))).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut first = follow(&server, &workspace, id).await?;
        let mut second = follow(&server, &workspace, id).await?;
        first.send(&say(id, "go")).await?;
        let wanted = format!("{}end", "ä1 ".repeat(200));
        ensure!(told(&mut first).await? == wanted && told(&mut second).await? == wanted, "they see something else");
        let messages = workspace.device.chats().list_chat_messages(&id, &Default::default()).await?;
        let said: Vec<_> = messages.iter().map(|message| message.content.as_str()).collect();
        ensure!(said == ["go", "ä1 ".repeat(200).as_str(), "end"], "{said:?}");
    }

    /// As the original's advice says: one object a frame, the right keys, and `type` in any case.
    async fn a_message_that_is_none_is_answered_as_its_clients_know(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut socket = follow(&server, &workspace, id).await?;
        let twice = format!("{}{}", say(id, "one"), say(id, "two"));
        for text in [twice, json!({"type": "research", "chatId": id}).to_string(), json!({"type": "heartbeat"}).to_string()] {
            socket.send_text(&text).await?;
            let error = socket.expect("error").await?;
            ensure!(error["error"] == "Invalid message format", "{text} was answered {error}");
        }
        socket.send(&json!({"type": " Chat ", "chatId": id, "content": "hello"})).await?;
        socket.expect("user_message").await?;
    }

    async fn what_is_said_twice_with_one_id_is_said_once(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut socket = follow(&server, &workspace, id).await?;
        let message = json!({"type": "chat", "chatId": id, "content": "fail", "client_msg_id": "m-1"});
        for _ in 0..3 {
            socket.send(&message).await?;
        }
        socket.until("error").await?;
        let other = json!({"type": "chat", "chatId": id, "content": "plan", "client_msg_id": "m-1"});
        socket.send(&other).await?;
        ensure!(socket.until("error").await?["code"] == "idempotency_key_reused", "it was taken for the same");
        socket.send(&say(id, "fail")).await?;
        socket.until("error").await?;
        let turns = workspace.device.chats().list_chat_turns(&id).await?.turns;
        ensure!(turns.len() == 2, "{turns:?}");
        // Another device counts by itself.
        let mut other = connect(&server, &workspace).await?;
        let mut local = server.open(&Request::socket("/ws")).await?;
        local.expect("connected").await?;
        local.send(&message).await?;
        other.send(&json!({"type": "subscribe", "chatId": id})).await?;
        socket.until("user_message").await?;
    }

    async fn who_unsubscribes_hears_nothing_more(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut socket = follow(&server, &workspace, id).await?;
        socket.send(&json!({"type": "unsubscribe", "chatId": id})).await?;
        workspace.device.chats().send_chat_message(&id, &ChatMessageSend::new("plan")).await?;
        let mut other = follow(&server, &workspace, id).await?;
        other.send(&say(id, "fail")).await?;
        other.until("error").await?;
        socket.send(&json!({"type": "ping"})).await?;
        socket.expect("pong").await?;
    }

    /// Whatever else rings, an agent that has nothing to do ends in time, and the next message starts it again.
    async fn an_idle_agent_is_ended(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut socket = follow(&server, &workspace, id).await?;
        let starts = async |socket: &mut RawSocket| {
            socket.send(&say(id, "plan")).await?;
            let mut started = false;
            loop {
                let (name, message) = socket.recv().await?;
                started |= name == "agent_status" && message["message"] == "Starting the agent";
                if name == "result" {
                    return anyhow::Ok(started);
                }
            }
        };
        ensure!(starts(&mut socket).await? && !starts(&mut socket).await?, "it starts once");
        // The default: half an hour, in steps in which everything is looked after.
        for _ in 0..190 {
            server.advance(std::time::Duration::from_secs(10));
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // The connection was silent for too long.
        let mut socket = follow(&server, &workspace, id).await?;
        ensure!(starts(&mut socket).await?, "it is still there");
    }

    /// A turn is a run: it is listed as one, and so is what its agent asks.
    async fn a_turn_is_a_run(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut socket = follow(&server, &workspace, id).await?;
        socket.send(&say(id, "run echo hi")).await?;
        let asked = socket.until("approval_request").await?;
        let turn: Uuid = asked["turnId"].as_str().context("a question has a turn")?.parse()?;
        let run = workspace.device.runs().get_run(&turn).await?;
        ensure!(run.provider == "mock" && run.pending_approvals == 1, "{run:?}");
        let approval: Uuid = asked["approvalId"].as_str().context("it is an approval")?.parse()?;
        let decision = flightdeck_sdk::types::Decision::new(flightdeck_sdk::types::DecisionVerb::Deny);
        workspace.device.approvals().decide_approval(&approval, &decision.with_note("not today")).await?;
        let result = socket.until("tool_result").await?;
        ensure!(result["isError"] == true && result["content"] == "Not allowed: not today", "{result}");
        socket.until("result").await?;
        let run = workspace.device.runs().get_run(&turn).await?;
        ensure!(run.status == flightdeck_sdk::types::RunStatus::Finished && run.pending_approvals == 0, "{run:?}");
        let approval = workspace.device.approvals().get_approval(&approval).await?;
        ensure!(approval.consumed_at.is_some(), "nobody noted that the agent went on: {approval:?}");
    }

    async fn a_turn_that_is_to_end_is_cancelling(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut socket = follow(&server, &workspace, id).await?;
        socket.send(&say(id, "sleep")).await?;
        socket.until("message_finished").await?;
        let chats = workspace.device.chats();
        let cancelled = chats.cancel_chat_turn(&id, &ChatCancel::default()).await?;
        ensure!(cancelled.status == ChatTurnStatus::Cancelling, "{cancelled:?}");
        ensure!(socket.until("result").await?["status"] == "cancelled", "it ended in another way");
        let turns = chats.list_chat_turns(&id).await?.turns;
        ensure!(turns.len() == 1 && turns[0].status == ChatTurnStatus::Cancelled, "{turns:?}");
    }

    async fn a_title_is_given_made_or_changed(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let chats = workspace.device.chats();
        let named = chats.create_chat(&ChatCreate::default().with_title("The build".to_owned())).await?;
        let nameless = chat(&workspace).await?;
        for id in [named.id, nameless] {
            chats.send_chat_message(&id, &ChatMessageSend::new("Why does it fail?\nIt is red.")).await?;
        }
        ensure!(chats.get_chat(&named.id).await?.title == "The build", "a title was lost");
        ensure!(chats.get_chat(&nameless).await?.title == "Why does it fail?", "no title was made");
        chats.update_chat(&nameless, &ChatUpdate::new("Red")).await?;
        let listed = chats.list_chats().await?;
        let titles: Vec<_> = listed.iter().map(|chat| chat.title.as_str()).collect();
        ensure!(titles == ["Red", "The build"], "{titles:?}");
    }

    /// Other people's chats are as if they did not exist.
    async fn a_chat_is_its_workspace_s_own(database) {
        let server = TestServer::start(database).await?;
        let (one, other) = (server.pair().await?, server.pair().await?);
        let id = chat(&one).await?;
        ensure!(other.device.chats().list_chats().await?.is_empty(), "a stranger sees it");
        let mut socket = connect(&server, &other).await?;
        for message in [json!({"type": "subscribe", "chatId": id}), say(id, "hello"), json!({"type": "cancel", "chatId": id})] {
            socket.send(&message).await?;
            ensure!(socket.expect("error").await?["code"] == "chat_not_found", "{message} was taken");
        }
        // And so is its stream.
        let mut stream = server.open(&Request::socket("/v1/stream").bearer(&other.device_token)).await?;
        stream.expect("hello").await?;
        stream.send(&json!({"type": "subscribe", "stream": format!("chats/{id}")})).await?;
        ensure!(stream.expect("error").await?["code"] == "stream_not_found", "a stranger follows it");
    }

    async fn a_deleted_chat_leaves_nothing(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut socket = follow(&server, &workspace, id).await?;
        socket.send(&say(id, "sleep")).await?;
        socket.until("assistant_message").await?;
        workspace.device.chats().delete_chat(&id).await?;
        socket.until("deleted").await?;
        let gone = async {
            while server.count("turns").await? + server.count("chats").await? > 0 {
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        };
        server.hurry(gone).await?;
    }
}
