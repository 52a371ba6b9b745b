//! Children of a process, and all processes, from `/proc`.

use std::fs;

use super::stat;

/// Returns the children of `pid`, including dead ones.
pub(super) fn children_of(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => children
                .extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok())),
            Err(error) if stat::is_gone(&error) && thread.path().exists() => {
                // The kernel has no lists of children.
                let all = pids().filter_map(|pid| stat::read(pid).ok().flatten());
                return all
                    .filter(|process| process.parent == pid)
                    .map(|process| process.pid)
                    .collect();
            }
            Err(_) => {}
        }
    }
    children
}

/// Returns the pids of all processes.
pub(super) fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
