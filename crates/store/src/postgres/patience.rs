//! How long something that may pass is tried again, and how often.
//!
//! A server that is restarted, or whose place another one takes, is back within seconds: whoever
//! waits that long need not know.

use std::time::Duration;

use tokio::time::Instant;

use super::driver::Handle;
use super::failure::{Failure, Remedy};

/// How long is tried before the caller is told.
const LIMIT: Duration = Duration::from_secs(30);

/// Between the first tries; doubles.
pub(super) const FIRST: Duration = Duration::from_millis(5);

/// Between the last ones: what a server that is back, or has a free connection again, waits for its
/// callers at most.
const LAST: Duration = Duration::from_millis(200);

/// One caller's patience.
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + LIMIT, pause: FIRST }
    }

    /// Waits a moment, so that the same can be tried again.
    ///
    /// # Errors
    ///
    /// The failure, if trying again would not help, or it was tried for long enough.
    pub(super) async fn after(&mut self, failure: Failure, driver: &Handle) -> Result<(), Failure> {
        let is_over =
            failure.remedy() == Remedy::None || Instant::now() >= self.until || driver.is_closing();
        if is_over {
            return Err(failure);
        }
        let pause = jittered(self.pause);
        self.pause = next_pause(self.pause);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = driver.closed() => {}
        }
        Ok(())
    }
}

/// Returns the pause that follows one of that length.
pub(super) fn next_pause(pause: Duration) -> Duration {
    (pause * 2).min(LAST)
}

/// Half of it to all of it: many that failed together do not come back together.
pub(super) fn jittered(pause: Duration) -> Duration {
    let mut random = [0_u8];
    // Without chance the pause is only the same for all.
    if getrandom::fill(&mut random).is_err() {
        return pause;
    }
    pause.mul_f64(0.5 + f64::from(random[0]) / 512.0)
}
