//! Questions that wait for a person.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio::sync::oneshot;

use crate::service::agents::update::{Answer, Permission, Question, Update};

/// How many may wait at once.
const MOST: usize = 64;

/// The questions by the program's name of them, and where their answers will come.
#[derive(Debug)]
pub(super) struct Questions<Asked>(Vec<(Asked, oneshot::Receiver<Answer>)>);

impl<Asked> Default for Questions<Asked> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Asked: PartialEq> Questions<Asked> {
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    pub(super) fn ask(&mut self, asked: Asked, question: Question) -> Update {
        let (answer, answered) = oneshot::channel();
        self.0.push((asked, answered));
        Update::Permission(Permission { question, answer })
    }

    /// Whoever was asked can see that, because the answer has nowhere to go.
    pub(super) fn withdraw(&mut self, asked: &Asked) {
        self.0.retain(|(other, _)| other != asked);
    }

    pub(super) fn withdraw_all(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.0).into_iter().map(|(asked, _)| asked).collect()
    }

    /// The next answer to any of them; never comes if there is none. Loses nothing when dropped before it completes.
    pub(super) async fn answered(&mut self) -> (Asked, Answer) {
        poll_fn(|context| {
            for at in 0..self.0.len() {
                if let Poll::Ready(answer) = Pin::new(&mut self.0[at].1).poll(context) {
                    let (asked, _) = self.0.swap_remove(at);
                    return Poll::Ready((asked, answer.unwrap_or(Answer::Withdrawn)));
                }
            }
            Poll::Pending
        })
        .await
    }
}
