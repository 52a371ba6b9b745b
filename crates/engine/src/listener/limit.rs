//! Bounds of a listener, each with its reason. The user sets those of body and headers.

use std::time::Duration;

/// Connections served at once; a further one is answered 503 and closed. Well below the number of
/// files that a process may open by default.
pub const CONNECTIONS: usize = 256;
/// Requests read or waiting beyond those whose wakes run; a further one is answered 429. Each may
/// hold a body in memory.
pub const WAITING_ROOM: usize = 64;
/// Longest time for the request line and headers to arrive, and for a kept connection to be idle.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// Longest time for the next piece of a body to arrive: a silent client is answered 408.
pub const BODY_PIECE_TIME: Duration = Duration::from_secs(10);
/// Longest time for a whole body to arrive: a client that sends a byte now and then is answered
/// 408.
pub const BODY_TIME: Duration = Duration::from_secs(60);
/// Longest time for clients to read their responses after the last wake of a service that shuts
/// down.
pub const DRAIN_TIME: Duration = Duration::from_secs(2);
/// Longest time for reading on from a refused client, so that it reads the response and not a
/// reset.
pub const LINGER_TIME: Duration = Duration::from_secs(1);
/// Most bytes for the same.
pub const LINGER_BYTES: usize = 1024 * 1024;
/// Seconds after which a refused client may try again.
pub const RETRY_AFTER_SECONDS: u64 = 1;
/// Smallest buffer that the HTTP parser accepts for line and headers. A lower bound of the user is
/// checked once they are complete.
pub(super) const PARSER_ROOM: usize = 8192;
