//! The conversation with the server, which outlives every agent: what the agent says goes out, what is said to it comes
//! in, and it is written down how far that is.

use std::time::{Duration, Instant};

use anyhow::Result;
use flightdeck_sdk::Error;
use flightdeck_sdk::types::AgentEvent;
use tokio::time::{sleep_until, timeout};
use uuid::Uuid;

use super::inbox::{Inbox, News};
use super::link::{Away, Event, Link};
use super::mirror::Mirror;
use super::notices::{About, Notices};
use super::place::Place;
use super::typist::Typist;
use crate::{exit, term};

/// How long the agent waits for the first word from the server, so that bad news comes before its screen does.
const FIRST_CONTACT: Duration = Duration::from_secs(1);
/// How long the last output may take to the server.
const LAST_DELIVERY: Duration = Duration::from_secs(3);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// How often the place is written down where nothing is typed.
pub(super) const NOTE_EVERY: Duration = Duration::from_secs(30);

/// The conversation with the server, which outlives every agent.
pub(super) struct Desk {
    pub(super) link: Link,
    url: String,
    place: Place,
    began: Instant,
    agent_id: Option<Uuid>,
    inbox: Option<Inbox>,
    pub(super) mirror: Mirror,
    pub(super) typist: Typist,
    pub(super) notices: Notices,
    noted: Instant,
    /// The agent is to be started anew.
    pub(super) restart: bool,
    /// The last thing that was heard is that the server is not there.
    away: bool,
    /// There was no room for more messages; they have to be asked for again.
    behind: bool,
}

impl Desk {
    pub(super) fn new(link: Link, url: String, place: Place, began: Instant) -> Self {
        Self {
            link,
            url,
            place,
            began,
            agent_id: None,
            inbox: None,
            mirror: Mirror::default(),
            typist: Typist::default(),
            notices: Notices::default(),
            noted: Instant::now(),
            restart: false,
            away: false,
            behind: false,
        }
    }

    /// Waits for a moment whether the server is there.
    ///
    /// # Errors
    /// It is, and does not want this companion.
    pub(super) async fn first_contact(&mut self) -> Result<()> {
        match timeout(FIRST_CONTACT, self.link.next()).await {
            Ok(Event::Away(Away::Unregistered(error))) if !may_pass(&error) => {
                term::remark("flightdeck: the companion was not let in, so the agent was not started");
                let is_without = matches!(error.downcast_ref(), Some(Error::Api(refusal)) if refusal.status == 401);
                // What is said to everybody else, to pair, would not help here.
                let advice = "the server wants a token; set FLIGHTDECK_COMPANION_TOKEN to its COMPANION_TOKEN";
                Err(if is_without { error.context(advice) } else { error })
            }
            Ok(event) => {
                self.hear(event);
                Ok(())
            }
            Err(_) => {
                self.tell_away(&format!("{} has not answered yet; check that Flightdeck runs there", self.url));
                Ok(())
            }
        }
    }

    fn tell_away(&mut self, reason: &str) {
        self.away = true;
        let text = format!(
            "{reason} — the agent runs all the same; what it says is kept, the last 256 KiB of it, and sent when the server \
             is there"
        );
        self.notices.give(About::Away, &text);
    }

    /// What the server said.
    pub(super) fn hear(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Registered(agent_id) => {
                if self.agent_id != Some(agent_id) {
                    self.agent_id = Some(agent_id);
                    self.inbox = Some(Inbox::new(self.began, self.place.progress(agent_id)));
                }
            }
            Event::Hello(hello) => {
                self.away = false;
                self.notices.is_over(About::Away);
                if let Some(inbox) = &mut self.inbox {
                    let since = inbox.hello(hello.last_seq, hello.server_time, now);
                    if !self.link.is_subscribed() {
                        self.link.subscribe(since);
                    }
                }
                self.catch_up(now);
            }
            Event::Events(events) => {
                if let Some(inbox) = self.inbox.as_mut().filter(|_| events.is_empty()) {
                    inbox.synced();
                }
                events.iter().for_each(|event| self.take(event));
                self.catch_up(now);
            }
            Event::Gap(next) => {
                let text = "the server does not have all events any more that came while the companion was away; messages \
                            may be among them, so look at the conversation and send again what the agent has not got";
                self.notices.give(About::Gap, text);
                if let Some(inbox) = &mut self.inbox {
                    inbox.gap(next);
                }
                self.catch_up(now);
            }
            Event::Restart => self.restart = true,
            Event::Refused(message) => {
                self.notices.give(About::Refused, &format!("the server could not take something: {message}"));
                self.mirror.refused(now);
            }
            Event::Away(away) => {
                self.mirror.disconnected();
                let reason = match away {
                    Away::Unregistered(error) => exit::describe(&error),
                    Away::Disconnected(reason) => reason,
                };
                self.tell_away(&reason);
            }
        }
    }

    fn take(&mut self, event: &AgentEvent) {
        let Some(inbox) = self.inbox.as_mut().filter(|_| self.link.is_subscribed()) else { return };
        self.behind |= !self.typist.has_room();
        let news = if self.behind { inbox.glance(event) } else { inbox.take(event) };
        match news {
            News::Message(message) => self.typist.message(message),
            News::Arrived(id) => self.mirror.arrived(id),
            News::Nothing => {}
        }
    }

    fn catch_up(&mut self, now: Instant) {
        let has_all = self.behind || self.inbox.as_ref().is_some_and(Inbox::is_caught_up);
        if !self.mirror.is_open() && has_all && self.link.is_subscribed() {
            self.mirror.caught_up(now);
        }
    }

    /// Does what is due towards the server; answers when there is more to do.
    pub(super) fn work(&mut self, now: Instant) -> Option<Instant> {
        while let Some(chunk) = self.mirror.next(now) {
            if !self.link.publish(&chunk) {
                self.mirror.refused(now);
            }
        }
        if now >= self.noted + NOTE_EVERY {
            self.note_place();
        }
        if let Some(inbox) = self.inbox.as_mut().filter(|_| self.behind && self.typist.waiting().is_none()) {
            self.behind = false;
            self.link.subscribe(inbox.resume());
        }
        self.mirror.due()
    }

    /// What is to be typed now: the rest of what was begun, else the next message, if the agent listens.
    pub(super) fn keys(&mut self, now: Instant, listens: bool, pastes: bool) -> Option<Vec<u8>> {
        loop {
            if let Some(keys) = self.typist.next(now) {
                return Some(keys.to_vec());
            }
            let message = if listens { self.typist.turn()? } else { return None };
            // Before it is typed: if the companion dies in between, a message is rather lost than typed twice.
            self.note(Some(message.seq + 1));
            self.typist.begin(&message, pastes);
        }
    }

    fn note_place(&mut self) {
        self.note(self.typist.waiting());
    }

    fn note(&mut self, waiting: Option<u64>) {
        self.noted = Instant::now();
        let progress = self.inbox.as_ref().and_then(|inbox| inbox.progress(waiting));
        let (Some(agent_id), Some(progress)) = (self.agent_id, progress) else { return };
        if let Err(error) = self.place.note(agent_id, progress) {
            let text = format!(
                "it could not be written down which messages have been typed, so some may be typed twice after a restart \
                 of the companion: {error:#}"
            );
            self.notices.give(About::Place, &text);
        }
    }

    /// The agent is gone: sends what it said last, says goodbye, and tells the person what there is to tell.
    pub(super) async fn close(mut self) {
        let until = tokio::time::Instant::now() + LAST_DELIVERY;
        while !self.mirror.is_done() && !self.away && tokio::time::Instant::now() < until {
            let due = self.work(Instant::now()).map_or(until, |due| until.min(due.into()));
            tokio::select! {
                event = self.link.next() => self.hear(event),
                () = sleep_until(due) => {}
            }
        }
        if !self.mirror.is_done() {
            let text = "the server was not there at the end, so the last of what the agent said did not reach it";
            self.notices.give(About::Unsent, text);
        }
        self.note_place();
        self.notices.release();
        let _too_slow = timeout(GOODBYE, self.link.close()).await;
    }
}

/// Whether the same may go well later, without anybody changing anything.
fn may_pass(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(Error::is_retryable)
}
