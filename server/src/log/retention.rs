//! How long history is kept, by kind of stream, and the task that trims what is older.
//!
//! Trimming moves the place where a stream begins; a reader that asks for less is told of the gap.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use flightdeck_api::support::ApiError;

use super::{Log, Work};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::streams::{self, Extent};

/// Between two rounds, in milliseconds.
const EVERY: i64 = 60_000;

/// Streams looked at with one query.
const STREAMS: u64 = 500;

/// Events deleted in one transaction: whoever writes meanwhile should not wait for millions.
const EVENTS: i64 = 2_000;

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// How much of a kind of stream is kept. 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rule {
    /// In days.
    pub age: u32,
    /// In events of one stream.
    pub count: u32,
}

/// The rules, by kind: the part of a stream's name before the slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention(BTreeMap<String, Rule>);

/// Kinds of streams that have a rule. Those of workspaces are short, and are kept.
const KINDS: [&str; 7] = ["agents", "approvals", "channels", "chats", "pairings", "runs", "sessions"];

impl Default for Retention {
    fn default() -> Self {
        let rule = |kind: &str, age, count| (kind.to_owned(), Rule { age, count });
        Self(BTreeMap::from([
            rule("agents", 90, 1_000_000),
            rule("approvals", 365, 100_000),
            // Every run, approval and message is told on `global` as well.
            rule("channels", 7, 100_000),
            // A conversation is kept until somebody deletes it.
            rule("chats", 0, 0),
            rule("pairings", 1, 0),
            rule("runs", 90, 100_000),
            rule("sessions", 90, 100_000),
        ]))
    }
}

impl Retention {
    /// The defaults, with some rules replaced.
    #[must_use]
    pub fn with(mut self, rules: impl IntoIterator<Item = KindRule>) -> Self {
        self.0.extend(rules.into_iter().map(|KindRule { kind, rule }| (kind, rule)));
        self
    }

    /// For how long the events of a kind are kept, in milliseconds; `None` is for ever.
    #[must_use]
    pub fn age(&self, kind: &str) -> Option<i64> {
        let days = self.0.get(kind).map_or(0, |rule| rule.age);
        (days > 0).then(|| i64::from(days) * DAY)
    }

    fn rule_of(&self, stream: &str) -> Rule {
        let kind = stream.split('/').next().unwrap_or_default();
        self.0.get(kind).copied().unwrap_or_default()
    }
}

/// A rule for one kind, as it is written: `runs=90d/100000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindRule {
    pub kind: String,
    pub rule: Rule,
}

impl FromStr for KindRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a rule; write it as `runs=90d/100000`: days, then events, 0 for no limit");
        let (kind, rule) = text.split_once('=').ok_or_else(wrong)?;
        if !KINDS.contains(&kind) {
            return Err(format!("`{kind}` is not a kind of stream; the kinds are {}", KINDS.join(", ")));
        }
        let (age, count) = rule.split_once('/').ok_or_else(wrong)?;
        let age = age.strip_suffix('d').unwrap_or(age).parse().map_err(|_| wrong())?;
        let count = count.parse().map_err(|_| wrong())?;
        Ok(Self { kind: kind.to_owned(), rule: Rule { age, count } })
    }
}

impl fmt::Display for KindRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, rule: Rule { age, count } } = self;
        write!(formatter, "{kind}={age}d/{count}")
    }
}

/// Trims until dropped.
pub async fn keep(log: Log, retention: Retention, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep_until(clock.now() + EVERY).await;
        match trim(&log, &retention, clock.now()).await {
            Ok(0) => {}
            Ok(events) => tracing::info!(events, "trimmed history"),
            Err(error) => tracing::warn!(%error, "could not trim history; will try again"),
        }
    }
}

/// One round through all streams; returns how many events went.
async fn trim(log: &Log, retention: &Retention, now: i64) -> Result<i64, ApiError> {
    let mut after = 0;
    let mut trimmed = 0;
    loop {
        let extents = streams::extents(log.store.reader(), after, STREAMS).await?;
        let Some(last) = extents.last() else { return Ok(trimmed) };
        after = last.id;
        for extent in extents {
            let rule = retention.rule_of(&extent.name);
            let first = begins_at(log, &extent, rule, now).await?;
            let mut begin = extent.first_seq;
            while begin < first {
                begin = (begin + EVENTS).min(first);
                let id = extent.id;
                log.transact(None, move |work: &mut Work<'_>| {
                    Box::pin(async move { Ok::<_, ApiError>(streams::trim(work.tx().connection(), id, begin).await?) })
                })
                .await?;
            }
            trimmed += first - extent.first_seq;
        }
    }
}

/// Where the stream is to begin.
async fn begins_at(log: &Log, extent: &Extent, rule: Rule, now: i64) -> Result<i64, StoreError> {
    let mut first = extent.first_seq;
    if rule.count > 0 {
        first = first.max(extent.last_seq + 1 - i64::from(rule.count));
    }
    if rule.age > 0 {
        let at = now - i64::from(rule.age) * DAY;
        if extent.oldest_at.is_some_and(|oldest| oldest < at) {
            // A stream that is far behind is trimmed in several rounds.
            let begin = streams::first_since(log.store.reader(), extent.id, extent.first_seq, at, 10_000).await?;
            first = first.max(begin);
        }
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_it_is_written() {
        let rule: KindRule = "runs=30d/500".parse().expect("a rule");
        assert_eq!(rule, KindRule { kind: "runs".into(), rule: Rule { age: 30, count: 500 } });
        assert_eq!(rule.to_string(), "runs=30d/500");
        let none: KindRule = "channels=0/0".parse().expect("a rule");
        assert_eq!(Retention::default().with([none]).rule_of("channels/global"), Rule::default());
        assert_eq!(Retention::default().rule_of("runs/x"), Rule { age: 90, count: 100_000 });
        assert_eq!(Retention::default().rule_of("channels/global"), Rule { age: 7, count: 100_000 });
        assert_eq!(Retention::default().rule_of("workspaces/x"), Rule::default());
    }

    #[test]
    fn a_wrong_rule_is_explained() {
        for (text, why) in [("runs", "is not a rule"), ("cats=1d/1", "is not a kind"), ("runs=x/1", "is not a rule")] {
            let error = text.parse::<KindRule>().expect_err("it is wrong");
            assert!(error.contains(why), "{error}");
        }
    }
}
