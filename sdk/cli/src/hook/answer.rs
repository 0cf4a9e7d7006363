//! What Claude Code understands. A hook prints one of these, or nothing where it has nothing to say: for Claude Code
//! that is an answer too, "no opinion".

use std::io::{self, Write};

use serde_json::{Value, json};

use super::gate::{Conclusion, Why};
use crate::config::WhenUnreachable;

/// The two events that can be a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GateEvent {
    PermissionRequest,
    PreToolUse,
}

/// One answer. It can be printed once.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer(Value);

impl Answer {
    /// The answer to a gate event. `None`: no opinion.
    pub(crate) fn to_gate(event: GateEvent, conclusion: &Conclusion, otherwise: WhenUnreachable) -> Option<Self> {
        match conclusion {
            Conclusion::Approved { note, .. } => Some(allow(event, note.as_deref())),
            Conclusion::Denied { note, .. } => {
                Some(deny(event, note.as_deref().unwrap_or("A person denied this in Flightdeck.")))
            }
            Conclusion::Elsewhere { .. } => quiet(event, &Why::Withdrawn, otherwise),
            Conclusion::NotWanted => quiet(event, &Why::Stopped, otherwise),
            Conclusion::NoVerdict(why) => Some(without_verdict(event, why, otherwise)),
        }
    }

    /// Tells the model what the person who approved its tool call wants it to know.
    ///
    /// The answer to a `PermissionRequest` has no field for that: `message` exists for a denial only, and
    /// `systemMessage` is for the person at the terminal. The end of that tool call is the first event whose answer
    /// the model reads.
    pub(crate) fn note_for_model(event: &str, note: &str) -> Self {
        Self(json!({"hookSpecificOutput": {"hookEventName": event, "additionalContext": for_model(note)}}))
    }

    /// Writes the answer, and makes sure that it has left this process.
    pub(crate) fn print(self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.0)?;
        out.flush()
    }
}

/// The answer when nobody seems to want one.
///
/// Beside a dialog nothing is to be said: whoever answered, or gave up, did so in front of the agent. Where only a
/// person in Flightdeck may allow it, silence would let it pass, and the agent itself could have sent the signal.
fn quiet(event: GateEvent, why: &Why, otherwise: WhenUnreachable) -> Option<Answer> {
    match event {
        GateEvent::PermissionRequest => None,
        GateEvent::PreToolUse => Some(without_verdict(event, why, otherwise)),
    }
}

fn for_model(note: &str) -> String {
    format!("Note from the person who approved this: {note}")
}

fn allow(event: GateEvent, note: Option<&str>) -> Answer {
    Answer(match (event, note) {
        (GateEvent::PermissionRequest, None) => permission(&json!({"behavior": "allow"})),
        (GateEvent::PermissionRequest, Some(note)) => {
            let mut answer = permission(&json!({"behavior": "allow"}));
            answer["systemMessage"] = format!("Approved in Flightdeck: {note}").into();
            answer
        }
        (GateEvent::PreToolUse, None) => pre_tool_use("allow", "Approved in Flightdeck."),
        (GateEvent::PreToolUse, Some(note)) => {
            let mut answer = pre_tool_use("allow", &format!("Approved in Flightdeck: {note}"));
            answer["hookSpecificOutput"]["additionalContext"] = for_model(note).into();
            answer
        }
    })
}

fn deny(event: GateEvent, reason: &str) -> Answer {
    Answer(match event {
        GateEvent::PermissionRequest => permission(&json!({"behavior": "deny", "message": reason})),
        GateEvent::PreToolUse => pre_tool_use("deny", reason),
    })
}

fn without_verdict(event: GateEvent, why: &Why, otherwise: WhenUnreachable) -> Answer {
    let reason = match why {
        Why::Unreachable(what) => format!("Flightdeck could not be reached ({what})"),
        Why::Refused(what) => format!("Flightdeck did not take the question ({what})"),
        Why::Unreadable(what) => format!("Flightdeck could not read what is to be done ({what})"),
        Why::Expired => "The question expired in Flightdeck before anybody answered".to_owned(),
        Why::TimeUp => "Nobody answered in Flightdeck in time".to_owned(),
        Why::Withdrawn => "The question was withdrawn from Flightdeck before anybody answered".to_owned(),
        Why::Stopped => "The question to Flightdeck was stopped before anybody answered".to_owned(),
        Why::NotPaired => "This folder is not paired with Flightdeck; run `flightdeck pair` in it".to_owned(),
    };
    match (otherwise, event) {
        (WhenUnreachable::Ask, GateEvent::PermissionRequest) => {
            // No decision: the dialog, which stands on the screen already, is the answer.
            Answer(json!({"systemMessage": format!("{reason}. Please answer here.")}))
        }
        (WhenUnreachable::Ask, GateEvent::PreToolUse) => {
            Answer(pre_tool_use("ask", &format!("{reason}. Please answer here.")))
        }
        (WhenUnreachable::Deny, event) => {
            deny(event, &format!("{reason}. It is denied because when_unreachable is set to deny."))
        }
        (WhenUnreachable::Allow, event) => {
            let reason = format!("{reason}. It is allowed because when_unreachable is set to allow.");
            Answer(match event {
                GateEvent::PermissionRequest => {
                    let mut answer = permission(&json!({"behavior": "allow"}));
                    answer["systemMessage"] = reason.into();
                    answer
                }
                GateEvent::PreToolUse => pre_tool_use("allow", &reason),
            })
        }
    }
}

fn permission(decision: &Value) -> Value {
    json!({"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": decision}})
}

fn pre_tool_use(decision: &str, reason: &str) -> Value {
    json!({"hookSpecificOutput": {
        "hookEventName": "PreToolUse",
        "permissionDecision": decision,
        "permissionDecisionReason": reason,
    }})
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn printed(event: GateEvent, conclusion: &Conclusion, otherwise: WhenUnreachable) -> Option<Value> {
        let mut out = Vec::new();
        Answer::to_gate(event, conclusion, otherwise)?.print(&mut out).expect("prints");
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        Some(serde_json::from_slice(&out).expect("is JSON"))
    }

    fn approved(note: Option<&str>) -> Conclusion {
        Conclusion::Approved { approval_id: Uuid::nil(), note: note.map(str::to_owned) }
    }

    fn denied(note: Option<&str>) -> Conclusion {
        Conclusion::Denied { approval_id: Uuid::nil(), note: note.map(str::to_owned) }
    }

    const ASK: WhenUnreachable = WhenUnreachable::Ask;

    #[test]
    fn permission_request() {
        let answer = |conclusion, otherwise| printed(GateEvent::PermissionRequest, &conclusion, otherwise);
        assert_eq!(
            answer(approved(None), ASK),
            Some(
                json!({"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}}})
            )
        );
        assert_eq!(
            answer(approved(Some("go on")), ASK),
            Some(json!({
                "hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}},
                "systemMessage": "Approved in Flightdeck: go on",
            }))
        );
        assert_eq!(
            answer(denied(Some("use the staging database")), ASK),
            Some(json!({"hookSpecificOutput": {
                "hookEventName": "PermissionRequest",
                "decision": {"behavior": "deny", "message": "use the staging database"},
            }}))
        );
        assert_eq!(
            answer(denied(None), ASK),
            Some(json!({"hookSpecificOutput": {
                "hookEventName": "PermissionRequest",
                "decision": {"behavior": "deny", "message": "A person denied this in Flightdeck."},
            }}))
        );
        let unreachable = || Conclusion::NoVerdict(Why::Unreachable("connection refused".into()));
        assert_eq!(
            answer(unreachable(), ASK),
            Some(json!({"systemMessage": "Flightdeck could not be reached (connection refused). Please answer here."}))
        );
        assert_eq!(
            answer(unreachable(), WhenUnreachable::Deny),
            Some(json!({"hookSpecificOutput": {
                "hookEventName": "PermissionRequest",
                "decision": {
                    "behavior": "deny",
                    "message": "Flightdeck could not be reached (connection refused). It is denied because \
                                when_unreachable is set to deny.",
                },
            }}))
        );
        assert_eq!(
            answer(unreachable(), WhenUnreachable::Allow),
            Some(json!({
                "hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}},
                "systemMessage": "Flightdeck could not be reached (connection refused). It is allowed because \
                                  when_unreachable is set to allow.",
            }))
        );
    }

    #[test]
    fn pre_tool_use() {
        let answer = |conclusion, otherwise| printed(GateEvent::PreToolUse, &conclusion, otherwise);
        let expected = |decision: &str, reason: &str| {
            Some(json!({"hookSpecificOutput": {
                "hookEventName": "PreToolUse", "permissionDecision": decision, "permissionDecisionReason": reason,
            }}))
        };
        assert_eq!(answer(approved(None), ASK), expected("allow", "Approved in Flightdeck."));
        assert_eq!(
            answer(approved(Some("go on")), ASK),
            Some(json!({"hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": "allow",
                "permissionDecisionReason": "Approved in Flightdeck: go on",
                "additionalContext": "Note from the person who approved this: go on",
            }}))
        );
        assert_eq!(answer(denied(Some("not now")), ASK), expected("deny", "not now"));
        let time_up = || Conclusion::NoVerdict(Why::TimeUp);
        assert_eq!(
            answer(time_up(), ASK),
            expected("ask", "Nobody answered in Flightdeck in time. Please answer here.")
        );
        assert_eq!(
            answer(time_up(), WhenUnreachable::Deny),
            expected(
                "deny",
                "Nobody answered in Flightdeck in time. It is denied because when_unreachable is set to deny."
            )
        );
        assert_eq!(
            answer(time_up(), WhenUnreachable::Allow),
            expected(
                "allow",
                "Nobody answered in Flightdeck in time. It is allowed because when_unreachable is set to allow."
            )
        );
    }

    #[test]
    fn nothing_is_said_beside_a_dialog_that_was_answered() {
        let elsewhere = Conclusion::Elsewhere { approval_id: Uuid::nil() };
        for conclusion in [elsewhere, Conclusion::NotWanted] {
            assert_eq!(printed(GateEvent::PermissionRequest, &conclusion, WhenUnreachable::Deny), None);
        }
    }

    #[test]
    fn silence_does_not_open_the_other_gate() {
        let elsewhere = Conclusion::Elsewhere { approval_id: Uuid::nil() };
        for (otherwise, decision) in [(ASK, "ask"), (WhenUnreachable::Deny, "deny")] {
            for conclusion in [&elsewhere, &Conclusion::NotWanted] {
                let answer = printed(GateEvent::PreToolUse, conclusion, otherwise).expect("answers");
                assert_eq!(answer["hookSpecificOutput"]["permissionDecision"], decision);
            }
        }
    }

    #[test]
    fn the_note_reaches_the_model_with_the_tools_result() {
        assert_eq!(
            Answer::note_for_model("PostToolUse", "use -n").0,
            json!({"hookSpecificOutput": {
                "hookEventName": "PostToolUse",
                "additionalContext": "Note from the person who approved this: use -n",
            }})
        );
    }

    #[test]
    fn a_note_cannot_break_the_line() {
        let note = "two\nlines \u{1b}[31m \" \u{2028}";
        let answer = printed(GateEvent::PreToolUse, &denied(Some(note)), ASK).expect("answers");
        assert_eq!(answer["hookSpecificOutput"]["permissionDecisionReason"], note);
    }
}
