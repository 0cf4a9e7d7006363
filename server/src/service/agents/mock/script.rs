//! What the mock does: a script in TOML, by which it answers prompts the same way each time.

use std::path::Path;

use regex::{Captures, Regex};
use serde::Deserialize;

use crate::service::agents::AgentError;

/// What it does when it is given no script.
const BUILT_IN: &str = include_str!("built_in.toml");

/// A script.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    turns: Vec<Turn>,
}

/// What it does with prompts of one kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    /// Which prompts these are; all, if left out. The first turn that fits is taken.
    #[serde(default)]
    when: Option<Pattern>,
    steps: Vec<Step>,
}

/// One step. In a text, `{prompt}` stands for the prompt, `{turn}` for the number of the turn, and `{1}` for what the first
/// group of `when` found.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    /// Says a text, in one piece.
    Say(String),
    /// Says a text many times, piece by piece.
    Stream(Stream),
    Think(String),
    Status(String),
    /// Steps of a plan: those before `done` are completed, the next one is in progress.
    Plan(Plan),
    /// Runs a program, as a tool.
    Run(Run),
    /// Writes a file in the working directory, as a tool.
    Write(Write),
    /// Waits, in milliseconds.
    Sleep(u64),
    /// What the turn cost.
    Cost(Cost),
    /// The turn fails, with this text.
    Fail(String),
    /// The agent ends in mid-turn.
    Exit(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stream {
    pub(super) text: String,
    pub(super) times: u64,
    /// Between two, in milliseconds.
    #[serde(default)]
    pub(super) pace: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    pub(super) steps: Vec<String>,
    #[serde(default)]
    pub(super) done: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    /// The program and its arguments.
    pub(super) command: Vec<String>,
    /// Whether it asks before.
    #[serde(default)]
    pub(super) ask: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Write {
    pub(super) path: String,
    pub(super) text: String,
    #[serde(default)]
    pub(super) ask: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cost {
    pub(super) dollars: f64,
    #[serde(default)]
    pub(super) input_tokens: u64,
    #[serde(default)]
    pub(super) output_tokens: u64,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Regex::new(&text).map(Self).map_err(|error| error.to_string())
    }
}

impl Script {
    /// Reads the script at `path`, or the built-in one.
    ///
    /// # Errors
    /// If there is no such file, or it is no script.
    pub(super) async fn load(path: Option<&Path>) -> Result<Self, AgentError> {
        let Some(path) = path else { return Self::parse(BUILT_IN, "the built-in script") };
        let name = format!("the mock's script {}", path.display());
        let text = tokio::fs::read_to_string(path).await;
        Self::parse(&text.map_err(|error| AgentError::Refused(format!("{name} can't be read: {error}")))?, &name)
    }

    fn parse(text: &str, name: &str) -> Result<Self, AgentError> {
        toml::from_str(text).map_err(|error| AgentError::Refused(format!("{name} is not valid: {error}")))
    }

    /// What it does with a prompt.
    pub(super) fn steps(&self, prompt: &str, turn: u64) -> Vec<Step> {
        for Turn { when, steps } in &self.turns {
            let found = match when {
                Some(Pattern(pattern)) => match pattern.captures(prompt) {
                    Some(found) => Some(found),
                    None => continue,
                },
                None => None,
            };
            let fill = |text: &str| fill(text, prompt, turn, found.as_ref());
            return steps.iter().map(|step| step.filled(&fill)).collect();
        }
        Vec::new()
    }
}

impl Step {
    fn filled(&self, fill: &impl Fn(&str) -> String) -> Self {
        match self {
            Self::Say(text) => Self::Say(fill(text)),
            Self::Stream(stream) => Self::Stream(Stream { text: fill(&stream.text), ..stream.clone() }),
            Self::Think(text) => Self::Think(fill(text)),
            Self::Status(text) => Self::Status(fill(text)),
            Self::Plan(plan) => {
                Self::Plan(Plan { steps: plan.steps.iter().map(|step| fill(step)).collect(), done: plan.done })
            }
            Self::Run(run) => {
                Self::Run(Run { command: run.command.iter().map(|word| fill(word)).collect(), ask: run.ask })
            }
            Self::Write(write) => {
                Self::Write(Write { path: fill(&write.path), text: fill(&write.text), ask: write.ask })
            }
            Self::Fail(text) => Self::Fail(fill(text)),
            Self::Exit(text) => Self::Exit(fill(text)),
            Self::Sleep(_) | Self::Cost(_) => self.clone(),
        }
    }
}

/// Puts values in the place of names, in one go: a prompt that looks like a name stays as it is.
fn fill(text: &str, prompt: &str, turn: u64, found: Option<&Captures<'_>>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find('{') {
        filled.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let name = rest[1..].find('}').map(|end| &rest[1..=end]);
        let value = name.and_then(|name| match name {
            "prompt" => Some(prompt.to_owned()),
            "turn" => Some(turn.to_string()),
            group => Some(found?.get(group.parse().ok()?)?.as_str().to_owned()),
        });
        match (name, value) {
            (Some(name), Some(value)) => {
                filled.push_str(&value);
                rest = &rest[name.len() + 2..];
            }
            _ => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        Script::parse(text, "a script").expect("it is one")
    }

    #[test]
    fn the_first_turn_that_fits_is_taken() {
        let script = script(
            r#"
            turns = [
                { when = '(?i)^run (\S+)', steps = [{ run = { command = ["echo", "{1}"], ask = true } }] },
                { steps = [{ say = "{turn}: {prompt} {1} {" }] },
            ]
            "#,
        );
        let steps = script.steps("Run {prompt} now", 3);
        assert!(matches!(&steps[..], [Step::Run(Run { command, ask: true })] if command == &["echo", "{prompt}"]));
        let steps = script.steps("hello", 3);
        assert!(matches!(&steps[..], [Step::Say(text)] if text == "3: hello {1} {"));
    }

    #[test]
    fn a_wrong_script_is_refused_with_its_fault() {
        for (text, fault) in [
            ("turns = [{ steps = [{ sing = 'x' }] }]", "sing"),
            ("turns = [{ when = '(', steps = [] }]", "regex"),
            ("turn = []", "turn"),
        ] {
            let error = Script::parse(text, "s").expect_err("it is refused").to_string();
            assert!(error.contains(fault), "{error}");
        }
    }

    #[test]
    fn the_built_in_script_answers_everything() {
        let script = script(BUILT_IN);
        for prompt in ["hello", "run ls -l", "write a.txt one two", "plan", "fail", ""] {
            assert!(!script.steps(prompt, 1).is_empty(), "{prompt}");
        }
    }
}
