//! Health checks of services. An answer counts for the `interval` of its check, in this process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use errand_agent::os;
use errand_api::catalog::{HealthCheck, ServiceDefinition};
use errand_model::Digest;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpStream;

use crate::outgoing::{Addresses, CallbackUrl, Refused, SystemNames, http_client};

/// Time for which an answer counts if the check names none.
const INTERVAL: Duration = Duration::from_secs(10);
/// Time limit of a check that names none.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most answers in memory. Over it, all that no process waits for are forgotten.
const KEPT: usize = 1_000;
/// Bytes of a program's stderr that are looked at.
const READ_BYTES: usize = 4 * 1024;
/// Longest part of them that an answer has, in characters.
const EXCERPT_CHARS: usize = 200;
/// Time beyond the limit of a check in which its stderr is read: a process that left the group may keep
/// it open.
const SAID_LIMIT: Duration = Duration::from_secs(1);
/// Interval at which a program is asked whether it has ended.
const TICK: Duration = Duration::from_millis(5);

/// Answer of a check: text for people if it failed.
type Answer = Result<(), String>;

/// Last answer of one check, with its time. Locked while the check is made, so that callers at the same
/// time make it once.
type LastAnswer = Arc<tokio::sync::Mutex<Option<(Instant, Answer)>>>;

/// Environment of a check that is a program.
pub(crate) type CheckEnvironment = Vec<(OsString, OsString)>;

/// Answers of checks by the digest of the service's definition.
#[derive(Debug)]
pub(crate) struct HealthChecks {
    last: Mutex<BTreeMap<Digest, LastAnswer>>,
    http: OnceLock<Result<reqwest::Client, String>>,
    /// Addresses that may be asked.
    addresses: Arc<Addresses>,
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self::limited_to(Addresses::everything())
    }
}

impl HealthChecks {
    /// Returns checks that ask these addresses only: definitions of services come from others.
    pub(crate) fn limited_to(addresses: Addresses) -> Self {
        let (last, http) = (Mutex::default(), OnceLock::new());
        Self { last, http, addresses: Arc::new(addresses) }
    }

    /// Checks a service, unless its last answer still counts. A service without a check is healthy.
    pub(crate) async fn check(
        &self,
        service: &ServiceDefinition,
        environment: CheckEnvironment,
    ) -> Answer {
        let Some(check) = &service.health else { return Ok(()) };
        let last = self.last_of(service);
        let mut last = last.lock().await;
        let interval = duration(check.interval.as_deref()).unwrap_or(INTERVAL);
        if let Some((at, answer)) = last.as_ref()
            && at.elapsed() < interval
        {
            return answer.clone();
        }
        let answer = self.make(service, check, environment).await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    fn last_of(&self, service: &ServiceDefinition) -> LastAnswer {
        let text = serde_json::to_string(service).unwrap_or_default();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= KEPT {
            last.retain(|_, answer| Arc::strong_count(answer) > 1);
        }
        Arc::clone(last.entry(Digest::of(text.as_bytes())).or_default())
    }

    async fn make(
        &self,
        service: &ServiceDefinition,
        check: &HealthCheck,
        environment: CheckEnvironment,
    ) -> Answer {
        let limit = duration(check.timeout.as_deref()).unwrap_or(TIMEOUT);
        let made = match (&check.tcp, &check.http) {
            (Some(address), _) => {
                tokio::time::timeout(limit, connect(address, &self.addresses)).await
            }
            (None, Some(address)) => {
                let url = match address.strip_prefix('/') {
                    Some(path) => format!("{}/{path}", service.url.trim_end_matches('/')),
                    None => address.clone(),
                };
                tokio::time::timeout(limit, self.get(&url)).await
            }
            (None, None) => {
                let command = check.command.clone();
                let work = move || run(&command, environment, limit);
                return match tokio::task::spawn_blocking(work).await {
                    Ok(answer) => answer,
                    Err(error) => Err(format!("the check was ended: {error}")),
                };
            }
        };
        made.unwrap_or_else(|_| Err(unanswered(limit)))
    }

    async fn get(&self, url: &str) -> Answer {
        match self.client_for(url)?.get(url).send().await {
            Ok(response) if (200..400).contains(&response.status().as_u16()) => Ok(()),
            Ok(response) => Err(format!("{url} answers {}", response.status().as_u16())),
            Err(error) => Err(format!("{url}: {}", told(&error))),
        }
    }

    /// Returns the client for requests to a URL that a definition names.
    ///
    /// # Errors
    ///
    /// The reason for which the URL may not be asked, for people.
    pub(crate) fn client_for(&self, url: &str) -> Result<&reqwest::Client, String> {
        if let Ok(parsed) = CallbackUrl::parse(url) {
            parsed.check(&self.addresses).map_err(|refused| not_allowed(&refused))?;
        }
        let addresses = || Arc::clone(&self.addresses);
        let client = self.http.get_or_init(|| http_client(addresses(), Arc::new(SystemNames)));
        client.as_ref().map_err(Clone::clone)
    }
}

/// Returns the reason for which a request failed, for people.
pub(crate) fn told(error: &reqwest::Error) -> String {
    refusal(error).map_or_else(|| cause(error), not_allowed)
}

/// Runs a program without input, and ends it with its children after `limit`.
fn run(command: &[String], environment: CheckEnvironment, limit: Duration) -> Answer {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let failed = |error: io::Error| format!("{program} cannot be executed: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let stderr = child.stderr.take();
    let deadline = Instant::now() + limit;
    let said = thread::spawn(move || excerpt(stderr, deadline + SAID_LIMIT));
    let mut ended = child.try_wait().map_err(failed)?;
    while ended.is_none() && Instant::now() < deadline {
        thread::sleep(TICK);
        ended = child.try_wait().map_err(failed)?;
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Fails if nothing of the group is left.
        let _gone = kill_process_group(group, Signal::KILL);
    }
    child.wait().map_err(failed)?;
    match ended {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(complaint(program, status, &said.join().unwrap_or_default())),
        None => Err(unanswered(limit)),
    }
}

/// Returns the beginning of what a program wrote to its stderr until its end, or until a moment. One
/// that writes more is not held up.
fn excerpt(stderr: Option<ChildStderr>, until: Instant) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; READ_BYTES]);
    let mut pipe = stderr.map(|stderr| File::from(OwnedFd::from(stderr)));
    while let Some(open) = &mut pipe {
        // What can be read of it is enough.
        let read = match os::is_readable_by(&*open, until) {
            Ok(true) => open.read(&mut piece).unwrap_or(0),
            Ok(false) | Err(_) => 0,
        };
        if read == 0 {
            break;
        }
        let room = READ_BYTES.saturating_sub(bytes.len());
        bytes.extend_from_slice(piece.get(..read.min(room)).unwrap_or_default());
    }
    String::from_utf8_lossy(&bytes).trim().chars().take(EXCERPT_CHARS).collect()
}

fn complaint(program: &str, status: ExitStatus, said: &str) -> String {
    let end = match status.code() {
        Some(code) => format!("{program} exits with {code}"),
        None => format!("{program} was ended by a signal"),
    };
    if said.is_empty() { end } else { format!("{end}: {said}") }
}

fn unanswered(limit: Duration) -> String {
    format!("no answer within {} ms", limit.as_millis())
}

/// Opens a connection, and closes it.
async fn connect(address: &str, allowed: &Addresses) -> Answer {
    let failed = |error: io::Error| format!("{address}: {error}");
    let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(failed)?.collect();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let refused = found.iter().map(SocketAddr::ip).find(|found| !allowed.allows(*found));
    if let Some(address) = refused.filter(|_| !allowed.allows_host(host)) {
        return Err(not_allowed(&Refused::Address { host: host.to_owned(), address }));
    }
    // Not resolved again: the name may have other addresses by then.
    TcpStream::connect(found.as_slice()).await.map(drop).map_err(failed)
}

/// Returns the refusal of an address among the causes of an error.
fn refusal(error: &reqwest::Error) -> Option<&Refused> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}

fn not_allowed(refused: &Refused) -> String {
    match refused {
        Refused::Malformed { reason } => format!("the URL of the check {reason}"),
        Refused::Address { host, address } => format!(
            "this server may not ask {host} at {address}, which is not a public address: \
             `--allow-callback {address}` allows it"
        ),
    }
}

/// Returns the last cause of an error: the one that says what happened.
fn cause(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

fn duration(text: Option<&str>) -> Option<Duration> {
    errand_model::parse_duration(text?).ok()
}
