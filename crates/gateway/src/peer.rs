//! Address of a client.

use std::net::SocketAddr;

/// Address of the client. [`crate::Bound`] puts it into the extensions of each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);
