//! Address of a client.

use std::net::SocketAddr;

/// Address of the client; stored in the extensions of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);
