//! The listener of a service, over raw sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its expectation does")]

mod answers;
mod bounds;
mod place;
mod stamina;
