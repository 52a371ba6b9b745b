//! Use of time and memory of the whole container, from its control group (version 2, or else 1).

use std::fs;
use std::path::Path;

/// Folder of control groups.
const GROUPS: &str = "/sys/fs/cgroup";
/// Nanoseconds in a microsecond.
const NANOS: u64 = 1_000;

/// Returns the processor time in microseconds; 0 if it cannot be read.
pub(super) fn cpu_us() -> u64 {
    field("cpu.stat", "usage_usec")
        .or_else(|| number("cpuacct/cpuacct.usage").map(|nanos| nanos / NANOS))
        .or_else(|| number("cpu,cpuacct/cpuacct.usage").map(|nanos| nanos / NANOS))
        .unwrap_or_default()
}

/// Returns the highest use of memory in bytes; 0 if it cannot be read.
pub(super) fn memory_peak_bytes() -> u64 {
    number("memory.peak").or_else(|| number("memory/memory.max_usage_in_bytes")).unwrap_or_default()
}

/// Returns the number of processes that were killed since the memory was used up.
pub(super) fn oom_kills() -> u64 {
    field("memory.events", "oom_kill")
        .or_else(|| field("memory/memory.oom_control", "oom_kill"))
        .unwrap_or_default()
}

fn text(name: &str) -> Option<String> {
    fs::read_to_string(Path::new(GROUPS).join(name)).ok()
}

fn number(name: &str) -> Option<u64> {
    text(name)?.trim().parse().ok()
}

/// Returns the number after `key` in a file of keys and numbers.
fn field(name: &str, key: &str) -> Option<u64> {
    let text = text(name)?;
    let mut words = text.lines().filter_map(|line| line.split_once(' '));
    words.find(|(word, _)| *word == key)?.1.trim().parse().ok()
}
