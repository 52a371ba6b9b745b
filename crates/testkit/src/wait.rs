//! Waiting for a level, with a limit.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that is not said to take longer. Generous, since machines are shared.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How often a condition is looked at. Short against what a test waits for, long against a look.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `condition` holds; panics with `what` when it does not within `limit`.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, limit, || condition().then_some(()));
}

/// Waits until `probe` returns something; panics with `what` when it does not within `limit`.
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
