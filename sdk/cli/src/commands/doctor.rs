//! `flightdeck doctor`: looks at everything that has to be right, and says how to mend what is not.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use flightdeck_sdk::types::AgentStatus;
use flightdeck_sdk::{Client, Error, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::config::{ConfigFile, Credentials, Effective, Flags, Gate, Places, WhenUnreachable, connect_signed};
use crate::exit::{Exit, Failure};
use crate::install::{Installed, Scope, installed_in};
use crate::term::{self, Colour, Theme};

const LIMIT: Duration = Duration::from_secs(5);
/// The server refuses signatures beyond five minutes.
const SKEW_ALARM: u64 = 240;
const SKEW_WARNING: u64 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    level: Level,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Debug, Default)]
struct Report(Vec<Check>);

impl Report {
    fn add(&mut self, name: &'static str, level: Level, message: impl Into<String>, fix: Option<&str>) {
        self.0.push(Check { name, level, message: message.into(), fix: fix.map(str::to_owned) });
    }

    fn ok(&mut self, name: &'static str, message: impl Into<String>) {
        self.add(name, Level::Ok, message, None);
    }

    fn warn(&mut self, name: &'static str, message: impl Into<String>, fix: &str) {
        self.add(name, Level::Warn, message, Some(fix));
    }

    fn fail(&mut self, name: &'static str, message: impl Into<String>, fix: &str) {
        self.add(name, Level::Fail, message, Some(fix));
    }
}

pub(super) async fn run(places: &Places, flags: Flags, folder: &Path, json: bool) -> Result<()> {
    let mut report = Report::default();
    if let Some(effective) = files(&mut report, places, flags, folder) {
        if server(&mut report, &effective).await {
            signature(&mut report, &effective).await;
            device(&mut report, &effective).await;
            companion(&mut report, &effective).await;
            runnable(&mut report, &effective).await;
        }
        hooks(&mut report, &effective, folder);
    }
    agent(&mut report);
    log(&mut report, places);
    let failed = report.0.iter().filter(|check| check.level == Level::Fail).count();
    if json {
        term::say_json(&serde_json::json!({"ok": failed == 0, "checks": report.0}))?;
    } else {
        show(&report)?;
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, "one check failed").into()),
        _ => Err(Failure::new(Exit::Failed, format!("{failed} checks failed")).into()),
    }
}

fn show(report: &Report) -> Result<()> {
    let theme = Theme::detect();
    for check in &report.0 {
        let (mark, colour) = match check.level {
            Level::Ok => ("ok  ", Colour::Good),
            Level::Warn => ("warn", Colour::Warning),
            Level::Fail => ("FAIL", Colour::Bad),
        };
        term::say(&format!("{}  {:<12} {}", theme.paint(colour, mark), check.name, term::line(&check.message)))?;
        if let Some(fix) = &check.fix {
            term::say(&format!("{:19}→ {}", "", term::line(fix)))?;
        }
    }
    Ok(())
}

fn files(report: &mut Report, places: &Places, flags: Flags, folder: &Path) -> Option<Effective> {
    let path = places.config_file();
    let file = match ConfigFile::read(&path) {
        Ok(file) => {
            let what = if path.exists() { "is fine" } else { "does not exist; the defaults count" };
            report.ok("config", format!("{} {what}", path.display()));
            file
        }
        Err(error) => {
            report.fail("config", format!("{error:#}"), "correct the file; until then the hook uses the defaults");
            ConfigFile::default()
        }
    };
    match Credentials::read(places) {
        Ok(credentials) => {
            let count = credentials.projects().count();
            report.ok("credentials", format!("{}: {count} paired project(s)", places.credentials_file().display()));
        }
        Err(error) => {
            report.fail("credentials", format!("{error:#}"), "do what the message says");
            return None;
        }
    }
    match Effective::with_file(places.clone(), file, flags, folder) {
        Ok(effective) => {
            match &effective.workspace {
                Some((workspace, source)) => {
                    report.ok("pairing", format!("workspace {}, from: {source}", workspace.workspace_id));
                }
                None => match effective.paired_elsewhere() {
                    Some(url) => report.fail(
                        "pairing",
                        format!(
                            "paired with {url}, but the server here is {}, from: {}",
                            effective.url.0, effective.url.1
                        ),
                        &format!("leave the other server out, or flightdeck pair --replace --url {}", effective.url.0),
                    ),
                    None => report.fail("pairing", "this folder is not paired", "flightdeck pair"),
                },
            }
            Some(effective)
        }
        Err(error) => {
            report.fail("settings", format!("{error:#}"), "do what the message says");
            None
        }
    }
}

/// Whether the server answers, which version it has, and what time it thinks it is.
async fn server(report: &mut Report, effective: &Effective) -> bool {
    let url = &effective.url.0;
    let client = match effective.connect_anonymous() {
        Ok(client) => client,
        Err(error) => {
            report.fail("server", format!("{error:#}"), "correct the address");
            return false;
        }
    };
    let asked = SystemTime::now();
    let health = match client.health().get_health().timeout(LIMIT).retries(1).with_response().await {
        Ok(health) => health,
        Err(error) => {
            report.fail(
                "server",
                error.to_string(),
                "start the server, or give its address with --url or FLIGHTDECK_URL",
            );
            return false;
        }
    };
    report.ok("server", format!("{url} answers, version {}", health.value.version));
    let own = env!("CARGO_PKG_VERSION");
    if health.value.version != own {
        let message = format!("this flightdeck is {own}, the server is {}", health.value.version);
        report.warn("version", message, "update the older of the two");
    }
    let date = health.headers.get("date").and_then(|date| date.to_str().ok()).and_then(http_date);
    if let Some(date) = date {
        clock(report, date, Timestamp::from(asked));
    }
    true
}

/// The date format of HTTP headers, `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<_> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|known| known == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

fn clock(report: &mut Report, theirs: Timestamp, ours: Timestamp) {
    let skew = theirs.since(ours).max(ours.since(theirs)).as_secs();
    let message = format!("this machine's clock and the server's differ by {skew} s");
    let fix = "set the clock of whichever is wrong; beyond five minutes the server refuses signatures";
    match skew {
        0..SKEW_WARNING => report.ok("clock", message),
        SKEW_WARNING..SKEW_ALARM => report.warn("clock", message, fix),
        _ => report.fail("clock", message, fix),
    }
}

async fn signature(report: &mut Report, effective: &Effective) {
    if effective.workspace.is_none() {
        return;
    }
    match connect_signed(effective) {
        Ok(client) => accepted(report, "signature", &client, "flightdeck pair --replace").await,
        Err(error) => report.fail("signature", format!("{error:#}"), "flightdeck pair --replace"),
    }
}

async fn device(report: &mut Report, effective: &Effective) {
    match effective.connect_device() {
        None => report.ok("device", "this machine is none: it asks, and does not decide"),
        Some(Ok(client)) => {
            accepted(report, "device", &client, "flightdeck unpair --device, then flightdeck pair --add-device --self")
                .await;
        }
        Some(Err(error)) => report.fail("device", format!("{error:#}"), "do what the message says"),
    }
}

/// Whether agents of the companion are let in from here. Most projects have none, so that it need not be so.
async fn companion(report: &mut Report, effective: &Effective) {
    let token = match effective.companion_token.read() {
        Ok(token) => token,
        Err(error) => return report.fail("companion", format!("{error:#}"), "do what the message says"),
    };
    let whence = match effective.companion_token.source() {
        Some(source) => format!("the token, from: {source}"),
        None => "no token is set".to_owned(),
    };
    let client = match effective.connect_anonymous() {
        Ok(client) => client,
        Err(error) => return report.fail("companion", format!("{error:#}"), "correct the address"),
    };
    let call = client.companion().list_agents().timeout(LIMIT).retries(1);
    let is_set = token.is_some();
    match if let Some(token) = token { call.bearer(token).await } else { call.await } {
        Ok(list) => {
            let online = list.agents.iter().filter(|agent| agent.status == AgentStatus::Online).count();
            let accepted = if is_set { "is accepted" } else { "and none is asked for" };
            report.ok("companion", format!("{whence}, {accepted}; {} agent(s), {online} online", list.agents.len()));
        }
        Err(Error::Api(refusal)) if refusal.status == 401 && !is_set => report.ok(
            "companion",
            format!("not used: {whence}, and the server asks for one; `flightdeck companion` needs FLIGHTDECK_COMPANION_TOKEN"),
        ),
        Err(Error::Api(refusal)) => {
            let message = format!("{whence}: {} ({})", refusal.message, refusal.code.as_str());
            report.fail("companion", message, "set FLIGHTDECK_COMPANION_TOKEN to the COMPANION_TOKEN of the server");
        }
        Err(error) => report.fail("companion", error.to_string(), "try again"),
    }
}

async fn accepted(report: &mut Report, name: &'static str, client: &Client, fix: &str) {
    match client.health().get_server_health().timeout(LIMIT).retries(1).await {
        Ok(health) => {
            let message = format!(
                "accepted; {} server, {} question(s) waiting, {} hook(s) waiting",
                health.environment, health.pending_approvals, health.waiting_hooks,
            );
            report.ok(name, message);
        }
        Err(Error::Api(refusal)) => {
            let fix = if refusal.status == 401 && !refusal.code.as_str().starts_with("timestamp") {
                fix
            } else {
                &refusal.action
            };
            report.fail(name, format!("{} ({})", refusal.message, refusal.code.as_str()), fix);
        }
        Err(error) => report.fail(name, error.to_string(), "try again"),
    }
}

/// The agents that the server can run. Those of the machine itself are another matter.
async fn runnable(report: &mut Report, effective: &Effective) {
    const NAME: &str = "chats";
    let client = match effective.connect_device().unwrap_or_else(|| effective.connect_anonymous()) {
        Ok(client) => client,
        Err(error) => return report.fail(NAME, format!("{error:#}"), "correct the setting"),
    };
    let agents = match tokio::time::timeout(LIMIT, client.agents().list_runnable_agents()).await {
        Ok(Ok(listed)) => listed.agents,
        Ok(Err(Error::Api(refusal))) => {
            let fix = "pair this terminal (`flightdeck pair --self`), and let its workspace in on the server";
            return report.warn(
                NAME,
                format!("this terminal may not talk with the server's agents: {}", refusal.message),
                fix,
            );
        }
        Ok(Err(error)) => return report.warn(NAME, format!("{error}"), "try again"),
        Err(_) => return report.warn(NAME, "the server does not say which agents it can run", "try again"),
    };
    let names = |usable: bool| {
        let named = agents.iter().filter(|agent| agent.usable == usable).map(|agent| agent.name.as_str());
        named.collect::<Vec<_>>().join(", ")
    };
    let default = agents.iter().find(|agent| agent.default);
    match default.filter(|agent| !agent.usable) {
        Some(agent) => {
            let problem = agent.problem.clone().unwrap_or_default();
            report.warn(
                NAME,
                format!("chats talk with {}, which is not usable: {problem}", agent.name),
                "install it on the server's machine",
            );
        }
        None => report.ok(NAME, format!("the server can run {}; not installed there: {}", names(true), names(false))),
    }
}

fn hooks(report: &mut Report, effective: &Effective, folder: &Path) {
    let mut found = false;
    for scope in [Scope::User, Scope::Project, Scope::Local] {
        let Ok(path) = scope.file(folder) else { continue };
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let settings: Value = match serde_json::from_str(&text) {
            Ok(settings) => settings,
            Err(error) => {
                report.fail(
                    "hooks",
                    format!("{} is not valid JSON: {error}", path.display()),
                    "correct the file; Claude Code ignores it as it is",
                );
                continue;
            }
        };
        let ours = installed_in(&settings);
        if ours.is_empty() {
            continue;
        }
        if settings.get("disableAllHooks") == Some(&Value::Bool(true)) {
            report.fail("hooks", format!("{} switches all hooks off", path.display()), "remove disableAllHooks");
        }
        if found {
            let message = format!("{} has our hooks as well; every event is handled twice", path.display());
            report.warn("hooks", message, "flightdeck uninstall claude-code --scope user, project or local: keep one");
            continue;
        }
        found = true;
        report.ok("hooks", format!("{} of them in {}", ours.len(), path.display()));
        if let Some(missing) = ours.iter().find(|hook| !Path::new(&hook.program).is_file()) {
            report.fail(
                "hooks",
                format!("they run {}, which does not exist", missing.program),
                "flightdeck install claude-code",
            );
        }
        gate(report, effective.gate.0, effective.when_unreachable.0, &ours);
    }
    if !found {
        report.fail("hooks", "Claude Code does not know Flightdeck yet", "flightdeck install claude-code");
    }
}

/// Whether the gate has the time that it thinks it has.
fn gate(report: &mut Report, configured: Gate, otherwise: WhenUnreachable, ours: &[Installed]) {
    let waiting = ours.iter().find(|hook| hook.own_timeout.is_some());
    let Some(hook) = waiting else {
        report.warn(
            "gate",
            "no hook asks; Flightdeck only watches",
            "flightdeck install claude-code --gate permission-request",
        );
        return;
    };
    let own = hook.own_timeout.unwrap_or_default();
    let agents = hook.timeout.unwrap_or(600.0);
    let installed = hook.gate.as_deref().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "timeouts are far below the limit")]
    let too_short = agents < own as f64;
    if too_short {
        let message = format!(
            "{} waits {own} s, but Claude Code gives it {agents} s, and then goes on without an answer",
            hook.event
        );
        report.fail("gate", message, "flightdeck install claude-code");
    } else if own < 60 {
        report.warn(
            "gate",
            format!("{} waits only {own} s for a person", hook.event),
            "flightdeck install claude-code --timeout 86400",
        );
    } else {
        report.ok("gate", format!("{} waits up to {own} s for a person", hook.event));
    }
    if installed != configured.to_string() {
        let message =
            format!("the hooks were installed with the gate {installed}, the configuration says {configured}");
        report.warn("gate", message, "flightdeck install claude-code");
    }
    match hook.when_unreachable.as_deref() {
        None => report.warn(
            "gate",
            "the hooks do not say what happens without a verdict, so the agent's environment may",
            "flightdeck install claude-code",
        ),
        Some(installed) if installed != otherwise.to_string() => report.warn(
            "gate",
            format!("without a verdict the hooks {installed}, the configuration says {otherwise}"),
            "flightdeck install claude-code",
        ),
        Some(_) => {}
    }
}

fn agent(report: &mut Report) {
    match Command::new("claude").arg("--version").output() {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout);
            report.ok("agent", format!("claude {}", version.trim()));
        }
        Ok(_) => {
            report.warn("agent", "claude is there, but does not say its version", "run `claude --version` and see why");
        }
        Err(_) => report.warn("agent", "claude is not on PATH", "install Claude Code, or add its folder to PATH"),
    }
}

fn log(report: &mut Report, places: &Places) {
    let path = places.hook_log();
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    if let Some(last) = text.lines().last() {
        report.ok("log", format!("{}: last entry {last}", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn levels(report: &Report) -> Vec<Level> {
        report.0.iter().map(|check| check.level).collect()
    }

    #[test]
    fn http_dates_are_read() {
        let date = http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("is a date");
        assert_eq!(date.to_string(), "1994-11-06T08:49:37.000Z");
        assert!(http_date("yesterday").is_none());
    }

    #[test]
    fn a_clock_is_judged_by_its_distance_in_either_direction() {
        for (seconds, level) in
            [(0, Level::Ok), (29, Level::Ok), (-60, Level::Warn), (250, Level::Fail), (-900, Level::Fail)]
        {
            let mut report = Report::default();
            clock(
                &mut report,
                Timestamp::from_millis(1_000_000_000 + seconds * 1_000),
                Timestamp::from_millis(1_000_000_000),
            );
            assert_eq!(levels(&report), [level], "{seconds}");
        }
    }

    #[test]
    fn a_gate_without_enough_time_is_a_failure() {
        let judged_with = |more: &str, timeout: u64, configured| {
            let command = format!("/f/flightdeck hook claude-code --gate permission-request{more} --timeout 86400");
            let hook = json!({"type": "command", "command": command, "timeout": timeout});
            let ours = installed_in(&json!({"hooks": {"PermissionRequest": [{"hooks": [hook]}]}}));
            let mut report = Report::default();
            gate(&mut report, configured, WhenUnreachable::Ask, &ours);
            levels(&report)
        };
        let judged = |timeout, configured| judged_with(" --when-unreachable ask", timeout, configured);
        assert_eq!(judged(86_400, Gate::PermissionRequest), [Level::Ok]);
        assert_eq!(judged(600, Gate::PermissionRequest), [Level::Fail]);
        assert_eq!(judged(86_400, Gate::PreToolUse), [Level::Ok, Level::Warn]);
        for more in ["", " --when-unreachable allow"] {
            assert_eq!(judged_with(more, 86_400, Gate::PermissionRequest), [Level::Ok, Level::Warn], "{more}");
        }
    }
}
