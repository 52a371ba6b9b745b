//! What time it is and where: the one place that reads either.

use errand_model::Timestamp;
use rustix::time::{ClockId, clock_gettime};

const NANOS_PER_MS: i64 = 1_000_000;

/// The machine's wall clock, now.
pub fn wall_clock() -> Timestamp {
    let (seconds, nanos) = wall_clock_precise();
    let ms = seconds.saturating_mul(1_000).saturating_add(i64::from(nanos) / NANOS_PER_MS);
    Timestamp::from_millis(ms)
}

/// How long the machine is up, also asleep.
pub fn since_boot() -> std::time::Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    std::time::Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Seconds since the Unix epoch and the nanoseconds (below 1,000,000,000) on top of them.
pub(crate) fn wall_clock_precise() -> (i64, u32) {
    let now = clock_gettime(ClockId::Realtime);
    (now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The name of this machine, as `uname -n` prints it.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
