//! Identity of a process: pid, start time and boot.

use serde::{Deserialize, Serialize};

/// A process that no other can be taken for: pids are reused, pid + start time + boot are not.
///
/// Read by `errand-agent` from the operating system, stored in events and leases, and compared
/// before anything is ever signalled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id; always above 1.
    pub pid: u32,
    /// Start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub start_ticks: u64,
    /// The boot it belongs to (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
}

impl ProcessIdentity {
    /// Returns whether both processes belong to the same boot of one machine.
    pub fn is_of_same_boot(&self, other: &Self) -> bool {
        self.boot_id == other.boot_id
    }
}
