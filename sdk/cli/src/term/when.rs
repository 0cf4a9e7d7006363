//! Times as a person says them.

use std::time::{Duration, SystemTime};

use flightdeck_sdk::Timestamp;

/// This machine's time.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// How long ago something was: `3 min ago`. What lies in the future, by a clock that differs, is `just now`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let passed = now.since(then);
    if passed < Duration::from_secs(5) { "just now".to_owned() } else { format!("{} ago", span(passed)) }
}

/// How long it is until something: `in 3 min`, or `over`.
pub(crate) fn until(then: Timestamp, now: Timestamp) -> String {
    if then <= now { "over".to_owned() } else { format!("in {}", span(then.since(now))) }
}

/// The time of day in UTC, `14:03:59`.
pub(crate) fn clock(then: Timestamp) -> String {
    then.to_string().get(11..19).unwrap_or_default().to_owned()
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn times_are_said_in_the_largest_unit() {
        let said: Vec<_> = [1, 59, 60, 7_199, 86_400 * 3].map(|seconds| ago(at(0), at(seconds))).to_vec();
        assert_eq!(said, ["just now", "59 s ago", "1 min ago", "1 h ago", "3 d ago"]);
        assert_eq!(ago(at(100), at(0)), "just now");
        assert_eq!(until(at(90), at(0)), "in 1 min");
        assert_eq!(until(at(0), at(0)), "over");
        assert_eq!(clock(at(3_661)), "01:01:01");
    }
}
