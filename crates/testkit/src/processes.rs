//! Inspection of the machine's processes.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A living process, found by its environment or its working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Parent at the time of the search.
    pub parent: u32,
    /// Command line, words separated by spaces.
    pub command_line: String,
    /// Text by which it was found.
    needle: Vec<u8>,
}

impl Process {
    /// Kills the process, unless its pid belongs to another one by now.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends a signal, unless the pid belongs to another process by now.
    pub fn signal(&self, signal: Signal) {
        let Some(handle) = open(self.pid) else {
            return;
        };
        // The handle keeps the pid from being reused between this check and the signal.
        if carries(self.pid, &self.needle) {
            let sent = pidfd_send_signal(handle, signal);
            assert!(matches!(sent, Ok(()) | Err(Errno::SRCH)), "{self:?}: {sent:?}");
        }
    }
}

/// Returns the living processes that carry `ERRAND_RUN_ID=<run_id>` in their environment, by pid.
#[must_use]
pub fn processes_of_run(run_id: &str) -> Vec<Process> {
    find(format!("ERRAND_RUN_ID={run_id}\0").as_bytes())
}

/// Returns the living processes that have `text` in their environment, or work in a folder of that
/// path.
#[must_use]
pub fn processes_with(text: impl AsRef<OsStr>) -> Vec<Process> {
    find(text.as_ref().as_bytes())
}

/// Returns true if a process of that pid exists and one of its threads still lives.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    parent_if_alive(pid).is_some()
}

fn find(needle: &[u8]) -> Vec<Process> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if !carries(pid, needle) {
            continue;
        }
        // A process may end between the two checks.
        let Some(parent) = parent_if_alive(pid) else {
            continue;
        };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command_line = String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned();
        found.push(Process { pid, parent, command_line, needle: needle.to_vec() });
    }
    found.sort_by_key(|process| process.pid);
    found
}

fn carries(pid: u32, needle: &[u8]) -> bool {
    let folder = Path::new("/proc").join(pid.to_string());
    let environment = fs::read(folder.join("environ")).unwrap_or_default();
    if contains(&environment, needle) {
        return true;
    }
    fs::read_link(folder.join("cwd"))
        .is_ok_and(|standing| standing.as_os_str().as_bytes().starts_with(needle))
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && text.windows(needle.len()).any(|window| window == needle)
}

/// Returns the parent of a process that has not ended.
fn parent_if_alive(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold any characters, parentheses included.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let threads: u32 = fields.nth(15)?.parse().ok()?;
    // The first thread of a process may end before the others: a zombie with living threads.
    (!matches!(state, "Z" | "X") || threads > 1).then_some(parent)
}

fn open(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}
