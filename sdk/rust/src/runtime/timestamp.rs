//! An instant as the protocol writes it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// The last millisecond of the year 9999, the latest instant that RFC 3339 can write.
const LATEST: i64 = 253_402_300_799_999;
/// The first millisecond of the year 0, the earliest instant that RFC 3339 can write.
const EARLIEST: i64 = -62_167_219_200_000;

/// An instant, in milliseconds since 1970-01-01 UTC.
///
/// Written as RFC 3339 in UTC with exactly three digits of fraction, `2026-01-31T12:00:00.000Z`. Read from RFC 3339
/// with any offset and any number of digits; what is finer than a millisecond is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970. What lies outside the years 0 to 9999 becomes the nearest instant inside them.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(EARLIEST, LATEST))
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to this instant; zero when it is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Reads the date format of HTTP headers, `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) fn from_http_date(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc2822).ok().map(Self::from_date_time)
    }

    fn from_date_time(moment: OffsetDateTime) -> Self {
        Self::from_millis(i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        write!(
            formatter,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second(),
            moment.millisecond()
        )
    }
}

/// A text is not an RFC 3339 date and time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a date and time like 2026-01-31T12:00:00.000Z")]
pub struct InvalidTimestamp(#[source] time::error::Parse);

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339).map(Self::from_date_time).map_err(InvalidTimestamp)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => -millis(before.duration()),
        })
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        let distance = Duration::from_millis(timestamp.0.unsigned_abs());
        if timestamp.0 < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
