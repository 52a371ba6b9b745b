//! Firing times of a cron line.
//!
//! Deliberately absent: a clock. The caller passes the moment after which the line fires, and the
//! same moment gives the same answer.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::offset::{LocalResult, Offset as _};
use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Timestamp, parse_duration};

/// An IANA time zone, such as `Europe/Berlin`.
pub type TimeZone = Tz;

/// The time zone of that name, `None` if there is none. Upper and lower case count.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    name.parse().ok()
}

/// The names of all time zones.
pub fn time_zone_names() -> impl Iterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

/// A cron line: five fields, six (seconds first) or seven (and the year last), a nickname such as
/// `@hourly`, or `@every 30s`.
///
/// Days of the week are 0 to 7 (both ends are Sunday) or names; if both day of month and day of
/// week are restricted, either is enough, as in cron. `@every` counts from the Unix epoch, so that
/// its slots do not move when a service restarts.
///
/// On days when clocks change, a line that names hours fires once for every slot that the clock
/// names: a slot that is skipped fires right after the gap, one that the clock shows twice fires
/// the first time. A line with `*` for the hour follows real time instead.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CronExpr {
    text: String,
    rule: Rule,
}

#[derive(Clone, PartialEq, Eq)]
enum Rule {
    /// Multiples of this many milliseconds since the epoch.
    Every { interval_ms: i64 },
    /// Slots of real time: `*` for the hour.
    RealTime(Box<croner::Cron>),
    /// Slots of the clock on the wall.
    WallClock(Box<croner::Cron>),
}

impl CronExpr {
    /// Longer text is refused: no schedule needs it.
    pub const MAX_CHARS: usize = 256;
    /// The shortest interval of `@every`.
    pub const MIN_INTERVAL: Duration = Duration::from_secs(1);
    /// The longest interval of `@every`.
    pub const MAX_INTERVAL: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    /// Reads a cron line.
    ///
    /// # Errors
    ///
    /// [`CronError`]: what is wrong with it; a line that no date can ever match is wrong too.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CronError::Empty);
        }
        if text.chars().count() > Self::MAX_CHARS {
            return Err(CronError::TooLong);
        }
        let rule = match text.strip_prefix("@every") {
            Some(interval) => parse_every(interval)?,
            None => parse_fields(text)?,
        };
        Ok(Self { text: text.to_owned(), rule })
    }

    /// The line as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first slot strictly after `after`; `None` if none is left.
    pub fn next_after(&self, after: Timestamp, zone: TimeZone) -> Option<Timestamp> {
        match &self.rule {
            Rule::Every { interval_ms } => {
                let slot = after.as_millis().div_euclid(*interval_ms).checked_add(1)?;
                Some(Timestamp::from_millis(slot.checked_mul(*interval_ms)?))
            }
            Rule::RealTime(cron) => {
                let start = second_of(after)?.with_timezone(&zone);
                let slot = cron.find_next_occurrence(&start, false).ok()?;
                Some(Timestamp::from_millis(slot.timestamp_millis()))
            }
            Rule::WallClock(cron) => next_on_the_wall(cron, after, zone),
        }
    }
}

/// The whole second that `moment` is in.
fn second_of(moment: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(moment.as_millis().div_euclid(1_000), 0)
}

fn parse_every(interval: &str) -> Result<Rule, CronError> {
    let malformed = || CronError::Interval { text: interval.trim().to_owned() };
    if !interval.starts_with(char::is_whitespace) {
        return Err(malformed());
    }
    let length = parse_duration(interval.trim()).map_err(|_| malformed())?;
    if !(CronExpr::MIN_INTERVAL..=CronExpr::MAX_INTERVAL).contains(&length) {
        return Err(CronError::IntervalOutOfRange);
    }
    let interval_ms = i64::try_from(length.as_millis()).map_err(|_| malformed())?;
    Ok(Rule::Every { interval_ms })
}

fn parse_fields(text: &str) -> Result<Rule, CronError> {
    let line = if text.starts_with('@') { nickname(text)? } else { text };
    let fields: Vec<&str> = line.split_whitespace().collect();
    let hour = match fields.len() {
        5 => fields[1],
        6 | 7 => fields[2],
        count => return Err(CronError::FieldCount { count }),
    };
    let cron = Box::new(read_fields(&fields).ok_or_else(|| culprit(&fields))?);
    // Any start will do: the calendar repeats every 400 years, and a year field is absolute.
    let epoch = DateTime::<Utc>::default().naive_utc().and_utc() - TimeDelta::seconds(1);
    if cron.find_next_occurrence(&epoch, false).is_err() {
        return Err(CronError::NeverFires);
    }
    Ok(if matches!(hour, "*" | "*/1") { Rule::RealTime(cron) } else { Rule::WallClock(cron) })
}

fn nickname(text: &str) -> Result<&'static str, CronError> {
    Ok(match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return Err(CronError::Nickname { text: text.to_owned() }),
    })
}

/// Parses the fields; `None` if a value of one is out of its range.
fn read_fields(fields: &[&str]) -> Option<croner::Cron> {
    // The library takes `1,,2` for `1,2`.
    if fields.iter().any(|field| field.split(',').any(str::is_empty)) {
        return None;
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Optional).build();
    parser.parse(&fields.join(" ")).ok()
}

/// The first field that cannot be read on its own.
fn culprit(fields: &[&str]) -> CronError {
    const ALL: [(&str, &str); 7] = [
        ("second", "0-59"),
        ("minute", "0-59"),
        ("hour", "0-23"),
        ("day of the month", "1-31"),
        ("month", "1-12 or JAN-DEC"),
        ("day of the week", "0-7 or SUN-SAT"),
        ("year", "1-5000"),
    ];
    let names = if fields.len() == 5 { &ALL[1..6] } else { &ALL[..fields.len()] };
    for (index, (field, (name, range))) in fields.iter().zip(names).enumerate() {
        let mut alone = vec!["*"; fields.len()];
        alone[index] = field;
        if read_fields(&alone).is_none() {
            return CronError::Field { name, range, text: (*field).to_owned() };
        }
    }
    CronError::FieldCount { count: fields.len() }
}

/// The slots of the wall clock, each at the first moment at which a clock of `zone` shows it or
/// has passed it.
fn next_on_the_wall(cron: &croner::Cron, after: Timestamp, zone: Tz) -> Option<Timestamp> {
    // Longer than any change of clocks is felt.
    const LOOK_BACK: TimeDelta = TimeDelta::hours(25);

    let after = second_of(after)?;
    let offset_now = offset(zone, after);
    let offset_before = offset(zone, after.checked_sub_signed(LOOK_BACK)?);
    let wall_now = after.naive_utc().checked_add_signed(offset_now)?;
    // After a gap, slots that were in it may still have to be passed over.
    let mut slot = wall_now.checked_sub_signed((offset_now - offset_before).abs())?;
    loop {
        slot = cron.find_next_occurrence(&slot.and_utc(), false).ok()?.naive_utc();
        let moment = first_moment(zone, slot)?;
        if moment > after {
            return Some(Timestamp::from_millis(moment.timestamp_millis()));
        }
    }
}

fn offset(zone: Tz, moment: DateTime<Utc>) -> TimeDelta {
    let fixed = zone.offset_from_utc_datetime(&moment.naive_utc()).fix();
    TimeDelta::seconds(i64::from(fixed.local_minus_utc()))
}

fn first_moment(zone: Tz, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(moment) => Some(moment.to_utc()),
        LocalResult::Ambiguous(first, _) => Some(first.to_utc()),
        LocalResult::None => end_of_gap(zone, wall),
    }
}

/// The moment at which the clocks of `zone` jump over `wall`, found by halving.
fn end_of_gap(zone: Tz, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
    // No zone is further from UTC than this, and no gap is longer.
    const REACH: TimeDelta = TimeDelta::hours(50);

    let jumped =
        |moment: DateTime<Utc>| moment.naive_utc().checked_add_signed(offset(zone, moment));
    let mut before = wall.and_utc().checked_sub_signed(REACH)?;
    let mut at = wall.and_utc().checked_add_signed(REACH)?;
    while at - before > TimeDelta::seconds(1) {
        let middle = before + TimeDelta::seconds((at - before).num_seconds() / 2);
        if jumped(middle)? > wall {
            at = middle;
        } else {
            before = middle;
        }
    }
    Some(at)
}

impl fmt::Debug for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CronExpr").field(&self.text).finish()
    }
}

impl fmt::Display for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for CronExpr {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for CronExpr {
    type Error = CronError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<CronExpr> for String {
    fn from(line: CronExpr) -> Self {
        line.text
    }
}

/// Mistake in a cron line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CronError {
    /// There is nothing.
    #[error("the cron line is empty")]
    Empty,
    /// Too many characters.
    #[error("the cron line is longer than {} characters", CronExpr::MAX_CHARS)]
    TooLong,
    /// Too few or too many fields.
    #[error("a cron line has 5 fields, 6 with seconds first or 7 with the year last, not {count}")]
    FieldCount {
        /// Number of fields.
        count: usize,
    },
    /// A field says something that it cannot.
    #[error("{text:?} is no {name} of a cron line ({range}, *, lists, ranges and steps)")]
    Field {
        /// Name of the field.
        name: &'static str,
        /// Range of the field's values.
        range: &'static str,
        /// Text of the field.
        text: String,
    },
    /// An `@` word that does not exist.
    #[error("{text:?} is not @yearly, @monthly, @weekly, @daily, @hourly or @every <duration>")]
    Nickname {
        /// Text as given.
        text: String,
    },
    /// `@every` without a duration.
    #[error("@every needs a duration such as 30s or 1h30m, not {text:?}")]
    Interval {
        /// Text as given.
        text: String,
    },
    /// `@every` with a duration that is too short or too long.
    #[error("the interval of @every is from 1 second to 366 days")]
    IntervalOutOfRange,
    /// No date matches.
    #[error("no date ever matches this cron line")]
    NeverFires,
}

#[cfg(test)]
mod tests;
