//! Workers: real processes that claim queued runs from one registry.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use errand_agent::{SystemClock, os, parcel};
use errand_container::{ContainerSettings, ContainerTarget, CredentialFiles, EngineAddress};
use errand_engine::run_options::RunOptions;
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::submit;
use errand_engine::{Engine, EngineContext, Inner};
use errand_kubernetes::{ClusterAddress, KubernetesSettings, KubernetesTarget};
use errand_model::Timestamp;
use errand_model::event::{OnBusy, RunKind, Trigger, TriggerKind};
use errand_model::placement::{Placement, PlacementDemands};
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{Holder, Registry};
use errand_testkit::{LIMIT, RunningProgram, Sandbox, TestAgent, processes_of_run, wait_until};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    GATE, assert_over, event_types, finish, log, open_gate, pid, ready, record, sandbox, sleeper,
    wait_for_record,
};

/// The registry of a sandbox, with an engine that queues runs in it.
pub(crate) struct Queue {
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

impl Queue {
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        let registry = Registry::at(sandbox.registry());
        let store = Sqlite::open(&registry, Options::CREATE).unwrap();
        // Only its name counts: the workers start the agents.
        let containers = ContainerTarget::new(ContainerSettings {
            engine: EngineAddress::default(),
            folder: registry.root().join("containers"),
            registry: registry.root().to_owned(),
            program: env!("CARGO_BIN_EXE_errand").into(),
            credentials: CredentialFiles::default(),
        });
        let pods = KubernetesTarget::new(KubernetesSettings {
            cluster: ClusterAddress::default(),
            agent_api: None,
            shim_image: None,
            folder: registry.root().join("pods"),
            registry: registry.root().to_owned(),
            machine: String::new(),
        });
        let targets =
            errand_agent::Targets::default().with(Arc::new(containers)).with(Arc::new(pods));
        let surroundings = EngineContext {
            registry,
            environment: BTreeMap::new(),
            program: env!("CARGO_BIN_EXE_errand").into(),
            identity: sandbox.config().join("errand/identity.txt"),
            runtime_dir: sandbox.root().join("run/errand"),
            targets,
            harnesses: errand_agent::Harnesses::default(),
            model_gateway: None,
        };
        let process = os::own_identity().unwrap();
        let holder = Holder { host: os::host_name(), process, worker: None };
        let (store, clock) = (Arc::new(store), Arc::new(SystemClock));
        let engine = Engine::new(Inner { surroundings, store, clock, holder });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { engine, runtime }
    }

    pub(crate) fn add(&self, agent: &Path) -> String {
        self.add_with(agent, Placement::default(), |_| {})
    }

    fn add_with(
        &self,
        agent: &Path,
        placement: Placement,
        change: impl FnOnce(&mut RunOptions),
    ) -> String {
        let parcel = parcel::build(agent, &self.engine.registry().parcels()).unwrap();
        let mut options = RunOptions {
            cwd: agent.display().to_string(),
            detached: true,
            placement: Some(placement),
            ..RunOptions::default()
        };
        change(&mut options);
        let trigger = Trigger { kind: TriggerKind::Manual, source: None, payload: None };
        let source = agent.display().to_string();
        let submission = Submission::new(parcel, source, RunKind::Job, trigger, options);
        let submission = CheckedSubmission::for_any_worker(&self.engine, submission).unwrap();
        let (run_id, _) = self.runtime.block_on(submit::admit(&self.engine, submission)).unwrap();
        run_id.to_string()
    }

    /// Returns the end of a worker's lease of a run.
    fn leased_until(&self, run_id: &str) -> Timestamp {
        let run_id = run_id.parse().unwrap();
        let load = self.engine.store().load(&run_id);
        let stored = self.runtime.block_on(load).unwrap().unwrap();
        stored.lease.unwrap().expires_at.unwrap()
    }
}

/// Duration of leases that are to be lost: as long as a busy machine needs to begin a run.
const TO_BE_LOST: Duration = Duration::from_secs(2);

/// Starts a worker whose leases are renewed in time even on a busy machine.
pub(crate) fn worker(sandbox: &Sandbox, more: &[&str]) -> RunningProgram {
    worker_with(sandbox, "5s", more)
}

/// Starts a worker whose leases last for [`TO_BE_LOST`].
pub(crate) fn forgetful(sandbox: &Sandbox, more: &[&str]) -> RunningProgram {
    worker_with(sandbox, &format!("{}s", TO_BE_LOST.as_secs()), more)
}

fn worker_with(sandbox: &Sandbox, lease: &str, more: &[&str]) -> RunningProgram {
    let words = ["worker", "--lease", lease];
    let slots: &[&str] = if more.contains(&"--slots") { &[] } else { &["--slots", "4"] };
    let worker = sandbox.errand(words).args(slots).args(more).limit(LIMIT * 4).spawn();
    worker.wait_for_stderr("slots");
    worker
}

pub(crate) fn drain(worker: RunningProgram) {
    worker.terminate();
    drop(worker.wait().ok());
}

/// Returns the workers' heartbeat documents.
fn told(sandbox: &Sandbox) -> Vec<Value> {
    let listed = sandbox.errand(["workers", "--json"]).run().ok().json();
    listed["workers"].as_array().unwrap().clone()
}

fn effects(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.root().join("home/effects")).unwrap_or_default()
}

/// Returns an agent that runs a step, prints a line, and runs another step once the gate is open.
fn stepper() -> TestAgent {
    TestAgent::shell(&format!(
        "errand agent step one -- sh -c 'echo one >> \"$HOME/effects\"'\necho ready\n{GATE}\
         errand agent step two -- sh -c 'echo two >> \"$HOME/effects\"'\n"
    ))
}

fn assert_recovered(sandbox: &Sandbox, run_id: &str) -> Value {
    let record = finish(sandbox, run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    let attempts = record["attempts"].as_array().unwrap();
    let last = attempts.last().unwrap();
    assert_eq!(attempts[0]["status"], "failed", "{record:#}");
    assert_eq!(attempts[0]["error"]["code"], "lease_lost", "{record:#}");
    assert_eq!(last["reason"], "recovery", "{record:#}");
    assert_eq!(effects(sandbox), "one\ntwo\n", "no completed step repeats");
    assert_over(sandbox, run_id);
    record
}

#[test]
fn a_worker_runs_queued_runs_and_ends_on_sigterm() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let agent = sandbox.agent(&TestAgent::shell("echo done\n"));
    let before = queue.add(&agent);
    let worker = worker(&sandbox, &["--slots", "2", "--worker-name", "one"]);
    let runs: Vec<_> = std::iter::once(before).chain((0..6).map(|_| queue.add(&agent))).collect();
    for run_id in &runs {
        let record = finish(&sandbox, run_id);
        assert_eq!(record["status"], "completed", "{record:#}");
        assert_eq!(record["attempts"].as_array().unwrap().len(), 1);
        assert_over(&sandbox, run_id);
    }
    drain(worker);
}

#[test]
fn a_run_whose_worker_is_killed_continues_on_another_worker_and_repeats_no_step() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let run_id = queue.add(&sandbox.agent(&stepper()));
    let first = forgetful(&sandbox, &[]);
    ready(&sandbox, &run_id);
    let second = worker(&sandbox, &[]);
    first.kill();
    drop(first.wait());
    wait_for_record(&sandbox, &run_id, "another attempt runs", |record| {
        record["attempts"].as_array().unwrap().len() == 2
    });
    open_gate(&sandbox);
    assert_recovered(&sandbox, &run_id);
    drain(second);
}

#[test]
fn a_worker_that_was_stopped_past_its_lease_ends_its_agents_and_takes_new_work() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let agent = sandbox.agent(&stepper());
    let run_id = queue.add(&agent);
    let first = forgetful(&sandbox, &["--label", "who=first"]);
    ready(&sandbox, &run_id);
    let second = worker(&sandbox, &[]);
    first.signal(Signal::STOP);
    wait_for_record(&sandbox, &run_id, "another attempt runs", |record| {
        record["attempts"].as_array().unwrap().len() == 2 && record["status"] == "running"
    });
    first.signal(Signal::CONT);
    open_gate(&sandbox);
    let record = assert_recovered(&sandbox, &run_id);
    assert_ne!(pid(&record["attempts"][0]["pid"]), pid(&record["attempts"][1]["pid"]));
    let demands = PlacementDemands {
        affinity: BTreeMap::from([("who".to_owned(), "first".to_owned())]),
        ..PlacementDemands::default()
    };
    let quick = sandbox.agent(&TestAgent::shell("echo done\n").named("quick"));
    let next = queue.add_with(&quick, Placement { demands, ..Placement::default() }, |_| {});
    assert_eq!(finish(&sandbox, &next)["status"], "completed");
    drain(first);
    drain(second);
}

#[test]
fn a_worker_alone_that_was_stopped_past_its_lease_begins_the_run_anew() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let run_id = queue.add(&sandbox.agent(&stepper()));
    let only = forgetful(&sandbox, &[]);
    ready(&sandbox, &run_id);
    let agent = pid(&record(&sandbox, &run_id)["attempts"][0]["pid"]);
    only.signal(Signal::STOP);
    let stopped = Instant::now();
    // Wait until the lease has expired: no event tells of it.
    wait_until("the lease is over", LIMIT, || stopped.elapsed() > TO_BE_LOST);
    only.signal(Signal::CONT);
    wait_until("the old agent is gone", LIMIT, || !errand_testkit::is_alive(agent));
    open_gate(&sandbox);
    assert_recovered(&sandbox, &run_id);
    drain(only);
}

#[test]
fn a_worker_asked_to_end_returns_its_runs_to_the_queue() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let run_id = queue.add(&sandbox.agent(&stepper()));
    let first = worker(&sandbox, &[]);
    ready(&sandbox, &run_id);
    drain(first);
    let record = record(&sandbox, &run_id);
    assert_eq!(record["status"], "pending", "{record:#}");
    assert_eq!(record["attempts"][0]["status"], "stopped", "{record:#}");
    assert!(record["pid"].is_null(), "nobody holds it: {record:#}");
    assert_eq!(processes_of_run(&run_id), []);
    assert!(event_types(&sandbox, &run_id).contains(&"run.requeued".to_owned()));
    open_gate(&sandbox);
    let second = worker(&sandbox, &[]);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(effects(&sandbox), "one\ntwo\n");
    drain(second);
}

#[test]
fn a_worker_asked_to_end_lets_runs_finish_within_its_drain_timeout() {
    drains_at(Signal::TERM);
}

#[test]
fn a_worker_whose_terminal_is_gone_lets_runs_finish_within_its_drain_timeout() {
    drains_at(Signal::HUP);
}

fn drains_at(signal: Signal) {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let run_id = queue.add(&sandbox.agent(&stepper()));
    let worker = worker(&sandbox, &["--drain-timeout", "60s"]);
    ready(&sandbox, &run_id);
    worker.signal(signal);
    // When `kill` returns, the signal is only sent.
    wait_until("it has heard it", LIMIT, || {
        told(&sandbox).first().is_some_and(|worker| worker["draining"] == true)
    });
    let later = queue.add(&sandbox.agent(&TestAgent::shell("echo done\n").named("later")));
    open_gate(&sandbox);
    drop(worker.wait().ok());
    assert_eq!(record(&sandbox, &run_id)["status"], "completed");
    assert_eq!(record(&sandbox, &later)["status"], "pending", "it claims nothing more");
}

#[test]
fn a_worker_asked_twice_to_end_ends_at_once() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let stubborn = TestAgent::shell("trap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n");
    let run_id = queue.add(&sandbox.agent(&stubborn));
    let mut worker = worker(&sandbox, &[]);
    ready(&sandbox, &run_id);
    let asked = Instant::now();
    wait_until("the worker ends", LIMIT, || {
        worker.terminate();
        !worker.is_running()
    });
    drop(worker.wait().ok());
    assert!(asked.elapsed() < Duration::from_secs(8), "it waited for its agent");
    wait_until("nothing of it lives", LIMIT, || processes_of_run(&run_id).is_empty());
}

#[test]
fn a_request_for_one_run_does_not_affect_another_of_the_same_worker() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let agent = sandbox.agent(&sleeper());
    let (one, other) = (queue.add(&agent), queue.add(&agent));
    let worker = worker(&sandbox, &["--slots", "2"]);
    ready(&sandbox, &one);
    ready(&sandbox, &other);
    drop(sandbox.errand(["pause", &other]).run().ok());
    assert_eq!(record(&sandbox, &other)["status"], "paused");
    drop(sandbox.errand(["resume", &other]).run().ok());
    drop(sandbox.errand(["stop", &one]).run().ok());
    assert_eq!(record(&sandbox, &one)["status"], "cancelled");
    assert_eq!(record(&sandbox, &other)["status"], "running");
    assert_over(&sandbox, &one);
    drop(sandbox.errand(["restart", &other]).run().ok());
    wait_for_record(&sandbox, &other, "its next attempt runs", |record| {
        record["attempts"].as_array().unwrap().len() == 2 && record["status"] == "running"
    });
    // Twice: a renewal may have been running when the attempt began.
    for _ in 0..2 {
        let until = queue.leased_until(&other);
        wait_until("its lease is renewed", LIMIT, || queue.leased_until(&other) > until);
    }
    drop(sandbox.errand(["stop", &other]).run().ok());
    assert_eq!(record(&sandbox, &other)["attempts"].as_array().unwrap().len(), 2);
    assert_over(&sandbox, &other);
    drain(worker);
}

#[test]
fn a_parked_run_holds_no_slot_and_continues_after_a_decision_or_its_deadline() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let script = |more: &str| {
        format!(
            "errand agent approve --action deploy --target production --park {more} > d.json || {{\n\
             code=$?; [ $code = 1 ] || exit $code; echo rejected; exit 0\n}}\necho approved\n"
        )
    };
    let asks = sandbox.agent(&TestAgent::shell(&script("")).named("asks"));
    let hurries = sandbox
        .agent(&TestAgent::shell(&script("--timeout 300ms --default approve")).named("hurries"));
    let (asked, hurried) = (queue.add(&asks), queue.add(&hurries));
    let worker = worker(&sandbox, &["--slots", "1"]);
    let record = finish(&sandbox, &hurried);
    assert_eq!(record["status"], "completed", "{record:#}");
    assert!(log(&sandbox, &hurried).contains("approved"));
    let parked = wait_for_record(&sandbox, &asked, "it is parked", |record| {
        record["status"] == "paused" && record["pid"].is_null()
    });
    assert_eq!(parked["attempts"][0]["status"], "stopped", "{parked:#}");
    drop(sandbox.errand(["approve", &asked]).run().ok());
    assert_eq!(finish(&sandbox, &asked)["status"], "completed");
    assert_over(&sandbox, &asked);
    drain(worker);
}

#[test]
fn a_run_that_interrupts_its_session_ends_the_one_that_holds_the_only_slot() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let in_session = |agent: &Path, on_busy| {
        queue.add_with(agent, Placement::default(), |options| {
            options.session_id = Some("chat".to_owned());
            options.session_turn = Some(on_busy);
        })
    };
    let sleeps = sandbox.agent(&sleeper());
    let quick = sandbox.agent(&TestAgent::shell("echo done\n").named("quick"));
    let worker = worker(&sandbox, &["--slots", "1"]);
    let first = in_session(&sleeps, OnBusy::Enqueue);
    ready(&sandbox, &first);
    let waiting = in_session(&sleeps, OnBusy::Enqueue);
    let last = in_session(&quick, OnBusy::Interrupt);
    assert_eq!(finish(&sandbox, &last)["status"], "completed");
    assert_eq!(record(&sandbox, &first)["status"], "cancelled");
    assert_eq!(record(&sandbox, &waiting)["status"], "cancelled");
    drain(worker);
}

#[test]
fn a_worker_reports_its_runs_before_its_next_regular_heartbeat() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    // The next regular heartbeat of such a lease is beyond the limit of the test.
    let worker = worker_with(&sandbox, "1h", &["--worker-name", "one"]);
    let busy = |count: u64| {
        wait_until("the worker tells how many runs it has", LIMIT, || {
            told(&sandbox).first().is_some_and(|worker| worker["busy"] == count)
        });
    };
    busy(0);
    let run_id = queue.add(&sandbox.agent(&sleeper()));
    busy(1);
    drop(sandbox.errand(["stop", &run_id]).run().ok());
    busy(0);
    drain(worker);
}

#[test]
fn workers_report_slots_labels_and_runs_until_they_end() {
    let sandbox = sandbox();
    let queue = Queue::of(&sandbox);
    let run_id = queue.add(&sandbox.agent(&sleeper()));
    let listed = || told(&sandbox);
    assert_eq!(listed(), Vec::<Value>::new());
    let one = worker(&sandbox, &["--worker-name", "one", "--slots", "2", "--label", "zone=eu"]);
    ready(&sandbox, &run_id);
    wait_until("the worker tells of its run", LIMIT, || {
        listed().first().is_some_and(|worker| worker["busy"] == 1)
    });
    let told = listed().remove(0);
    assert_eq!(told["name"], "one");
    assert_eq!(told["slots"], 2);
    assert_eq!(told["labels"]["zone"], "eu");
    assert_eq!(told["runs"][0]["run_id"], *run_id);
    assert_eq!(told["pid"], one.id());
    let table = sandbox.errand(["workers"]).run().ok().stdout();
    assert!(table.contains("one") && table.contains("1/2") && table.contains("zone=eu"), "{table}");
    drain(one);
    assert_eq!(listed(), Vec::<Value>::new(), "it said goodbye");
    let other = worker_with(&sandbox, "1s", &["--worker-name", "other"]);
    wait_until("it is listed", LIMIT, || listed().len() == 1);
    other.kill();
    drop(other.wait());
    let last = worker(&sandbox, &["--worker-name", "last"]);
    wait_until("who is not heard of is forgotten", LIMIT, || {
        listed().iter().all(|worker| worker["name"] == "last") && listed().len() == 1
    });
    drain(last);
}
