//! Limit on an attempt's memory, enforced by samples of its processes' use. A process that takes
//! memory and releases it between two samples is not detected.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::run_process::RunProcess;
use crate::os;

/// Interval at which the processes below the leader are sampled.
pub const MEMORY_LOOK_EVERY: Duration = Duration::from_millis(100);
/// Number of samples of which one also finds processes that left the tree. It reads all processes
/// of the machine.
const WHOLE_LOOK_EVERY: u32 = 20;

/// Limit on the memory of a running attempt.
#[derive(Debug)]
pub(super) struct MemoryLimit<'a> {
    process: &'a RunProcess,
    limit_bytes: u64,
    looks: u32,
    /// Processes outside of the leader's tree, as the last full search found them.
    strays: Vec<u32>,
    due: Interval,
}

impl<'a> MemoryLimit<'a> {
    pub(super) fn new(process: &'a RunProcess, limit_bytes: u64) -> Self {
        let mut due = interval(MEMORY_LOOK_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { process, limit_bytes, looks: 0, strays: Vec::new(), due }
    }

    /// Waits until the attempt's processes use more than the limit, and returns the used bytes.
    pub(super) async fn exceeded(mut self) -> u64 {
        loop {
            self.due.tick().await;
            if let Some(used_bytes) = self.look() {
                return used_bytes;
            }
        }
    }

    fn look(&mut self) -> Option<u64> {
        if self.looks % WHOLE_LOOK_EVERY == WHOLE_LOOK_EVERY - 1 {
            let all = self.process.members();
            self.strays = all.into_iter().map(|process| process.pid).collect();
        }
        self.looks = self.looks.wrapping_add(1);
        let mut pids = os::below_leader(self.process.leader());
        pids.extend(&self.strays);
        pids.sort_unstable();
        pids.dedup();
        // The exact figure is expensive, and is computed only if it matters.
        if os::memory_bound(&pids) <= self.limit_bytes {
            return None;
        }
        Some(os::exact_memory(&pids)).filter(|used| *used > self.limit_bytes)
    }
}
