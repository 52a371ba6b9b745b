//! Rules of the queue: which run is claimed, when, and beside which others.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use errand_engine::ask;
use errand_engine::run_options::RunOptions;
use errand_engine::submission::CheckedSubmission;
use errand_engine::supervise::ControlState;
use errand_engine::worker::{Options, Until, work};
use errand_engine::{Engine, submit};
use errand_model::RunId;
use errand_model::event::CancelCause;
use errand_model::placement::{Placement, PlacementDemands, Resources};
use errand_model::run::{AttemptState, Cancel, Run, Status};
use errand_store::Stored;
use errand_testkit::LIMIT;
use tokio::sync::watch;

use crate::support::{self, Parts, engine_of, job, nothing};

/// Registry with a queue, and a folder for marks of agents.
struct Queue {
    folder: tempfile::TempDir,
    engine: Engine,
}

impl Queue {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine_of(folder.path(), Parts::default());
        Self { folder, engine }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Writes an agent that runs a line of shell, with more of its `spec`.
    fn shell(&self, name: &str, script: &str, more: &str) -> std::path::PathBuf {
        let file = format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {name} }}\nspec:\n  \
             command: [sh, -ec, \"{script}\"]\n{more}"
        );
        support::agent(self.root(), name, &file)
    }

    /// Writes an agent that fails if another execution of it is under way.
    fn alone(&self, more: &str) -> std::path::PathBuf {
        let mark = self.root().join("mark");
        let mark = mark.display();
        self.shell("alone", &format!("mkdir {mark} || exit 9; sleep 0.05; rmdir {mark}"), more)
    }

    async fn add(&self, agent: &Path, placement: Placement) -> RunId {
        self.add_with(agent, RunOptions { placement: Some(placement), ..RunOptions::default() })
            .await
    }

    async fn add_with(&self, agent: &Path, options: RunOptions) -> RunId {
        let cwd = self.root().display().to_string();
        let options = RunOptions { cwd, detached: true, ..options };
        let submission = job(&self.engine, agent, options);
        let submission = CheckedSubmission::for_any_worker(&self.engine, submission).unwrap();
        submit::admit(&self.engine, submission).await.unwrap().0
    }

    /// Works until the options say so.
    async fn work(&self, options: Options) {
        work_of(&self.engine, options).await;
    }

    /// Lets two workers carry out runs, which all complete, until the last of them is over.
    async fn completed_by_two(&self, runs: &[RunId]) {
        let other = engine_of(self.root(), Parts::default());
        let options = |name| Options {
            until: Until::Over(runs[runs.len() - 1].clone()),
            ..Options::new(name, 4)
        };
        tokio::join!(work_of(&self.engine, options("one")), work_of(&other, options("other")));
        for run_id in runs {
            let run = self.run(run_id).await;
            assert!(matches!(run.status, Status::Completed { .. }), "{:?}", run.status);
        }
    }

    /// Works with some slots until nothing is due.
    async fn work_off(&self, slots: u32) {
        self.work(Options { until: Until::Empty, ..Options::new("test", slots) }).await;
    }

    async fn load(&self, run_id: &RunId) -> Stored {
        self.engine.store().load(run_id).await.unwrap().unwrap()
    }

    async fn run(&self, run_id: &RunId) -> Run {
        self.load(run_id).await.run
    }

    async fn is_completed(&self, run_id: &RunId) -> bool {
        matches!(self.run(run_id).await.status, Status::Completed { .. })
    }

    async fn is_pending(&self, run_id: &RunId) -> bool {
        matches!(self.run(run_id).await.status, Status::Pending { .. })
    }

    async fn stop(&self, run_id: &RunId) {
        let cancel = Cancel { cause: CancelCause::Stopped, by: None, grace: Duration::ZERO };
        let stopped = ask::cancel(&self.engine, run_id, &cancel).await.unwrap();
        assert!(matches!(stopped.run.status, Status::Cancelled { .. }), "{:?}", stopped.run.status);
    }
}

async fn work_of(engine: &Engine, options: Options) {
    let (_told, orders) = watch::channel(ControlState::default());
    tokio::time::timeout(LIMIT, work(engine, options, orders)).await.unwrap().unwrap();
}

fn demanding(demands: PlacementDemands) -> Placement {
    Placement { demands, ..Placement::default() }
}

#[tokio::test]
async fn a_run_goes_to_a_worker_with_the_resources_it_needs() {
    let queue = Queue::new();
    let agent = nothing(queue.root());
    let gpus = |gpu| Resources { gpu, ..Resources::default() };
    let needs =
        |gpu| demanding(PlacementDemands { resources: gpus(gpu), ..PlacementDemands::default() });
    let with = |gpu| Options {
        until: Until::Empty,
        resources: Some(gpus(gpu)),
        ..Options::new("test", 4)
    };
    let (big, fits) = (queue.add(&agent, needs(2)).await, queue.add(&agent, needs(1)).await);
    queue.work(with(1)).await;
    assert!(queue.is_completed(&fits).await);
    assert!(queue.is_pending(&big).await);
    queue.work(with(2)).await;
    assert!(queue.is_completed(&big).await);
}

#[tokio::test]
async fn runs_that_share_a_bound_do_not_run_together() {
    let queue = Queue::new();
    let agent = queue.alone("");
    let concurrency = BTreeMap::from([("agent:alone".to_owned(), 1)]);
    let bound = demanding(PlacementDemands { concurrency, ..PlacementDemands::default() });
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(queue.add(&agent, bound.clone()).await);
    }
    queue.completed_by_two(&runs).await;
}

#[tokio::test]
async fn an_agent_that_bounds_its_runs_has_no_more_at_once() {
    let queue = Queue::new();
    let agent = queue.alone("  concurrency: 1\n");
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(queue.add(&agent, Placement::default()).await);
    }
    queue.completed_by_two(&runs).await;
}

#[tokio::test]
async fn a_run_that_waits_to_be_tried_again_holds_no_slot() {
    let queue = Queue::new();
    let failing = |name: &str, delay: &str| {
        let retry =
            "  retry_policy: { max_retries: 1, backoff: fixed, initial_delay: D, max_delay: D }\n";
        queue.shell(name, "[ $ERRAND_ATTEMPT = 2 ]", &retry.replace('D', delay))
    };
    let patient = queue.add(&failing("patient", "1h"), Placement::default()).await;
    queue.work_off(1).await;
    assert_eq!(queue.run(&patient).await.last_attempt_number(), 1);
    let quick = queue.add(&nothing(queue.root()), Placement::default()).await;
    queue.work_off(1).await;
    assert!(queue.is_completed(&quick).await);
    let waiting = queue.load(&patient).await;
    assert!(matches!(waiting.run.status, Status::Pending { .. }), "{:?}", waiting.run.status);
    assert!(waiting.lease.is_none(), "no process holds it");
    queue.stop(&patient).await;
    let hasty = queue.add(&failing("hasty", "1s"), Placement::default()).await;
    queue.work(Options { until: Until::Over(hasty.clone()), ..Options::new("test", 1) }).await;
    let run = queue.run(&hasty).await;
    assert!(matches!(run.status, Status::Completed { .. }), "{:?}", run.status);
    let AttemptState::Failed(stopped, _) = &run.attempts[0].state else { unreachable!("{run:?}") };
    let waited = run.attempts[1].started_at.since(stopped.at);
    // Jitter takes off up to a quarter.
    assert!(waited >= Duration::from_millis(750), "{waited:?}");
}

#[tokio::test]
async fn a_run_starts_no_earlier_than_its_start_time() {
    let queue = Queue::new();
    let not_before = queue.engine.now().plus(Duration::from_millis(700));
    let later = Placement { not_before: Some(not_before), ..Placement::default() };
    let run_id = queue.add(&nothing(queue.root()), later).await;
    queue.work(Options { until: Until::Over(run_id.clone()), ..Options::new("test", 1) }).await;
    let run = queue.run(&run_id).await;
    assert!(matches!(run.status, Status::Completed { .. }), "{:?}", run.status);
    assert!(run.attempts[0].started_at >= not_before);
}

#[tokio::test]
async fn a_run_that_no_worker_takes_in_time_is_cancelled() {
    let queue = Queue::new();
    let affinity = BTreeMap::from([("no".to_owned(), "where".to_owned())]);
    let nowhere = demanding(PlacementDemands { affinity, ..PlacementDemands::default() });
    let options = RunOptions {
        placement: Some(nowhere),
        queue_timeout: Some(Duration::from_millis(300)),
        ..RunOptions::default()
    };
    let run_id = queue.add_with(&nothing(queue.root()), options).await;
    queue.work(Options { until: Until::Over(run_id.clone()), ..Options::new("test", 1) }).await;
    let run = queue.run(&run_id).await;
    let Status::Cancelled { cause, .. } = &run.status else { unreachable!("{:?}", run.status) };
    assert_eq!(*cause, CancelCause::QueueTimeout);
    assert!(run.attempts.is_empty());
}

#[tokio::test]
async fn a_queued_run_is_paused_resumed_and_stopped_without_a_worker() {
    let queue = Queue::new();
    let agent = nothing(queue.root());
    let one = queue.add(&agent, Placement::default()).await;
    let other = queue.add(&agent, Placement::default()).await;
    ask::pause(&queue.engine, &one, None).await.unwrap();
    queue.stop(&other).await;
    let third = queue.add(&agent, Placement::default()).await;
    queue.work_off(4).await;
    assert!(queue.is_completed(&third).await);
    let paused = queue.run(&one).await;
    assert!(matches!(paused.status, Status::Paused { .. }), "no worker claims it: {paused:?}");
    ask::resume(&queue.engine, &one, None).await.unwrap();
    queue.work_off(4).await;
    assert!(queue.is_completed(&one).await);
}

#[tokio::test]
async fn no_retry_begins_after_the_runs_time_limit() {
    let queue = Queue::new();
    let spec = "  retry_policy: { max_retries: 9, backoff: fixed, initial_delay: 60s, max_delay: 60s }\n  \
                timeouts: { run: 10s }\n";
    let agent = queue.shell("late", "exit 3", spec);
    let run_id = queue.add(&agent, Placement::default()).await;
    queue.work_off(1).await;
    let run = queue.run(&run_id).await;
    let Status::Failed { error, .. } = &run.status else { unreachable!("{:?}", run.status) };
    assert_eq!(error.code.as_str(), "exit_nonzero");
    assert_eq!(run.last_attempt_number(), 1);
}
