//! A watch that is started and stopped by the times of events.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Runs while an attempt's process lives and the run is not paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stopwatch {
    /// Milliseconds until it was stopped last.
    pub spent_ms: u64,
    /// Since when it runs; `None`: it stands still.
    pub since_ms: Option<Timestamp>,
    /// Time of the latest event of the run.
    pub heard_ms: Timestamp,
}

impl Stopwatch {
    /// Returns the time shown at `now`, in milliseconds.
    pub fn read(&self, now: Timestamp) -> u64 {
        self.spent_ms.saturating_add(self.since_ms.map_or(0, |since| millis(since, now)))
    }

    /// Returns the moment at which it will show `ms`; `None` if it stands still.
    pub fn shows_at(&self, ms: u64) -> Option<Timestamp> {
        let left = std::time::Duration::from_millis(ms.saturating_sub(self.spent_ms));
        Some(self.since_ms?.plus(left))
    }

    pub(crate) fn set(&mut self, runs: bool, at: Timestamp) {
        match (self.since_ms, runs) {
            (None, true) => self.since_ms = Some(at),
            (Some(since), false) => {
                self.spent_ms = self.spent_ms.saturating_add(millis(since, at));
                self.since_ms = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
}
