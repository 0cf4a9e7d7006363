//! Which of the agent's events are for this companion: messages that have not been typed yet, and its own words, come
//! back from the server. Each once, in order, whatever the connection does.

use std::time::Instant;

use flightdeck_sdk::Timestamp;
use flightdeck_sdk::types::{AgentEvent, AgentEventType};
use serde_json::Value;
use uuid::Uuid;

use super::place::{Past, Progress};
use super::typist::Message;

/// How many of the last events are looked through in the very first session, for messages that came after it began and
/// before the server could be reached.
const REACH: u64 = 1_000;

/// What an event means here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Message(Message),
    /// The server has stored this chunk of what the agent said.
    Arrived(Uuid),
    Nothing,
}

/// The name of an event's property by which whoever sent it knows it again.
pub(super) const OWN_ID: &str = "client_msg_id";

#[derive(Debug)]
pub(super) struct Inbox {
    began: Instant,
    /// The last event that came.
    after: u64,
    past: Option<Past>,
    /// A place is known: of an earlier session, or from the server.
    knows_place: bool,
    /// Up to here the server tells what it had when it was asked. What comes from beyond in the meantime comes again.
    until: u64,
    /// The last event that was glanced at.
    seen: u64,
}

impl Inbox {
    /// Of a session that has begun at this moment. Without progress it is the very first.
    pub(super) fn new(began: Instant, progress: Option<Progress>) -> Self {
        let Progress { typed, past } = progress.unwrap_or(Progress { typed: 0, past: None });
        Self { began, after: typed, past, knows_place: progress.is_some(), until: 0, seen: 0 }
    }

    /// A connection was made. Answers with the event after which to subscribe.
    pub(super) fn hello(&mut self, last_seq: u64, server_time: Timestamp, now: Instant) -> u64 {
        self.until = last_seq;
        if !self.knows_place {
            self.knows_place = true;
            self.after = last_seq.saturating_sub(REACH);
            let age = i64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(i64::MAX);
            let until = Timestamp::from_millis(server_time.as_millis().saturating_sub(age));
            self.past = (last_seq > 0).then_some(Past { seq: last_seq, until });
        }
        self.after
    }

    /// Says what an event means. One that came before means nothing.
    pub(super) fn take(&mut self, event: &AgentEvent) -> News {
        let is_early = event.seq > self.until && !self.is_caught_up();
        if is_early || event.seq <= self.after {
            return self.glance(event);
        }
        self.after = event.seq;
        let is_past = self.past.is_some_and(|past| event.seq <= past.seq && event.created_at < past.until);
        match event.payload.get("content").and_then(Value::as_str) {
            Some(content) if event.r#type == AgentEventType::MessageIn && !is_past => {
                News::Message(Message { seq: event.seq, text: content.to_owned() })
            }
            _ => self.glance(event),
        }
    }

    /// The same of an event that will come again, because its message cannot be taken now.
    pub(super) fn glance(&mut self, event: &AgentEvent) -> News {
        self.seen = self.seen.max(event.seq);
        let id = event.payload.get(OWN_ID).and_then(Value::as_str).and_then(|id| id.parse().ok());
        match event.r#type {
            AgentEventType::MessageOut => id.map_or(News::Nothing, News::Arrived),
            _ => News::Nothing,
        }
    }

    /// Messages can be taken again. Answers with the event after which to subscribe anew.
    pub(super) fn resume(&mut self) -> u64 {
        self.until = self.until.max(self.seen);
        self.after
    }

    /// The server has told everything that it had.
    pub(super) fn synced(&mut self) {
        self.until = self.until.min(self.after);
    }

    /// Events are missing; this is the next that comes.
    pub(super) fn gap(&mut self, next: u64) {
        let is_back = next <= self.after;
        self.after = next.saturating_sub(1);
        if is_back {
            // It is another log, and nothing is known of it but this.
            (self.until, self.seen) = (self.after, self.after);
        }
    }

    /// Whether everything has come that the server had when the connection was made.
    pub(super) fn is_caught_up(&self) -> bool {
        self.after >= self.until
    }

    /// How far the conversation is, when this message waits to be typed, or none does.
    pub(super) fn progress(&self, waiting: Option<u64>) -> Option<Progress> {
        let typed = waiting.map_or(self.after, |seq| seq - 1);
        self.knows_place.then_some(Progress { typed, past: self.past.filter(|past| typed < past.seq) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flightdeck_sdk::types::AgentEventSender;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn event(seq: u64, at: i64, kind: AgentEventType, payload: &Value) -> AgentEvent {
        let payload = payload.as_object().cloned().unwrap_or_default();
        let at = Timestamp::from_millis(at);
        AgentEvent::new(Uuid::nil(), Uuid::nil(), seq, kind, AgentEventSender::Ios, payload, at, None, None)
    }

    fn message(seq: u64, at: i64) -> AgentEvent {
        event(seq, at, AgentEventType::MessageIn, &json!({"content": format!("message {seq}")}))
    }

    fn typed(inbox: &mut Inbox, events: impl IntoIterator<Item = AgentEvent>) -> Vec<u64> {
        let news = events.into_iter().map(|event| inbox.take(&event));
        news.filter_map(|news| if let News::Message(message) = news { Some(message.seq) } else { None }).collect()
    }

    #[test]
    fn what_was_said_before_the_very_first_session_is_not_typed() {
        let began = Instant::now();
        let mut inbox = Inbox::new(began, None);
        assert_eq!(inbox.progress(None), None, "nothing is known yet");
        // The server could be reached only a minute later.
        let since = inbox.hello(1_005, Timestamp::from_millis(NOW), began + Duration::from_secs(60));
        assert_eq!(since, 5);
        let minute_ago = NOW - 60_000;
        let events = [message(6, minute_ago - 1), message(7, minute_ago), message(1_005, NOW), message(1_006, 0)];
        assert_eq!(typed(&mut inbox, events), [7, 1_005, 1_006]);
        assert_eq!(inbox.progress(None), Some(Progress { typed: 1_006, past: None }));

        let mut inbox = Inbox::new(began, None);
        assert_eq!(inbox.hello(0, Timestamp::from_millis(NOW), began), 0);
        assert_eq!(typed(&mut inbox, [message(1, 0)]), [1], "an agent without a past");
    }

    #[test]
    fn a_later_session_goes_on_where_the_earlier_one_was() {
        let past = Past { seq: 12, until: Timestamp::from_millis(NOW) };
        let mut inbox = Inbox::new(Instant::now(), Some(Progress { typed: 10, past: Some(past) }));
        assert_eq!(inbox.hello(14, Timestamp::from_millis(NOW + 50), Instant::now()), 10);
        assert!(!inbox.is_caught_up());
        let events = [message(9, NOW), message(11, NOW - 1), message(12, NOW), message(13, 0), message(13, 0)];
        assert_eq!(typed(&mut inbox, events), [12, 13]);
        assert_eq!(inbox.progress(Some(12)), Some(Progress { typed: 11, past: Some(past) }));
        assert_eq!(inbox.progress(Some(13)), Some(Progress { typed: 12, past: None }));
        assert_eq!(typed(&mut inbox, [message(14, 0)]), [14]);
        assert!(inbox.is_caught_up());
    }

    #[test]
    fn what_comes_before_its_turn_is_taken_in_its_turn() {
        let mut inbox = Inbox::new(Instant::now(), Some(Progress { typed: 10, past: None }));
        inbox.hello(12, Timestamp::from_millis(NOW), Instant::now());
        // The server tells what is new before it answers what it was asked.
        assert_eq!(typed(&mut inbox, [13, 11, 12, 13, 14].map(|seq| message(seq, 0))), [11, 12, 13, 14]);

        // There was no room for the next three.
        let _ = [15, 16, 17].map(|seq| inbox.glance(&message(seq, 0)));
        assert_eq!(inbox.resume(), 14);
        assert_eq!(typed(&mut inbox, [18, 15, 16, 17, 18].map(|seq| message(seq, 0))), [15, 16, 17, 18]);

        inbox.hello(30, Timestamp::from_millis(NOW), Instant::now());
        assert!(!inbox.is_caught_up());
        inbox.synced();
        assert_eq!(typed(&mut inbox, [message(31, 0)]), [31]);
    }

    #[test]
    fn only_messages_to_the_agent_are_typed() {
        let mut inbox = Inbox::new(Instant::now(), None);
        inbox.hello(0, Timestamp::from_millis(NOW), Instant::now());
        let (id, content) = (Uuid::from_u128(3), json!({"content": "rm -rf"}));
        let own = json!({"content": "x", "client_msg_id": id});
        assert_eq!(inbox.take(&event(1, NOW, AgentEventType::MessageOut, &content)), News::Nothing);
        assert_eq!(inbox.take(&event(2, NOW, AgentEventType::MessageOut, &own)), News::Arrived(id));
        assert_eq!(inbox.take(&event(3, NOW, AgentEventType::AgentStatus, &content)), News::Nothing);
        assert_eq!(inbox.take(&event(4, NOW, AgentEventType::MessageIn, &json!({"content": 7}))), News::Nothing);
    }

    #[test]
    fn a_gap_moves_the_place_in_either_direction() {
        let mut inbox = Inbox::new(Instant::now(), Some(Progress { typed: 10, past: None }));
        inbox.hello(41, Timestamp::from_millis(NOW), Instant::now());
        inbox.gap(41);
        assert_eq!(typed(&mut inbox, [message(40, 0), message(41, 0)]), [41]);
        inbox.hello(3, Timestamp::from_millis(NOW), Instant::now());
        inbox.gap(4);
        assert!(inbox.is_caught_up());
        assert_eq!(typed(&mut inbox, [message(4, 0)]), [4]);
    }
}
