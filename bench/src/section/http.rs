//! Runs admitted over HTTP: `POST /v1/runs` of many clients, each on a connection of its own.
//!
//! The runs are scheduled for a later day, so the server's worker leaves them alone.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use errand_store::postgres::Postgres;
use errand_testkit::postgres::{Durability, PostgresServer};

use super::memory::{Activity, TICKS_PER_SECOND};
use super::postgres::floor;
use crate::Failure;
use crate::arguments::Arguments;
use crate::lab::Lab;
use crate::report::{Line, median};
use crate::socket::Client;

/// Clients at once.
const CLIENTS: u32 = 64;
/// Requests of each client in one round.
const EACH: u32 = 100;
/// Requests per second that a server on SQLite is to answer, and its processor time for each.
const SQLITE_PER_SECOND: f64 = 8_000.0;
const SQLITE_CPU_US: f64 = 150.0;
/// Rate and processor time on PostgreSQL, the rate as a share of the server's own one-row commits.
const POSTGRES_F16: f64 = 0.5;
const POSTGRES_CPU_US: f64 = 120.0;

/// Values of one round.
pub(super) struct Round {
    pub(super) per_second: f64,
    pub(super) cpu_us: f64,
    pub(super) p50: f64,
}

/// Requests of clients that are sent at once, each client's one after the other.
pub(super) struct Load<'a> {
    /// Path of the requests.
    pub(super) path: &'static str,
    /// Clients, each on a connection of its own.
    pub(super) clients: u32,
    /// Returns the body of the next request.
    pub(super) body: &'a (dyn Fn() -> String + Sync),
}

/// Runs for a later day.
const RUNS: Load<'static> = Load { path: "/v1/runs", clients: CLIENTS, body: &|| BODY.to_owned() };
/// Body of the request for one.
const BODY: &str = r#"{"agent": "quick", "scheduled_at": "2999-01-01T00:00:00Z"}"#;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let agent = lab.agent("quick", "[/bin/true]", "")?;
    let agents = agent.to_string_lossy().into_owned();

    let server = Server::start(&lab, &["up", "--agents", &agents])?;
    server.wait_for_agent()?;
    let sqlite = rounds(arguments, &server, &RUNS)?;
    drop(server);
    let mut lines = of("SQLite", &sqlite, SQLITE_PER_SECOND, "8000/s", SQLITE_CPU_US);

    let database = PostgresServer::start(Durability::Full, "");
    Postgres::migrate(&database.url())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let floor = runtime.block_on(floor(&database.url()))?;
    let url = database.url();
    let server = Server::start(&lab, &["up", "--agents", &agents, "--database", &url])?;
    server.wait_for_agent()?;
    let postgres = rounds(arguments, &server, &RUNS)?;
    let target = format!("{POSTGRES_F16} F16");
    lines.extend(of("PostgreSQL", &postgres, floor.f16 * POSTGRES_F16, &target, POSTGRES_CPU_US));
    Ok(lines)
}

pub(super) fn rounds(
    arguments: &Arguments,
    server: &Server,
    load: &Load<'_>,
) -> Result<Vec<Round>, Failure> {
    round(server, load)?;
    (0..arguments.rounds).map(|_| round(server, load)).collect()
}

/// Lets all clients send their requests, each after the answer to the one before.
fn round(server: &Server, load: &Load<'_>) -> Result<Round, Failure> {
    let start = Barrier::new(usize::try_from(load.clients)? + 1);
    let mut clients = Vec::new();
    for _ in 0..load.clients {
        clients.push(Client::tcp(&server.address)?);
    }
    let before = Activity::of(server.process.id().into())?;
    let (seconds, mut taken) = std::thread::scope(|scope| -> Result<_, Failure> {
        let start = &start;
        let threads: Vec<_> =
            clients.into_iter().map(|it| scope.spawn(move || submit(it, load, start))).collect();
        start.wait();
        let began = Instant::now();
        let mut taken = Vec::new();
        for thread in threads {
            taken.extend(thread.join().map_err(|_| "a client panicked")??);
        }
        Ok((began.elapsed().as_secs_f64(), taken))
    })?;
    let requests = f64::from(load.clients * EACH);
    let after = Activity::of(server.process.id().into())?;
    let ticks = after.cpu_ticks.saturating_sub(before.cpu_ticks);
    taken.sort_unstable();
    let p50 = taken.get(taken.len() / 2).copied().unwrap_or_default();
    Ok(Round {
        per_second: requests / seconds,
        cpu_us: f64::from(ticks) / f64::from(TICKS_PER_SECOND) * 1e6 / requests,
        p50: p50.as_secs_f64(),
    })
}

fn submit(mut client: Client, load: &Load<'_>, start: &Barrier) -> Result<Vec<Duration>, Failure> {
    start.wait();
    let mut taken = Vec::new();
    for _ in 0..EACH {
        let body = (load.body)();
        let began = Instant::now();
        let (status, answer) = client.post(load.path, &body)?;
        if !(200..300).contains(&status) {
            return Err(format!("{status}: {answer}").into());
        }
        taken.push(began.elapsed());
    }
    Ok(taken)
}

fn of(
    store: &str,
    rounds: &[Round],
    least_per_second: f64,
    target: &str,
    most_cpu_us: f64,
) -> Vec<Line> {
    let median_of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let per_second = median_of(|round| round.per_second);
    let cpu_us = median_of(|round| round.cpu_us);
    vec![
        Line {
            name: format!("POST /v1/runs, {CLIENTS} clients, {store}"),
            measured: format!("{per_second:.0}/s"),
            target: target.to_owned(),
            floor: String::new(),
            share: Some(least_per_second / per_second),
            note: format!("p50 {:.1} ms", median_of(|round| round.p50) * 1e3),
        },
        Line {
            name: format!("POST /v1/runs, {store}, processor"),
            measured: format!("{cpu_us:.0} µs"),
            target: format!("{most_cpu_us} µs"),
            floor: String::new(),
            share: Some(cpu_us / most_cpu_us),
            note: String::new(),
        },
    ]
}

/// A server in the lab. Dropping it ends it.
pub(super) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts the server of a command with its own options.
    pub(super) fn start(lab: &Lab, words: &[&str]) -> Result<Self, Failure> {
        let quiet = ["--listen", "127.0.0.1:0", "--log-level", "error"];
        let unlimited = ["--requests-per-second", "1000000", "--burst", "1000000"];
        let mut command = lab.errand(&[words, &quiet[..], &unlimited[..]].concat());
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = process.stdout.take().ok_or("the server has no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Self { process, address })
    }

    /// Returns the id of the server's process.
    pub(super) fn process_id(&self) -> u64 {
        self.process.id().into()
    }

    /// Waits until the agent is registered, which follows the start.
    fn wait_for_agent(&self) -> Result<(), Failure> {
        crate::lab::wait_for("the agent is registered", || {
            let (status, _) = Client::tcp(&self.address)?.post(RUNS.path, BODY)?;
            Ok((200..300).contains(&status).then_some(()))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
