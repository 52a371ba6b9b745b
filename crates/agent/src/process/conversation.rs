//! Pipes of an agent whose harness speaks a protocol on its stdin and stdout.

use std::io;
use std::os::fd::OwnedFd;

use tokio::net::unix::pipe;

use crate::target::Conversation;

/// Returns errand's ends of both pipes. Needs a tokio runtime with I/O.
pub(super) fn of_pipes(to_agent: OwnedFd, from_agent: OwnedFd) -> io::Result<Conversation> {
    Ok(Conversation {
        to_agent: Box::new(pipe::Sender::from_owned_fd(to_agent)?),
        from_agent: Box::new(pipe::Receiver::from_owned_fd(from_agent)?),
    })
}
