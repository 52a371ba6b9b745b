//! Thousands of runs through two gateways and four workers, while one worker at a time is killed or
//! stopped, the database is restarted twice, and clients lose their connections: every acknowledged
//! run ends exactly once, completed steps are not repeated, the runs of a session keep their order,
//! and no process is left.
//!
//! The moments are drawn from a seed that is printed: `ERRAND_STRESS_SEED` sets another one,
//! `ERRAND_STRESS_RUNS` the number of runs (10,000 take some ten minutes on two cores).

#![expect(clippy::panic, clippy::print_stdout, reason = "a storm tells its seed, and fails loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use errand_testkit::postgres::{self, Durability};
use errand_testkit::{
    ErrandServer, HttpRequest, RunningProgram, Sandbox, TestAgent, processes_with, wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::storm::{Dice, number_from};
use crate::support::sandbox;

/// Runs in all by default.
const RUNS: usize = 1_500;
/// Clients that submit at the same time.
const CLIENTS: usize = 16;
/// Sessions that every eighth run belongs to.
const SESSIONS: usize = 40;
const GATEWAYS: usize = 2;
const WORKERS: usize = 4;
const SLOTS: &str = "8";
/// Short, so that many leases expire.
const LEASE: &str = "3s";
/// Longer than a lease.
const STOPPED_FOR: Duration = Duration::from_millis(4_500);
/// Time limit for everything, on a busy machine.
const LIMIT: Duration = Duration::from_secs(1_500);

/// Two steps, each with one effect: a line `<run> <step> <attempt>`. In Perl, since it starts in a
/// millisecond or two.
const AGENT: &str = r#"
use strict; use IO::Socket::UNIX;
sub call {
    my ($path, $body) = @_;
    my $api = IO::Socket::UNIX->new(Peer => substr($ENV{ERRAND_API}, 7)) or exit 1;
    print $api "POST /agent/v1/$path HTTP/1.1\r\nHost: errand\r\nConnection: close\r\n"
        . "Authorization: Bearer $ENV{ERRAND_TOKEN}\r\nContent-Type: application/json\r\n"
        . "Content-Length: " . length($body) . "\r\n\r\n$body";
    local $/; my $answer = <$api>;
    $answer =~ m{^HTTP/1\.1 2} or exit 1;
    return $answer;
}
for my $step ('plan', 'act') {
    my $begun = call("steps/$step/begin", '{}');
    next unless $begun =~ /"status":\s*"run"/;
    open(my $file, '>>', "$ENV{MARKS}/executions") or exit 1;
    syswrite($file, "$ENV{ERRAND_RUN_ID} $step $ENV{ERRAND_ATTEMPT}\n");
    call("steps/$step/complete", qq({"output":"did $step"}));
}
"#;

/// Database of the runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Sqlite,
    Postgres,
}

#[test]
fn many_runs_survive_a_storm_on_sqlite() {
    storm(Kept::Sqlite);
}

#[test]
fn many_runs_survive_a_storm_on_postgresql() {
    storm(Kept::Postgres);
}

/// All participants of the storm.
struct Fleet {
    sandbox: Sandbox,
    database: Option<postgres::PostgresServer>,
    gateways: Vec<ErrandServer>,
    /// Acknowledged run ids of each client in the order of their admission, by session; those
    /// without a session under "".
    acknowledged: Mutex<BTreeMap<String, Vec<String>>>,
    submitted: AtomicUsize,
    is_over: AtomicBool,
    is_broken: AtomicBool,
    runs: usize,
}

/// Tells the other threads that a thread panicked.
struct Alarm<'f>(&'f AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn storm(kept: Kept) {
    let seed = number_from("ERRAND_STRESS_SEED", 20_261_121);
    let runs = usize::try_from(number_from("ERRAND_STRESS_RUNS", RUNS as u64)).unwrap();
    println!("seed {seed}, {runs} runs: ERRAND_STRESS_SEED and ERRAND_STRESS_RUNS change them");
    let fleet = Fleet::start(kept, runs);
    let deadline = Instant::now() + LIMIT;
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let fleet = &fleet;
            scope.spawn(move || {
                let _alarm = Alarm(&fleet.is_broken);
                fleet.submit(client);
            });
        }
        let tormentor = scope.spawn(|| fleet.torment(seed));
        while fleet.open_runs() > 0 {
            let is_broken = fleet.is_broken.load(Ordering::Relaxed);
            fleet.is_over.store(is_broken, Ordering::Relaxed);
            assert!(!is_broken, "a client gave up");
            assert!(Instant::now() < deadline, "{} runs are not over", fleet.open_runs());
            thread::sleep(Duration::from_millis(250));
        }
        fleet.is_over.store(true, Ordering::Relaxed);
        tormentor.join().expect("the workers could be tormented");
    });
    fleet.check();
    let marks = fleet.sandbox.path("marks");
    wait_until("no process is left", Duration::from_secs(20), || processes_with(&marks).is_empty());
}

impl Fleet {
    fn start(kept: Kept, runs: usize) -> Self {
        let sandbox = sandbox();
        std::fs::create_dir(sandbox.path("marks")).unwrap();
        let marks = sandbox.path("marks");
        let agent = TestAgent::command("[perl, agent.pl]")
            .named("stormy")
            .file("agent.pl", AGENT)
            .spec(&format!("env: {{ MARKS: {} }}", marks.display()))
            .spec("retry_policy: { max_retries: 50, backoff: fixed, initial_delay: 50ms }");
        let folder = sandbox.agent(&agent);
        let database = (kept == Kept::Postgres).then(|| {
            // The server is restarted: acknowledged commits must survive.
            let server = postgres::PostgresServer::start(Durability::Full, "");
            drop(sandbox.errand(["migrate", "--database", &server.url()]).run().ok());
            server
        });
        let mut gateways = Vec::new();
        for _ in 0..GATEWAYS {
            let mut words = vec!["up", "--listen", "127.0.0.1:0", "--slots", "0"];
            words.extend(["--lease", LEASE]);
            let database = database.as_ref().map(postgres::PostgresServer::url);
            words.extend(database.iter().flat_map(|url| ["--database", url.as_str()]));
            gateways.push(ErrandServer::of(sandbox.errand(words).limit(LIMIT).spawn()));
        }
        drop(gateways[0].push(&folder).expect(201));
        Self {
            sandbox,
            database,
            gateways,
            acknowledged: Mutex::default(),
            submitted: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            runs,
        }
    }

    fn worker(&self) -> RunningProgram {
        let mut words = vec!["worker".to_owned()];
        words.extend(["--slots", SLOTS, "--lease", LEASE].map(str::to_owned));
        if let Some(database) = &self.database {
            words.extend(["--database".to_owned(), database.url()]);
        }
        self.sandbox.errand(words).limit(LIMIT).spawn()
    }

    /// Submits this client's share; a request without a response is sent again with its key.
    fn submit(&self, client: usize) {
        for number in (client..self.runs).step_by(CLIENTS) {
            // A session belongs to one client, so that the order of its admissions is known.
            let is_in_session = (number / CLIENTS).is_multiple_of(8);
            let session =
                if is_in_session { format!("s{}", client % SESSIONS) } else { String::new() };
            let mut body = json!({ "agent": "stormy", "input": { "number": number } });
            if is_in_session {
                body["session_id"] = session.clone().into();
            }
            let key = format!("run-{number}");
            let run_id = self.post(number, &body.to_string(), &key);
            let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
            acknowledged.entry(session).or_default().push(run_id);
            self.submitted.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn post(&self, number: usize, body: &str, key: &str) -> String {
        for attempt in 0..600 {
            let gateway = &self.gateways[(number + attempt) % self.gateways.len()];
            let answer = HttpRequest::post("/v1/runs", body)
                .header("Content-Type", "application/json")
                .header("Idempotency-Key", key)
                .try_send(gateway.address());
            match answer {
                Ok(answer) if matches!(answer.status, 200 | 202) => {
                    let record: Value = serde_json::from_str(&answer.body).unwrap();
                    return record["run_id"].as_str().unwrap().to_owned();
                }
                Ok(answer) => assert!(
                    answer.status == 0 || answer.status >= 500 || answer.status == 429,
                    "a sound request was refused: {} {}",
                    answer.status,
                    answer.body
                ),
                Err(_) => {}
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("run {number} was never acknowledged");
    }

    /// Kills or stops one worker after the other, and the database twice, until all runs are over.
    fn torment(&self, seed: u64) {
        let mut dice = Dice(seed);
        let mut workers: Vec<RunningProgram> = (0..WORKERS).map(|_| self.worker()).collect();
        let mut restarts = 0;
        let (mut kills, mut stops) = (0, 0);
        while !self.is_over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(300 + dice.roll(1_500)));
            let share = self.submitted.load(Ordering::Relaxed) * 3 / self.runs;
            if let Some(database) = self.database.as_ref().filter(|_| restarts < share.min(2)) {
                database.restart();
                restarts += 1;
            }
            let victim = usize::try_from(dice.roll(WORKERS as u64)).unwrap();
            if dice.roll(2) == 0 {
                workers[victim].kill();
                workers[victim] = self.worker();
                kills += 1;
            } else {
                workers[victim].signal(Signal::STOP);
                thread::sleep(STOPPED_FOR);
                workers[victim].signal(Signal::CONT);
                stops += 1;
            }
        }
        println!(
            "{kills} workers killed, {stops} stopped, the database restarted {restarts} times"
        );
        for worker in workers {
            worker.terminate();
            drop(worker.wait());
        }
    }

    /// Returns the number of runs that are not over, according to the server.
    fn open_runs(&self) -> usize {
        let left = self.runs - self.submitted.load(Ordering::Relaxed);
        if left > 0 {
            return left;
        }
        let target = "/v1/runs?live=true&limit=500";
        match HttpRequest::new("GET", target).try_send(self.gateways[0].address()) {
            Ok(answer) if answer.status == 200 => {
                let page: Value = serde_json::from_str(&answer.body).unwrap();
                page["runs"].as_array().unwrap().len()
            }
            Ok(_) | Err(_) => 1,
        }
    }

    fn get(&self, target: &str) -> Value {
        let answer = HttpRequest::new("GET", target).send(self.gateways[1].address());
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Checks all promises once everything is over.
    fn check(&self) {
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ids: BTreeSet<&String> = acknowledged.values().flatten().collect();
        assert_eq!(ids.len(), self.runs, "every request has a run of its own");
        let executions = self.executions();
        let mut spans: BTreeMap<&String, (i64, i64)> = BTreeMap::new();
        for run_id in ids {
            let span = self.check_run(run_id, executions.get(run_id.as_str()));
            spans.insert(run_id, span);
        }
        assert_eq!(executions.len(), self.runs, "nothing ran that nobody asked for");
        for (session, runs) in acknowledged.iter().filter(|(session, _)| !session.is_empty()) {
            for pair in runs.windows(2) {
                let (before, after) = (spans[&pair[0]], spans[&pair[1]]);
                assert!(before.1 <= after.0, "{session}: {pair:?} overlap: {before:?} {after:?}");
            }
        }
    }

    /// Returns the attempts that executed each step of each run.
    fn executions(&self) -> BTreeMap<String, Vec<(String, u64)>> {
        let mut all: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
        for line in self.sandbox.read("marks/executions").lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [run_id, step, attempt] = words[..] else { panic!("half a line: {line:?}") };
            let attempt = attempt.parse().unwrap();
            all.entry(run_id.to_owned()).or_default().push((step.to_owned(), attempt));
        }
        all
    }

    /// Checks the journal of one run; returns when its first attempt began and when it was over.
    fn check_run(&self, run_id: &str, executed: Option<&Vec<(String, u64)>>) -> (i64, i64) {
        let page = self.get(&format!("/v1/runs/{run_id}/events?limit=500"));
        let events = page["events"].as_array().unwrap();
        let of = |kind| of_type(events, kind);
        let ends =
            of("run.completed").count() + of("run.failed").count() + of("run.cancelled").count();
        assert_eq!((ends, of("run.completed").count()), (1, 1), "{run_id}: {events:#?}");
        for (at, event) in events.iter().enumerate() {
            assert_eq!(event["seq"], at + 1, "{run_id} has a gap");
        }
        let executed = executed.unwrap_or_else(|| panic!("{run_id} did nothing"));
        for step in ["plan", "act"] {
            let completed: Vec<u64> = of("step.completed")
                .filter(|event| event["data"]["key"] == step)
                .map(|event| event["attempt"].as_u64().unwrap())
                .collect();
            let [in_attempt] = completed[..] else {
                panic!("{run_id}: {step} completed in {completed:?}: {events:#?}")
            };
            for (_, attempt) in executed.iter().filter(|(executed, _)| executed == step) {
                assert!(*attempt <= in_attempt, "{run_id}: {step} was done again in {attempt}");
            }
        }
        let began = of("attempt.started").next().and_then(|event| event["at_ms"].as_i64());
        let ended = of("run.completed").next().and_then(|event| event["at_ms"].as_i64());
        (began.unwrap(), ended.unwrap())
    }
}

fn of_type<'e>(events: &'e [Value], kind: &'static str) -> impl Iterator<Item = &'e Value> {
    events.iter().filter(move |event| event["type"] == kind)
}
