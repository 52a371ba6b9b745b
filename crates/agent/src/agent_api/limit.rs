//! Limits of the server, each with its reason. Limits of calls are in
//! `errand_api::agent_protocol::limit`.

use std::time::Duration;

/// Connections served at once; others wait in the socket's queue. Agents use one or a few; each
/// costs a buffer of some KiB.
pub const CONNECTIONS: usize = 256;
/// Time limit for the head of a request, and for an idle connection. A local client writes a head
/// at once.
pub const HEAD_TIME: Duration = Duration::from_secs(60);
/// Time limit for the next piece of a body. Generous: an agent may stream an artifact while it
/// creates it.
pub const BODY_PIECE_TIME: Duration = Duration::from_secs(60);
/// Upper bound of a request's line and headers, in bytes.
pub const HEAD_BYTES: usize = 32 * 1024;
/// Time limit for answers to the calls under way when the server shuts down.
pub const DRAIN_TIME: Duration = Duration::from_secs(2);
/// Interval at which a silent control stream sends a comment, so that a dead client is detected.
pub const CONTROL_HEARTBEAT: Duration = Duration::from_secs(15);
/// Control events that may wait for a slow reader before it is disconnected; the backend that
/// creates [`super::ControlFeed::later`] uses this size.
pub const CONTROL_BACKLOG: usize = 64;
/// Connections that may wait to be accepted.
pub(super) const LISTEN_BACKLOG: i32 = 1024;
