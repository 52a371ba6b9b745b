//! Memory use of processes, as the kernel reports it.

use std::fs;

/// Returns the memory of all these processes that is not backed by files, in bytes. It is an upper
/// bound, because shared pages count once for each process.
pub(crate) fn memory_bound(pids: &[u32]) -> u64 {
    pids.iter()
        .map(|pid| field_sum(&format!("/proc/{pid}/status"), &["RssAnon:", "RssShmem:"]))
        .sum()
}

/// Returns the same sum with shared pages counted once. Slower, because the kernel walks all pages.
/// A process that cannot be inspected counts as in [`memory_bound`].
pub(crate) fn exact_memory(pids: &[u32]) -> u64 {
    pids.iter()
        .map(|pid| {
            let path = format!("/proc/{pid}/smaps_rollup");
            match field_sum(&path, &["Pss_Anon:", "Pss_Shmem:"]) {
                0 => memory_bound(&[*pid]),
                bytes => bytes,
            }
        })
        .sum()
}

/// Returns the sum of some lines of a file of `/proc`, in bytes; 0 for a process that is gone.
fn field_sum(path: &str, names: &[&str]) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let kib = |line: &str| -> Option<u64> {
        let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    text.lines().filter_map(kib).sum::<u64>().saturating_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_memory_counts_and_ended_processes_do_not() {
        const MORE: usize = 32 * 1_024 * 1_024;

        let own = [std::process::id()];
        let before = (memory_bound(&own), exact_memory(&own));
        let held = vec![1_u8; MORE];
        let after = (memory_bound(&own), exact_memory(&own));
        assert!(after.0 >= before.0 + MORE as u64 / 2, "{before:?} {after:?}");
        assert!(after.1 >= before.1 + MORE as u64 / 2, "{before:?} {after:?}");
        assert_eq!(held.len(), MORE);
        assert_eq!(memory_bound(&[u32::MAX]), 0);
    }
}
