//! The hook as Claude Code runs it: a process that gets an event on stdin and prints at most one answer.

#![cfg(unix)]

mod support;

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use support::{APPROVAL, CALL, Machine, Received, Server, WORKSPACE, answer, answers, fixture, verdict};

/// A server that gives this verdict.
fn deciding(status: &'static str, note: Option<&'static str>) -> Server {
    Server::start(move |received| answers(received, || verdict(status, note)))
}

/// A server whose waits end when the question is withdrawn.
fn undecided() -> Server {
    let withdrawn = Arc::new((Mutex::new(false), Condvar::new()));
    Server::start(move |received: &Received| {
        let (flag, changed) = &*withdrawn;
        if received.path.contains("/withdraw") {
            *flag.lock().expect("not poisoned") = true;
            changed.notify_all();
        }
        answers(received, || {
            let limit = Duration::from_secs(20);
            let guard = flag.lock().expect("not poisoned");
            drop(changed.wait_timeout_while(guard, limit, |flag| !*flag));
            let mut answer = verdict("EXPIRED", None);
            answer["expiry_reason"] = "WITHDRAWN".into();
            answer
        })
    })
}

fn signal(child: &std::process::Child, signal: Signal) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(id, signal).expect("is signalled");
}

const REQUEST: &str = "POST /bridge/approval/request toolu_af8c179e619f419f9823f96a";

#[test]
fn an_approval_with_a_note_is_asked_given_received_and_consumed() {
    let waits = AtomicUsize::new(0);
    let server = Server::start(move |received| {
        answers(received, || match waits.fetch_add(1, Ordering::Relaxed) {
            0 => verdict("PENDING", None),
            _ => verdict("APPROVED", Some("but use -n")),
        })
    });
    let machine = Machine::paired(&server.url);
    assert_eq!(machine.hook(&[], &fixture("PreToolUse")), None);
    assert_eq!(
        machine.hook(&["--gate", "permission-request", "--timeout", "60"], &fixture("PermissionRequest")),
        Some(json!({
            "hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}},
            "systemMessage": "Approved in Flightdeck: but use -n",
        }))
    );
    assert_eq!(
        machine.hook(&[], &fixture("PostToolUse")),
        Some(json!({"hookSpecificOutput": {
            "hookEventName": "PostToolUse",
            "additionalContext": "Note from the person who approved this: but use -n",
        }}))
    );
    assert_eq!(
        server.what(),
        [
            "POST /bridge/event TOOL_STARTED",
            REQUEST,
            "GET /bridge/approval/ID/wait",
            "GET /bridge/approval/ID/wait",
            "POST /bridge/approval/ID/ack DELIVERED",
            "POST /bridge/approval/ID/ack CONSUMED",
            "POST /bridge/event TOOL_FINISHED",
        ]
    );
}

#[test]
fn the_question_carries_what_a_person_needs_and_is_signed() {
    let server = deciding("DENIED", None);
    let machine = Machine::paired(&server.url);
    machine.hook(&[], &fixture("PreToolUse"));
    machine.hook(&["--timeout", "60"], &fixture("PermissionRequest"));
    let request = server.received().into_iter().find(|received| received.path.ends_with("/request"));
    let request = request.expect("it asked");
    for header in ["x-signature", "x-timestamp", "x-nonce", "idempotency-key"] {
        assert!(request.header(header).is_some(), "{header}");
    }
    assert_eq!(request.header("x-workspace-id"), Some(WORKSPACE));
    let namespace: uuid::Uuid = WORKSPACE.parse().expect("an id");
    let session = "claude_code:a95b94b6-b297-4576-8b95-eead7cf363e2";
    assert_eq!(
        request.body,
        json!({
            "run_id": uuid::Uuid::new_v5(&namespace, session.as_bytes()),
            "workspace_id": WORKSPACE,
            "provider": "claude_code",
            "kind": "command",
            "command": "echo hello-lab > made.txt",
            "cwd": "/home/dev/project",
            "session_id": "a95b94b6-b297-4576-8b95-eead7cf363e2",
            "tool_name": "Bash",
            "tool_use_id": CALL,
            "expires_in_seconds": request.body["expires_in_seconds"],
            "context": {
                "tool_input": {"command": "echo hello-lab > made.txt", "description": "lab command"},
                "description": "lab command",
                "permission_suggestions": [
                    {"type": "addDirectories", "directories": ["/home/dev/project"], "destination": "session"}
                ],
                "folder": "project",
                "permission_mode": "default",
            },
        })
    );
    let life = request.body["expires_in_seconds"].as_u64().expect("a number");
    assert!((50..60).contains(&life), "the question lives as long as the agent waits: {life}");
}

#[test]
fn a_denial_tells_the_model_why() {
    let server = deciding("DENIED", Some("use the staging database"));
    let machine = Machine::paired(&server.url);
    let denied = machine.hook(&["--timeout", "60"], &fixture("PermissionRequest"));
    assert_eq!(
        denied,
        Some(json!({"hookSpecificOutput": {
            "hookEventName": "PermissionRequest",
            "decision": {"behavior": "deny", "message": "use the staging database"},
        }}))
    );
    machine.hook(&[], &fixture("Stop"));
    server.wait_for("POST /bridge/approval/ID/ack CONSUMED");
}

#[test]
fn pre_tool_use_can_be_the_gate() {
    let server = deciding("APPROVED", None);
    let machine = Machine::paired(&server.url);
    machine.config("[hook]\ngate = \"pre-tool-use\"\n");
    assert_eq!(
        machine.hook(&["--timeout", "60"], &fixture("PreToolUse")),
        Some(json!({"hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "allow",
            "permissionDecisionReason": "Approved in Flightdeck.",
        }}))
    );
    let mut read = fixture("PreToolUse");
    read["tool_name"] = "Read".into();
    assert_eq!(machine.hook(&["--timeout", "60"], &read), None, "reading is not asked about");
    assert_eq!(machine.hook(&["--timeout", "60"], &fixture("PermissionRequest")), None);
}

#[test]
fn without_a_server_the_configured_answer_is_given_in_words() {
    let mut machine = Machine::paired("http://127.0.0.1:9");
    machine.config("[hook]\npatience_seconds = 0\n");
    let said = "Flightdeck could not be reached (no connection to http://127.0.0.1:9).";
    assert_eq!(
        machine.hook(&[], &fixture("PermissionRequest")),
        Some(json!({"systemMessage": format!("{said} Please answer here.")}))
    );
    let pre_tool_use = |machine: &Machine| {
        let answer = machine.hook(&["--gate", "pre-tool-use"], &fixture("PreToolUse")).expect("answers");
        answer["hookSpecificOutput"].clone()
    };
    let expected = |decision: &str, reason: String| json!({"hookEventName": "PreToolUse", "permissionDecision": decision, "permissionDecisionReason": reason});
    assert_eq!(pre_tool_use(&machine), expected("ask", format!("{said} Please answer here.")));
    for choice in ["deny", "allow"] {
        machine.set("FLIGHTDECK_WHEN_UNREACHABLE", choice);
        let decided = if choice == "deny" { "denied" } else { "allowed" };
        let reason = format!("{said} It is {decided} because when_unreachable is set to {choice}.");
        assert_eq!(pre_tool_use(&machine), expected(choice, reason));
    }
}

#[test]
fn a_refused_credential_is_said_and_not_repeated() {
    let server = Server::start(|_| {
        let refusal = json!({"error": "X-Signature does not match the request.", "code": "signature_invalid",
                             "action": "Pair this machine again.", "request_id": "r"});
        (401, refusal)
    });
    let machine = Machine::paired(&server.url);
    assert_eq!(
        machine.hook(&[], &fixture("PermissionRequest")),
        Some(json!({"systemMessage": "Flightdeck did not take the question (X-Signature does not match the request. \
                                      Pair this machine again). Please answer here."}))
    );
    assert_eq!(server.what().len(), 1);
}

#[test]
fn the_answer_comes_before_the_agents_limit() {
    let server = undecided();
    let machine = Machine::paired(&server.url);
    let started = Instant::now();
    let answer = machine.hook(&["--timeout", "2"], &fixture("PermissionRequest"));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(answer, Some(json!({"systemMessage": "Nobody answered in Flightdeck in time. Please answer here."})));
    server.wait_for("POST /bridge/approval/ID/withdraw the agent stopped waiting");
}

#[test]
fn an_answer_in_the_terminal_withdraws_the_question_and_ends_the_waiter_quietly() {
    let server = undecided();
    let machine = Machine::paired(&server.url);
    machine.hook(&[], &fixture("PreToolUse"));
    let waiter = machine.start_hook(&["--timeout", "60"], fixture("PermissionRequest").to_string().as_bytes());
    server.wait_for("GET /bridge/approval/ID/wait");
    assert_eq!(machine.hook(&[], &fixture("PostToolUse")), None);
    server.wait_for("POST /bridge/approval/ID/withdraw answered in the terminal");
    assert_eq!(answer(waiter), None);
}

#[test]
fn escape_withdraws_the_question() {
    for kind in [Signal::TERM, Signal::INT, Signal::HUP] {
        let server = undecided();
        let machine = Machine::paired(&server.url);
        let waiter = machine.start_hook(&["--timeout", "60"], fixture("PermissionRequest").to_string().as_bytes());
        server.wait_for("GET /bridge/approval/ID/wait");
        signal(&waiter, kind);
        assert_eq!(answer(waiter), None);
        server.wait_for("POST /bridge/approval/ID/withdraw the agent stopped waiting");
    }
}

#[test]
fn a_hook_that_was_killed_comes_back_to_the_same_question() {
    let server = undecided();
    let machine = Machine::paired(&server.url);
    machine.hook(&[], &fixture("PreToolUse"));
    let event = fixture("PermissionRequest").to_string();
    for _ in 0..2 {
        let mut waiter = machine.start_hook(&["--timeout", "60"], event.as_bytes());
        server.wait_for(REQUEST);
        server.wait_for("GET /bridge/approval/ID/wait");
        signal(&waiter, Signal::KILL);
        waiter.wait().expect("ends");
    }
    assert!(!server.what().iter().any(|what| what.contains("withdraw")), "a killed hook withdraws nothing");
    machine.hook(&[], &fixture("SessionEnd"));
    server.wait_for("POST /bridge/approval/ID/withdraw answered in the terminal");
}

#[test]
fn a_verdict_that_nobody_could_acknowledge_is_repaired_by_the_next_event() {
    // The hook died after it had printed: the session still believes the question open.
    let server = Server::start(|received| {
        if received.path.contains("/withdraw") {
            let conflict = json!({"error": "Decided.", "code": "approval_conflict", "action": "", "request_id": "r"});
            return (409, conflict);
        }
        answers(received, || {
            std::thread::sleep(Duration::from_secs(20));
            Value::Null
        })
    });
    let machine = Machine::paired(&server.url);
    machine.hook(&[], &fixture("PreToolUse"));
    let mut waiter = machine.start_hook(&["--timeout", "60"], fixture("PermissionRequest").to_string().as_bytes());
    server.wait_for("GET /bridge/approval/ID/wait");
    signal(&waiter, Signal::KILL);
    waiter.wait().expect("ends");
    machine.hook(&[], &fixture("PostToolUse"));
    server.wait_for("POST /bridge/approval/ID/ack CONSUMED");
}

#[test]
fn a_question_about_a_call_that_went_on_is_a_new_one() {
    let server = Server::start(|received| {
        if received.path.ends_with("/request") && received.body.get("tool_use_id").is_some() {
            let consumed = json!({"error": "Done.", "code": "approval_consumed", "action": "", "request_id": "r"});
            return (409, consumed);
        }
        answers(received, || verdict("APPROVED", None))
    });
    let machine = Machine::paired(&server.url);
    machine.hook(&[], &fixture("PreToolUse"));
    let answer = machine.hook(&["--timeout", "60"], &fixture("PermissionRequest")).expect("answers");
    assert_eq!(answer["hookSpecificOutput"]["decision"]["behavior"], "allow");
}

#[test]
fn watching_never_waits_for_the_network_and_loses_nothing() {
    let server = Server::start(|received| {
        std::thread::sleep(Duration::from_millis(700));
        answers(received, || Value::Null)
    });
    let mut machine = Machine::paired(&server.url);
    machine.set("FLIGHTDECK_DELIVERY", "background");
    let events = ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SessionEnd"];
    let started = Instant::now();
    for event in events {
        assert_eq!(machine.hook(&[], &fixture(event)), None);
    }
    let took = started.elapsed();
    assert!(took < Duration::from_millis(700), "six hooks took {took:?}, less than one request");
    server.wait_for("POST /bridge/event RUN_FINISHED");
    assert_eq!(
        server.what(),
        ["RUN_STARTED", "PROMPT_SUBMITTED", "TOOL_STARTED", "TOOL_FINISHED", "TURN_FINISHED", "RUN_FINISHED"]
            .map(|kind| format!("POST /bridge/event {kind}"))
    );
}

#[test]
fn events_wait_for_a_server_that_is_away() {
    let mut machine = Machine::paired("http://127.0.0.1:9");
    machine.hook(&[], &fixture("SessionStart"));
    let server = deciding("APPROVED", None);
    machine.set("FLIGHTDECK_URL", &server.url);
    machine.hook(&[], &fixture("Stop"));
    assert_eq!(server.what(), ["POST /bridge/event RUN_STARTED", "POST /bridge/event TURN_FINISHED"]);
}

#[test]
fn folders_that_are_not_paired_are_left_alone() {
    let machine = Machine::new();
    for name in ["SessionStart", "PreToolUse", "PermissionRequest", "PostToolUse", "Stop", "SessionEnd"] {
        assert_eq!(machine.hook(&[], &fixture(name)), None, "{name}");
    }
    assert!(!machine.path("state/sessions").exists());
    machine.config("[hook]\nwhen_unreachable = \"deny\"\n");
    let answer = machine.hook(&[], &fixture("PermissionRequest")).expect("answers");
    assert_eq!(answer["hookSpecificOutput"]["decision"]["behavior"], "deny");
}

#[test]
fn whatever_comes_in_the_hook_ends_well_and_silently() {
    let machine = Machine::paired("http://127.0.0.1:9");
    let large = vec![b' '; 11 * 1024 * 1024];
    for event in [b"".as_slice(), b"{oops", b"[]", b"{\"hook_event_name\":\"Stop\"}", b"\xff\xfe", &large] {
        assert_eq!(answer(machine.start_hook(&[], event)), None);
    }
    assert_eq!(machine.log().lines().count(), 6);
    let mut cursor = fixture("PermissionRequest");
    cursor["cursor_version"] = "3.9".into();
    assert_eq!(machine.hook(&[], &cursor), None);
}

/// An event that is too deep to be read.
fn deep(name: &str) -> Vec<u8> {
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let mut event = fixture(name);
    event["tool_input"] = json!({"hook_event_name": "Stop", "deep": "HERE"});
    event.to_string().replace("\"HERE\"", &nested).into_bytes()
}

#[test]
fn what_cannot_be_read_does_not_open_the_gate() {
    let mut machine = Machine::paired("http://127.0.0.1:9");
    let large = vec![b' '; 11 * 1024 * 1024];
    let gate = ["--gate", "pre-tool-use"];
    let decision = |machine: &Machine, more: &[&str], event: &[u8]| {
        let given = answer(machine.start_hook(&[&gate, more].concat(), event))?;
        assert_eq!(given["hookSpecificOutput"]["hookEventName"], "PreToolUse");
        let reason = given["hookSpecificOutput"]["permissionDecisionReason"].as_str().expect("is text");
        assert!(reason.starts_with("Flightdeck could not read what is to be done ("), "{reason}");
        Some(given["hookSpecificOutput"]["permissionDecision"].as_str().expect("is text").to_owned())
    };
    for event in [b"".as_slice(), b"{oops", b"[]", b"\xff\xfe", b"{\"session_id\":\"s\"}", &large, &deep("PreToolUse")]
    {
        assert_eq!(decision(&machine, &[], event).as_deref(), Some("ask"));
    }
    machine.set("FLIGHTDECK_WHEN_UNREACHABLE", "allow");
    for choice in ["ask", "deny", "allow"] {
        assert_eq!(decision(&machine, &["--when-unreachable", choice], b"{oops").as_deref(), Some(choice));
    }
    assert_eq!(decision(&machine, &[], &deep("PostToolUse")), None, "that is surely another event");
    assert_eq!(answer(machine.start_hook(&["--gate", "permission-request"], &deep("PermissionRequest"))), None);
    let elsewhere = Machine::new();
    let allow = ["--when-unreachable", "allow"];
    assert_eq!(decision(&elsewhere, &allow, b"{oops").as_deref(), Some("ask"), "nothing is allowed without a pairing");
}

#[test]
fn an_answer_that_cannot_be_given_fails_where_silence_would_open_the_gate() {
    let machine = Machine::paired("http://127.0.0.1:9");
    machine.config("[hook]\npatience_seconds = 0\n");
    for (gate, code) in [("pre-tool-use", 1), ("permission-request", 0)] {
        let event = if code == 1 { "PreToolUse" } else { "PermissionRequest" };
        let arguments = ["hook", "claude-code", "--gate", gate];
        let mut child = machine.command(&arguments).stdin(std::process::Stdio::piped()).spawn().expect("starts");
        drop(child.stdout.take());
        let event = fixture(event).to_string();
        child.stdin.take().expect("has a stdin").write_all(event.as_bytes()).expect("writes");
        assert_eq!(child.wait().expect("ends").code(), Some(code), "{gate}");
    }
}

#[test]
fn the_environment_cannot_point_a_paired_project_elsewhere() {
    let server = deciding("DENIED", None);
    let other = deciding("APPROVED", None);
    let mut machine = Machine::new();
    machine.pair(&server.url);
    machine.set("FLIGHTDECK_DELIVERY", "inline");
    machine.set("FLIGHTDECK_URL", &other.url);
    let mut event = fixture("PermissionRequest");
    event["cwd"] = machine.path("project").to_str().expect("is text").into();
    let denied = machine.hook(&["--timeout", "60"], &event).expect("answers");
    assert_eq!(denied["hookSpecificOutput"]["decision"]["behavior"], "deny");
    machine.set("FLIGHTDECK_WORKSPACE_ID", APPROVAL);
    machine.set("FLIGHTDECK_BRIDGE_SECRET", "another secret");
    let denied = machine.hook(&["--timeout", "60"], &event).expect("answers");
    assert_eq!(denied["hookSpecificOutput"]["decision"]["behavior"], "deny");
    assert!(server.received().iter().all(|received| received.header("x-workspace-id") == Some(WORKSPACE)));
    assert!(other.what().is_empty(), "{:?}", other.what());
    assert!(machine.log().contains("FLIGHTDECK_URL in the environment is ignored"), "{}", machine.log());
}

#[test]
fn credentials_that_others_can_read_are_refused_and_the_person_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    std::fs::create_dir(machine.path("config")).expect("creates");
    let path = machine.path("config/credentials.json");
    std::fs::write(&path, "{\"version\":1}").expect("writes");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("sets");
    let answer = machine.hook(&[], &fixture("PermissionRequest")).expect("answers");
    let said = answer["systemMessage"].as_str().expect("is text");
    assert!(said.contains("chmod 600"), "{said}");
    assert_eq!(machine.hook(&[], &fixture("PreToolUse")), None);
    assert_eq!(machine.run(&["approvals"]).status.code(), Some(1));
}

#[test]
fn a_wrong_command_line_is_no_refusal_for_the_agent() {
    let machine = Machine::new();
    assert_eq!(machine.run(&["hook", "claude-code", "--from-the-future"]).status.code(), Some(1));
    assert_eq!(machine.run(&["hook", "codex-from-the-future"]).status.code(), Some(1));
    assert_eq!(machine.run(&["approvals", "--from-the-future"]).status.code(), Some(2));
    assert_eq!(machine.run(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_reader_that_went_away_gets_no_receipt() {
    let server = deciding("APPROVED", None);
    let machine = Machine::paired(&server.url);
    let mut command = machine.command(&["hook", "claude-code", "--timeout", "60"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    let event = fixture("PermissionRequest").to_string();
    child.stdin.take().expect("has a stdin").write_all(event.as_bytes()).expect("writes");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    assert!(!server.what().iter().any(|what| what.contains(&format!("{APPROVAL}/ack")) || what.contains("/ack")));
}
