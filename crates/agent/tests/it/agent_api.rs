//! The agent API over its socket, with a backend in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its expectation does")]

mod calls;
mod hostile;
mod memory;
mod messages;
mod sessions;
