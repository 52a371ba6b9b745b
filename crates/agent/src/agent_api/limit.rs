//! Bounds of the server, each with its reason. What a call may carry is in
//! `errand_api::agent_protocol::limit`.

use std::time::Duration;

/// Connections served at once; further ones wait in the socket's queue. Agents use one or a few;
/// each costs a buffer of some KiB.
pub const CONNECTIONS: usize = 256;
/// How long the head of a request may take to come, and a kept connection may be idle. A local
/// client writes it at once.
pub const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long the next piece of a body may take to come. Generous: an agent may stream an artifact
/// while it makes it.
pub const BODY_PIECE_TIME: Duration = Duration::from_secs(60);
/// Bytes of a request's line and headers.
pub const HEAD_BYTES: usize = 32 * 1024;
/// How long calls that are under way may take to be answered once the owner shuts down.
pub const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How often a silent control stream sends a comment, so that a dead client is noticed.
pub const CONTROL_HEARTBEAT: Duration = Duration::from_secs(15);
/// Control events that wait for a slow reader before it is cut off: see
/// [`super::ControlFeed::later`], whose maker chooses the size.
pub const CONTROL_BACKLOG: usize = 64;
/// Connections that wait to be accepted.
pub(super) const LISTEN_BACKLOG: i32 = 1024;
