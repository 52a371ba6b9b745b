//! Times as people say them.

use std::time::Duration;

use errand_model::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// "3 minutes": the largest unit alone, as a person would say it.
pub(crate) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0 => return "less than a second".to_owned(),
        ..MINUTE => (seconds, "second"),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        _ => (seconds / DAY, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// "1.5s", "350ms", "2m 3s": exact enough to compare.
pub(crate) fn exact(duration: Duration) -> String {
    let millis = duration.as_millis();
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{millis}ms"),
        ..MINUTE => format!("{}.{:03}s", seconds, duration.subsec_millis()),
        MINUTE..HOUR => format!("{}m {}s", seconds / MINUTE, seconds % MINUTE),
        _ => format!("{}h {}m", seconds / HOUR, seconds % HOUR / MINUTE),
    }
}

/// "in 3 minutes", "5 minutes ago".
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", spoken(at.since(now)))
    } else {
        format!("{} ago", spoken(now.since(at)))
    }
}
