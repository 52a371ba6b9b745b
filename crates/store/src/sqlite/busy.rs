//! Retries while other processes keep the database busy.
//!
//! SQLite's own waits back off to 100 ms, so that late comers starve; short random waits share the
//! database evenly.

use std::time::{Duration, Instant};

use super::failure::Failure;

/// Time for which other processes may keep the registry busy before [`crate::Error::Busy`].
pub const BUSY_LIMIT: Duration = Duration::from_secs(30);

/// Shortest wait between two tries; the longest is the sum of both constants.
const LEAST_WAIT_MICROS: u64 = 200;
const JITTER_MICROS: u64 = 2_800;

/// Repeats `work` from its start while the database is busy, up to [`BUSY_LIMIT`].
pub(crate) fn patiently<T>(mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut began = None;
    loop {
        match work() {
            Err(failure) if failure.is_busy() => {
                let began = *began.get_or_insert_with(Instant::now);
                if began.elapsed() > BUSY_LIMIT {
                    return Err(failure);
                }
                std::thread::sleep(wait());
            }
            done => return done,
        }
    }
}

/// Returns a wait between 0.2 and 3 ms. Without randomness (never seen) the shortest one, which is
/// correct too.
fn wait() -> Duration {
    let mut random = [0; 8];
    let jitter = match getrandom::fill(&mut random) {
        Ok(()) => u64::from_le_bytes(random) % JITTER_MICROS,
        Err(_) => 0,
    };
    Duration::from_micros(LEAST_WAIT_MICROS + jitter)
}
