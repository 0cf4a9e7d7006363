//! A machine of its own for each test, and a server that follows a script.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) const WORKSPACE: &str = "00000000-0000-4000-8000-000000000001";
pub(crate) const APPROVAL: &str = "00000000-0000-4000-8000-00000000000a";
pub(crate) const CALL: &str = "toolu_af8c179e619f419f9823f96a";

/// An event as the real program wrote it.
pub(crate) fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/claude/{name}.stdin.json"));
    let text = std::fs::read_to_string(path).expect("the fixture exists");
    serde_json::from_str(&text).expect("the fixture is JSON")
}

/// Folders and variables that no other test shares.
pub(crate) struct Machine {
    pub(crate) folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("project")).expect("creates the project");
        Self { folder, variables: Vec::new() }
    }

    /// A machine whose project is paired with a server, and whose hooks send by themselves.
    pub(crate) fn paired(url: &str) -> Self {
        let mut machine = Self::new();
        machine.set("FLIGHTDECK_URL", url);
        machine.set("FLIGHTDECK_WORKSPACE_ID", WORKSPACE);
        machine.set("FLIGHTDECK_BRIDGE_SECRET", "a secret");
        machine.set("FLIGHTDECK_DELIVERY", "inline");
        machine
    }

    /// Pairs the project with a server, as `flightdeck pair` would.
    pub(crate) fn pair(&self, url: &str) {
        let root = self.path("project").canonicalize().expect("exists");
        let project = json!({"url": url, "workspace_id": WORKSPACE, "bridge_secret": "s", "display_name": "project"});
        self.credentials(&json!({"version": 1, "projects": {root.to_str().expect("is text"): project}}));
    }

    pub(crate) fn credentials(&self, credentials: &Value) {
        use std::os::unix::fs::OpenOptionsExt as _;
        std::fs::create_dir_all(self.path("config")).expect("creates");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(self.path("config/credentials.json")).expect("creates");
        file.write_all(credentials.to_string().as_bytes()).expect("writes");
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.into(), value.into()));
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn config(&self, text: &str) {
        std::fs::create_dir_all(self.path("config")).expect("creates");
        std::fs::write(self.path("config/config.toml"), text).expect("writes");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flightdeck"));
        command.args(arguments).current_dir(self.path("project")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path());
        command.env("FLIGHTDECK_CONFIG_DIR", self.path("config"));
        command.env("FLIGHTDECK_STATE_DIR", self.path("state"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("runs")
    }

    /// Starts the hook with an event.
    pub(crate) fn start_hook(&self, arguments: &[&str], event: &[u8]) -> Child {
        let arguments = [&["hook", "claude-code"], arguments].concat();
        let mut child = self.command(&arguments).stdin(Stdio::piped()).spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("has a stdin");
        // A hook that does not read all of it is within its rights.
        let _closed_early = stdin.write_all(event);
        child
    }

    /// Runs the hook to its end, and gives the one answer that it printed.
    pub(crate) fn hook(&self, arguments: &[&str], event: &Value) -> Option<Value> {
        let child = self.start_hook(arguments, event.to_string().as_bytes());
        answer(child)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("state/hook.log")).unwrap_or_default()
    }
}

/// Waits for a hook, which must end well, and reads its one answer.
pub(crate) fn answer(child: Child) -> Option<Value> {
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("is text");
    assert!(text.lines().count() <= 1, "at most one answer: {text}");
    (!text.is_empty()).then(|| serde_json::from_str(&text).expect("the answer is JSON"))
}

/// A request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What it is about, in short.
    pub(crate) fn what(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default().replace(APPROVAL, "ID");
        let detail = ["event_type", "stage", "reason", "tool_use_id", "decision"]
            .iter()
            .find_map(|name| self.body.get(name)?.as_str());
        format!("{} {path} {}", self.method, detail.unwrap_or_default()).trim_end().to_owned()
    }
}

type Handler = dyn Fn(&Received) -> (u16, Value) + Send + Sync;

/// A server that answers as a test tells it to, and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    arrivals: Receiver<Received>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Received) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("has an address"));
        let received = Arc::new(Mutex::new(Vec::new()));
        let (sender, arrivals) = channel();
        let (handler, log): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&received));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, log, sender) = (Arc::clone(&handler), Arc::clone(&log), sender.clone());
                std::thread::spawn(move || serve(stream, &*handler, &log, &sender));
            }
        });
        Self { url, received, arrivals }
    }

    /// Everything so far, in short.
    pub(crate) fn what(&self) -> Vec<String> {
        self.received().iter().map(Received::what).collect()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("not poisoned").clone()
    }

    /// Waits until a request like this arrives.
    pub(crate) fn wait_for(&self, what: &str) -> Received {
        let end = Instant::now() + Duration::from_secs(20);
        while let Ok(received) = self.arrivals.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if received.what() == what {
                return received;
            }
        }
        panic!("{what} never came; only {:#?}", self.what());
    }
}

fn serve(stream: TcpStream, handler: &Handler, log: &Mutex<Vec<Received>>, sender: &Sender<Received>) {
    let mut reader = BufReader::new(stream.try_clone().expect("clones"));
    let mut writer = stream;
    while let Some(received) = read(&mut reader) {
        log.lock().expect("not poisoned").push(received.clone());
        let _nobody_waits = sender.send(received.clone());
        let (status, body) = handler(&received);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Received { method, path, headers, body })
}

/// Answers as the real server does; `wait` says what a wait brings.
pub(crate) fn answers(received: &Received, wait: impl FnOnce() -> Value) -> (u16, Value) {
    let path = received.path.split('?').next().unwrap_or_default();
    match path.rsplit('/').next().unwrap_or_default() {
        "event" => (200, json!({"status": "ok", "event_id": APPROVAL, "seq": 1})),
        "request" => {
            (200, json!({"approval_id": APPROVAL, "status": "PENDING", "expires_at": "2030-01-01T00:00:00.000Z"}))
        }
        "wait" => (200, wait()),
        "ack" | "withdraw" => (200, verdict("EXPIRED", None)),
        _ => (
            404,
            json!({"error": "There is nothing here.", "code": "route_not_found", "action": "", "request_id": "r"}),
        ),
    }
}

pub(crate) fn verdict(status: &str, note: Option<&str>) -> Value {
    json!({"approval_id": APPROVAL, "status": status, "note": note, "delivered_at": null, "consumed_at": null})
}
