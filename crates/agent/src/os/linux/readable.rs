//! File descriptors for which tasks wait.

use std::io;
use std::os::fd::OwnedFd;

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
