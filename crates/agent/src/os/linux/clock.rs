//! Time, time since boot, and host name: no other module reads them from the system.

use errand_model::Timestamp;
use rustix::time::{ClockId, clock_gettime};

const NANOS_PER_MS: i64 = 1_000_000;

/// Returns the present time of the machine's wall clock.
pub fn wall_clock() -> Timestamp {
    let (seconds, nanos) = wall_clock_precise();
    let ms = seconds.saturating_mul(1_000).saturating_add(i64::from(nanos) / NANOS_PER_MS);
    Timestamp::from_millis(ms)
}

/// Returns the time since the machine's boot, including suspension.
pub fn since_boot() -> std::time::Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    std::time::Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Returns the seconds since the Unix epoch, and the nanoseconds (below 1,000,000,000) of the
/// present second.
pub(crate) fn wall_clock_precise() -> (i64, u32) {
    let now = clock_gettime(ClockId::Realtime);
    (now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Returns the name of this machine, as `uname -n` prints it.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
