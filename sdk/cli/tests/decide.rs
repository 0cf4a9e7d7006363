//! `approvals` as a person runs it: who may look, and who may decide.

#![cfg(unix)]

mod support;

use serde_json::{Value, json};

use support::{APPROVAL, Machine, Received, Server, WORKSPACE};

/// A server that lists one approval, and lets devices decide.
fn server() -> Server {
    Server::start(|received: &Received| {
        let approval = json!({
            "approval_id": APPROVAL, "run_id": WORKSPACE, "workspace_id": WORKSPACE, "provider": "claude_code",
            "kind": "command", "command": "ls\u{9b}2J", "cwd_hash": "", "context": {}, "session_id": null,
            "tool_name": null, "tool_use_id": null, "note": null, "expiry_reason": null, "decided_at": null,
            "decided_by": null, "decided_by_device_id": null, "delivered_at": null, "consumed_at": null,
            "orphaned_at": null, "status": if received.method == "POST" { "APPROVED" } else { "PENDING" },
            "requested_at": "2026-01-01T00:00:00.000Z", "expires_at": "2030-01-01T00:00:00.000Z",
        });
        match received.path.split('?').next().unwrap_or_default() {
            "/v1/approvals" => (200, json!({"items": [approval], "next_cursor": null})),
            _ => (200, approval),
        }
    })
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_machines_key_looks_and_a_device_decides() {
    let server = server();
    let mut machine = Machine::paired(&server.url);
    let listed = machine.run(&["approvals", "--json"]);
    assert_eq!(listed.status.code(), Some(0), "{}", stderr(&listed));
    let text = String::from_utf8(listed.stdout).expect("is text");
    assert!(text.contains(r"ls\u009b2J") && !text.contains('\u{9b}'), "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("is JSON")[0]["command"], "ls\u{9b}2J");

    for verb in ["approve", "deny"] {
        let refused = machine.run(&["approvals", verb, APPROVAL]);
        assert_eq!(refused.status.code(), Some(3));
        let said = stderr(&refused);
        assert!(said.contains("may ask, but not decide") && said.contains("pair --add-device --self"), "{said}");
    }
    assert!(server.received().iter().all(|received| received.method == "GET"), "nothing was sent");

    machine.set("FLIGHTDECK_DEVICE_TOKEN", "token");
    let decided = machine.run(&["approvals", "approve", APPROVAL]);
    assert_eq!(decided.status.code(), Some(0), "{}", stderr(&decided));
    let decision = server.received().pop().expect("it was sent");
    assert_eq!(decision.header("authorization"), Some("Bearer token"));
    assert_eq!(decision.header("x-signature"), None);
}

#[test]
fn a_pairings_key_is_for_the_pairings_server_only() {
    let (server, other) = (server(), server());
    let mut machine = Machine::new();
    machine.pair(&server.url);
    assert_eq!(machine.run(&["approvals"]).status.code(), Some(0));
    assert_eq!(machine.run(&["approvals", "--url", &format!("{}/", server.url)]).status.code(), Some(0));
    machine.set("FLIGHTDECK_URL", &other.url);
    for arguments in [&["approvals"][..], &["runs"], &["approvals", "deny", APPROVAL], &["pair", "--add-device"]] {
        let refused = machine.run(arguments);
        assert_eq!(refused.status.code(), Some(3), "{arguments:?}");
        let said = stderr(&refused);
        assert!(said.contains(&format!("paired with {}", server.url)), "{said}");
        assert!(said.contains("variable FLIGHTDECK_URL"), "{said}");
    }
    assert!(other.what().is_empty(), "{:?}", other.what());
}
