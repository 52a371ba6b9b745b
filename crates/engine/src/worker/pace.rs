//! Times at which a worker looks at the queue.
//!
//! A notification of a queued run wakes the worker. Since a notification may be missed, the worker
//! also looks at intervals, which grow while the queue stays empty.

use std::time::Duration;

use tokio::time::Instant;

use crate::Engine;

/// Interval of the first look without a notification.
const SOONEST: Duration = Duration::from_millis(250);
/// Longest interval of looks.
const LATEST: Duration = Duration::from_secs(1);

/// Time of the next look at the queue.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
    apart: Duration,
    /// Set if a queued run was notified since the last look.
    told: bool,
}

impl Pace {
    /// Returns a pace whose first look is at once.
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), apart: SOONEST, told: true }
    }

    /// Notes that a run may be queued now.
    pub(super) fn now(&mut self) {
        self.told = true;
        self.apart = SOONEST;
    }

    /// Notes that a run is due at that time.
    pub(super) fn at(&mut self, due: Instant) {
        self.next = self.next.min(due);
    }

    /// Returns true if it is time to look.
    pub(super) fn is_due(&self) -> bool {
        self.told || Instant::now() >= self.next
    }

    /// Notes a look after which no run is left that is due.
    pub(super) fn looked(&mut self, engine: &Engine) {
        self.told = false;
        self.next = Instant::now() + engine.jittered(self.apart);
        self.apart = (self.apart * 2).min(LATEST);
    }

    /// Waits until it is time to look.
    pub(super) async fn due(&self) {
        if !self.told {
            tokio::time::sleep_until(self.next).await;
        }
    }
}
