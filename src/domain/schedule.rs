//! When a task runs: once, by an interval, or by a cron expression in a time zone.
//!
//! # Planned times
//!
//! A recurring task has exactly one next planned time (S1). The planned times of an interval lie on
//! a grid, `run_at + k · interval`, whatever the delays; those of a cron expression are its matches.
//! Missed planned times collapse into one run (*coalesce*, the default) or are caught up one by one.
//!
//! # When clocks change
//!
//! Cron expressions are read on the wall clock of their time zone.
//!
//! * **Forward** (an hour is skipped): a time that does not exist that day fires once, at the first
//!   moment after the gap. `30 2 * * *` fires at 03:00 on that day.
//! * **Back** (an hour comes twice): an expression with a fixed hour fires once, in the first of the
//!   two. One whose hour is a wildcard or a step (`*/15 * * * *`) goes on firing through both,
//!   because its user thinks in intervals.
//!
//! Days that a month does not have are skipped, never moved: `0 0 31 * *` does not fire in June.

use std::fmt;
use std::time::Duration;

use croner::Cron;
use croner::parser::CronParser;
use croner::parser::Seconds;
use croner::parser::Year;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::Serialize;

use crate::domain::time::Timestamp;

/// Shortest interval between planned runs.
pub const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Longest interval between planned runs: a hundred years.
pub const INTERVAL_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Why a schedule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSchedule {
    /// Too short or too long.
    #[error("must be from 0.001 seconds to a hundred years")]
    Interval,
    /// The cron expression cannot be read.
    #[error("{text:?} is not a cron expression of five fields, or six with seconds: {reason}")]
    Cron {
        /// The text as given.
        text: String,
        /// What the parser says.
        reason: String,
    },
    /// The cron expression is well formed and never matches.
    #[error("{text:?} never matches a date")]
    Never {
        /// The text as given.
        text: String,
    },
    /// No such time zone.
    #[error("{text:?} is not an IANA time zone such as Europe/Rome")]
    Zone {
        /// The text as given.
        text: String,
    },
}

/// When a task runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// A single time.
    #[default]
    Once,
    /// Again and again, this far apart.
    Interval(Interval),
    /// Again and again, at the matches of a cron expression.
    Cron(CronSchedule),
}

impl Schedule {
    /// Whether the task comes again after a run.
    #[must_use]
    pub fn is_recurring(&self) -> bool {
        !matches!(self, Self::Once)
    }

    /// The first planned time of a task that was asked to run at `run_at`.
    ///
    /// That is `run_at` itself, except for cron: there it is the first match at or after `run_at`,
    /// or `None` if none comes before the year 2255.
    #[must_use]
    pub fn first(&self, run_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once | Self::Interval(_) => Some(run_at),
            Self::Cron(cron) => cron.at_or_after(run_at),
        }
    }

    /// The planned time that follows `planned_at`, when the store's clock shows `now`.
    ///
    /// With `coalesce` it is the first one after both, so a clock that steps back by a hair cannot
    /// plan the same moment twice; without, simply the next one, which may be past already. `None`
    /// if the task does not recur or the calendar ends.
    #[must_use]
    pub fn next(&self, planned_at: Timestamp, now: Timestamp, coalesce: bool) -> Option<Timestamp> {
        let after = if coalesce { planned_at.max(now) } else { planned_at };
        match self {
            Self::Once => None,
            Self::Interval(interval) => interval.after(planned_at, after),
            Self::Cron(cron) => cron.after(after),
        }
    }
}

/// Time between planned runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Interval(Duration);

impl Interval {
    /// Takes a length from 1 ms to a hundred years; parts of a microsecond are dropped.
    ///
    /// # Errors
    ///
    /// If the length is outside that range.
    pub fn new(every: Duration) -> Result<Self, InvalidSchedule> {
        if (INTERVAL_MIN..=INTERVAL_MAX).contains(&every) {
            Ok(Self(Duration::from_micros(u64::try_from(every.as_micros()).unwrap_or(u64::MAX))))
        } else {
            Err(InvalidSchedule::Interval)
        }
    }

    /// The length.
    #[must_use]
    pub fn every(self) -> Duration {
        self.0
    }

    /// The length in seconds.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// The first point of the grid through `planned_at` that lies after `after`.
    fn after(self, planned_at: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let every_us = i64::try_from(self.0.as_micros()).ok()?;
        let steps = (after.as_us() - planned_at.as_us()).max(0) / every_us + 1;
        let next_us = steps.checked_mul(every_us)?.checked_add(planned_at.as_us())?;
        (next_us <= Timestamp::MAX.as_us()).then(|| Timestamp::from_us(next_us))
    }
}

impl TryFrom<f64> for Interval {
    type Error = InvalidSchedule;

    fn try_from(seconds: f64) -> Result<Self, InvalidSchedule> {
        let micros = (seconds * 1e6).round() / 1e6;
        let every = Duration::try_from_secs_f64(micros).map_err(|_| InvalidSchedule::Interval)?;
        Self::new(every)
    }
}

impl From<Interval> for f64 {
    fn from(interval: Interval) -> f64 {
        interval.as_seconds()
    }
}

/// A cron expression on the wall clock of a time zone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "CronText", into = "CronText")]
pub struct CronSchedule(Box<Parts>);

/// Apart, because most tasks run once and should not carry their size.
#[derive(Clone)]
struct Parts {
    cron: Cron,
    zone: TimeZone,
    text: CronText,
}

/// How a cron schedule is kept.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct CronText {
    expression: String,
    timezone: String,
}

impl CronSchedule {
    /// Parses a cron expression and the name of a time zone.
    ///
    /// The expression has five fields, or six with seconds first; names (`MON`, `JAN`), `L`, `#` and
    /// nicknames such as `@daily` are understood.
    ///
    /// # Errors
    ///
    /// If either cannot be read, or the expression never matches.
    pub fn parse(expression: &str, timezone: &str) -> Result<Self, InvalidSchedule> {
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build()
            .parse(expression)
            .map_err(|error| InvalidSchedule::Cron {
                text: expression.into(),
                reason: error.to_string(),
            })?;
        let zone =
            TimeZone::get(timezone).map_err(|_| InvalidSchedule::Zone { text: timezone.into() })?;
        let text = CronText { expression: expression.into(), timezone: timezone.into() };

        let schedule = Self(Box::new(Parts { cron, zone, text }));
        match schedule.at_or_after(Timestamp::EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(InvalidSchedule::Never { text: expression.into() }),
        }
    }

    /// The expression as it was given.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.0.text.expression
    }

    /// The name of the time zone as it was given.
    #[must_use]
    pub fn timezone(&self) -> &str {
        &self.0.text.timezone
    }

    /// The first match that is not before `from`.
    fn at_or_after(&self, from: Timestamp) -> Option<Timestamp> {
        match from.as_us() {
            0 => self.search(from, true),
            us => self.after(Timestamp::from_us(us - 1)),
        }
    }

    /// The first match that is after `from`.
    fn after(&self, from: Timestamp) -> Option<Timestamp> {
        let second = Timestamp::from_us(from.as_us() / 1_000_000 * 1_000_000);
        self.search(second, false)
    }

    fn search(&self, from: Timestamp, inclusive: bool) -> Option<Timestamp> {
        let start = from.to_jiff().to_zoned(self.0.zone.clone());
        let found = self.0.cron.find_next_occurrence(&start, inclusive).ok()?;
        let us = found.timestamp().as_microsecond();
        (us <= Timestamp::MAX.as_us()).then(|| Timestamp::from_us(us))
    }
}

impl PartialEq for CronSchedule {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl fmt::Debug for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronSchedule({:?} in {})", self.0.text.expression, self.0.text.timezone)
    }
}

impl TryFrom<CronText> for CronSchedule {
    type Error = InvalidSchedule;

    fn try_from(text: CronText) -> Result<Self, InvalidSchedule> {
        Self::parse(&text.expression, &text.timezone)
    }
}

impl From<CronSchedule> for CronText {
    fn from(schedule: CronSchedule) -> Self {
        schedule.0.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    /// The `count` matches of `expression` that follow `from`, in UTC.
    fn fires(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::Cron(CronSchedule::parse(expression, zone).unwrap());
        let mut planned = at(from);
        let mut found = Vec::new();
        for _ in 0..count {
            planned = schedule.next(planned, planned, true).unwrap();
            found.push(planned.to_string().replace(".000000Z", "Z"));
        }
        found
    }

    #[test]
    fn a_cron_time_inside_the_skipped_hour_fires_once_at_its_end() {
        let found = fires("30 2 * * *", "Europe/Rome", "2026-03-28T12:00:00Z", 2);

        assert_eq!(found, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn a_cron_time_inside_the_repeated_hour_fires_once_in_the_first() {
        let found = fires("30 2 * * *", "Europe/Rome", "2026-10-24T12:00:00Z", 2);

        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn a_step_goes_on_through_the_skipped_and_the_repeated_hour() {
        let skipped = fires("*/30 * * * *", "Europe/Rome", "2026-03-29T00:30:00Z", 3);
        let repeated = fires("*/30 * * * *", "Europe/Rome", "2026-10-25T00:00:00Z", 4);

        let spring = ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z"];
        assert_eq!(skipped, spring);
        assert_eq!(
            repeated,
            [
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z",
            ]
        );
    }

    #[test]
    fn names_last_days_nth_weekdays_and_nicknames_are_understood() {
        let from = "2026-11-24T12:00:00Z";

        assert_eq!(fires("0 9 * * MON", "UTC", from, 1), ["2026-11-30T09:00:00Z"]);
        assert_eq!(
            fires("0 0 L * *", "UTC", from, 2),
            ["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z"]
        );
        assert_eq!(fires("0 0 * * FRI#2", "UTC", from, 1), ["2026-12-11T00:00:00Z"]);
        assert_eq!(fires("@daily", "UTC", from, 1), ["2026-11-25T00:00:00Z"]);
        assert_eq!(fires("*/20 * * * * *", "UTC", from, 1), ["2026-11-24T12:00:20Z"]);
        assert_eq!(fires("0 0 31 * *", "UTC", "2026-05-31T00:00:00Z", 1), ["2026-07-31T00:00:00Z"]);
    }

    #[test]
    fn the_first_cron_run_may_be_at_run_at_itself_but_not_before_it() {
        let schedule = Schedule::Cron(CronSchedule::parse("0 * * * *", "UTC").unwrap());

        let whole = at("2026-11-24T12:00:00Z");
        assert_eq!(schedule.first(whole), Some(whole));
        let late = at("2026-11-24T12:00:00.000001Z");
        assert_eq!(schedule.first(late), Some(at("2026-11-24T13:00:00Z")));
    }

    /// Guards S1 and T6: a clock that steps back by a hair cannot plan the same moment twice.
    #[test]
    fn a_cron_time_that_has_run_is_not_planned_again() {
        let schedule = Schedule::Cron(CronSchedule::parse("0 * * * *", "UTC").unwrap());
        let planned = at("2026-11-24T12:00:00Z");
        let earlier = at("2026-11-24T11:59:59.999Z");

        assert_eq!(schedule.next(planned, earlier, true), Some(at("2026-11-24T13:00:00Z")));
    }

    #[test]
    fn a_task_that_runs_once_carries_no_cron_schedule() {
        assert_eq!(size_of::<Schedule>(), size_of::<Interval>());
    }

    #[test]
    fn expressions_and_zones_that_cannot_work_are_refused() {
        for text in ["", "* * * *", "61 * * * *", "* * * * * * *", "every day", "@sometimes"] {
            let refused = CronSchedule::parse(text, "UTC");
            assert!(matches!(refused, Err(InvalidSchedule::Cron { .. })), "{text}: {refused:?}");
        }
        let never = CronSchedule::parse("0 0 30 2 *", "UTC");
        assert!(matches!(never, Err(InvalidSchedule::Never { .. })), "{never:?}");
        let zone = CronSchedule::parse("@daily", "Europe/Atlantis");
        assert!(matches!(zone, Err(InvalidSchedule::Zone { .. })), "{zone:?}");
        assert!(Interval::new(Duration::from_micros(999)).is_err());
        assert!(Interval::try_from(f64::NAN).is_err());
        assert!(Interval::try_from(-1.0).is_err());
        assert_eq!(Interval::try_from(0.1).unwrap().every(), Duration::from_millis(100));
    }

    proptest! {
        /// The next planned time lies on the grid, after now, and skips none that is after now.
        #[test]
        fn an_interval_stays_on_its_grid(
            planned_us in 0..10_i64.pow(15),
            every_us in 1_000..10_i64.pow(12),
            late_us in -10_i64.pow(9)..10_i64.pow(13),
            coalesce: bool,
        ) {
            let every = Duration::from_micros(every_us.unsigned_abs());
            let schedule = Schedule::Interval(Interval::new(every).unwrap());
            let planned = Timestamp::from_us(planned_us);
            let now = Timestamp::from_us(planned_us + late_us);

            let next = schedule.next(planned, now, coalesce).unwrap();

            prop_assert_eq!((next.as_us() - planned_us) % every_us, 0);
            prop_assert!(next > planned);
            if coalesce {
                prop_assert!(next > now);
                prop_assert!(next.as_us() - every_us <= now.as_us().max(planned_us));
            } else {
                prop_assert_eq!(next.as_us(), planned_us + every_us);
            }
        }
    }
}
