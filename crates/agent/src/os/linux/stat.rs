//! State of one process, from `/proc/<pid>/stat`.

use std::fs::File;
use std::io::{self, Read as _};

/// Longest line of `/proc/<pid>/stat`: 52 numbers of at most 20 digits and a name of 16 bytes.
const STAT_BYTES: usize = 1_536;

/// Fields that identify a process and relate it to others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) session: u32,
    pub(super) start_ticks: u64,
    /// True for a zombie, or a process that is about to end: it executes no more code.
    pub(super) is_dead: bool,
    /// True if the process runs or sleeps in the ordinary way: not stopped, not dead, and not in an
    /// uninterruptible wait (such as a caller of vfork until its child has executed a program).
    pub(super) may_run: bool,
}

/// Reads the process `pid`; `None` if there is none.
pub(super) fn read(pid: u32) -> io::Result<Option<Stat>> {
    let mut buffer = [0_u8; STAT_BYTES];
    let length =
        match File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut buffer)) {
            Ok(length) => length,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
    parse(pid, &buffer[..length])
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc/<pid>/stat"))
}

/// Returns true if `error` means that the process has ended.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Parses a line. Field numbers are those of `proc_pid_stat(5)`; the second field, the name, may
/// contain blanks and brackets.
fn parse(pid: u32, line: &[u8]) -> Option<Stat> {
    let name_end = memchr::memrchr(b')', line)?;
    let rest = std::str::from_utf8(line.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let threads: u64 = fields.nth(13)?.parse().ok()?;
    let start_ticks = fields.nth(1)?.parse().ok()?;
    // The first thread of a process may end before the others; the process is then a zombie that
    // lives.
    let is_dead = matches!(state, "Z" | "X" | "x") && threads <= 1;
    let may_run = matches!(state, "R" | "S" | "I");
    Some(Stat { pid, parent, group, session, start_ticks, is_dead, may_run })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_move_the_fields() {
        let line = b"77 (a) S (b) R 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 1 22 4242 24";
        let stat = parse(77, line).unwrap();
        assert_eq!(
            (stat.parent, stat.session, stat.start_ticks, stat.is_dead),
            (5, 7, 4242, false)
        );
    }

    #[test]
    fn the_own_process_is_read_and_alive() {
        let stat = read(std::process::id()).unwrap().unwrap();
        assert!(!stat.is_dead);
        assert!(stat.start_ticks > 0);
    }
}
