//! Metrics of this process, as the kernel reports it.

use std::fs;
use std::sync::atomic::AtomicU64;

use errand_engine::metrics::MetricTable;
use prometheus_client::metrics::counter::Counter;

use super::gauge::{float, gauge, gauges};

/// Returns the metrics of this process; zeros if they cannot be read.
pub(super) fn table() -> MetricTable {
    let mut table = MetricTable::default();
    table.add(
        "errand_build_info",
        "The version of this process; always 1",
        gauges([([("version", env!("CARGO_PKG_VERSION").into())], 1.0)]),
    );
    if let Some(started_at) = started_at() {
        table.add(
            "process_start_time_seconds",
            "When this process began, since the epoch",
            gauge(started_at),
        );
    }
    table.add(
        "process_resident_memory_bytes",
        "Resident memory of this process",
        gauge(float(resident_bytes().unwrap_or(0))),
    );
    let seconds = float(cpu_millis().unwrap_or(0)) / 1_000.0;
    let cpu = Counter::<f64, AtomicU64>::default();
    table.add("process_cpu_seconds", "Time on processors", cpu).inc_by(seconds);
    let open_fds = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let open_fds = u64::try_from(open_fds).unwrap_or(u64::MAX);
    table.add("process_open_fds", "Open files", gauge(float(open_fds)));
    table
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let rest = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
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
fn started_at() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let booted = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    let booted: u64 = booted.trim().parse().ok()?;
    // The kernel reports times in hundredths of a second.
    Some(float(booted) + float(ticks) / 100.0)
}
