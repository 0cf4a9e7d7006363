//! One turn of the mock.

use std::path::{Component, Path};
use std::time::Duration;

use flightdeck_api::support::JsonObject;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::script::{Cost, Plan, Run, Step, Stream, Write};
use crate::service::agents::changes::{between, patch};
use crate::service::agents::clip::{LONGEST_RESULT, result_of};
use crate::service::agents::process::{CommandLine, Output, Program};
use crate::service::agents::update::{
    self, Answer, Outcome, Permission, Progress, Question, ToolCall, ToolResult, TurnEnd, Update, Usage,
};
use crate::service::agents::{AgentError, Setup};

/// Why a turn ends before its last step.
enum Stop {
    Failed(String),
    Exit(String),
    /// It may not go on.
    Refused,
    /// Nobody listens.
    Unheard,
}

/// Does one step after the other, and tells the end.
pub(super) async fn play(
    steps: Vec<Step>,
    setup: Setup,
    teller: mpsc::Sender<Result<Update, AgentError>>,
    cancel: CancellationToken,
) {
    let mut player = Player { setup, teller: teller.clone(), cost: None, calls: 0 };
    let played = tokio::select! {
        biased;
        () = cancel.cancelled() => None,
        played = player.play(steps) => Some(played),
    };
    let cost = player.cost;
    let outcome = match played {
        None => Outcome::Cancelled,
        Some(Ok(()) | Err(Stop::Refused)) => Outcome::Finished,
        Some(Err(Stop::Failed(why))) => Outcome::Failed(why),
        Some(Err(Stop::Exit(how))) => {
            let ended = AgentError::Ended { how: String::new(), last_words: format!(" It said: {how}") };
            let _ = teller.send(Err(ended)).await;
            return;
        }
        Some(Err(Stop::Unheard)) => return,
    };
    let usage = cost.map(|cost| Usage { input_tokens: cost.input_tokens, output_tokens: cost.output_tokens });
    let end = TurnEnd { outcome, cost: cost.map(|cost| cost.dollars), usage };
    let _ = teller.send(Ok(Update::TurnEnd(end))).await;
}

struct Player {
    setup: Setup,
    teller: mpsc::Sender<Result<Update, AgentError>>,
    cost: Option<Cost>,
    calls: u64,
}

impl Player {
    async fn play(&mut self, steps: Vec<Step>) -> Result<(), Stop> {
        for step in steps {
            match step {
                Step::Say(text) => self.say(&text).await?,
                Step::Stream(Stream { text, times, pace }) => {
                    for _ in 0..times {
                        self.tell(Update::Text(text.clone())).await?;
                        if pace > 0 {
                            tokio::time::sleep(Duration::from_millis(pace)).await;
                        }
                    }
                    self.tell(Update::EndOfText).await?;
                }
                Step::Think(text) => self.tell(Update::Thought(text)).await?,
                Step::Status(text) => self.tell(Update::Status(text)).await?,
                Step::Plan(plan) => self.tell(Update::Plan(steps_of(plan))).await?,
                Step::Run(run) => self.run(run).await?,
                Step::Write(write) => self.write(write).await?,
                Step::Sleep(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
                Step::Cost(cost) => self.cost = Some(cost),
                Step::Fail(why) => return Err(Stop::Failed(why)),
                Step::Exit(how) => return Err(Stop::Exit(how)),
            }
        }
        Ok(())
    }

    async fn tell(&self, update: Update) -> Result<(), Stop> {
        self.teller.send(Ok(update)).await.map_err(|_| Stop::Unheard)
    }

    async fn say(&self, text: &str) -> Result<(), Stop> {
        self.tell(Update::Text(text.to_owned())).await?;
        self.tell(Update::EndOfText).await
    }

    /// Uses a tool, after asking if it must.
    async fn begin(
        &mut self,
        name: &str,
        kind: &str,
        command: &str,
        input: JsonObject,
        ask: bool,
    ) -> Result<String, Stop> {
        self.calls += 1;
        let id = format!("call_{}", self.calls);
        let call = ToolCall { id: id.clone(), name: name.to_owned(), input: input.clone() };
        self.tell(Update::ToolCall(call)).await?;
        if !ask {
            return Ok(id);
        }
        let (answer, answered) = oneshot::channel();
        let question = Question {
            tool_use_id: Some(id.clone()),
            tool_name: name.to_owned(),
            command: command.to_owned(),
            kind: kind.to_owned(),
            input,
        };
        self.tell(Update::Permission(Permission { question, answer })).await?;
        let refusal = match answered.await.unwrap_or(Answer::Withdrawn) {
            Answer::Allow { .. } => return Ok(id),
            Answer::Deny { note: Some(note) } => format!("Not allowed: {note}"),
            Answer::Deny { note: None } => "Not allowed.".to_owned(),
            Answer::Withdrawn => "Nobody answered.".to_owned(),
        };
        self.end(id, refusal, true).await?;
        self.say("I was not allowed to, so I stop here.").await?;
        Err(Stop::Refused)
    }

    async fn end(&self, id: String, content: String, is_error: bool) -> Result<(), Stop> {
        self.tell(Update::ToolResult(ToolResult { id, content, is_error })).await
    }

    async fn run(&mut self, Run { command, ask }: Run) -> Result<(), Stop> {
        // As the person wrote it, where the rest is only the shell that reads it.
        let shown = match &command[..] {
            [shell, flag, line] if shell == "sh" && flag == "-c" => line.clone(),
            words => words.join(" "),
        };
        let input = object([("command", shown.clone())]);
        let id = self.begin("Bash", "command", &shown, input, ask).await?;
        let (content, is_error) = match self.output(command).await {
            Ok((output, success)) => (output, !success),
            Err(error) => (error.to_string(), true),
        };
        self.end(id, content, is_error).await
    }

    async fn output(&self, command: Vec<String>) -> Result<(String, bool), AgentError> {
        let Program { stdin, stdout, supervision } =
            self.setup.supervisor.start(&CommandLine::of(command), &self.setup.cwd, &[])?;
        drop(stdin);
        let mut output = Output::new(stdout, supervision);
        let mut said = String::new();
        while let Some(line) = output.next().await {
            if said.len() <= LONGEST_RESULT {
                said.push_str(&line);
                said.push('\n');
            }
        }
        let success = output.supervision.exited().await.is_some_and(|status| status.success());
        if !success {
            said.push_str(output.supervision.last_words().trim_start());
        }
        output.close().await;
        Ok((result_of(said), success))
    }

    async fn write(&mut self, Write { path, text, ask }: Write) -> Result<(), Stop> {
        let input = object([("path", path.clone()), ("content", text.clone())]);
        let id = self.begin("Write", "edit", &format!("write {path}"), input, ask).await?;
        // A script's text is not trusted with the rest of the disk.
        let inside = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return self.end(id, format!("{path} is not inside the working directory"), true).await;
        }
        let file = self.setup.cwd.join(&path);
        let before = tokio::fs::read_to_string(&file).await.ok();
        if let Some(folder) = file.parent() {
            let _ = tokio::fs::create_dir_all(folder).await;
        }
        if let Err(error) = tokio::fs::write(&file, &text).await {
            return self.end(id, format!("{path} can't be written: {error}"), true).await;
        }
        let diff = between(&path, before.as_deref(), Some(&text));
        self.tell(Update::Patch(patch(path.clone(), diff))).await?;
        self.end(id, format!("wrote {path}"), false).await
    }
}

fn steps_of(Plan { steps, done }: Plan) -> Vec<update::Step> {
    let progress = |index: usize| match index.cmp(&done) {
        std::cmp::Ordering::Less => Progress::Completed,
        std::cmp::Ordering::Equal => Progress::InProgress,
        std::cmp::Ordering::Greater => Progress::Pending,
    };
    steps.into_iter().enumerate().map(|(index, content)| update::Step { content, progress: progress(index) }).collect()
}

fn object<const N: usize>(entries: [(&str, String); N]) -> JsonObject {
    JsonObject(entries.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect())
}
