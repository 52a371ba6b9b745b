//! Resource use of this process, as the kernel reports it.

use std::fs;

/// Resource use of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// Resident memory.
    pub(super) resident_bytes: u64,
    /// Time on processors, in milliseconds.
    pub(super) cpu_millis: u64,
    /// Open files.
    pub(super) open_fds: u64,
}

/// Returns the use of this process; zeros if it cannot be read.
pub(super) fn used() -> Used {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident_kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let open_fds = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Used {
        resident_bytes: resident_kib * 1024,
        cpu_millis: cpu_millis().unwrap_or(0),
        open_fds: u64::try_from(open_fds).unwrap_or(u64::MAX),
    }
}

/// Reads user and system time from `/proc/self/stat`, which counts hundredths of a second.
fn cpu_millis() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The process name before it may hold any characters, including spaces and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(user.saturating_add(system).saturating_mul(10))
}

/// Returns the start of this process in seconds since the epoch; `None` if it cannot be read.
#[expect(clippy::cast_precision_loss, reason = "ticks and seconds are far below 2^53")]
pub(super) fn started_at() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let booted = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    let booted: u64 = booted.trim().parse().ok()?;
    // The kernel reports times in hundredths of a second.
    Some(booted as f64 + ticks as f64 / 100.0)
}
