//! `companion` as a person runs it, in a terminal and without one. The server is away, which must not matter here; what
//! needs one is in the end-to-end tests.

#![cfg(unix)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command as PtyCommand, Pty, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Termios, tcgetattr};

use support::Machine;

const PATIENCE: Duration = Duration::from_secs(20);

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    format!("http://{}", listener.local_addr().expect("has an address"))
}

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.set("FLIGHTDECK_URL", &nobody());
    machine
}

/// Runs a shell script as the agent, without a terminal.
fn run(machine: &Machine, script: &str, input: &str) -> Output {
    let mut command = machine.command(&["companion", "--", "sh", "-c", script]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("is piped").write_all(input.as_bytes()).expect("writes");
    child.wait_with_output().expect("ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a process is there, apart from its remains.
fn lives(id: &str) -> bool {
    let state = state(id);
    !state.is_empty() && !state.starts_with('Z')
}

/// Of a process, as `ps` names it; empty if there is none.
fn state(id: &str) -> String {
    let listed = Command::new("ps").args(["-o", "stat=", "-p", id]).output().expect("runs");
    text(&listed.stdout).trim().to_owned()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it never happened that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A person at a terminal, in which a companion runs.
struct Person {
    machine: Machine,
    pty: Arc<Pty>,
    companion: Child,
    screen: Arc<(Mutex<Vec<u8>>, Condvar)>,
    before: Termios,
}

impl Person {
    fn starts(machine: Machine, script: &str) -> Self {
        let (pty, pts) = open().expect("there is a terminal");
        pty.resize(Size::new(40, 100)).expect("has a size");
        let command = machine.command(&["companion", "--", "sh", "-c", script]);
        let mut own = PtyCommand::new(command.get_program()).args(command.get_args()).env_clear();
        own = own.current_dir(machine.path("project"));
        for (name, value) in command.get_envs() {
            own = own.env(name, value.unwrap_or_default());
        }
        let before = tcgetattr(&pty).expect("has modes");
        let companion = own.spawn(pts).expect("starts");
        let (pty, screen) = (Arc::new(pty), Arc::new((Mutex::default(), Condvar::new())));
        let (reader, shared) = (Arc::clone(&pty), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = (&*reader).read(&mut buffer) {
                let (output, changed): &(Mutex<Vec<u8>>, Condvar) = &shared;
                output.lock().expect("nobody panics").extend_from_slice(&buffer[..length]);
                changed.notify_all();
            }
        });
        Self { machine, pty, companion, screen, before }
    }

    fn types(&self, keys: &[u8]) {
        (&*self.pty).write_all(keys).expect("takes keys");
    }

    /// Waits until the terminal has shown something, and answers with everything that it has shown.
    fn sees(&self, wanted: &str) -> String {
        let (output, changed) = &*self.screen;
        let output = output.lock().expect("nobody panics");
        let (output, late) = changed
            .wait_timeout_while(output, PATIENCE, |output| !text(output).contains(wanted))
            .expect("nobody panics");
        assert!(!late.timed_out(), "{wanted:?} never came, only {:?}", text(&output));
        text(&output)
    }

    /// Waits for the end; the terminal must then be as it was.
    fn ends(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.companion.try_wait().expect("can be waited for") {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "it does not end"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let after = tcgetattr(&*self.pty).expect("has modes");
        assert_eq!(format!("{after:?}"), format!("{:?}", self.before), "the terminal is not as it was");
        status
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.companion), signal).expect("is there");
    }
}

#[test]
fn it_ends_as_its_agent_ends() {
    let machine = machine();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
        let ended = run(&machine, script, "");
        assert_eq!(ended.status.code(), Some(code), "{script}: {}", text(&ended.stderr));
    }
    let missing = machine.run(&["companion", "--", "/nowhere/agent"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(text(&missing.stderr).contains("/nowhere/agent could not be started"), "{}", text(&missing.stderr));
    assert_eq!(machine.run(&["companion"]).status.code(), Some(2), "there is no agent");
}

#[test]
fn without_a_server_the_agent_runs_all_the_same_and_that_is_said_once() {
    let ended = run(&machine(), "read -r line; printf 'got <%s>\\n' \"$line\"; sleep 2; echo end", "Grüße\n");
    assert_eq!(text(&ended.stdout), "Grüße\r\ngot <Grüße>\r\nend\r\n");
    let said = text(&ended.stderr);
    assert_eq!(said.matches("could not connect").count(), 1, "{said}");
    assert!(said.contains("the agent runs all the same"), "{said}");
}

#[test]
fn a_server_that_says_no_is_asked_before_the_agent_starts() {
    let server = support::Server::start(|_: &support::Received| {
        let body = serde_json::json!({
            "error": "The credential is not valid.", "code": "credential_invalid", "action": "Pair again.",
            "request_id": "r"
        });
        (401, body)
    });
    let mut machine = Machine::new();
    machine.set("FLIGHTDECK_URL", &server.url);
    machine.set("COMPANION_TOKEN", "wrong");
    let refused = run(&machine, "echo started", "");
    assert_eq!((refused.status.code(), text(&refused.stdout).as_str()), (Some(3), ""));
    assert!(text(&refused.stderr).contains("the agent was not started"), "{}", text(&refused.stderr));
    let asked = &server.received()[0];
    assert_eq!((asked.header("authorization"), asked.path.as_str()), (Some("Bearer wrong"), "/agents/register"));
}

#[test]
fn the_token_comes_from_where_it_is_said_and_never_reaches_the_agent() {
    let server = support::Server::start(|_: &support::Received| (503, serde_json::Value::Null));
    let mut machine = Machine::new();
    machine.set("FLIGHTDECK_URL", &server.url);
    let shows = "echo \"<$FLIGHTDECK_COMPANION_TOKEN$COMPANION_TOKEN>\"";
    let sent = |machine: &Machine, more: &[&str]| {
        let known = server.received().len();
        let arguments = [&["companion"], more, &["--", "sh", "-c", shows]].concat();
        let ended = machine.run(&arguments);
        assert_eq!(text(&ended.stdout), "<>\r\n");
        let token = server.received()[known].header("authorization").map(str::to_owned);
        (token, text(&ended.stderr))
    };
    assert_eq!(sent(&machine, &[]).0, None);
    std::fs::create_dir_all(machine.path("config")).expect("creates");
    std::fs::write(machine.path("config/token"), "of the settings\n").expect("writes");
    machine.config("[companion]\ntoken_file = \"token\"\n");
    let (token, said) = sent(&machine, &[]);
    assert_eq!(token.as_deref(), Some("Bearer of the settings"));
    assert!(said.contains("chmod 600"), "others can read it: {said}");
    machine.set("COMPANION_TOKEN", "of the server");
    assert_eq!(sent(&machine, &[]).0.as_deref(), Some("Bearer of the server"));
    machine.set("FLIGHTDECK_COMPANION_TOKEN", "our own");
    assert_eq!(sent(&machine, &[]).0.as_deref(), Some("Bearer our own"));
    std::fs::write(machine.path("token"), "of the file").expect("writes");
    let path = machine.path("token");
    let path = path.to_str().expect("is text");
    assert_eq!(sent(&machine, &["--token-file", path]).0.as_deref(), Some("Bearer of the file"));
    let missing = machine.run(&["companion", "--token-file", "/nowhere/token", "--", "echo", "started"]);
    assert_eq!((missing.status.code(), text(&missing.stdout).as_str()), (Some(1), ""));
    assert!(text(&missing.stderr).contains("/nowhere/token"), "{}", text(&missing.stderr));
}

#[test]
fn the_terminal_is_the_agents_and_afterwards_as_it_was() {
    let script = "stty size; printf '\\033[?1049h\\033[?2004h\\033[?25l'; trap 'echo interrupted' INT; echo ready; \
                  while :; do read -r line && echo \"heard $line\" && [ \"$line\" = quit ] && exit 4; done";
    let mut person = Person::starts(machine(), script);
    assert!(person.sees("ready").contains("40 100"), "it has another size");
    person.types(b"\x03");
    person.sees("interrupted");
    person.types("Grüße\r".as_bytes());
    person.sees("heard Grüße");
    person.types(b"quit\r");
    let status = person.ends();
    assert_eq!(status.code(), Some(4));
    // What it had switched on is off again, and only then somebody else speaks.
    let seen = person.sees("\x1b[?2004l\x1b[?1049l\x1b[?25h");
    let (during, after) = seen.split_once("\x1b[?1049h").expect("it was switched on");
    assert!(during.contains("the agent runs all the same"), "before the agent had the terminal: {during}");
    let (during, _) = after.split_once("\x1b[?1049l").expect("and off");
    assert!(!during.contains("flightdeck:"), "while the agent had the terminal: {during}");
    person.sees("flightdeck: the server was not there at the end");
}

#[test]
fn the_agent_learns_of_the_windows_size() {
    let script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done";
    let mut person = Person::starts(machine(), script);
    person.sees("ready");
    person.pty.resize(Size::new(11, 33)).expect("resizes");
    person.sees("11 33");
    person.ends();
}

#[test]
fn a_signal_ends_the_agent_and_frees_the_terminal() {
    let mut person = Person::starts(machine(), "echo \"agent $$.\"; sleep 1000");
    let seen = person.sees(".");
    person.sees("agent");
    let id = seen.split("agent ").nth(1).and_then(|rest| rest.split('.').next()).expect("says its id").to_owned();
    person.signal(Signal::TERM);
    assert_eq!(person.ends().code(), Some(143));
    assert!(!lives(&id));

    // One that does not want to end.
    let mut person =
        Person::starts(person.machine, "trap 'echo no' TERM HUP INT; echo ready; while :; do sleep 0.1; done");
    person.sees("ready");
    person.signal(Signal::TERM);
    person.sees("no");
    person.signal(Signal::TERM);
    assert_eq!(person.ends().code(), Some(137));
}

#[test]
fn a_companion_that_stops_gives_the_terminal_back_meanwhile() {
    let mut person = Person::starts(machine(), "echo ready; read -r line; echo \"heard $line\"");
    person.sees("ready");
    let modes = || format!("{:?}", tcgetattr(&*person.pty).expect("has modes"));
    let before = format!("{:?}", person.before);
    until("the terminal is raw", || modes() != before);
    person.signal(Signal::TSTP);
    until("the terminal is as it was", || modes() == before);
    // It stops a moment later, and to go on before that would be forgotten.
    let companion = person.companion.id().to_string();
    until("it has stopped", || state(&companion).starts_with('T'));
    person.signal(Signal::CONT);
    until("the terminal is raw again", || modes() != before);
    person.types(b"again\r");
    person.sees("heard again");
    assert_eq!(person.ends().code(), Some(0));
}

/// Those who stay in its group although they were asked to go.
const STUBBORN: &str = "(trap '' TERM HUP INT; while :; do sleep 0.1; done) & echo \"left $! of $$.\"";

fn ids(said: &str) -> Vec<String> {
    let words = said.split(|letter: char| !letter.is_ascii_digit()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

#[test]
fn nothing_of_an_agent_outlives_its_companion() {
    let machine = machine();
    let ended = run(&machine, STUBBORN, "");
    let left = ids(&text(&ended.stdout));
    assert_eq!(left.len(), 2, "{}", text(&ended.stdout));
    assert!(left.iter().all(|id| !lives(id)), "some of {left:?} are left");
}

#[test]
fn nothing_of_an_agent_outlives_a_companion_that_is_killed() {
    let machine = machine();
    let script = format!("trap '' TERM HUP INT; {STUBBORN}; while :; do sleep 0.1; done");
    let mut command = machine.command(&["companion", "--", "sh", "-c", &script]);
    let mut companion = command.spawn().expect("starts");
    let mut output = companion.stdout.take().expect("is piped");
    let mut said = Vec::new();
    while !said.contains(&b'.') {
        let mut byte = [0];
        output.read_exact(&mut byte).expect("says who they are");
        said.push(byte[0]);
    }
    let agents = ids(&text(&said));
    assert!(agents.len() == 2 && agents.iter().all(|id| lives(id)), "{agents:?}");
    companion.kill().expect("kills");
    companion.wait().expect("is dead");
    until("all of them are gone", || agents.iter().all(|id| !lives(id)));
}

#[test]
fn two_of_one_name_are_refused() {
    let machine = machine();
    let mut command = machine.command(&["companion", "--name", "one", "--", "sh", "-c", "echo ready; read -r line"]);
    let mut first = command.stdin(Stdio::piped()).spawn().expect("starts");
    let mut ready = [0; 5];
    first.stdout.as_mut().expect("is piped").read_exact(&mut ready).expect("runs");
    let second = machine.run(&["companion", "--name", "one", "--", "echo", "started"]);
    assert_eq!((second.status.code(), text(&second.stdout).as_str()), (Some(1), ""));
    assert!(text(&second.stderr).contains("--name"), "{}", text(&second.stderr));
    let other = machine.run(&["companion", "--name", "other", "--", "echo", "started"]);
    assert_eq!(other.status.code(), Some(0));
    first.stdin.take().expect("is piped").write_all(b"\n").expect("writes");
    assert!(first.wait().expect("ends").success());
}

#[test]
fn questions_to_a_terminal_that_is_not_there_are_answered() {
    let script = "stty raw -echo; printf 'abc\\033[6n'; dd bs=1 count=6 2>/dev/null | od -An -c";
    let ended = run(&machine(), script, "");
    let answer: String = text(&ended.stdout).split("\x1b[6n").nth(1).expect("asks").split_whitespace().collect();
    assert_eq!(answer, "033[1;4R");
}
