//! The limit on an attempt's memory, kept by looking at what its processes use.
//!
//! Sampled: a process that takes memory and gives it back between two looks is not noticed.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::run_process::RunProcess;
use crate::os;

/// How often the processes below the leader are looked at.
pub const MEMORY_LOOK_EVERY: Duration = Duration::from_millis(100);
/// Of so many looks one also finds processes that left the tree: all processes of the machine are
/// looked at for that.
const WHOLE_LOOK_EVERY: u32 = 20;

/// Limit on the memory of a running attempt.
#[derive(Debug)]
pub(super) struct MemoryLimit<'a> {
    process: &'a RunProcess,
    limit_bytes: u64,
    looks: u32,
    /// Processes that left the leader's tree, as they were found last.
    strays: Vec<u32>,
    due: Interval,
}

impl<'a> MemoryLimit<'a> {
    pub(super) fn new(process: &'a RunProcess, limit_bytes: u64) -> Self {
        let mut due = interval(MEMORY_LOOK_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { process, limit_bytes, looks: 0, strays: Vec::new(), due }
    }

    /// Waits until the attempt's processes use more than the limit, and returns how many bytes.
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
        // The exact figure is dear, and asked for only where it matters.
        if os::memory_bound(&pids) <= self.limit_bytes {
            return None;
        }
        Some(os::exact_memory(&pids)).filter(|used| *used > self.limit_bytes)
    }
}
