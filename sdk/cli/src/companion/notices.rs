//! What the companion has to say itself, on stderr. While the agent has the terminal, that waits: a line in between would
//! garble its screen.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use crate::term;

/// What a notice is about. Each is given once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// The server is not there.
    Away,
    /// The server says no.
    Refused,
    /// Messages were lost.
    Gap,
    /// The place could not be written down.
    Place,
    /// The keeper is missing.
    Keeper,
    /// The last output did not arrive.
    Unsent,
}

#[derive(Debug, Default)]
pub(super) struct Notices {
    given: BTreeSet<About>,
    /// While there are none to be given: those that wait.
    waiting: Option<Vec<(About, String)>>,
}

impl Notices {
    pub(super) fn give(&mut self, about: About, text: &str) {
        if !self.given.insert(about) {
            return;
        }
        let text = term::line(text);
        match &mut self.waiting {
            Some(waiting) => waiting.push((about, text)),
            None => term::remark(&format!("flightdeck: {text}")),
        }
    }

    /// It is not so any more. If it happens again, it is told again; what nobody has heard yet need not be told.
    pub(super) fn is_over(&mut self, about: About) {
        self.given.remove(&about);
        self.waiting.iter_mut().for_each(|waiting| waiting.retain(|(waits, _)| *waits != about));
    }

    /// The agent has the terminal now.
    pub(super) fn hold(&mut self) {
        if std::io::stderr().is_terminal() {
            self.waiting = Some(Vec::new());
        }
    }

    /// The terminal is free again.
    pub(super) fn release(&mut self) {
        for (_, text) in self.waiting.take().into_iter().flatten() {
            term::remark(&format!("flightdeck: {text}"));
        }
    }
}
