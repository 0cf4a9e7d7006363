//! One run of the hook, from the event on stdin to at most one answer on stdout. It ends well for the agent: the exit
//! code is 0 and the output is one answer or nothing, whatever happens here.
//!
//! The one exception is the gate `pre-tool-use`, which must not be opened by silence. What cannot be read there is
//! answered as what nobody decides, and an answer that cannot be given is a failure, which Claude Code is told to take
//! for a refusal.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use flightdeck_sdk::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::answer::{Answer, GateEvent};
use super::caller::{is_asked_elsewhere, is_claude_code};
use super::correlate::{How, Meaning, Settled};
use super::deliver::{is_running, see_to_delivery};
use super::gate::{self, Conclusion, Notebook, Times, Why};
use super::input::{HookInput, Unreadable};
use super::ledger::{ServerLedger, run_id};
use super::lifetime::agent_stops_waiting;
use super::log::Log;
use super::outbox::{Body, Item, Outbox};
use super::question::{Question, session_id};
use super::report::report;
use super::session::{Locked, SessionFiles, Verdict};
use crate::config::{Delivery, Effective, Flags, Gate, Places, WhenUnreachable};
use crate::exit::Exit;

/// How long a question waits for the events before it.
const EVENTS_FIRST: Duration = Duration::from_millis(150);

/// What the installed command says.
#[derive(Debug, Clone, Default)]
pub(crate) struct HookOptions {
    pub(crate) gate: Option<Gate>,
    pub(crate) when_unreachable: Option<WhenUnreachable>,
    /// How long the agent waits for this hook.
    pub(crate) timeout: Option<Duration>,
}

/// Runs the hook. `places`: unless this machine has no folder for our files.
pub(crate) fn run(places: Result<Places>, options: &HookOptions, input: impl Read) -> ExitCode {
    let started = Instant::now();
    let log = places.as_ref().map_or_else(|_| Log::without_file(), Log::new);
    let input = match HookInput::read(input) {
        Ok(input) => input,
        Err(unreadable) => {
            log.add(&format!("{:#}", unreadable.error));
            let answer = to_unreadable(places, options, &unreadable);
            let given = answer.is_none_or(|answer| print(answer, &log));
            return if given { ExitCode::SUCCESS } else { failed(options) };
        }
    };
    if !is_claude_code(&input, |name| std::env::var(name).ok()) {
        log.add("this hook was run by another agent, which is left alone");
        return ExitCode::SUCCESS;
    }
    if is_asked_elsewhere(&input, |name| std::env::var(name).ok()) {
        return ExitCode::SUCCESS;
    }
    let effective = places.and_then(|places| load(&places, options, input.text("cwd").map(PathBuf::from)));
    if let Ok(effective) = &effective
        && !effective.ignored.is_empty()
    {
        let (names, url) = (effective.ignored.join(" and "), &effective.url.0);
        log.add(&format!("{names} in the environment is ignored, because the project is paired with {url}"));
    }
    let answer = match &effective {
        Ok(effective) => handle(effective, options, &input, started, &log),
        Err(error) => {
            log.add(&format!("{error:#}"));
            // The values that could not be read may be those that say which event is the gate.
            let gate = options.gate.unwrap_or_default();
            let otherwise = without_pairing(options.when_unreachable.unwrap_or_default());
            let refused = Conclusion::NoVerdict(Why::Refused(format!("{error:#}")));
            gate_event(&input, gate, |_| false)
                .and_then(|event| Answer::to_gate(event, &refused, otherwise))
                .map(|answer| (answer, None))
        }
    };
    let Some((answer, verdict)) = answer else { return ExitCode::SUCCESS };
    if !print(answer, &log) {
        return failed(options);
    }
    if let (Ok(effective), Some(given)) = (&effective, verdict) {
        remember(effective, &input, given, &log);
    }
    ExitCode::SUCCESS
}

/// Prints the answer, and says whether the agent has it.
fn print(answer: Answer, log: &Log) -> bool {
    let printed = answer.print(io::stdout().lock());
    if let Err(error) = &printed {
        log.add(&format!("the agent does not listen any more: {error}"));
    }
    printed.is_ok()
}

/// How a hook ends that could not give its answer.
fn failed(options: &HookOptions) -> ExitCode {
    if options.gate == Some(Gate::PreToolUse) { Exit::Failed.into() } else { ExitCode::SUCCESS }
}

/// The answer to an event that could not be read. Nothing is said unless it may be one that waits at the gate, where
/// silence would let it pass.
fn to_unreadable(places: Result<Places>, options: &HookOptions, unreadable: &Unreadable) -> Option<Answer> {
    if options.gate != Some(Gate::PreToolUse) || !unreadable.may_be("PreToolUse") {
        return None;
    }
    let effective = places.and_then(|places| load(&places, options, std::env::current_dir().ok()));
    let otherwise = match &effective {
        Ok(effective) if effective.workspace.is_some() => effective.when_unreachable.0,
        Ok(effective) => without_pairing(effective.when_unreachable.0),
        Err(_) => without_pairing(options.when_unreachable.unwrap_or_default()),
    };
    let conclusion = Conclusion::NoVerdict(Why::Unreadable(format!("{:#}", unreadable.error)));
    Answer::to_gate(GateEvent::PreToolUse, &conclusion, otherwise)
}

/// Where the project is not known to be paired, nothing is allowed in its name.
fn without_pairing(otherwise: WhenUnreachable) -> WhenUnreachable {
    if otherwise == WhenUnreachable::Allow { WhenUnreachable::Ask } else { otherwise }
}

/// The folder whose pairing counts: the project's, which stays the same when the agent moves around in it.
fn load(places: &Places, options: &HookOptions, cwd: Option<PathBuf>) -> Result<Effective> {
    let flags =
        Flags { url: None, gate: options.gate, when_unreachable: options.when_unreachable, pairing_first: true };
    let project = std::env::var_os("CLAUDE_PROJECT_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let mut effective = None;
    for folder in [project, cwd].into_iter().flatten() {
        let found = Effective::load(places.clone(), flags.clone(), &folder)?;
        // Not the workspace: the environment may name one in every folder.
        if found.project.is_some() {
            return Ok(found);
        }
        effective.get_or_insert(found);
    }
    effective.map_or_else(|| Effective::load(places.clone(), flags, Path::new("/")), Ok)
}

/// A verdict that the agent was given.
struct Given {
    approval_id: Uuid,
    verdict: Verdict,
    note: Option<String>,
}

/// Everything between reading the event and printing the answer.
fn handle(
    effective: &Effective,
    options: &HookOptions,
    input: &HookInput,
    started: Instant,
    log: &Log,
) -> Option<(Answer, Option<Given>)> {
    let event = gate_event(input, effective.gate.0, |tool| effective.hook.never_asks(tool));
    let otherwise = effective.when_unreachable.0;
    if effective.workspace.is_none() {
        // Hooks that are installed for the user run in every folder. One that is not paired is none of our business,
        // unless the user wants nothing to happen without Flightdeck.
        let not_paired = Conclusion::NoVerdict(Why::NotPaired);
        return event
            .filter(|_| otherwise == WhenUnreachable::Deny)
            .and_then(|event| Answer::to_gate(event, &not_paired, otherwise))
            .map(|answer| (answer, None));
    }
    let mut desk = Desk::new(effective, input, log);
    let note = desk.observe();
    let Some(event) = event else {
        return note.map(|note| (Answer::note_for_model(input.event(), &note), None));
    };
    let asked = catch_unwind(AssertUnwindSafe(|| ask(&mut desk, options, event, started)));
    let conclusion = asked.unwrap_or_else(|_| {
        log.add("the gate failed; this is a fault of flightdeck");
        Conclusion::NoVerdict(Why::Refused("a fault of flightdeck; see its log".to_owned()))
    });
    desk.conclude(&conclusion);
    let given = match &conclusion {
        Conclusion::Approved { approval_id, note } => {
            // With `PreToolUse` the note is in the answer itself.
            let note = note.clone().filter(|_| event == GateEvent::PermissionRequest);
            Some(Given { approval_id: *approval_id, verdict: Verdict::Approved, note })
        }
        Conclusion::Denied { approval_id, .. } => {
            Some(Given { approval_id: *approval_id, verdict: Verdict::Denied, note: None })
        }
        _ => None,
    };
    Answer::to_gate(event, &conclusion, otherwise).map(|answer| (answer, given))
}

/// Whether this event asks for an approval.
fn gate_event(input: &HookInput, gate: Gate, never_asks: impl Fn(&str) -> bool) -> Option<GateEvent> {
    let tool = input.text("tool_name");
    match (gate, input.event()) {
        // Its answer is a choice, which only the dialog offers.
        (Gate::PermissionRequest, "PermissionRequest") if tool.is_some_and(|tool| tool != "AskUserQuestion") => {
            Some(GateEvent::PermissionRequest)
        }
        // A tool without a name that we can read is one that a person has to look at.
        (Gate::PreToolUse, "PreToolUse") if !tool.is_some_and(never_asks) => Some(GateEvent::PreToolUse),
        _ => None,
    }
}

fn ask(desk: &mut Desk<'_>, options: &HookOptions, event: GateEvent, started: Instant) -> Conclusion {
    let timeout = options.timeout.unwrap_or_else(|| desk.effective.hook.timeout());
    let times = Times { end: started + waiting_time(timeout), patience: desk.effective.hook.patience() };
    let prepared = ServerLedger::new(desk.effective)
        .and_then(|ledger| Ok((ledger, tokio::runtime::Builder::new_current_thread().enable_all().build()?)));
    let (ledger, runtime) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Conclusion::NoVerdict(Why::Refused(format!("{error:#}"))),
    };
    let tool_use_id = match event {
        GateEvent::PreToolUse => desk.input.text("tool_use_id").map(str::to_owned),
        GateEvent::PermissionRequest => desk.claim(),
    };
    desk.tool_use_id.clone_from(&tool_use_id);
    let question = Question::from_input(desk.input, tool_use_id);
    let agent = std::env::var("CLAUDE_PID").ok();
    runtime.block_on(async {
        desk.let_events_pass().await;
        gate::ask(&ledger, desk, &question, times, agent_stops_waiting(agent)).await
    })
}

/// The agent's timeout, less what is needed to answer before it.
fn waiting_time(timeout: Duration) -> Duration {
    let margin = (timeout / 20).clamp(Duration::from_millis(500), Duration::from_secs(10));
    timeout.saturating_sub(margin).max(timeout / 4)
}

/// Keeps what the agent was told, and tells the server that the agent has it.
///
/// This is done after the answer has left, never before: a process that is killed in between has then said too
/// little, and not too much. The agent's next event for the call repairs it, because `CONSUMED` includes
/// `DELIVERED`. The other way round, a person would read "delivered" although the agent waits for ever. And the
/// agent is not told twice: it never runs a hook again for the same call, and if somebody else does, the server
/// gives the same verdict until it is consumed.
fn remember(effective: &Effective, input: &HookInput, given: Given, log: &Log) {
    let desk = Desk::new(effective, input, log);
    let items = [Body::Delivered { approval_id: given.approval_id }];
    desk.write(items, |session| session.session.told(given.approval_id, given.verdict, given.note));
}

/// The session's files, during one event.
struct Desk<'a> {
    effective: &'a Effective,
    input: &'a HookInput,
    log: &'a Log,
    outbox: Outbox,
    tool_use_id: Option<String>,
}

impl<'a> Desk<'a> {
    fn new(effective: &'a Effective, input: &'a HookInput, log: &'a Log) -> Self {
        let files = SessionFiles::new(&effective.places, input.session_id());
        Self { effective, input, log, outbox: Outbox::new(files), tool_use_id: None }
    }

    /// Takes note of the event, and puts into the outbox what follows from it. Gives what the model is to be told.
    fn observe(&mut self) -> Option<String> {
        if matches!(self.input.event(), "SessionStart" | "SessionEnd") {
            SessionFiles::prune(&self.effective.places);
        }
        let event = self.event();
        let mut note = None;
        self.write(event, |locked| {
            let Meaning { settled, note: for_model } = locked.session.observe(self.input);
            note = for_model;
            settled.into_iter().map(body).collect::<Vec<_>>()
        });
        note
    }

    fn event(&self) -> Option<Body> {
        let report = report(self.input)?;
        let (workspace, _) = self.effective.workspace.as_ref()?;
        Some(Body::Event {
            run_id: run_id(workspace.workspace_id, &session_id(self.input)),
            event_type: report.event_type,
            event_ts: Timestamp::from(SystemTime::now()),
            payload: report.payload,
        })
    }

    fn claim(&mut self) -> Option<String> {
        let mut claimed = None;
        self.write(None, |locked| claimed = locked.session.claim(self.input));
        claimed
    }

    /// Gives the events before the question a moment to be sent, so that the timeline has them in order.
    async fn let_events_pass(&self) {
        let end = Instant::now() + EVENTS_FIRST;
        while !self.outbox.is_empty() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A question without a verdict is over for this session.
    fn conclude(&mut self, conclusion: &Conclusion) {
        if let Conclusion::Elsewhere { approval_id } = conclusion {
            self.write(None, |locked| locked.session.forget(*approval_id));
        }
    }

    /// Changes the session, and puts items into the outbox: first those given, then those that the change gives.
    /// A failure is logged and otherwise ignored, because the agent has to go on.
    fn write<T: IntoBodies>(&self, first: impl IntoIterator<Item = Body>, change: impl FnOnce(&mut Locked) -> T) {
        let files = self.outbox.files();
        let folder = self.effective.project.as_ref().map_or_else(|| Path::new("/"), |(root, _)| root);
        let written = files.lock().and_then(|mut locked| {
            let then = change(&mut locked).into_bodies();
            let items: Vec<_> = first.into_iter().chain(then).map(|body| Item::new(folder, body)).collect();
            // First what is to be sent. A process that is killed in between makes the next one send it again, which
            // does no harm; the other way round, a question would be forgotten that nobody has withdrawn.
            let left_out = self.outbox.append(&locked, &items)?;
            if left_out > 0 {
                self.log.add("the outbox is full, because the server has been away for long; an event was left out");
            }
            if let Err(error) = locked.save() {
                self.log.add(&format!("{error:#}"));
            }
            Ok((!items.is_empty()).then(|| is_running(files)))
        });
        match written {
            Ok(Some(running)) => self.send(running),
            Ok(None) => {}
            Err(error) => self.log.add(&format!("{error:#}")),
        }
    }

    fn send(&self, running: bool) {
        let delivery = self.effective.delivery.0;
        // A hook that is waiting has a runtime of its own already, and time for a process.
        let nested = tokio::runtime::Handle::try_current().is_ok();
        let delivery = if nested { Delivery::Background } else { delivery };
        see_to_delivery(&self.effective.places, self.outbox.files(), delivery, running, self.log);
    }
}

impl Notebook for Desk<'_> {
    fn asked(&mut self, approval_id: Uuid) -> bool {
        let mut wanted = true;
        self.write(None, |locked| {
            wanted = locked.session.asked(self.input, self.tool_use_id.as_deref(), approval_id);
        });
        wanted
    }

    fn withdraw(&mut self, approval_id: Uuid, reason: &str) {
        let withdraw = Body::Withdraw { approval_id, reason: reason.to_owned(), tool_ran: false };
        self.write([withdraw], |locked| locked.session.forget(approval_id));
    }
}

/// What a change of the session may give.
trait IntoBodies {
    fn into_bodies(self) -> Vec<Body>;
}

impl IntoBodies for () {
    fn into_bodies(self) -> Vec<Body> {
        Vec::new()
    }
}

impl IntoBodies for Vec<Body> {
    fn into_bodies(self) -> Vec<Body> {
        self
    }
}

fn body(settled: Settled) -> Body {
    let approval_id = settled.approval_id;
    match settled.how {
        How::Consumed => Body::Consumed { approval_id },
        How::Elsewhere { tool_ran } => {
            Body::Withdraw { approval_id, reason: "answered in the terminal".to_owned(), tool_ran }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::input::fixtures::{changed, event};
    use super::*;

    #[test]
    fn only_the_configured_event_asks() {
        let never = |tool: &str| tool == "Read";
        let gate = |gate, name| gate_event(&event(name), gate, never);
        assert_eq!(gate(Gate::PermissionRequest, "PermissionRequest"), Some(GateEvent::PermissionRequest));
        assert_eq!(gate(Gate::PermissionRequest, "PreToolUse"), None);
        assert_eq!(gate(Gate::PreToolUse, "PreToolUse"), Some(GateEvent::PreToolUse));
        assert_eq!(gate(Gate::PreToolUse, "PermissionRequest"), None);
        assert_eq!(gate(Gate::None, "PermissionRequest"), None);
        assert_eq!(gate(Gate::PermissionRequest, "Stop"), None);
        let read = changed("PreToolUse", &json!({"tool_name": "Read"}));
        assert_eq!(gate_event(&read, Gate::PreToolUse, never), None);
        for nameless in [json!({"tool_name": null}), json!({"tool_name": 7})] {
            let nameless = changed("PreToolUse", &nameless);
            assert_eq!(gate_event(&nameless, Gate::PreToolUse, never), Some(GateEvent::PreToolUse));
        }
        let choice = changed("PermissionRequest", &json!({"tool_name": "AskUserQuestion"}));
        assert_eq!(gate_event(&choice, Gate::PermissionRequest, never), None);
    }

    #[test]
    fn the_answer_comes_before_the_agents_limit() {
        for seconds in [1, 5, 60, 600, 86_400, 1_000_000] {
            let timeout = Duration::from_secs(seconds);
            let waiting = waiting_time(timeout);
            assert!(waiting < timeout && waiting >= timeout / 4, "{seconds} s: {waiting:?}");
        }
        assert_eq!(waiting_time(Duration::from_secs(86_400)), Duration::from_secs(86_390));
    }
}
