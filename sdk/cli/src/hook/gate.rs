//! Asks a question and waits for the verdict, through restarts of the server, for as long as the agent waits. The
//! network is behind `Ledger`, the session's files behind `Notebook`, so that this is only the order of things.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::question::Question;

/// One request is held open no longer than this; common proxies cut a silent connection after 60 s.
const HOLD: Duration = Duration::from_secs(50);
/// At the first contact nobody waits for an answer elsewhere yet, so giving up early costs little.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// With less left there is no time for a verdict.
const SHORTEST: Duration = Duration::from_millis(100);
/// How long a signal may wait for the id of the question that it withdraws.
const LAST_WORDS: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Conclusion {
    Approved {
        approval_id: Uuid,
        note: Option<String>,
    },
    Denied {
        approval_id: Uuid,
        note: Option<String>,
    },
    /// The question was withdrawn: somebody answered in the terminal.
    Elsewhere {
        approval_id: Uuid,
    },
    /// The agent stopped waiting.
    NotWanted,
    NoVerdict(Why),
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Why {
    Unreachable(String),
    Refused(String),
    /// What the agent wants to do could not be read.
    Unreadable(String),
    Expired,
    TimeUp,
    Withdrawn,
    Stopped,
    NotPaired,
}

/// What a wait brought.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    Pending,
    Approved(Option<String>),
    Denied(Option<String>),
    Expired,
    Withdrawn,
}

/// Why the server did not answer as it should.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) message: String,
    /// It may be over soon.
    pub(crate) passing: bool,
    /// The server was reached, and refused.
    pub(crate) answered: bool,
    pub(crate) retry_after: Option<Duration>,
}

impl From<Trouble> for Why {
    fn from(trouble: Trouble) -> Self {
        if trouble.answered { Self::Refused(trouble.message) } else { Self::Unreachable(trouble.message) }
    }
}

/// The server's side.
pub(crate) trait Ledger {
    /// Opens the question, or finds it again. Repeats for as long as `patience` where that may help.
    fn open(
        &self,
        question: &Question,
        expires_in: Duration,
        patience: Duration,
    ) -> impl Future<Output = Result<Uuid, Trouble>>;

    /// Waits once, for at most `hold`.
    fn wait(&self, approval_id: Uuid, hold: Duration) -> impl Future<Output = Result<Verdict, Trouble>>;
}

/// The session's side.
pub(crate) trait Notebook {
    /// The question exists. `false`: its tool call has ended already.
    fn asked(&mut self, approval_id: Uuid) -> bool;

    /// The question is to be withdrawn, once the server can be told.
    fn withdraw(&mut self, approval_id: Uuid, reason: &str);
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// When the agent must have its answer.
    pub(crate) end: Instant,
    /// How long the server may be away.
    pub(crate) patience: Duration,
}

impl Times {
    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// Asks, and waits until there is a verdict, the time is up, or `not_wanted` completes.
pub(crate) async fn ask(
    ledger: &impl Ledger,
    notebook: &mut impl Notebook,
    question: &Question,
    times: Times,
    not_wanted: impl Future<Output = &'static str>,
) -> Conclusion {
    let mut not_wanted = pin!(not_wanted);
    let mut opening = pin!(open(ledger, question, times));
    let opened = tokio::select! {
        biased;
        opened = &mut opening => opened,
        () = tokio::time::sleep_until(times.end) => return Conclusion::NoVerdict(Why::TimeUp),
        reason = &mut not_wanted => {
            // The request is on its way. Without its id the question could not be withdrawn.
            if let Ok(Ok(approval_id)) = tokio::time::timeout(LAST_WORDS, opening).await {
                notebook.withdraw(approval_id, reason);
            }
            return Conclusion::NotWanted;
        }
    };
    let approval_id = match opened {
        Ok(approval_id) => approval_id,
        Err(trouble) => return Conclusion::NoVerdict(trouble.into()),
    };
    if !notebook.asked(approval_id) {
        notebook.withdraw(approval_id, "answered in the terminal");
        return Conclusion::Elsewhere { approval_id };
    }
    tokio::select! {
        biased;
        conclusion = verdict(ledger, approval_id, times) => {
            if let Conclusion::NoVerdict(why) = &conclusion && *why != Why::Expired {
                notebook.withdraw(approval_id, "the agent stopped waiting");
            }
            conclusion
        }
        reason = &mut not_wanted => {
            notebook.withdraw(approval_id, reason);
            Conclusion::NotWanted
        }
    }
}

/// Opens the question. A server that is there and busy, because many agents ask at once, says when it is our turn; as
/// long as that is soon, we wait for it.
async fn open(ledger: &impl Ledger, question: &Question, times: Times) -> Result<Uuid, Trouble> {
    loop {
        let patience = FIRST_PATIENCE.min(times.patience).min(times.left());
        let trouble = match ledger.open(question, times.left(), patience).await {
            Err(trouble) if trouble.passing && trouble.answered => trouble,
            settled => return settled,
        };
        match trouble.retry_after {
            Some(wish) if wish <= times.patience && wish + jitter() < times.left() => {
                tokio::time::sleep(wish + jitter()).await;
            }
            _ => return Err(trouble),
        }
    }
}

async fn verdict(ledger: &impl Ledger, approval_id: Uuid, times: Times) -> Conclusion {
    let mut away_since = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = times.left();
        if left < SHORTEST {
            return Conclusion::NoVerdict(Why::TimeUp);
        }
        let asked = Instant::now();
        let hold = HOLD.min(left);
        // The server counts in seconds; the last one is cut here.
        let Ok(answer) = tokio::time::timeout_at(times.end, ledger.wait(approval_id, hold)).await else {
            return Conclusion::NoVerdict(Why::TimeUp);
        };
        let wish = match answer {
            Ok(Verdict::Approved(note)) => return Conclusion::Approved { approval_id, note },
            Ok(Verdict::Denied(note)) => return Conclusion::Denied { approval_id, note },
            Ok(Verdict::Withdrawn) => return Conclusion::Elsewhere { approval_id },
            Ok(Verdict::Expired) => return Conclusion::NoVerdict(Why::Expired),
            Ok(Verdict::Pending) => {
                away_since = None;
                if asked.elapsed() >= hold / 2 {
                    pause = FIRST_PAUSE;
                    continue;
                }
                // An early answer: the server is shutting down. Its successor is not to be hammered.
                None
            }
            Err(trouble) if !trouble.passing => return Conclusion::NoVerdict(trouble.into()),
            Err(trouble) => {
                let since = *away_since.get_or_insert(asked);
                if since.elapsed() >= times.patience {
                    return Conclusion::NoVerdict(trouble.into());
                }
                // Whoever says so may be a proxy. There is a last question before the patience ends.
                trouble.retry_after.map(|wish| wish.min(times.patience.saturating_sub(since.elapsed())))
            }
        };
        tokio::time::sleep(wish.unwrap_or(pause + jitter()).min(times.left())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Keeps the waiters of one machine from coming back all at once.
fn jitter() -> Duration {
    Duration::from_millis(u64::from(std::process::id() % 97))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::future::pending;

    use super::super::input::fixtures::event;
    use super::*;

    const APPROVAL: Uuid = Uuid::from_u128(7);

    /// A server that follows a script.
    struct Script {
        open: Result<Uuid, Trouble>,
        /// How often it is busy before that.
        busy: Cell<u32>,
        open_takes: Duration,
        waits: RefCell<VecDeque<(Duration, Result<Verdict, Trouble>)>>,
        /// When the script is over.
        rest: Result<Verdict, Trouble>,
    }

    impl Script {
        fn new(waits: impl IntoIterator<Item = (u64, Result<Verdict, Trouble>)>) -> Self {
            let waits = waits.into_iter().map(|(seconds, answer)| (Duration::from_secs(seconds), answer)).collect();
            Self {
                open: Ok(APPROVAL),
                busy: Cell::new(0),
                open_takes: Duration::ZERO,
                waits: RefCell::new(waits),
                rest: Ok(Verdict::Pending),
            }
        }
    }

    impl Ledger for Script {
        async fn open(&self, _: &Question, _: Duration, _: Duration) -> Result<Uuid, Trouble> {
            tokio::time::sleep(self.open_takes).await;
            let busy = self.busy.get();
            if busy > 0 {
                self.busy.set(busy - 1);
                return Err(Trouble {
                    message: "too many".into(),
                    passing: true,
                    answered: true,
                    retry_after: Some(Duration::from_secs(4)),
                });
            }
            self.open.clone()
        }

        async fn wait(&self, approval_id: Uuid, hold: Duration) -> Result<Verdict, Trouble> {
            assert_eq!(approval_id, APPROVAL);
            let next = self.waits.borrow_mut().pop_front();
            let (takes, answer) = next.unwrap_or_else(|| match &self.rest {
                Ok(_) => (hold, self.rest.clone()),
                Err(_) => (Duration::ZERO, self.rest.clone()),
            });
            tokio::time::sleep(takes.min(hold)).await;
            answer
        }
    }

    #[derive(Default)]
    struct Notes {
        ended: bool,
        asked: Vec<Uuid>,
        withdrawn: Vec<String>,
    }

    impl Notebook for Notes {
        fn asked(&mut self, approval_id: Uuid) -> bool {
            self.asked.push(approval_id);
            !self.ended
        }

        fn withdraw(&mut self, _: Uuid, reason: &str) {
            self.withdrawn.push(reason.to_owned());
        }
    }

    fn away() -> Trouble {
        Trouble { message: "connection refused".into(), passing: true, answered: false, retry_after: None }
    }

    fn refused() -> Trouble {
        Trouble { message: "pair again".into(), passing: false, answered: true, retry_after: None }
    }

    /// Runs the gate with an hour to spare and half a minute of patience; time passes as fast as it can.
    fn run(script: &Script, notes: &mut Notes, signal_after: Option<u64>) -> Conclusion {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let times = Times { end: Instant::now() + Duration::from_secs(3_600), patience: Duration::from_secs(30) };
            let question = Question::from_input(&event("PermissionRequest"), None);
            let not_wanted = async {
                match signal_after {
                    Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                    None => pending().await,
                }
                "the signal"
            };
            let started = Instant::now();
            let conclusion = ask(script, notes, &question, times, not_wanted).await;
            assert!(started.elapsed() <= Duration::from_secs(3_600), "the agent has its answer in time");
            conclusion
        })
    }

    #[test]
    fn a_verdict_is_given_with_its_note() {
        let mut notes = Notes::default();
        let script = Script::new([(50, Ok(Verdict::Pending)), (3, Ok(Verdict::Approved(Some("n".into()))))]);
        let expected = Conclusion::Approved { approval_id: APPROVAL, note: Some("n".into()) };
        assert_eq!(run(&script, &mut notes, None), expected);
        assert!(notes.withdrawn.is_empty());
        let script = Script::new([(0, Ok(Verdict::Denied(None)))]);
        let expected = Conclusion::Denied { approval_id: APPROVAL, note: None };
        assert_eq!(run(&script, &mut notes, None), expected);
    }

    #[test]
    fn a_server_that_restarts_is_waited_for() {
        let gone = (0..6).map(|_| (0, Err(away())));
        let early = (0..3).map(|_| (0, Ok(Verdict::Pending)));
        let script = Script::new(early.chain(gone).chain([(1, Ok(Verdict::Approved(None)))]));
        assert!(matches!(run(&script, &mut Notes::default(), None), Conclusion::Approved { .. }));
    }

    #[test]
    fn a_wish_that_goes_beyond_the_patience_leaves_a_last_question() {
        let later = || Trouble { retry_after: Some(Duration::from_secs(86_400)), ..away() };
        let script = Script::new([(0, Err(later())), (0, Ok(Verdict::Denied(None)))]);
        let expected = Conclusion::Denied { approval_id: APPROVAL, note: None };
        assert_eq!(run(&script, &mut Notes::default(), None), expected);
        let script = Script { rest: Err(later()), ..Script::new([]) };
        let expected = Conclusion::NoVerdict(Why::Unreachable("connection refused".into()));
        assert_eq!(run(&script, &mut Notes::default(), None), expected);
    }

    #[test]
    fn a_server_that_stays_away_is_given_up_and_the_question_withdrawn() {
        let mut notes = Notes::default();
        let script = Script { rest: Err(away()), ..Script::new([]) };
        let expected = Conclusion::NoVerdict(Why::Unreachable("connection refused".into()));
        assert_eq!(run(&script, &mut notes, None), expected);
        assert_eq!(notes.withdrawn, ["the agent stopped waiting"]);
    }

    #[test]
    fn a_server_that_cannot_be_asked_or_refuses_says_so() {
        let script = Script { open: Err(away()), ..Script::new([]) };
        let expected = Conclusion::NoVerdict(Why::Unreachable("connection refused".into()));
        assert_eq!(run(&script, &mut Notes::default(), None), expected);
        let expected = Conclusion::NoVerdict(Why::Refused("pair again".into()));
        let script = Script { open: Err(refused()), ..Script::new([]) };
        assert_eq!(run(&script, &mut Notes::default(), None), expected);
        let script = Script::new([(0, Err(refused()))]);
        assert_eq!(run(&script, &mut Notes::default(), None), expected);
    }

    #[test]
    fn a_busy_server_is_asked_again_when_it_wishes() {
        let busy = Script { busy: Cell::new(50), ..Script::new([(1, Ok(Verdict::Approved(None)))]) };
        assert!(matches!(run(&busy, &mut Notes::default(), None), Conclusion::Approved { .. }));
        let busy = Script { busy: Cell::new(u32::MAX), ..Script::new([]) };
        let expected = Conclusion::NoVerdict(Why::Refused("too many".into()));
        assert_eq!(run(&busy, &mut Notes::default(), None), expected);
        let later = Trouble { retry_after: Some(Duration::from_secs(600)), passing: true, ..refused() };
        let closed = Script { open: Err(later), ..Script::new([]) };
        let expected = Conclusion::NoVerdict(Why::Refused("pair again".into()));
        assert_eq!(run(&closed, &mut Notes::default(), None), expected);
    }

    #[test]
    fn when_the_time_is_up_the_question_is_withdrawn() {
        let mut notes = Notes::default();
        assert_eq!(run(&Script::new([]), &mut notes, None), Conclusion::NoVerdict(Why::TimeUp));
        assert_eq!(notes.withdrawn, ["the agent stopped waiting"]);
        let slow = Script { open_takes: Duration::from_secs(9_999), ..Script::new([]) };
        assert_eq!(run(&slow, &mut Notes::default(), None), Conclusion::NoVerdict(Why::TimeUp));
    }

    #[test]
    fn expiry_and_withdrawal_end_the_wait_quietly() {
        let mut notes = Notes::default();
        let expired = Script::new([(2, Ok(Verdict::Expired))]);
        assert_eq!(run(&expired, &mut notes, None), Conclusion::NoVerdict(Why::Expired));
        let withdrawn = Script::new([(2, Ok(Verdict::Withdrawn))]);
        assert_eq!(run(&withdrawn, &mut notes, None), Conclusion::Elsewhere { approval_id: APPROVAL });
        assert!(notes.withdrawn.is_empty(), "there is nothing left to withdraw");
    }

    #[test]
    fn a_signal_withdraws_the_question_even_while_it_is_being_asked() {
        let mut notes = Notes::default();
        assert_eq!(run(&Script::new([]), &mut notes, Some(10)), Conclusion::NotWanted);
        assert_eq!(notes.withdrawn, ["the signal"]);
        let slow = Script { open_takes: Duration::from_millis(1_500), ..Script::new([]) };
        assert_eq!(run(&slow, &mut notes, Some(1)), Conclusion::NotWanted);
        assert_eq!(notes.withdrawn, ["the signal", "the signal"]);
    }

    #[test]
    fn a_call_that_ended_meanwhile_is_not_waited_for() {
        let mut notes = Notes { ended: true, ..Notes::default() };
        assert_eq!(run(&Script::new([]), &mut notes, None), Conclusion::Elsewhere { approval_id: APPROVAL });
        assert_eq!(notes.withdrawn, ["answered in the terminal"]);
    }
}
