//! An agent's program that says what a script has it say: the program's side of a recorded session, or of one made up.
//!
//! `scripted-agent <script> …`. A script is lines of JSON, taken in order:
//!
//! - `{"dir": ">", "msg": …}` waits for a line and fails if it is not that one. Ids that the other side makes up, and what it
//!   says of itself, may differ. With `"part": true` more may be said than is here.
//! - `{"dir": "<", "msg": …}` says a line, with the other side's ids; `"times"` says it more than once.
//! - `{"raw": "…"}` says something as it stands, `"times"` over. `{"words": "…"}` says it on the standard error.
//! - `{"child": "127.0.0.1:1"}` starts a process that connects there and stays, `{"pause": true}` stays itself, with a number
//!   for so many milliseconds, and `{"exit": 3}` ends it.
//!
//! At the script's end it reads until its input is closed.

mod lines;

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use lines::{Extent, Names};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (first, second) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let done = if first == "stay" { stay(&second) } else { play(&first) };
    match done {
        Ok(code) => code,
        Err(error) => {
            // Read as the agent's last words.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A process that an agent left running. Whoever it is connected to can tell when it ends.
fn stay(address: &str) -> Result<ExitCode> {
    let mut connection = TcpStream::connect(address)?;
    connection.read_to_end(&mut Vec::new())?;
    Ok(ExitCode::SUCCESS)
}

fn play(script: &str) -> Result<ExitCode> {
    let script = std::fs::read_to_string(script).with_context(|| format!("reading {script}"))?;
    let mut input = std::io::stdin().lock().lines();
    let mut output = std::io::stdout().lock();
    let mut names = Names::default();
    for step in script.lines().filter(|line| !line.is_empty()) {
        let step: Value = serde_json::from_str(step)?;
        match step["dir"].as_str() {
            Some(">") if names.is_foreign(&step["msg"]) => {}
            Some(">") => {
                let line = input.next().with_context(|| format!("nothing was said; awaited {}", step["msg"]))??;
                let said = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
                let extent = if step["part"] == true { Extent::Part } else { Extent::All };
                names.learn(&step["msg"], &said, extent).with_context(|| format!("{line} is not {}", step["msg"]))?;
            }
            Some("<") if names.is_of_foreign(&step["msg"]) => {}
            Some("<") => say(&names.rename(&step["msg"]), &step, &mut output)?,
            _ => {
                if let Some(code) = act(&step, &mut output)? {
                    return Ok(code);
                }
            }
        }
    }
    for line in input {
        line?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says a line as often as the step has it.
fn say(line: &str, step: &Value, output: &mut impl Write) -> Result<()> {
    for _ in 0..step["times"].as_u64().unwrap_or(1) {
        writeln!(output, "{line}")?;
    }
    Ok(output.flush()?)
}

fn act(step: &Value, output: &mut impl Write) -> Result<Option<ExitCode>> {
    if let Some(raw) = step["raw"].as_str() {
        say(raw, step, output)?;
    } else if let Some(words) = step["words"].as_str() {
        writeln!(std::io::stderr(), "{words}")?;
    } else if let Some(address) = step["child"].as_str() {
        // It holds nothing of ours open but the output, as children that are started carelessly do.
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["stay", address]).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    } else if step["pause"] == true {
        loop {
            std::thread::park();
        }
    } else if let Some(pause) = step["pause"].as_u64() {
        std::thread::sleep(Duration::from_millis(pause));
    } else if let Some(code) = step["exit"].as_u64() {
        return Ok(Some(ExitCode::from(u8::try_from(code)?)));
    } else {
        bail!("this is no step: {step}");
    }
    Ok(None)
}
