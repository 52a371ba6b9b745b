//! Configuration of a gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use errand_api::agent_file::{MalformedAddress, parse_address};
use errand_api::config::{Otlp, Settings, Tls};
use errand_api::gateway::routes::Area;
use errand_api::gateway::task;
use errand_engine::outbox::AddressRule;

/// Size limit of a body, except for an agent's folder.
const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// Interval of heartbeats on an idle stream: shorter than timeouts of proxies.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Size limit of an agent's folder.
const ARCHIVE_LIMIT_BYTES: usize = 256 * 1024 * 1024;
/// Size limit of a request's head.
const HEAD_LIMIT_BYTES: usize = 32 * 1024;
/// Time limit for receiving a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that are open at once; further ones wait in the operating system's queue.
const CONNECTIONS: usize = 4_096;
/// Sustained rate of requests of one client.
const REQUESTS_PER_SECOND: u32 = 5_000;

/// Configuration of a gateway.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Folders with agents' folders, which are registered at start and whenever they change.
    pub agents: Vec<PathBuf>,
    /// True if workers on other machines may execute runs, so that this process cannot check their
    /// programs and secrets.
    pub workers_elsewhere: bool,
    /// Size limit of a body.
    pub body_limit_bytes: usize,
    /// Size limit of an agent's folder.
    pub archive_limit_bytes: usize,
    /// Interval of heartbeats on an idle stream.
    pub heartbeat: Duration,
    /// Size limit of a request's head.
    pub head_limit_bytes: usize,
    /// Time limit for receiving a request's head.
    pub head_timeout: Duration,
    /// Connections that are open at once.
    pub connections: usize,
    /// Sustained rate of requests of one key, or of one address without a key.
    pub requests_per_second: u32,
    /// Burst of requests of one key, or of one address without a key.
    pub burst: u32,
    /// Certificate of the server; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// Addresses that reports of runs may go to besides public ones.
    pub allow_callbacks: Vec<AddressRule>,
    /// Retention of terminal runs; `None`: until they are removed.
    pub retention: Option<Duration>,
    /// Collector of traces; `None`: no traces are sent.
    pub otlp: Option<Otlp>,
    /// True for a dispatcher, which has the routes of tasks.
    pub dispatches: bool,
}

impl Config {
    /// Returns true if the gateway serves the routes of an area. Only a dispatcher has those of
    /// tasks, whose images and variables are their callers'.
    pub(crate) fn serves(&self, area: &Area) -> bool {
        self.dispatches || area.name != task::AREA.name
    }

    /// Returns the default configuration.
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
            dispatches: false,
        }
    }

    /// Converts a server's settings.
    ///
    /// # Errors
    ///
    /// [`MalformedAddress`] (code `listen_address_invalid`).
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
