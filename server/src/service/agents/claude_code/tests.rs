//! Recorded sessions of Claude Code, and lines that they lack.

use serde_json::{Value, json};

use super::translate::Translator;
use crate::service::agents::dialogue::Dialogue;
use crate::service::agents::dialogue::testing::{recorded, shown};
use crate::service::agents::update::Answer;

const ALLOW: &str = include_str!("../../../../tests/fixtures/claude-code/allow.jsonl");
const DENY: &str = include_str!("../../../../tests/fixtures/claude-code/deny.jsonl");
const TWO_TURNS: &str = include_str!("../../../../tests/fixtures/claude-code/two_turns.jsonl");
const INTERRUPT: &str = include_str!("../../../../tests/fixtures/claude-code/interrupt.jsonl");

fn translator() -> Translator {
    Translator::new("/home/dev/project".into())
}

/// What is heard in a session, in which we do what was done then, and say it as it was said.
fn replay(recording: &str) -> Vec<String> {
    let mut translator = translator();
    let mut told = Vec::new();
    // Ids that we made ourselves, which its lines name: theirs then, and ours now.
    let mut ids: Vec<(String, String)> = Vec::new();
    for (is_said, mut line) in recorded(recording) {
        if is_said {
            let line = ids.iter().fold(line.to_string(), |line, (theirs, ours)| line.replace(theirs, ours));
            told.extend(shown(translator.hear(&line)));
            continue;
        }
        let kind = line["request"]["subtype"].as_str().or(line["type"].as_str()).unwrap_or_default();
        let mut ours: Value = match kind {
            "initialize" => parsed(&translator.open()[0]),
            "user" => parsed(&translator.prompt(line["message"]["content"][0]["text"].as_str().expect("a text"))),
            "interrupt" => parsed(&translator.cancel().expect("it can be said at any time")),
            "control_response" => {
                let verdict = &line["response"]["response"];
                let note = verdict["message"].as_str().map(str::to_owned);
                let answer =
                    if verdict["behavior"] == "allow" { Answer::Allow { note } } else { Answer::Deny { note } };
                let id = line["response"]["request_id"].as_str().expect("an id").to_owned();
                parsed(&translator.answer(&id, answer).expect("it was asked"))
            }
            // Nothing that we ever say.
            _ => continue,
        };
        for id in ["uuid", "request_id"] {
            if let (Value::String(theirs), Value::String(ours)) = (line[id].take(), ours[id].take()) {
                ids.push((theirs, ours));
            }
        }
        assert_eq!(ours, line);
    }
    told
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("it is JSON")
}

#[test]
fn a_command_that_is_allowed() {
    assert_eq!(
        replay(ALLOW),
        [
            "ready",
            "session 9ce5fb95-cbde-4b2f-ad9a-528bac54bea0",
            "status Thinking",
            "status Running a command",
            "call toolu_4b77bbffbe4046f2b412c1eb Bash \
             {\"command\":\"echo one > made.txt\",\"description\":\"lab command\"}",
            "ask command `echo one > made.txt` toolu_4b77bbffbe4046f2b412c1eb Bash",
            "done toolu_4b77bbffbe4046f2b412c1eb (Bash completed with no output)",
            "status Thinking",
            "text first answer",
            "end of text",
            "finished $0.00028 20+10",
        ]
    );
}

#[test]
fn a_command_that_is_denied() {
    let told = replay(DENY);
    assert_eq!(
        told[5..],
        [
            "ask command `echo one > made.txt` toolu_3a36a32dec98477593fc560c Bash",
            "failed toolu_3a36a32dec98477593fc560c phone denied",
            "status Thinking",
            "text first answer",
            "end of text",
            "finished $0.00028 20+10",
        ]
    );
}

/// The session is told once, and each turn costs what it costs, although the program tells the sum.
#[test]
fn two_turns() {
    let told = replay(TWO_TURNS);
    assert_eq!(told.len(), 19, "{told:#?}");
    assert_eq!(told.iter().filter(|told| told.starts_with("session ")).count(), 1);
    assert_eq!(
        told[10..],
        [
            "finished $0.00028 20+10",
            "status Thinking",
            "status Running a command",
            "call toolu_76b13b14cb6b49088d4d50ed Bash \
             {\"command\":\"echo two >> made.txt\",\"description\":\"lab command\"}",
            "done toolu_76b13b14cb6b49088d4d50ed (Bash completed with no output)",
            "status Thinking",
            "text second answer",
            "end of text",
            "finished $0.00028 20+10",
        ]
    );
}

#[test]
fn a_turn_that_is_interrupted() {
    assert_eq!(
        replay(INTERRUPT)[1..],
        ["session f1f1fa69-7a5d-49ce-ae62-ede091ea90b2", "status Thinking", "cancelled $0.00000 0+0"]
    );
}

/// What is heard of some lines.
fn heard(translator: &mut Translator, lines: &[Value]) -> Vec<String> {
    lines.iter().flat_map(|line| shown(translator.hear(&line.to_string()))).collect()
}

fn event(event: &Value) -> Value {
    json!({"type": "stream_event", "event": event, "parent_tool_use_id": null})
}

fn assistant(id: &str, block: &Value) -> Value {
    json!({"type": "assistant", "message": {"id": id, "content": [block]}, "parent_tool_use_id": null})
}

#[test]
fn what_was_streamed_is_not_told_twice_and_what_was_not_is_told() {
    let lines = [
        event(&json!({"type": "message_start", "message": {"id": "m1"}})),
        event(
            &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        ),
        event(
            &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}}),
        ),
        assistant("m1", &json!({"type": "thinking", "thinking": "hm"})),
        event(&json!({"type": "content_block_stop", "index": 0})),
        event(&json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "a"}})),
        event(&json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "b"}})),
        assistant("m1", &json!({"type": "text", "text": "ab"})),
        event(&json!({"type": "content_block_stop", "index": 1})),
        assistant("m2", &json!({"type": "thinking", "thinking": "so"})),
        assistant("m2", &json!({"type": "text", "text": "cd"})),
    ];
    assert_eq!(
        heard(&mut translator(), &lines),
        ["thought hm", "text a", "text b", "end of text", "thought so", "text cd", "end of text"]
    );
}

#[test]
fn subagents_are_told_by_their_tools_alone() {
    let mut said = assistant("m1", &json!({"type": "text", "text": "among us"}));
    said["parent_tool_use_id"] = json!("t0");
    let mut used = assistant("m1", &json!({"type": "tool_use", "id": "t1", "name": "Grep", "input": {"pattern": "x"}}));
    used["parent_tool_use_id"] = json!("t0");
    let mut piece = event(&json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "among us"}}));
    piece["parent_tool_use_id"] = json!("t0");
    assert_eq!(
        heard(&mut translator(), &[piece, said, used.clone(), used]),
        ["status Searching the files", r#"call t1 Grep {"pattern":"x"}"#]
    );
}

fn used(id: &str, name: &str, input: &Value) -> Value {
    assistant("m", &json!({"type": "tool_use", "id": id, "name": name, "input": input}))
}

fn said(id: &str, is_error: bool, did: &Value) -> Value {
    let block = json!({"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": "ok"}], "is_error": is_error});
    json!({"type": "user", "message": {"role": "user", "content": [block]}, "tool_use_result": did})
}

#[test]
fn changes_are_told_once_they_are_made() {
    let edit = json!({"file_path": "/home/dev/project/a.txt", "old_string": "two", "new_string": "2"});
    let hunk = json!({"oldStart": 1, "oldLines": 2, "newStart": 1, "newLines": 2, "lines": [" one", "-two", "+2"]});
    let write = json!({"file_path": "/tmp/b.txt", "content": "hi\n"});
    let edits = json!({"file_path": "c.txt", "edits": [{"old_string": "x", "new_string": "y"}]});
    let lines = [
        used("t1", "Edit", &edit),
        said("t1", false, &json!({"structuredPatch": [hunk]})),
        used("t2", "Edit", &edit),
        said("t2", false, &Value::Null),
        used("t3", "Edit", &edit),
        said("t3", true, &json!("Error: no")),
        used("t4", "Write", &write),
        said("t4", false, &json!({"type": "create", "structuredPatch": []})),
        used("t5", "MultiEdit", &edits),
        said("t5", false, &Value::Null),
    ];
    let told = heard(&mut translator(), &lines);
    let patches: Vec<_> = told.iter().filter_map(|told| told.strip_prefix("patch ")).collect();
    assert_eq!(
        patches,
        [
            "a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n",
            "a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-two\n+2\n",
            "/tmp/b.txt\n--- /dev/null\n+++ b/tmp/b.txt\n@@ -0,0 +1 @@\n+hi\n",
            "c.txt\n--- a/c.txt\n+++ b/c.txt\n@@ -1 +1 @@\n-x\n+y\n",
        ]
    );
    assert_eq!(told.iter().filter(|told| told.starts_with("done ")).count(), 4);
}

#[test]
fn a_list_of_things_to_do_is_a_plan() {
    let todos =
        json!({"todos": [{"content": "look", "status": "completed"}, {"content": "leap", "status": "in_progress"}]});
    let lines = [used("t1", "TodoWrite", &todos), said("t1", false, &Value::Null)];
    assert_eq!(heard(&mut translator(), &lines), ["plan Completed look, InProgress leap"]);
}

fn question(id: &str, tool: &str, input: &Value) -> Value {
    let request = json!({"subtype": "can_use_tool", "tool_name": tool, "input": input, "tool_use_id": "t"});
    json!({"type": "control_request", "request_id": id, "request": request})
}

#[test]
fn questions_are_read_by_people() {
    let lines = [
        question("q1", "Write", &json!({"file_path": "/home/dev/project/a/b.txt", "content": "hi"})),
        question("q2", "WebFetch", &json!({"url": "https://example.org", "prompt": "what"})),
        question("q3", "mcp__x__y", &json!({"z": 1})),
        question("q4", "mcp__x__y", &json!({"z": "ü".repeat(9_000)})),
    ];
    let told = heard(&mut translator(), &lines);
    assert_eq!(told[0], "ask edit `Write a/b.txt` t Write");
    assert_eq!(told[1], "ask tool `WebFetch https://example.org` t WebFetch");
    assert_eq!(told[2], "ask tool `mcp__x__y {\"z\":1}` t mcp__x__y");
    assert!(told[3].len() < 1_100, "{}", told[3].len());
}

#[test]
fn a_question_is_answered_once_and_not_after_it_is_withdrawn() {
    let mut translator = translator();
    heard(&mut translator, &[question("q1", "Read", &json!({})), question("q2", "Read", &json!({}))]);
    let withdrawn = json!({"type": "control_cancel_request", "request_id": "q1"});
    assert_eq!(heard(&mut translator, &[withdrawn]), ["withdraw"]);
    assert_eq!(translator.answer(&"q1".to_owned(), Answer::Withdrawn), None);
    let undecided = translator.answer(&"q2".to_owned(), Answer::Withdrawn).expect("it waits");
    let verdict = json!({"behavior": "deny", "message": "Nobody decided about this.", "interrupt": false});
    assert_eq!(parsed(&undecided)["response"]["response"], verdict);
    assert_eq!(translator.answer(&"q2".to_owned(), Answer::Withdrawn), None);
}

#[test]
fn what_is_not_understood_is_refused_or_ignored() {
    let mut translator = translator();
    for line in ["", "{", "[]", "null", r#"{"type":"news"}"#, r#"{"type":"assistant"}"#, "panic: at the disco"] {
        assert!(translator.hear(line).is_empty(), "{line}");
    }
    let unknown = json!({"type": "control_request", "request_id": "q", "request": {"subtype": "elicitation"}});
    assert_eq!(
        heard(&mut translator, &[unknown]),
        [concat!(
            r#"say {"type":"control_response","response":{"subtype":"error","request_id":"q","#,
            r#""error":"This client does not know `elicitation`."}}"#
        )]
    );
    let refused = json!({"type": "control_response", "response": {"subtype": "error", "request_id": "initialize", "error": "log in"}});
    assert_eq!(heard(&mut translator, &[refused]), ["refused: log in"]);
}

#[test]
fn turns_fail_with_their_reasons_and_those_of_others_are_not_ours() {
    let mut translator = translator();
    translator.prompt("hi");
    let result = |more: &Value| {
        let mut result = json!({"type": "result", "subtype": "error_max_turns", "is_error": true});
        result.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
        result
    };
    let lines = [
        result(&json!({"errors": ["one", "two"]})),
        result(&json!({"result": "no credit", "subtype": "success"})),
        result(&json!({})),
        result(&json!({"user_message_uuids": ["another"]})),
    ];
    assert_eq!(heard(&mut translator, &lines), ["failed: one\ntwo", "failed: no credit", "failed: error max turns"]);
}
