//! Waiting until a file descriptor can be read.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// File descriptor that a task can wait for until it can be read.
pub(crate) type Readable = AsyncFd<OwnedFd>;

/// Registers `fd` with the runtime, to be waited for until it can be read. Needs a tokio runtime
/// with I/O.
#[expect(unsafe_code, reason = "the runtime trusts its caller to own what it registers")]
pub(crate) fn readable(fd: OwnedFd) -> io::Result<Readable> {
    // SAFETY: an `OwnedFd` keeps its descriptor open for as long as it lives, shows always the same
    // one, and moves into the registration.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}

/// Blocks until `fd` can be read, or its other end is closed. Returns false if neither is so at
/// `deadline`.
///
/// # Errors
///
/// If the kernel refuses.
pub fn is_readable_by(fd: impl AsFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut polled = [PollFd::new(&fd, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}
