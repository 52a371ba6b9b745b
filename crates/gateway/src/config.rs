//! What a gateway is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use errand_api::agent_file::{MalformedAddress, parse_address};
use errand_api::config::{Otlp, Settings, Tls};
use errand_engine::outbox::AddressRule;

/// The largest body that is read, unless it is an agent's folder.
const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// How often a stream on which nothing happens says that it is alive: sooner than proxies give up.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The largest agent's folder that is read.
const ARCHIVE_LIMIT_BYTES: usize = 256 * 1024 * 1024;
/// The largest head of a request.
const HEAD_LIMIT_BYTES: usize = 32 * 1024;
/// How long a client may take to send it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that are open at once; further ones wait in the system's queue.
const CONNECTIONS: usize = 4_096;
/// Requests that one client may make, over time.
const REQUESTS_PER_SECOND: u32 = 5_000;

/// What a gateway is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0 picks one.
    pub listen: SocketAddr,
    /// Folders whose agents' folders are registered, at start and when they change.
    pub agents: Vec<PathBuf>,
    /// Whether workers of other machines may carry runs out: what programs and secrets there are,
    /// is not known here then.
    pub workers_elsewhere: bool,
    /// The largest body that is read.
    pub body_limit_bytes: usize,
    /// The largest agent's folder that is read.
    pub archive_limit_bytes: usize,
    /// How often a stream on which nothing happens says that it is alive.
    pub heartbeat: Duration,
    /// The largest head of a request.
    pub head_limit_bytes: usize,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// Connections that are open at once.
    pub connections: usize,
    /// Requests of one key, or of one address without a key, over time.
    pub requests_per_second: u32,
    /// Requests of one key, or of one address without a key, at once.
    pub burst: u32,
    /// With what the server proves who it is; `None`: it does not.
    pub tls: Option<Tls>,
    /// Where reports of runs may go beyond public addresses.
    pub allow_callbacks: Vec<AddressRule>,
    /// How long runs are kept that are over; `None`: until somebody removes them.
    pub retention: Option<Duration>,
    /// Where traces go; `None`: nowhere.
    pub otlp: Option<Otlp>,
}

impl Config {
    /// Everything as it is unless said.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            agents: Vec::new(),
            allow_callbacks: Vec::new(),
            workers_elsewhere: false,
            body_limit_bytes: BODY_LIMIT_BYTES,
            archive_limit_bytes: ARCHIVE_LIMIT_BYTES,
            heartbeat: HEARTBEAT,
            head_limit_bytes: HEAD_LIMIT_BYTES,
            head_timeout: HEAD_TIMEOUT,
            connections: CONNECTIONS,
            requests_per_second: REQUESTS_PER_SECOND,
            burst: 2 * REQUESTS_PER_SECOND,
            tls: None,
            retention: None,
            otlp: None,
        }
    }

    /// As a server's settings say.
    ///
    /// # Errors
    ///
    /// `listen_address_invalid`, with what is wrong.
    pub fn of(settings: &Settings) -> Result<Self, MalformedAddress> {
        let limits = settings.limits;
        let bytes = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            agents: settings.agents.clone(),
            workers_elsewhere: settings.database.is_some(),
            body_limit_bytes: bytes(limits.body_bytes),
            head_limit_bytes: bytes(limits.header_bytes),
            head_timeout: limits.header_timeout,
            connections: usize::try_from(limits.connections).unwrap_or(usize::MAX),
            requests_per_second: limits.requests_per_second,
            burst: limits.burst,
            tls: settings.tls.clone(),
            retention: settings.retention,
            otlp: settings.otlp.clone(),
            ..Self::new(parse_address(&settings.listen)?)
        })
    }
}
