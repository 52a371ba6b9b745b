//! When a worker looks at the queue.
//!
//! It looks when it is told that there is something, and now and then by itself: what is told may
//! be missed. The longer nothing was there, the rarer.

use std::time::Duration;

use tokio::time::Instant;

use crate::Engine;

/// The first look by itself after there was something.
const SOONEST: Duration = Duration::from_millis(250);
/// No two looks are further apart.
const LATEST: Duration = Duration::from_secs(1);

/// When the queue is looked at next.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
    apart: Duration,
    /// Whether somebody said since the last look that there is something.
    told: bool,
}

impl Pace {
    /// The first look is at once.
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), apart: SOONEST, told: true }
    }

    /// There may be something now.
    pub(super) fn now(&mut self) {
        self.told = true;
        self.apart = SOONEST;
    }

    /// There is something to be had at that time.
    pub(super) fn at(&mut self, due: Instant) {
        self.next = self.next.min(due);
    }

    /// Whether to look now.
    pub(super) fn is_due(&self) -> bool {
        self.told || Instant::now() >= self.next
    }

    /// It was looked, and everything there was is claimed.
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
