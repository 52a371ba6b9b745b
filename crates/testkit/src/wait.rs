//! Waits for a condition, with a time limit.

use std::thread;
use std::time::{Duration, Instant};

/// Default time limit of any operation. Generous, since machines are shared.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Interval of checks of a condition. Short compared with a test's waits, long compared with a
/// check.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `condition` holds; panics with `what` if it does not within `limit`.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, limit, || condition().then_some(()));
}

/// Waits until `probe` returns a value; panics with `what` if it does not within `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain until {what}");
        thread::sleep(PAUSE);
    }
}
