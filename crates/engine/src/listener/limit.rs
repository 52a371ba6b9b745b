//! Bounds of a listener, each with its reason. Those of body and headers are the user's.

use std::time::Duration;

/// Connections served at once; one more is answered 503 and closed. Well below the number of files
/// that a process may open by default.
pub const CONNECTIONS: usize = 256;
/// Requests that are read or wait beyond those whose wakes run; one more is answered 429. Each may
/// hold a body in memory.
pub const WAITING_ROOM: usize = 64;
/// How long the line and headers of a request may take to come, and a kept connection may be idle.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long the next piece of a body may take to come: a silent client is answered 408.
pub const BODY_PIECE_TIME: Duration = Duration::from_secs(10);
/// How long a whole body may take to come: so is one that sends a byte now and then.
pub const BODY_TIME: Duration = Duration::from_secs(60);
/// How long an answer may take to be taken by a client, after the last wake of a service that shuts
/// down.
pub const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How long, and for how many bytes, a client that was refused is listened to, so that it reads the
/// answer and not a reset.
pub const LINGER_TIME: Duration = Duration::from_secs(1);
/// See [`LINGER_TIME`].
pub const LINGER_BYTES: usize = 1024 * 1024;
/// Seconds after which a client that was turned away may come again.
pub const RETRY_AFTER_SECONDS: u64 = 1;
/// The least room that the HTTP parser takes for line and headers. A lower bound of the user's holds
/// all the same, once they are complete.
pub(super) const PARSER_ROOM: usize = 8192;
/// How long to wait before accepting again after the system refused, for want of files or memory.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
