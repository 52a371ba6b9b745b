//! Retries of operations after transient failures.
//!
//! A restarted server, or one that takes another's place, is available within seconds: callers wait
//! that long without an error.

use std::time::Duration;

use tokio::time::Instant;

use super::driver::Handle;
use super::failure::{Failure, FailureRemedy};

/// Time limit of all tries of one caller.
const LIMIT: Duration = Duration::from_secs(30);

/// Pause after the first try; doubles.
pub(super) const FIRST: Duration = Duration::from_millis(5);

/// Upper bound of the pause: the longest delay until a server that is available again is noticed.
const LAST: Duration = Duration::from_millis(200);

/// Retry state of one caller.
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + LIMIT, pause: FIRST }
    }

    /// Pauses before the next try.
    ///
    /// # Errors
    ///
    /// The failure, if another try would not help or the time limit is reached.
    pub(super) async fn after(&mut self, failure: Failure, driver: &Handle) -> Result<(), Failure> {
        let is_over = failure.remedy() == FailureRemedy::None
            || Instant::now() >= self.until
            || driver.is_closing();
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

/// Returns the pause after one of that length.
pub(super) fn next_pause(pause: Duration) -> Duration {
    (pause * 2).min(LAST)
}

/// Returns a random pause between half and all of it, so that callers which failed together do not
/// return together.
pub(super) fn jittered(pause: Duration) -> Duration {
    let mut random = [0_u8];
    // Without randomness all pauses are equal, which is harmless.
    if getrandom::fill(&mut random).is_err() {
        return pause;
    }
    pause.mul_f64(0.5 + f64::from(random[0]) / 512.0)
}
