//! What an event means for the calls and questions that are open in its session. Pure: nothing is sent or stored.
//!
//! A `PermissionRequest` does not say which tool call it is about; the `PreToolUse` before it did. And nobody says
//! that a question was answered in the terminal; it shows when the tool call ends, or the turn.

use serde_json::Value;
use uuid::Uuid;

use super::input::{HookInput, digest};
use super::session::{Call, Open, Session, Verdict};

/// More open calls than that are leftovers.
const MOST_CALLS: usize = 200;

/// What is to be told to the server, and to the model.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) settled: Vec<Settled>,
    /// The person's note on an approval whose tool call has just ended.
    pub(crate) note: Option<String>,
}

/// A question that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) approval_id: Uuid,
    pub(crate) how: How,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The agent acted on the verdict.
    Consumed,
    /// The agent went on without one: somebody answered in the terminal.
    Elsewhere {
        /// The tool ran, so the answer was a yes.
        tool_ran: bool,
    },
}

impl Session {
    /// Takes note of an event.
    pub(crate) fn observe(&mut self, input: &HookInput) -> Meaning {
        let agent = input.text("agent_id");
        match input.event() {
            "PreToolUse" => {
                let meaning = self.denied_by_now(agent);
                self.begin(input);
                meaning
            }
            "PostToolUse" | "PostToolUseFailure" => self.end(&ended(input), agent, true),
            "PermissionDenied" => self.end(&ended(input), agent, false),
            "PostToolBatch" => self.end_batch(input, agent),
            // The main agent's turn is over: it has the answers to all that it asked.
            "Stop" | "StopFailure" => self.leave(|open| open.is_none(), Some(How::Consumed)),
            "SubagentStop" => self.leave(|open| open.is_some() && open == agent, Some(How::Consumed)),
            // A turn that was interrupted ends without a word. Whether the tool ran is not known then.
            "UserPromptSubmit" => self.leave(|open| open.is_none(), None),
            "SessionStart" if input.text("source") == Some("compact") => Meaning::default(),
            "SessionStart" | "SessionEnd" => self.leave(|_| true, None),
            _ => Meaning::default(),
        }
    }

    /// Finds the tool call that a `PermissionRequest` is about: the newest with the same input that no question
    /// belongs to. If there is none, one that does: then this is the question again, from a hook that died.
    pub(crate) fn claim(&mut self, input: &HookInput) -> Option<String> {
        let (agent, digest) = (input.text("agent_id"), input.tool_digest());
        let tool = input.text("tool_name").unwrap_or_default();
        let newest = |matches: &dyn Fn(&Call) -> bool| {
            self.calls.iter().rposition(|call| call.agent.as_deref() == agent && matches(call))
        };
        let found = newest(&|call| call.digest == digest && !call.claimed)
            .or_else(|| newest(&|call| call.digest == digest))
            .or_else(|| {
                // Another hook may have changed the input in between. The tool alone is enough if it leaves no doubt.
                let of_tool = |call: &Call| call.tool == tool && !call.claimed;
                let candidates = self.calls.iter().filter(|call| call.agent.as_deref() == agent && of_tool(call));
                (candidates.count() == 1).then(|| newest(&of_tool)).flatten()
            });
        let call = self.calls.get_mut(found?)?;
        call.claimed = true;
        Some(call.tool_use_id.clone())
    }

    /// Remembers a question. `false`: its tool call has ended in the meantime, so it is not needed any more.
    pub(crate) fn asked(&mut self, input: &HookInput, tool_use_id: Option<&str>, approval_id: Uuid) -> bool {
        if let Some(id) = tool_use_id
            && !self.calls.iter().any(|call| call.tool_use_id == id)
        {
            return false;
        }
        self.forget(approval_id);
        self.questions.push(Open {
            approval_id,
            tool_use_id: tool_use_id.map(str::to_owned),
            digest: input.tool_digest(),
            agent: input.text("agent_id").map(str::to_owned),
            verdict: None,
            note: None,
        });
        true
    }

    /// Remembers what the agent was told.
    pub(crate) fn told(&mut self, approval_id: Uuid, verdict: Verdict, note: Option<String>) {
        if let Some(open) = self.questions.iter_mut().find(|open| open.approval_id == approval_id) {
            open.verdict = Some(verdict);
            open.note = note;
        }
    }

    /// The question is over for this session.
    pub(crate) fn forget(&mut self, approval_id: Uuid) {
        self.questions.retain(|open| open.approval_id != approval_id);
    }

    fn begin(&mut self, input: &HookInput) {
        let Some(tool_use_id) = input.text("tool_use_id") else { return };
        // The same call again, from a hook that died, or from a session that was resumed.
        if self.calls.iter().any(|call| call.tool_use_id == tool_use_id) {
            return;
        }
        if self.calls.len() >= MOST_CALLS {
            let oldest = self.calls.iter().position(|call| !call.claimed).unwrap_or(0);
            self.calls.remove(oldest);
        }
        self.calls.push(Call {
            tool_use_id: tool_use_id.to_owned(),
            tool: input.text("tool_name").unwrap_or_default().to_owned(),
            digest: input.tool_digest(),
            agent: input.text("agent_id").map(str::to_owned),
            claimed: false,
        });
    }

    /// A tool call ended.
    fn end(&mut self, ended: &Ended, agent: Option<&str>, tool_ran: bool) -> Meaning {
        self.calls.retain(|call| call.tool_use_id != ended.tool_use_id);
        let mut meaning = Meaning::default();
        self.questions.retain(|open| {
            let same = match &open.tool_use_id {
                Some(id) => *id == ended.tool_use_id,
                None => open.digest == ended.digest && open.agent.as_deref() == agent,
            };
            if !same {
                return true;
            }
            let how = if open.verdict.is_some() { How::Consumed } else { How::Elsewhere { tool_ran } };
            meaning.settled.push(Settled { approval_id: open.approval_id, how });
            if open.verdict == Some(Verdict::Approved) && meaning.note.is_none() {
                meaning.note = open.note.clone();
            }
            false
        });
        meaning
    }

    fn end_batch(&mut self, input: &HookInput, agent: Option<&str>) -> Meaning {
        let mut meaning = Meaning::default();
        for call in input.value("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| call.get(name).and_then(Value::as_str);
            let Some(tool_use_id) = text("tool_use_id") else { continue };
            let digest = digest(text("tool_name").unwrap_or_default(), call.get("tool_input").unwrap_or(&Value::Null));
            let ended = self.end(&Ended { tool_use_id: tool_use_id.to_owned(), digest }, agent, false);
            meaning.settled.extend(ended.settled);
        }
        meaning
    }

    /// An agent that was told no goes on with something else: it has taken the no.
    fn denied_by_now(&mut self, agent: Option<&str>) -> Meaning {
        let mut meaning = Meaning::default();
        self.questions.retain(|open| {
            let over = open.verdict == Some(Verdict::Denied) && open.agent.as_deref() == agent;
            if over {
                meaning.settled.push(Settled { approval_id: open.approval_id, how: How::Consumed });
            }
            !over
        });
        meaning
    }

    /// Agents are through with all that they asked. `approved`: what that says of an approval whose tool call was
    /// not seen to end; nothing, where it may have been interrupted.
    fn leave(&mut self, agents: impl Fn(Option<&str>) -> bool, approved: Option<How>) -> Meaning {
        self.calls.retain(|call| !agents(call.agent.as_deref()));
        let mut meaning = Meaning::default();
        self.questions.retain(|open| {
            if !agents(open.agent.as_deref()) {
                return true;
            }
            let how = match open.verdict {
                None => Some(How::Elsewhere { tool_ran: false }),
                Some(Verdict::Denied) => Some(How::Consumed),
                Some(Verdict::Approved) => approved,
            };
            meaning.settled.extend(how.map(|how| Settled { approval_id: open.approval_id, how }));
            false
        });
        meaning
    }
}

/// A tool call that ended.
struct Ended {
    tool_use_id: String,
    digest: String,
}

fn ended(input: &HookInput) -> Ended {
    Ended { tool_use_id: input.text("tool_use_id").unwrap_or_default().to_owned(), digest: input.tool_digest() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::input::fixtures::{changed, event};
    use super::*;

    const CALL: &str = "toolu_af8c179e619f419f9823f96a";
    const APPROVAL: Uuid = Uuid::from_u128(1);

    /// A session whose one tool call has been asked about.
    fn asked() -> Session {
        let mut session = Session::default();
        session.observe(&event("PreToolUse"));
        let request = event("PermissionRequest");
        assert_eq!(session.claim(&request).as_deref(), Some(CALL));
        assert!(session.asked(&request, Some(CALL), APPROVAL));
        session
    }

    fn one(meaning: &Meaning) -> How {
        assert_eq!(meaning.settled.len(), 1, "{meaning:?}");
        assert_eq!(meaning.settled[0].approval_id, APPROVAL);
        meaning.settled[0].how
    }

    #[test]
    fn an_approval_is_consumed_when_its_tool_call_ends_and_the_note_goes_to_the_model() {
        let mut session = asked();
        session.told(APPROVAL, Verdict::Approved, Some("use -n".into()));
        let meaning = session.observe(&event("PostToolUse"));
        assert_eq!(one(&meaning), How::Consumed);
        assert_eq!(meaning.note.as_deref(), Some("use -n"));
        assert_eq!(session, Session::default());
    }

    #[test]
    fn a_question_that_the_terminal_answered_is_over_with_the_next_sign() {
        let signs = [
            ("PostToolUse", json!({}), true),
            ("PostToolUseFailure", json!({"tool_use_id": CALL}), true),
            ("PostToolUse", json!({"hook_event_name": "PermissionDenied"}), false),
            ("PostToolBatch", json!({}), false),
            ("Stop", json!({}), false),
            ("Stop", json!({"hook_event_name": "StopFailure"}), false),
            ("UserPromptSubmit", json!({}), false),
            ("SessionEnd", json!({}), false),
            ("SessionStart", json!({"source": "resume"}), false),
        ];
        for (name, change, tool_ran) in signs {
            let mut session = asked();
            let meaning = session.observe(&changed(name, &change));
            assert_eq!(one(&meaning), How::Elsewhere { tool_ran }, "{name} {change}");
            assert_eq!(session, Session::default(), "{name}");
        }
    }

    #[test]
    fn other_events_leave_the_question_open() {
        let signs = [
            ("PostToolUse", json!({"tool_use_id": "toolu_other"})),
            ("PreToolUse", json!({"tool_use_id": "toolu_other"})),
            ("Notification", json!({})),
            ("Unknown", json!({})),
            ("Stop", json!({"hook_event_name": "SubagentStop", "agent_id": "a1"})),
            ("SessionStart", json!({"source": "compact"})),
        ];
        for (name, change) in signs {
            let mut session = asked();
            assert_eq!(session.observe(&changed(name, &change)), Meaning::default(), "{name} {change}");
            assert_eq!(session.questions.len(), 1, "{name}");
        }
    }

    #[test]
    fn a_denial_is_consumed_when_the_agent_goes_on() {
        for (name, change) in [("PreToolUse", json!({"tool_use_id": "toolu_next"})), ("Stop", json!({}))] {
            let mut session = asked();
            session.told(APPROVAL, Verdict::Denied, None);
            assert_eq!(one(&session.observe(&changed(name, &change))), How::Consumed, "{name}");
        }
    }

    #[test]
    fn an_interrupted_approval_is_not_said_to_be_consumed() {
        let mut session = asked();
        session.told(APPROVAL, Verdict::Approved, None);
        assert_eq!(session.observe(&event("UserPromptSubmit")), Meaning::default());
        assert!(session.questions.is_empty());
    }

    #[test]
    fn sub_agents_keep_their_own() {
        let mut session = Session::default();
        let inside = json!({"agent_id": "a1"});
        session.observe(&changed("PreToolUse", &inside));
        assert_eq!(session.claim(&event("PermissionRequest")), None, "the main agent did not call it");
        let request = changed("PermissionRequest", &inside);
        assert_eq!(session.claim(&request).as_deref(), Some(CALL));
        session.asked(&request, Some(CALL), APPROVAL);
        assert_eq!(session.observe(&event("Stop")), Meaning::default());
        let stop = changed("Stop", &json!({"hook_event_name": "SubagentStop", "agent_id": "a1"}));
        assert_eq!(one(&session.observe(&stop)), How::Elsewhere { tool_ran: false });
    }

    #[test]
    fn the_same_input_twice_is_two_calls() {
        let mut session = Session::default();
        for id in ["t1", "t2"] {
            session.observe(&changed("PreToolUse", &json!({"tool_use_id": id})));
        }
        let request = event("PermissionRequest");
        assert_eq!(session.claim(&request).as_deref(), Some("t2"));
        assert_eq!(session.claim(&request).as_deref(), Some("t1"));
        assert_eq!(session.claim(&request).as_deref(), Some("t2"), "a hook that died comes back");
    }

    #[test]
    fn an_input_that_another_hook_changed_is_found_by_its_tool_if_there_is_no_doubt() {
        let other = json!({"tool_input": {"command": "echo changed"}});
        let mut session = Session::default();
        session.observe(&event("PreToolUse"));
        assert_eq!(session.claim(&changed("PermissionRequest", &other)).as_deref(), Some(CALL));
        let mut session = Session::default();
        session.observe(&event("PreToolUse"));
        session.observe(&changed("PreToolUse", &json!({"tool_use_id": "t2", "tool_input": {"command": "ls"}})));
        assert_eq!(session.claim(&changed("PermissionRequest", &other)), None);
    }

    #[test]
    fn a_call_that_ended_while_it_was_being_asked_about_needs_no_answer() {
        let mut session = Session::default();
        session.observe(&event("PreToolUse"));
        let request = event("PermissionRequest");
        let id = session.claim(&request);
        session.observe(&event("PostToolUse"));
        assert!(!session.asked(&request, id.as_deref(), APPROVAL));
        assert!(session.asked(&request, None, APPROVAL), "without an id nobody knows");
        assert_eq!(one(&session.observe(&event("PostToolUse"))), How::Elsewhere { tool_ran: true });
    }

    #[test]
    fn the_file_stays_small() {
        let mut session = Session::default();
        for index in 0..1_000 {
            session.observe(&changed("PreToolUse", &json!({"tool_use_id": format!("t{index}")})));
        }
        assert_eq!(session.calls.len(), MOST_CALLS);
    }
}
