//! Moments and lengths, and how they are written.
//!
//! A [`Timestamp`] counts microseconds since the Unix epoch in UTC and stays below 2^53, so it
//! survives a Redis score and a JSON number without loss; that is where the year 2255 comes from.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

/// How HTTP writes dates: as now, and as RFC 850 and C did.
const HTTP_DATES: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// A moment: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is not a moment or a length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTime {
    /// Not RFC 3339, or without an offset.
    #[error("{text:?} is not an RFC 3339 time with an offset, such as 2026-11-24T05:00:00Z")]
    NotRfc3339 {
        /// The text as given.
        text: String,
    },
    /// Before 1970 or after June 2255.
    #[error("{text:?} is outside the years 1970 to 2255 (June)")]
    OutOfRange {
        /// The text as given.
        text: String,
    },
    /// Not a length.
    #[error("{text:?} is not a duration such as 250ms, 5s, 1h30m or 2d")]
    NotDuration {
        /// The text as given.
        text: String,
    },
}

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The latest moment that can be written: 2^53 − 1 µs, in June 2255.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// From microseconds since the epoch, held inside the range that can be written.
    #[must_use]
    pub fn from_us(us: i64) -> Self {
        Self(us.clamp(0, Self::MAX.0))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn as_us(self) -> i64 {
        self.0
    }

    /// Parses an RFC 3339 time with an offset.
    ///
    /// # Errors
    ///
    /// If the text has another form, no offset, or lies outside the years 1970 to 2255.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        let shaped = text.len() >= 20 && matches!(text.as_bytes()[10], b'T' | b't' | b' ');
        let parsed: jiff::Timestamp = match text.parse() {
            Ok(parsed) if shaped && !text.contains('[') => parsed,
            _ => return Err(InvalidTime::NotRfc3339 { text: text.into() }),
        };

        let us = parsed.as_microsecond();
        if (0..=Self::MAX.0).contains(&us) {
            Ok(Self(us))
        } else {
            Err(InvalidTime::OutOfRange { text: text.into() })
        }
    }

    /// Parses a date of HTTP in any of its three forms, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    #[must_use]
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let parsed = HTTP_DATES.iter().find_map(|form| {
            let moment = strtime::parse(form, text).ok()?.to_datetime().ok()?;
            moment.to_zoned(TimeZone::UTC).ok()
        })?;
        let us = parsed.timestamp().as_microsecond();
        (0..=Self::MAX.0).contains(&us).then_some(Self(us))
    }

    /// This moment plus `length`, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, length: Duration) -> Self {
        Self::from_us(self.0.saturating_add(as_us(length)))
    }

    /// This moment minus `length`, at least the epoch.
    #[must_use]
    pub fn minus(self, length: Duration) -> Self {
        Self::from_us(self.0.saturating_sub(as_us(length)))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    pub(crate) fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).expect("the range of Timestamp is inside jiff's")
    }
}

/// `length` in whole microseconds, held inside what a [`Timestamp`] can be moved by.
#[must_use]
pub fn as_us(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(Timestamp::MAX.0).min(Timestamp::MAX.0)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with microseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.to_jiff())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A moment that is asked for: fixed, or counted from the store's now when the store acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// This moment.
    At(Timestamp),
    /// This long after the store's now.
    In(Duration),
}

impl Moment {
    /// The moment it means when the store's clock shows `now`.
    #[must_use]
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::In(length) => now.plus(length),
        }
    }
}

/// Longest length that is accepted anywhere: a hundred years.
const LENGTH_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Parses a length such as `250ms`, `5s`, `1h30m` or `2d`.
///
/// Numbers may have a fraction (`1.5s`); units are `us`, `ms`, `s`, `m`, `h`, `d`, each at most
/// once and in falling order. A bare `0` is zero; any other bare number is refused, because its
/// unit would be a guess.
///
/// # Errors
///
/// If the text is none of that, or longer than a hundred years.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidTime> {
    let refused = || InvalidTime::NotDuration { text: text.into() };
    if text == "0" {
        return Ok(Duration::ZERO);
    }

    let mut total_us = 0_f64;
    let mut rest = text;
    let mut last_unit_us = f64::INFINITY;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
        let number: f64 = rest[..digits].parse().map_err(|_| refused())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit_us = unit_us(&rest[..letters]).ok_or_else(refused)?;
        if unit_us >= last_unit_us {
            return Err(refused());
        }
        total_us += number * unit_us;
        last_unit_us = unit_us;
        rest = &rest[letters..];
    }

    let length = Duration::try_from_secs_f64(total_us / 1e6).map_err(|_| refused())?;
    if text.is_empty() || length > LENGTH_MAX {
        return Err(refused());
    }
    Ok(Duration::from_micros(u64::try_from((length.as_nanos() + 500) / 1000).unwrap_or(u64::MAX)))
}

fn unit_us(unit: &str) -> Option<f64> {
    Some(match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        "h" => 3600e6,
        "d" => 86_400e6,
        _ => return None,
    })
}

/// Writes a length as [`parse_duration`] reads it, the shortest exact way.
#[must_use]
pub fn format_duration(length: Duration) -> String {
    let mut rest_us = length.as_micros();
    let mut text = String::new();
    for (unit, unit_us) in [
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
        ("us", 1),
    ] {
        let count = rest_us / unit_us;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
            rest_us %= unit_us;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Serde for a length written as text with units.
pub mod duration_text {
    use std::time::Duration;

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serializer;

    use super::format_duration;
    use super::parse_duration;

    /// Writes `length` with units.
    ///
    /// # Errors
    ///
    /// Only if the serializer fails.
    pub fn serialize<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*length))
    }

    /// Reads a length with units.
    ///
    /// # Errors
    ///
    /// If the value is not such a text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_in_utc_with_microseconds() {
        let at = Timestamp::parse("2026-11-24T05:00:00+01:00").unwrap();

        assert_eq!(at.to_string(), "2026-11-24T04:00:00.000000Z");
        assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
    }

    #[test]
    fn a_time_without_offset_or_outside_the_range_is_refused() {
        for text in
            ["2026-11-24T05:00:00", "2026-11-24", "tomorrow", "", "2026-11-24T05:00:00Z[UTC]"]
        {
            assert!(
                matches!(Timestamp::parse(text), Err(InvalidTime::NotRfc3339 { .. })),
                "{text}"
            );
        }
        for text in ["1969-12-31T23:59:59Z", "2255-06-05T23:47:34.740992Z"] {
            assert!(
                matches!(Timestamp::parse(text), Err(InvalidTime::OutOfRange { .. })),
                "{text}"
            );
        }
        assert_eq!(Timestamp::parse("2255-06-05T23:47:34.740991Z"), Ok(Timestamp::MAX));
    }

    #[test]
    fn dates_of_http_are_read_in_all_their_forms() {
        let wanted = Some(Timestamp::parse("1994-11-06T08:49:37Z").unwrap());
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(Timestamp::parse_http_date(text), wanted, "{text}");
        }
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 +0100",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 9999 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(Timestamp::parse_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_and_written_with_units() {
        for (text, us) in [
            ("250ms", 250_000),
            ("5s", 5_000_000),
            ("1h30m", 5_400_000_000),
            ("2d", 172_800_000_000),
            ("1.5s", 1_500_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_micros(us)), "{text}");
        }
        for text in ["", "5", "5 s", "s", "-1s", "1m1h", "1s1s", "1e3s", "1w", "100000d", "1..5s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(5400)), "1h30m");
        assert_eq!(format_duration(Duration::ZERO), "0s");
    }
}
