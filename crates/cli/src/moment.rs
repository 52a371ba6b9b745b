//! Times in words.

use std::time::Duration;

use errand_model::Timestamp;
use errand_model::price::Day;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Formats "3 minutes": the largest unit alone.
pub(crate) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0 => return "less than a second".to_owned(),
        1..MINUTE => (seconds, "second"),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        DAY.. => (seconds / DAY, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// Formats "in 3 minutes" or "5 minutes ago".
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", spoken(at.since(now)))
    } else {
        format!("{} ago", spoken(now.since(at)))
    }
}

/// Lower or upper bound of a time, as typed: a day in UTC, or how long ago.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DayOrAge {
    Day(Day),
    Ago(Duration),
}

impl DayOrAge {
    /// Returns the begin of the day, or the time so long before `now`.
    pub(crate) fn since(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Day(day) => day.start(),
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(ago))
            }
        }
    }
}

/// Parses a day such as 2025-03-31, or an age such as 7d.
pub(crate) fn day_or_age(text: &str) -> Result<DayOrAge, String> {
    if let Ok(day) = text.parse() {
        return Ok(DayOrAge::Day(day));
    }
    errand_model::parse_duration(text)
        .map(DayOrAge::Ago)
        .map_err(|_| "write a day such as 2025-03-31, or how long ago, such as 7d".to_owned())
}
