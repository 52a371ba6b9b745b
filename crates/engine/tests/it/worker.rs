//! A worker with slots: every queued run is executed once, and completes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use errand_engine::Engine;
use errand_engine::admit;
use errand_engine::ask;
use errand_engine::run_options::RunOptions;
use errand_engine::submission::CheckedSubmission;
use errand_engine::supervise::{ControlState, LeasedRun};
use errand_engine::worker::{CarriedOut, Executor, InProcess, Options, Until, work};
use errand_model::event::CancelCause;
use errand_model::placement::Placement;
use errand_model::run::{AttemptOutcome, Cancel, Status};
use errand_store::{Admission, Filter, Holder, Page, Pending};
use tokio::sync::watch;

use crate::support::{Parts, engine_of, job, nothing};

const RUNS: u32 = 40;

fn engine(root: &Path) -> Engine {
    let parts = Parts::default();
    let holder = Holder { worker: Some("test".to_owned()), ..parts.holder };
    engine_of(root, Parts { holder, ..parts })
}

async fn queue(engine: &Engine, agent: &Path, cwd: &Path) {
    let mut admission = admission(engine, agent, cwd, None).await;
    admission.queued = Some(Pending { priority: 0, ready_at: engine.now() });
    engine.store().admit(admission).await.unwrap();
}

async fn admission(
    engine: &Engine,
    agent: &Path,
    cwd: &Path,
    placement: Option<Placement>,
) -> Admission {
    let cwd = cwd.display().to_string();
    let submission = job(engine, agent, RunOptions { cwd, placement, ..RunOptions::default() });
    let submission = CheckedSubmission::for_any_worker(engine, submission).unwrap();
    admit::admission(engine, submission).await.unwrap()
}

#[tokio::test]
async fn two_slots_execute_every_queued_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let agent = nothing(folder.path());
    let engine = engine(folder.path());
    for _ in 0..RUNS {
        queue(&engine, &agent, folder.path()).await;
    }
    let (_told, orders) = watch::channel(ControlState::default());
    let options = Options { until: Until::Empty, ..Options::new("test", 2) };
    let done = work(&engine, options, orders).await.unwrap();
    assert_eq!(done, u64::from(RUNS));
    let page = Page { after: None, limit: RUNS * 2 };
    let (runs, damaged) = engine.store().list(&Filter::default(), &page).await.unwrap();
    assert!(damaged.is_empty());
    assert_eq!(runs.len(), usize::try_from(RUNS).unwrap());
    for stored in runs {
        assert!(matches!(stored.run.status, Status::Completed { exit_code: Some(0), .. }));
        assert_eq!(stored.run.last_attempt_number(), 1);
        let events = engine.store().events(&stored.run.id, 0, 100).await.unwrap();
        assert!(errand_store::verify(&events).unwrap().is_sealed);
    }
}

/// An executor that panics with its first run.
#[derive(Debug, Default)]
struct PanicsOnce(AtomicBool);

impl Executor for PanicsOnce {
    fn carry_out(
        &self,
        engine: Engine,
        charge: LeasedRun,
        orders: watch::Receiver<ControlState>,
    ) -> CarriedOut {
        if self.0.swap(true, Ordering::SeqCst) {
            let does_well = InProcess::new(|_| AttemptOutcome::Exited { output: None });
            return does_well.carry_out(engine, charge, orders);
        }
        Box::pin(async { unreachable!("a bug in what supervises a run") })
    }
}

#[tokio::test]
async fn a_run_with_a_panicked_supervisor_is_requeued_and_the_worker_continues() {
    let folder = tempfile::tempdir().unwrap();
    let agent = nothing(folder.path());
    let engine = engine(folder.path());
    let placement = Some(Placement::default());
    let admission = admission(&engine, &agent, folder.path(), placement).await;
    let run_id = admission.run.id.clone();
    engine.store().admit(admission).await.unwrap();
    let (_told, orders) = watch::channel(ControlState::default());
    let options = Options {
        until: Until::Over(run_id.clone()),
        lease_for: Duration::from_millis(500),
        executor: Arc::new(PanicsOnce::default()),
        ..Options::new("test", 1)
    };
    let done = tokio::time::timeout(Duration::from_secs(30), work(&engine, options, orders)).await;
    assert_eq!(done.expect("its lease ran out").unwrap(), 2);
    let stored = engine.store().load(&run_id).await.unwrap().unwrap();
    assert!(matches!(stored.run.status, Status::Completed { .. }), "{:?}", stored.run.status);
}

#[tokio::test]
async fn a_worker_survives_an_unavailable_registry() {
    let folder = tempfile::tempdir().unwrap();
    let agent = nothing(folder.path());
    let engine = engine(folder.path());
    // No other worker claims it.
    let admission = admission(&engine, &agent, folder.path(), None).await;
    let run_id = admission.run.id.clone();
    engine.store().admit(admission).await.unwrap();
    let database = engine.registry().database();
    let away = folder.path().join("away");
    std::fs::rename(&database, &away).unwrap();
    assert!(engine.store().load(&run_id).await.is_err());
    let (_told, orders) = watch::channel(ControlState::default());
    let options = Options { until: Until::Over(run_id.clone()), ..Options::new("test", 1) };
    let worked = work(&engine, options, orders);
    let mut worked = std::pin::pin!(worked);
    let early = tokio::time::timeout(Duration::from_secs(1), &mut worked).await;
    assert!(early.is_err(), "{early:?}");
    std::fs::rename(&away, &database).unwrap();
    let cancel = Cancel { cause: CancelCause::Stopped, by: None, grace: Duration::ZERO };
    let over = async { ask::cancel(&engine, &run_id, &cancel).await.unwrap() };
    let both = async { tokio::join!(worked, over) };
    let (worked, _) = tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
    assert_eq!(worked.unwrap(), 0);
}
