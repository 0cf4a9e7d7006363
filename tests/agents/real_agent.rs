//! A real agent, as its maker publishes it, that does a whole turn with a model that this test plays.
//!
//! `tests/run` installs the agent and names its program by `FLIGHTDECK_TEST_GEMINI`. All that the agent reaches is on
//! loopback: the model is, and so is the proxy that it is told to reach everything else by, which refuses.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use flightdeck_server::service::agents::update::Answer;
use poem::http::{StatusCode, header};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Request, Response, Server};
use serde_json::{Value, json};

use crate::scripted::Scripted;

const COMMAND: &str = "echo x > made.txt";

/// A model that wants to run a command, and is done when it knows what became of it.
struct Model {
    url: String,
    /// What was asked of it, and what was not for it.
    requests: Arc<Mutex<Requests>>,
}

#[derive(Default)]
struct Requests {
    turns: Vec<Value>,
    strange: Vec<String>,
}

impl Model {
    async fn start() -> Result<Self> {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
        let address = acceptor.local_addr().pop().context("it listens somewhere")?;
        let address = *address.as_socket_addr().context("it listens on a port")?;
        let requests = Arc::<Mutex<Requests>>::default();
        let model = poem::endpoint::make({
            let requests = requests.clone();
            move |request| answer(request, requests.clone())
        });
        tokio::spawn(Server::new_with_acceptor(acceptor).run(model));
        Ok(Self { url: format!("http://{address}"), requests })
    }

    fn take(&self) -> Requests {
        std::mem::take(&mut *self.requests.lock().expect("nobody panicked"))
    }
}

async fn answer(mut request: Request, requests: Arc<Mutex<Requests>>) -> Result<Response, poem::Error> {
    let target = request.original_uri().to_string();
    let body = request.take_body().into_bytes().await?;
    let mut requests = requests.lock().expect("nobody panicked");
    let (true, Ok(body)) = (target.contains(":streamGenerateContent"), serde_json::from_slice::<Value>(&body)) else {
        requests.strange.push(format!("{} {target}", request.method()));
        return Ok(StatusCode::BAD_GATEWAY.into());
    };
    let last = body["contents"].as_array().and_then(|contents| contents.last()).cloned().unwrap_or_default();
    let result =
        last["parts"].as_array().and_then(|parts| parts.iter().find(|part| !part["functionResponse"].is_null()));
    let part = match result {
        Some(_) => json!({"text": "all done"}),
        None => {
            json!({"functionCall": {"name": "run_shell_command", "args": {"command": COMMAND, "description": "make a file"}}})
        }
    };
    requests.turns.push(last);
    let candidate = json!({"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0});
    let usage = json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15});
    let event = format!("data: {}\n\n", json!({"candidates": [candidate], "usageMetadata": usage}));
    Ok(Response::builder().header(header::CONTENT_TYPE, "text/event-stream").body(event))
}

/// The agent's command line: at home in an empty folder, and telling nobody of its use.
fn gemini(home: &Path, model: &str) -> Result<String> {
    let program = std::env::var("FLIGHTDECK_TEST_GEMINI").context(
        "FLIGHTDECK_TEST_GEMINI does not name the agent's program; `tests/run agents` installs it, `--skip real_agent::` does without",
    )?;
    let settings = json!({
        "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false},
        "privacy": {"usageStatisticsEnabled": false},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "telemetry": {"enabled": false},
    });
    std::fs::create_dir(home.join(".gemini"))?;
    std::fs::write(home.join(".gemini/settings.json"), settings.to_string())?;
    let home = home.display();
    // Not `env -i`: the processes carry the mark that they are ended by.
    Ok(format!(
        "acp:env HOME='{home}' XDG_CONFIG_HOME='{home}/config' XDG_CACHE_HOME='{home}/cache' XDG_DATA_HOME='{home}/data' \
         GEMINI_API_KEY=x GOOGLE_GEMINI_BASE_URL={model} GEMINI_CLI_NO_RELAUNCH=true \
         HTTP_PROXY={model} HTTPS_PROXY={model} NO_PROXY=127.0.0.1 \
         node '{program}' --acp --skip-trust -m gemini-2.5-flash"
    ))
}

/// A turn of the agent in which it asks to write a file. Gives what it told without its session's name, whether the file was
/// written, and what the model heard of the tool.
async fn turn(answer: &Answer) -> Result<(Vec<String>, bool, Value)> {
    let home = tempfile::tempdir()?;
    let model = Model::start().await?;
    let mut scripted = Scripted::start(tempfile::tempdir()?, &gemini(home.path(), &model.url)?, None).await?;
    let mut told = scripted.turn("make a file", answer).await?;
    scripted.agent.close().await;
    let is_made = scripted.folder.path().join("made.txt").exists();
    let session = told.remove(0);
    ensure!(session.len() > "session ".len() && session.starts_with("session "), "it tells {session} first");
    let Requests { turns, strange } = model.take();
    ensure!(strange.is_empty(), "the agent asked for {strange:?}");
    ensure!(turns.len() == 2, "the model was asked {} times", turns.len());
    Ok((told, is_made, turns[1]["parts"][0]["functionResponse"]["response"].clone()))
}

/// What the agent tells up to the answer. Its question has the folder in it, which differs.
fn ensure_asked(told: &[String]) -> Result<()> {
    ensure!(told.len() > 3, "it told {told:?}");
    ensure!(told[..2] == ["status Running a command", "call 1 execute {}"], "it told {told:?}");
    let question = "asks 1 command execute `echo x > made.txt` {\"title\":\"echo x > made.txt\",\"content\":\"[current working directory ";
    ensure!(told[2].starts_with(question) && told[2].ends_with("] (make a file)\"}"), "it asked {}", told[2]);
    Ok(())
}

#[tokio::test]
async fn it_does_what_it_is_allowed() -> Result<()> {
    let (told, is_made, heard) = turn(&Answer::Allow { note: None }).await?;
    ensure_asked(&told)?;
    ensure!(told[3..] == ["done 1 ", "text all done", "end of text", "end: Finished"], "it told {told:?}");
    ensure!(is_made, "the file was not written");
    ensure!(heard["output"].as_str().is_some_and(|output| output.contains("empty")), "the model heard {heard}");
    Ok(())
}

#[tokio::test]
async fn it_leaves_what_it_is_denied() -> Result<()> {
    let (told, is_made, heard) = turn(&Answer::Deny { note: None }).await?;
    ensure_asked(&told)?;
    ensure!(told[3..] == ["text all done", "end of text", "end: Finished"], "it told {told:?}");
    ensure!(!is_made, "the file was written");
    ensure!(heard["error"].as_str().is_some_and(|error| error.contains("canceled")), "the model heard {heard}");
    Ok(())
}
