//! What a gateway is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The largest body that is read, unless it is an agent's folder.
const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// How often a stream on which nothing happens says that it is alive: sooner than proxies give up.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The largest agent's folder that is read.
const ARCHIVE_LIMIT_BYTES: usize = 256 * 1024 * 1024;

/// What a gateway is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0 picks one.
    pub listen: SocketAddr,
    /// Folders whose agents' folders are registered, at start and when they change.
    pub agents: Vec<PathBuf>,
    /// The largest body that is read.
    pub body_limit_bytes: usize,
    /// The largest agent's folder that is read.
    pub archive_limit_bytes: usize,
    /// How often a stream on which nothing happens says that it is alive.
    pub heartbeat: Duration,
}

impl Config {
    /// Everything as it is unless said.
    pub const fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            agents: Vec::new(),
            body_limit_bytes: BODY_LIMIT_BYTES,
            archive_limit_bytes: ARCHIVE_LIMIT_BYTES,
            heartbeat: HEARTBEAT,
        }
    }
}
