//! Plays an agent's side of a recorded conversation, so that an adapter can be tested without the agent.
//!
//! The recording is a file with a JSON object a line. `{"dir": ">", "msg": …}` is what the client said: the player waits for
//! the client's next line, and gives up, loudly, when that says something else. `{"dir": "<", "msg": …}` is what the agent
//! said, and is printed; `"times"` repeats it, and `"text"` instead of `"msg"` is printed as it stands. `{"dir": "!"}` does
//! what no message can: `"start"` starts a process that stays, `"pause"` waits for so many milliseconds, `"exit"` ends with
//! a status. At the end of the recording the player waits for the end of its input.

use std::collections::HashMap;
use std::io::{BufRead as _, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The argument that makes this program a process that stays.
const STAY: &str = "stay";

fn main() -> ExitCode {
    match play() {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the recording can't go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<u8> {
    let path = std::env::args().nth(1).context("name a recording")?;
    if path == STAY {
        loop {
            std::thread::park();
        }
    }
    let recording = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut ids = HashMap::new();
    for line in recording.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| format!("{line} is no line of a recording"))?;
        match line["dir"].as_str() {
            Some(">") => {
                let mut said = String::new();
                ensure!(input.read_line(&mut said)? > 0, "the client ends before it says {}", line["msg"]);
                let said = serde_json::from_str(&said).with_context(|| format!("the client says {said}"))?;
                hear(&line["msg"], &said, &mut ids).with_context(|| format!("the client says {said}"))?;
            }
            Some("<") => {
                let text = line["text"].as_str().map_or_else(|| renamed(&line["msg"], &ids).to_string(), str::to_owned);
                for _ in 0..line["times"].as_u64().unwrap_or(1) {
                    writeln!(output, "{text}")?;
                }
                output.flush()?;
            }
            Some("!") => {
                if let Some(pause) = line["pause"].as_u64() {
                    std::thread::sleep(Duration::from_millis(pause));
                }
                if !line["start"].is_null() {
                    let mut child = Command::new(std::env::current_exe()?);
                    child.arg(STAY).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
                }
                if let Some(status) = line["exit"].as_u64() {
                    return Ok(u8::try_from(status)?);
                }
            }
            _ => bail!("{line} is no line of a recording"),
        }
    }
    std::io::copy(&mut input, &mut std::io::sink())?;
    Ok(0)
}

/// Compares what the client says with what it said. `ids` tells which id it gives to which recorded request.
fn hear(recorded: &Value, said: &Value, ids: &mut HashMap<String, Value>) -> Result<()> {
    if let Some(method) = recorded["method"].as_str() {
        ensure!(said["method"] == method, "instead of {method}");
        ensure!(recorded["id"].is_null() == said["id"].is_null(), "which should have an id, or should have none");
        ids.insert(recorded["id"].to_string(), said["id"].clone());
        for name in ["sessionId", "prompt"] {
            let (recorded, said) = (&recorded["params"][name], &said["params"][name]);
            ensure!(recorded == said, "with {said} as {name} instead of {recorded}");
        }
    } else {
        for name in ["id", "result", "error"] {
            ensure!(recorded[name] == said[name], "with {} as {name} instead of {}", said[name], recorded[name]);
        }
    }
    Ok(())
}

/// A message of the agent, which answers by the client's ids.
fn renamed(message: &Value, ids: &HashMap<String, Value>) -> Value {
    let mut message = message.clone();
    if message["method"].is_null()
        && let Some(id) = ids.get(&message["id"].to_string())
    {
        message["id"] = id.clone();
    }
    message
}
