//! The hub's channels, and what their names look like.

use crate::log::channel_stream;

/// The longest ids.
const LONGEST_AGENT: usize = 64;
const LONGEST_OTHER: usize = 128;

/// A channel, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Channel {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Global,
    Metrics,
    Agent,
    Session,
    Topic,
}

impl Channel {
    /// The channel of this name, if there can be one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let kind = match name.split_once('/') {
            None if name == "global" => Kind::Global,
            None if name == "metrics" => Kind::Metrics,
            Some(("agents", id)) if is_id(id, LONGEST_AGENT) => Kind::Agent,
            Some(("sessions", id)) if is_id(id, LONGEST_OTHER) => Kind::Session,
            // People name topics, and like to divide them.
            Some(("topics", topic)) if is_id(&topic.replace(['.', ':'], "-"), LONGEST_OTHER) => Kind::Topic,
            _ => return None,
        };
        Some(Self { name: name.to_owned(), kind })
    }

    /// Where everything that concerns everybody is told.
    #[must_use]
    pub fn global() -> Self {
        Self { name: "global".to_owned(), kind: Kind::Global }
    }

    /// Where the hub's figures are told.
    #[must_use]
    pub fn metrics() -> Self {
        Self { name: "metrics".to_owned(), kind: Kind::Metrics }
    }

    /// An agent's own channel, if the text can be the id of an agent.
    #[must_use]
    pub fn of_agent(agent_id: &str) -> Option<Self> {
        is_id(agent_id, LONGEST_AGENT).then(|| Self { name: format!("agents/{agent_id}"), kind: Kind::Agent })
    }

    /// A session's channel, if the text can be the id of a session.
    #[must_use]
    pub fn of_session(session_id: &str) -> Option<Self> {
        is_id(session_id, LONGEST_OTHER).then(|| Self { name: format!("sessions/{session_id}"), kind: Kind::Session })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the own channel of another agent than this one.
    pub(super) fn is_of_another(&self, agent_id: &str) -> bool {
        self.agent().is_some_and(|own| own != agent_id)
    }

    /// The agent whose own channel it is.
    #[must_use]
    pub fn agent(&self) -> Option<&str> {
        if self.kind == Kind::Agent { self.name.strip_prefix("agents/") } else { None }
    }

    #[must_use]
    pub const fn is_global(&self) -> bool {
        matches!(self.kind, Kind::Global)
    }

    #[must_use]
    pub const fn is_metrics(&self) -> bool {
        matches!(self.kind, Kind::Metrics)
    }

    /// Its stream in the log.
    pub(super) fn stream(&self) -> String {
        channel_stream(&self.name)
    }
}

fn is_id(text: &str, longest: usize) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=longest).contains(&text.len()) && text.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_known_by_their_names() {
        for name in ["global", "metrics", "agents/backend-laravel", "sessions/abc_123", "topics/deploy.eu:1"] {
            let channel = Channel::parse(name).unwrap_or_else(|| panic!("{name} is one"));
            assert_eq!((channel.name(), channel.stream()), (name, format!("channels/{name}")));
        }
        assert_eq!(Channel::parse("agents/a").expect("it is one").agent(), Some("a"));
        assert_eq!(Channel::parse("topics/a").expect("it is one").agent(), None);
        assert_eq!(Channel::of_agent("a"), Channel::parse("agents/a"));
        assert_eq!(Channel::of_session("s"), Channel::parse("sessions/s"));
        assert!(Channel::parse(&format!("agents/{}", "a".repeat(64))).is_some());
        assert!(Channel::parse(&format!("sessions/{}", "a".repeat(128))).is_some());
    }

    #[test]
    fn nothing_else_is_a_channel() {
        let long = [format!("agents/{}", "a".repeat(65)), format!("sessions/{}", "a".repeat(129))];
        let others = ["", "/", "Global", "global/", "agents", "agents/", "agents/a b", "agents/é", "agents/a.b"];
        let more = ["bad/channel/path", "topics/a/b", "topics/", "sessions/a\0", "topics/a\nb", "channels/global"];
        for name in long.iter().map(String::as_str).chain(others).chain(more) {
            assert_eq!(Channel::parse(name), None, "{name:?}");
        }
        assert_eq!(Channel::of_agent("a/b"), None);
        assert_eq!(Channel::of_session(""), None);
    }
}
