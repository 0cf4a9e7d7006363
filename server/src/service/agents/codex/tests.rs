//! Recorded sessions of Codex's app server, and lines that they lack.

use serde_json::{Value, json};

use super::translate::Translator;
use crate::service::agents::dialogue::testing::{recorded, shown};
use crate::service::agents::dialogue::{Dialogue, Heard};
use crate::service::agents::update::Answer;

const ACCEPT: &str = include_str!("../../../../tests/fixtures/codex/accept.jsonl");
const DECLINE: &str = include_str!("../../../../tests/fixtures/codex/decline.jsonl");
const CANCEL: &str = include_str!("../../../../tests/fixtures/codex/cancel.jsonl");
const INTERRUPT: &str = include_str!("../../../../tests/fixtures/codex/interrupt.jsonl");
const PATCH: &str = include_str!("../../../../tests/fixtures/codex/patch.jsonl");

fn translator() -> Translator {
    Translator::new("/home/dev/project".into(), None)
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("it is JSON")
}

/// What is heard in a session, in which we do what was done then, and say it as it was said.
fn replay(recording: &str) -> Vec<String> {
    let mut translator = translator();
    let mut told = Vec::new();
    let mut said = Vec::new();
    let mut foreign = Vec::new();
    for (is_said, mut line) in recorded(recording) {
        if is_said && !line["method"].is_string() && foreign.contains(&line["id"]) {
            continue;
        }
        if is_said {
            let heard = shown(translator.hear(&line.to_string()));
            let (ours, heard): (Vec<_>, Vec<_>) = heard.into_iter().partition(|heard| heard.starts_with("say "));
            said.extend(ours.iter().map(|ours| parsed(&ours["say ".len()..])));
            told.extend(heard);
            continue;
        }
        if let Some(id) = line["id"].as_u64().filter(|_| line["method"].is_string()) {
            translator.set_requests(id - 1);
        }
        let ours = match line["method"].as_str() {
            Some("initialize") => {
                line["params"]["clientInfo"] =
                    json!({"name": "flightdeck", "title": "Flightdeck", "version": env!("CARGO_PKG_VERSION")});
                parsed(&translator.open()[0])
            }
            Some("initialized" | "thread/start") => {
                let mut ours = said.remove(0);
                // It was said as the next request, whose number another one took in some recordings.
                if let Some(id) = ours.get_mut("id") {
                    *id = line["id"].clone();
                    translator.set_awaited(line["id"].as_u64().expect("a number"));
                }
                ours
            }
            Some("turn/start") => {
                parsed(&translator.prompt(line["params"]["input"][0]["text"].as_str().expect("a text")))
            }
            Some("turn/interrupt") => parsed(&translator.cancel().expect("the turn is known")),
            // Nothing that we ever say.
            Some(_) => {
                foreign.push(line["id"].take());
                continue;
            }
            None => {
                let answer = match line["result"]["decision"].as_str() {
                    Some("accept") => Answer::Allow { note: None },
                    Some("decline") => Answer::Deny { note: Some("no".to_owned()) },
                    _ => {
                        translator.cancel();
                        Answer::Withdrawn
                    }
                };
                parsed(&translator.answer(&line["id"], answer).expect("it was asked"))
            }
        };
        assert_eq!(ours, line);
    }
    assert!(said.is_empty(), "{said:?}");
    told
}

#[test]
fn a_command_that_is_allowed() {
    assert_eq!(
        replay(ACCEPT),
        [
            "session 01a1f8d1-7c2a-7623-a4c3-03f5c04075d5",
            "ready",
            "status Thinking",
            "status Running a command",
            "call call_f687e04682c34ff188a3 Bash \
             {\"command\":\"/bin/bash -lc 'echo x > made.txt'\",\"cwd\":\"/home/dev/project\"}",
            "ask command `/bin/bash -lc 'echo x > made.txt'` call_f687e04682c34ff188a3 Bash",
            "withdraw",
            "done call_f687e04682c34ff188a3 ",
            "text all done",
            "end of text",
            "finished 20+10",
        ]
    );
}

#[test]
fn a_command_that_is_denied() {
    let told = replay(DECLINE);
    let end =
        ["withdraw", "failed call_dc9ca26d5e294de180a7 declined", "text all done", "end of text", "finished 20+10"];
    assert_eq!(told[6..], end);
}

#[test]
fn a_turn_that_is_cancelled_while_it_asks() {
    let told = replay(CANCEL);
    assert_eq!(told[6..], ["withdraw", "failed call_83a9c48008a64f4b830e declined", "cancelled 10+5"]);
}

#[test]
fn a_turn_that_is_interrupted() {
    let told = replay(INTERRUPT);
    assert_eq!(told, ["session 01a1f8d1-99ee-7d91-b79b-e438334a08ec", "ready", "status Thinking", "cancelled"]);
}

#[test]
fn a_change_of_a_file() {
    assert_eq!(
        replay(PATCH)[2..],
        [
            "status Thinking",
            "status Changing files",
            "call call_f7abb4c9d00446bbbb2f apply_patch \
             {\"changes\":[{\"path\":\"/home/dev/project/a.txt\",\"kind\":{\"type\":\"add\"},\"diff\":\"hi\\n\"}]}",
            "ask edit `Change a.txt` call_f7abb4c9d00446bbbb2f apply_patch",
            "withdraw",
            "patch a.txt\n--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+hi\n",
            "done call_f7abb4c9d00446bbbb2f completed",
            "text patched",
            "end of text",
            "finished 20+10",
        ]
    );
}

/// What is heard of some lines.
fn heard(translator: &mut Translator, lines: &[Value]) -> Vec<String> {
    lines.iter().flat_map(|line| shown(translator.hear(&line.to_string()))).collect()
}

/// One that has its thread, and begins a turn.
fn busy() -> Translator {
    let mut translator = translator();
    translator.open();
    heard(&mut translator, &[json!({"id": 1, "result": {}}), json!({"id": 2, "result": {"thread": {"id": "us"}}})]);
    translator.prompt("hi");
    translator
}

fn news(method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    params["threadId"] = json!("us");
    json!({"method": method, "params": params})
}

#[test]
fn a_session_that_can_not_be_taken_up_is_begun_anew() {
    let mut translator = Translator::new("/p".into(), Some("old".to_owned()));
    translator.open();
    let told = heard(&mut translator, &[json!({"id": 1, "result": {}})]);
    assert_eq!(
        told[1],
        "say {\"method\":\"thread/resume\",\"id\":2,\"params\":{\"threadId\":\"old\",\"cwd\":\"/p\",\
         \"approvalPolicy\":\"untrusted\",\"sandbox\":\"workspace-write\"}}"
    );
    let told = heard(&mut translator, &[json!({"id": 2, "error": {"code": -32600, "message": "no rollout found"}})]);
    assert!(told[0].starts_with(r#"say {"method":"thread/start","id":3,"#), "{told:?}");
    let told = heard(&mut translator, &[json!({"id": 3, "error": {"code": -1, "message": "log in"}})]);
    assert_eq!(told, ["refused: log in"]);
}

#[test]
fn a_turn_is_interrupted_once_its_name_is_known() {
    let mut translator = busy();
    assert_eq!(translator.cancel(), None);
    let began = json!({"turn": {"id": "t", "status": "inProgress"}});
    let told = heard(&mut translator, &[json!({"id": 3, "result": began}), news("turn/started", &began)]);
    let interrupt = r#"say {"method":"turn/interrupt","id":4,"params":{"threadId":"us","turnId":"t"}}"#;
    assert_eq!(told, [interrupt, "status Thinking"]);
}

/// A command that was running ends when its turn is over, and another has begun.
#[test]
fn what_comes_late_is_not_told_in_the_next_turn() {
    let turn = |id: &str, status: &str| json!({"turn": {"id": id, "status": status}});
    let ended = json!({"type": "commandExecution", "id": "i", "command": "x", "status": "failed", "exitCode": 137});
    let mut translator = busy();
    let lines = [
        news("turn/started", &turn("t1", "inProgress")),
        news("turn/completed", &turn("t1", "interrupted")),
        news("item/completed", &json!({"turnId": "t1", "item": ended.clone()})),
    ];
    assert_eq!(heard(&mut translator, &lines), ["status Thinking", "cancelled"]);
    translator.prompt("hi");
    let lines = [
        news("item/completed", &json!({"turnId": "t1", "item": ended.clone()})),
        news("turn/started", &turn("t2", "inProgress")),
        news("item/completed", &json!({"turnId": "t1", "item": ended.clone()})),
        news("item/completed", &json!({"turnId": "t2", "item": ended})),
    ];
    assert_eq!(heard(&mut translator, &lines), ["status Thinking", "failed i exit code 137"]);
}

/// Whoever decides reads where a file goes, what else is granted, and what is reached.
#[test]
fn a_question_says_all_that_is_wanted() {
    let ask = |what: &str, more: &Value| {
        let mut params = json!({"threadId": "", "turnId": "t", "itemId": "f", "startedAtMs": 1, "reason": null});
        params.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
        json!({"method": format!("item/{what}/requestApproval"), "id": 7, "params": params})
    };
    let changes = json!([{"path": "a", "kind": {"type": "update", "move_path": "b"}, "diff": "@@ -1 +1 @@\n-a\n+b\n"}]);
    let item = json!({"type": "fileChange", "id": "f", "status": "inProgress", "changes": changes});
    let mut translator = busy();
    translator.hear(&news("item/started", &json!({ "item": item })).to_string());
    let mut question = |what: &str, more: Value| match translator.hear(&ask(what, &more).to_string()).pop() {
        Some(Heard::Ask(_, question)) => (question.command, Value::Object(question.input.0)),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        question("fileChange", json!({"grantRoot": "/srv"})),
        ("Change a (to b), and whatever else is in /srv".to_owned(), json!({"changes": changes, "grantRoot": "/srv"}))
    );
    let host = json!({"host": "example.com"});
    assert_eq!(
        question("commandExecution", json!({"approvalId": "x", "networkApprovalContext": host})),
        ("a command that it does not tell".to_owned(), json!({"approvalId": "x", "networkApprovalContext": host}))
    );
}

#[test]
fn thoughts_plans_and_tools() {
    let tool = |status: &str, more: &Value| {
        let mut item = json!({"type": "mcpToolCall", "id": "i", "server": "s", "tool": "t", "status": status});
        item.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
        json!({ "item": item })
    };
    let changes = json!([
        {"path": "a", "kind": {"type": "update", "move_path": null}, "diff": "@@ -1 +1 @@\n-a\n+b\n"},
        {"path": "b", "kind": {"type": "delete"}, "diff": "x\n"},
    ]);
    let lines = [
        news("item/reasoning/summaryTextDelta", &json!({"itemId": "r", "delta": "hm"})),
        news("turn/plan/updated", &json!({"plan": [{"step": "leap", "status": "inProgress"}]})),
        news("item/started", &tool("inProgress", &json!({"arguments": {"x": 1}}))),
        news("item/completed", &tool("failed", &json!({"error": {"message": "no"}}))),
        news(
            "item/completed",
            &json!({"item": {"type": "fileChange", "id": "f", "status": "completed", "changes": changes}}),
        ),
        news("item/completed", &json!({"item": {"type": "agentMessage", "id": "m", "text": "whole"}})),
        news("item/completed", &json!({"item": {"type": "somethingNew"}})),
        json!({"method": "item/agentMessage/delta", "params": {"threadId": "them", "itemId": "m", "delta": "no"}}),
    ];
    assert_eq!(
        heard(&mut busy(), &lines),
        [
            "thought hm",
            "plan InProgress leap",
            "status Using a tool",
            r#"call i mcp__s__t {"x":1}"#,
            r#"failed i {"message":"no"}"#,
            "patch a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-a\n+b\n",
            "patch b\n--- a/b\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
            "done f completed",
            "text whole",
            "end of text",
        ]
    );
}

#[test]
fn turns_fail_with_their_reasons() {
    let failed =
        |error: &Value| news("turn/completed", &json!({"turn": {"id": "t", "status": "failed", "error": error}}));
    let retry = news("error", &json!({"error": {"message": "no network"}, "willRetry": true}));
    assert_eq!(heard(&mut busy(), &[failed(&json!({"message": "no credit"}))]), ["failed: no credit"]);
    let told = heard(&mut busy(), &[retry, failed(&Value::Null)]);
    assert_eq!(told, ["status Trying again: no network", "failed: no network"]);
    let refused = json!({"id": 3, "error": {"code": -1, "message": "too long"}});
    assert_eq!(heard(&mut busy(), &[refused]), ["failed: too long"]);
}

#[test]
fn what_is_not_understood_is_refused_or_ignored() {
    let mut translator = busy();
    for line in ["", "{", "[]", "null", r#"{"method":"news"}"#, r#"{"id":99,"result":1}"#, "panic: at the disco"] {
        assert!(translator.hear(line).is_empty(), "{line}");
    }
    let unknown = json!({"method": "item/tool/requestUserInput", "id": "q", "params": {}});
    let refusal = concat!(
        r#"say {"id":"q","error":{"code":-32601,"#,
        r#""message":"This client does not know `item/tool/requestUserInput`."}}"#
    );
    assert_eq!(heard(&mut translator, &[unknown]), [refusal]);
}
