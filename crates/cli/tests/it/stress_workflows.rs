//! Hundreds of coordinated runs, while one worker after the other is killed: each ends as it does
//! undisturbed, no child is started twice, every message is delivered once, every journal is valid.
//!
//! The moments are drawn from a seed that is printed: `ERRAND_STRESS_SEED` sets another one,
//! `ERRAND_STRESS_WORKFLOWS` the number of runs. As many of them are started as fit into a minute.

#![expect(clippy::print_stdout, reason = "a storm tells its seed")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use errand_testkit::postgres::{self, Durability};
use errand_testkit::{
    ErrandServer, HttpRequest, RunningProgram, Sandbox, TestAgent, processes_with, wait_until,
};
use serde_json::{Value, json};

use crate::storm::{Dice, number_from};
use crate::support::sandbox;

/// Coordinated runs in all by default.
const WORKFLOWS: u64 = 200;
/// Time for starting runs.
const START_FOR: Duration = Duration::from_secs(50);
/// No further run is started while this many are live, children included, so that the last ones
/// meet the storm as well.
const AT_ONCE: usize = 120;
const WORKERS: usize = 2;
const SLOTS: &str = "8";
/// Short, so that the runs of a dead worker are found soon.
const LEASE: &str = "2s";
/// Time limit for everything, on a busy machine.
const LIMIT: Duration = Duration::from_secs(480);

/// Number of distinct inputs.
const INPUTS: u64 = 5;

/// Appends to the digits of its input, and adds a line to a file: `<run> <attempt>`.
const ADD: &str = r#"
digits=$(tr -cd 0-9 < "$ERRAND_INPUT")
echo "$ERRAND_RUN_ID $ERRAND_ATTEMPT" >> "$MARKS/executions"
printf '{"n": %s}' $((digits + MORE)) > "$ERRAND_OUTPUT"
"#;

/// Kinds of coordinated runs: a name, and the coordinator's definition.
const KINDS: [(&str, &str); 4] = [
    (
        "chain",
        "{ type: chain, agents: [{ agent: ../add, name: x }, { agent: ../keep, name: y }, \
         { agent: ../add, name: z }] }",
    ),
    (
        "fan",
        "{ type: fan_out, agents: [{ agent: ../add, name: a }, { agent: ../keep, name: b }, \
         { agent: ../add, name: c }], aggregation: merge_all }",
    ),
    (
        "loop",
        "{ type: workflow, start: work, max_messages: 40, graph: { \
         work: { agent: ../add, outputs_to: [check] }, \
         check: { agent: ../keep, outputs_to: [\
         { to: work, when: { payload: { n: { lt: 3 } } } }, \
         { to: __end__, when: { payload: { n: { gte: 3 } } } }] } } }",
    ),
    (
        "nested",
        "{ type: chain, agents: [{ agent: ../fan, name: spread }, { agent: ../loop, name: round }, \
         { agent: ../add, name: last }] }",
    ),
];

#[test]
fn workflows_survive_their_workers_on_sqlite() {
    storm(None);
}

#[test]
fn workflows_survive_their_workers_on_postgresql() {
    storm(Some(postgres::PostgresServer::start(Durability::Full, "")));
}

/// All participants.
struct Fleet {
    sandbox: Sandbox,
    database: Option<postgres::PostgresServer>,
    server: ErrandServer,
}

/// A coordinated run that was started.
struct Started {
    kind: &'static str,
    input: u64,
    run_id: String,
}

fn storm(database: Option<postgres::PostgresServer>) {
    let seed = number_from("ERRAND_STRESS_SEED", 20_261_121);
    let count = number_from("ERRAND_STRESS_WORKFLOWS", WORKFLOWS);
    println!("seed {seed}: ERRAND_STRESS_SEED and ERRAND_STRESS_WORKFLOWS change the storm");
    let fleet = Fleet::start(database);
    let workers: Vec<RunningProgram> = (0..WORKERS).map(|_| fleet.worker()).collect();
    let undisturbed = fleet.undisturbed();
    let is_over = AtomicBool::new(false);
    let started = thread::scope(|scope| {
        let tormentor = scope.spawn(|| fleet.torment(workers, seed, &is_over));
        // The thread that kills workers ends even if an assertion fails here.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let started = fleet.submit(count);
            fleet.wait_for_all();
            started
        }));
        is_over.store(true, Ordering::Relaxed);
        tormentor.join().expect("the workers could be tormented");
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    println!("{} coordinated runs", started.len());
    let executions = fleet.executions();
    for Started { kind, input, run_id } in started {
        let shape = fleet.shape(&run_id, &executions);
        assert_eq!(shape, undisturbed[&(kind, input)], "{run_id}: {kind} of {input}");
    }
    let marks = fleet.sandbox.path("marks");
    wait_until("no process is left", Duration::from_secs(20), || processes_with(&marks).is_empty());
}

impl Fleet {
    fn start(database: Option<postgres::PostgresServer>) -> Self {
        let sandbox = sandbox();
        std::fs::create_dir(sandbox.path("marks")).unwrap();
        let mut words = vec!["up", "--listen", "127.0.0.1:0", "--slots", "0", "--lease", LEASE];
        let url = database.as_ref().map(postgres::PostgresServer::url);
        if let Some(url) = &url {
            drop(sandbox.errand(["migrate", "--database", url]).run().ok());
            words.extend(["--database", url.as_str()]);
        }
        let server = ErrandServer::of(sandbox.errand(words).limit(LIMIT).spawn());
        let marks = sandbox.path("marks");
        for (name, more) in [("add", 1), ("keep", 0)] {
            let agent = TestAgent::shell(ADD)
                .named(name)
                .spec(&format!("env: {{ MARKS: {}, MORE: '{more}' }}", marks.display()))
                .spec("retry_policy: { max_retries: 50, backoff: fixed, initial_delay: 50ms }");
            drop(sandbox.agent(&agent));
        }
        for (name, how) in KINDS {
            sandbox.write(
                format!("{name}/agent.yaml"),
                format!(
                    "apiVersion: errand.dev/v1\nkind: Agent\n\
                     metadata: {{ name: {name}, version: 1.0.0 }}\n\
                     spec:\n  coordinator: {how}\n"
                ),
            );
        }
        for (name, _) in KINDS {
            let folder = sandbox.path(name);
            let words = ["--server".into(), server.url(), "push".into()];
            drop(sandbox.errand(words).args([folder]).run().ok());
        }
        Self { sandbox, database, server }
    }

    fn worker(&self) -> RunningProgram {
        let mut words = vec!["worker".to_owned()];
        words.extend(["--slots", SLOTS, "--lease", LEASE].map(str::to_owned));
        if let Some(database) = &self.database {
            words.extend(["--database".to_owned(), database.url()]);
        }
        self.sandbox.errand(words).limit(LIMIT).spawn()
    }

    /// Returns the output of each kind for each input without kills.
    fn undisturbed(&self) -> BTreeMap<(&'static str, u64), Value> {
        let all = KINDS.iter().flat_map(|(kind, _)| (0..INPUTS).map(|input| (*kind, input)));
        let started: Vec<_> =
            all.map(|(kind, input)| ((kind, input), self.submit_one(kind, input))).collect();
        self.wait_for_all();
        let executions = self.executions();
        let shape = |(what, run_id): (_, String)| (what, self.shape(&run_id, &executions));
        started.into_iter().map(shape).collect()
    }

    fn submit(&self, count: u64) -> Vec<Started> {
        let until = Instant::now() + START_FOR;
        let mut started = Vec::new();
        for number in 0..count {
            if Instant::now() > until {
                break;
            }
            let (kind, _) = KINDS[usize::try_from(number).unwrap() % KINDS.len()];
            let input = number / KINDS.len() as u64 % INPUTS;
            let run_id = self.submit_one(kind, input);
            started.push(Started { kind, input, run_id });
            if started.len().is_multiple_of(10) {
                wait_until("some are over", LIMIT, || {
                    self.open_runs() < AT_ONCE || Instant::now() > until
                });
            }
        }
        started
    }

    fn submit_one(&self, kind: &str, input: u64) -> String {
        let body = json!({ "agent": kind, "input": { "n": input } });
        let record = self.server.post("/v1/runs", &body).expect(202).json();
        record["run_id"].as_str().unwrap().to_owned()
    }

    /// Kills one worker after the other until all runs are over.
    fn torment(&self, mut workers: Vec<RunningProgram>, seed: u64, is_over: &AtomicBool) {
        let (mut dice, mut kills) = (Dice(seed), 0);
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(300 + dice.roll(1_200)));
            let victim = usize::try_from(dice.roll(WORKERS as u64)).unwrap();
            workers[victim].kill();
            workers[victim] = self.worker();
            kills += 1;
        }
        println!("{kills} workers killed");
        for worker in workers {
            worker.terminate();
            drop(worker.wait());
        }
    }

    /// Returns the number of runs that are not over, at most 500.
    fn open_runs(&self) -> usize {
        let page = self.get("/v1/runs?live=true&limit=500");
        page["runs"].as_array().unwrap().len()
    }

    fn wait_for_all(&self) {
        wait_until("all runs are over", LIMIT, || self.open_runs() == 0);
    }

    fn get(&self, target: &str) -> Value {
        self.server.send(&HttpRequest::new("GET", target)).expect(200).json()
    }

    /// Returns the attempts in which each run was executed.
    fn executions(&self) -> BTreeMap<String, Vec<u64>> {
        let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for line in self.sandbox.read("marks/executions").lines() {
            let (run_id, attempt) = line.split_once(' ').expect("a whole line");
            all.entry(run_id.to_owned()).or_default().push(attempt.parse().unwrap());
        }
        all
    }

    /// Returns the parts of a run and its descendants that do not depend on ids, times and kills.
    fn shape(&self, run_id: &str, executions: &BTreeMap<String, Vec<u64>>) -> Value {
        let verified = self.get(&format!("/v1/runs/{run_id}/verify"));
        let is_whole = verified["unbroken"] == true && verified["sealed"] == true;
        assert!(is_whole, "{run_id}: {verified:#}");
        let page = self.get(&format!("/v1/runs/{run_id}/events?limit=500"));
        let events = page["events"].as_array().unwrap();
        let completed: Vec<_> = of_type(events, "run.completed").collect();
        assert_eq!(completed.len(), 1, "{run_id}: {events:#?}");
        let last = events.last().unwrap();
        assert_eq!(last["type"], "run.completed", "{run_id}: {events:#?}");
        let output = &last["data"]["output"];
        let children: Vec<_> = of_type(events, "step.started").collect();
        if children.is_empty() {
            let executed = executions.get(run_id).map(Vec::as_slice).unwrap_or_default();
            let attempts: BTreeSet<_> = executed.iter().collect();
            assert_eq!(attempts.len(), executed.len(), "{run_id}: {executed:?}");
            assert_eq!(attempts.last(), Some(&&last["attempt"].as_u64().unwrap()), "{run_id}");
            return json!({ "output": output });
        }
        let listed = self.get(&format!("/v1/runs?parent_run_id={run_id}&limit=500"));
        let listed: BTreeSet<&str> = listed["runs"].as_array().unwrap().iter().map(id_of).collect();
        let started: BTreeSet<&str> = children.iter().map(|event| id_of(&event["data"])).collect();
        assert_eq!(started, listed, "{run_id}: exactly what was started is there");
        let mut steps = BTreeMap::new();
        for event in &children {
            let key = event["data"]["key"].as_str().unwrap();
            let shape = self.shape(id_of(&event["data"]), executions);
            assert!(steps.insert(key, shape).is_none(), "{run_id}: {key} was started twice");
        }
        let ended: Vec<_> = keys_of(events, "step.completed");
        assert_eq!(ended, steps.keys().copied().collect::<Vec<_>>(), "{run_id}");
        json!({ "output": output, "steps": steps, "messages": messages(run_id, events) })
    }
}

/// Returns the messages, sorted; panics unless each was sent once, and delivered once.
fn messages(run_id: &str, events: &[Value]) -> Vec<String> {
    let mut to_agents = BTreeSet::new();
    let mut all = Vec::new();
    for event in of_type(events, "message.sent") {
        let data = &event["data"];
        let (id, to) = (data["id"].as_str().unwrap(), data["to"].as_str().unwrap());
        let is_new = to == "__end__" || to_agents.insert(id);
        assert!(is_new, "{run_id}: {id} was routed twice: {events:#?}");
        all.push(format!("{} → {to}: {} {}", data["from"], data["type"], data["payload"]));
    }
    let mut delivered = BTreeSet::new();
    for event in of_type(events, "message.delivered") {
        for id in event["data"]["ids"].as_array().unwrap() {
            let id = id.as_str().unwrap();
            assert!(delivered.insert(id), "{run_id}: {id} was delivered twice: {events:#?}");
        }
    }
    assert!(delivered.is_superset(&to_agents), "{run_id}: {to_agents:?} {delivered:?}");
    all.sort();
    all
}

fn id_of(record: &Value) -> &str {
    record["run_id"].as_str().unwrap()
}

fn keys_of<'e>(events: &'e [Value], kind: &'static str) -> Vec<&'e str> {
    let mut keys: Vec<_> =
        of_type(events, kind).map(|event| event["data"]["key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    keys
}

fn of_type<'e>(events: &'e [Value], kind: &'static str) -> impl Iterator<Item = &'e Value> {
    events.iter().filter(move |event| event["type"] == kind)
}
