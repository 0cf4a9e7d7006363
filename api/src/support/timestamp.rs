//! An instant, to the millisecond, and its one form on the wire. Clocks and durations do not belong here.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde_json::Value;

const DAY: i64 = 86_400_000;
/// 0000-01-01T00:00:00.000Z
const EARLIEST: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z
const LATEST: i64 = 253_402_300_799_999;

/// Milliseconds since 1970 in UTC.
///
/// Written as RFC 3339 with exactly three fraction digits and `Z`; read with any offset. Further fraction digits are
/// cut off, and a leap second is the first second of the next minute. The wire knows the years 0000 to 9999: what lies
/// outside is refused when read, and written as the nearest bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The current time of the system's clock.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(LATEST))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The text of the wire, without an allocation.
    fn render(self) -> [u8; 24] {
        let millis = self.0.clamp(EARLIEST, LATEST);
        let (year, month, day) = civil(millis.div_euclid(DAY));
        let of_day = millis.rem_euclid(DAY);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (start, width, value) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, of_day / 3_600_000),
            (14, 2, of_day / 60_000 % 60),
            (17, 2, of_day / 1_000 % 60),
            (20, 3, of_day % 1_000),
        ] {
            let mut rest = value;
            for place in (start..start + width).rev() {
                text[place] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        text
    }
}

/// A text is not an RFC 3339 date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTimestamp;

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not an RFC 3339 date and time, such as 2026-01-31T12:00:00.000Z")
    }
}

impl std::error::Error for InvalidTimestamp {}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text.as_bytes()).map(Self).ok_or(InvalidTimestamp)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(std::str::from_utf8(&self.render()).map_err(|_| fmt::Error)?)
    }
}

fn parse(text: &[u8]) -> Option<i64> {
    let (date_and_time, rest) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let separated = separators.iter().all(|&(place, byte)| date_and_time[place] == byte);
    if !separated || !date_and_time[10].eq_ignore_ascii_case(&b'T') {
        return None;
    }
    let number = |start: usize, width: usize| digits(&date_and_time[start..start + width]);
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let real = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !real {
        return None;
    }

    let (fraction, zone) = match rest.split_first()? {
        (b'.', rest) => {
            let width = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, zone) = rest.split_at(width);
            let mut padded = [b'0'; 3];
            for (place, digit) in padded.iter_mut().zip(fraction) {
                *place = *digit;
            }
            if width == 0 {
                return None;
            }
            (digits(&padded)?, zone)
        }
        _ => (0, rest),
    };
    let offset_minutes = match zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let (hours, minutes) = (digits(hours)?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let ahead = hours * 60 + minutes;
            if *sign == b'-' { -ahead } else { ahead }
        }
        _ => return None,
    };

    let seconds = (hour * 60 + minute - offset_minutes) * 60 + second;
    let millis = day_number(year, month, day) * DAY + seconds * 1_000 + fraction;
    (EARLIEST..=LATEST).contains(&millis).then_some(millis)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970. Years are counted from March, so that the leap day comes last, in cycles of 400 years.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let cycle = shifted.div_euclid(400);
    let year_of_cycle = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * 146_097 + day_of_cycle - 719_468
}

/// The inverse of [`day_number`].
fn civil(day_number: i64) -> (i64, i64, i64) {
    let shifted = day_number + 719_468;
    let cycle = shifted.div_euclid(146_097);
    let day_of_cycle = shifted.rem_euclid(146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
    (year, month, day)
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.render();
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Timestamp;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an RFC 3339 date and time")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl Type for Timestamp {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Timestamp {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value.unwrap_or_default() {
            Value::String(text) => text.parse().map_err(ParseError::custom),
            other => Err(ParseError::expected_type(other)),
        }
    }
}

impl ToJSON for Timestamp {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl ParseFromParameter for Timestamp {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        value.parse().map_err(ParseError::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<i64> {
        text.parse::<Timestamp>().ok().map(|timestamp| timestamp.0)
    }

    #[test]
    fn reads_every_offset_and_keeps_milliseconds() {
        let noon = 1_769_860_800_000;
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31t12:00:00z",
            "2026-01-31T12:00:00.000Z",
            "2026-01-31T12:00:00.0009Z",
            "2026-01-31T12:00:00.000999999999999999999999Z",
            "2026-01-31T13:30:00+01:30",
            "2026-01-31T00:01:00-11:59",
            "2026-02-01T11:59:00+23:59",
            "2026-01-31T12:00:00-00:00",
        ] {
            assert_eq!(read(text), Some(noon), "{text}");
        }
        assert_eq!(read("2026-01-31T12:00:00.1Z"), Some(noon + 100));
        assert_eq!(read("2026-01-31T12:00:00.12Z"), Some(noon + 120));
        assert_eq!(read("2026-01-31T12:00:00.1239Z"), Some(noon + 123));
    }

    #[test]
    fn knows_the_calendar() {
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("1969-12-31T23:59:59.999Z"), Some(-1));
        assert_eq!(read("2000-02-29T00:00:00Z"), Some(951_782_400_000));
        assert_eq!(read("2016-12-31T23:59:60Z"), read("2017-01-01T00:00:00Z"));
        assert_eq!(read("0000-01-01T00:00:00.000Z"), Some(EARLIEST));
        assert_eq!(read("9999-12-31T23:59:59.999Z"), Some(LATEST));
        for text in ["1900-02-29T00:00:00Z", "2025-02-29T00:00:00Z", "2026-04-31T00:00:00Z"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_rfc_3339() {
        for text in [
            "",
            "now",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00,5Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:61Z",
            "2026-00-31T12:00:00Z",
            "2026-13-31T12:00:00Z",
            "2026-01-00T12:00:00Z",
            "2026-01-31T12:00:00+1:00",
            "2026-01-31T12:00:00+0100",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+01:60",
            "2026-01-31T12:00:00ZZ",
            "+026-01-31T12:00:00Z",
            "2026-01-31T12:00:0\u{663}Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "9999-12-31T23:59:60Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn writes_three_fraction_digits_and_z() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_769_860_800_007, "2026-01-31T12:00:00.007Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(millis).to_string(), text);
        }
    }

    #[test]
    fn comes_back_from_its_text_on_every_day() {
        let mut millis = EARLIEST;
        while millis <= LATEST {
            let timestamp = Timestamp(millis);
            assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
            millis += DAY * 13 + 12_345_678;
        }
    }
}
