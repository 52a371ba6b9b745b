//! A whole run in a second target, driven by a second harness.
//!
//! Both take the names of the first ones, since agent files know no others.

use std::path::Path;
use std::sync::Arc;

use errand_agent::{Harnesses, Targets};
use errand_engine::run_options::RunOptions;
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::supervise::{SupervisorChannels, supervise};
use errand_engine::{Engine, submit, wait};
use errand_model::run::{AttemptState, Status};
use errand_model::{Payload, RunId};
use errand_store::{Lease, Stored};
use errand_testkit::conformance::Program;
use errand_testkit::{LIMIT, ScriptedHarness, ScriptedTarget};
use tokio::sync::watch;

use crate::support::{Parts, engine_of, job, nothing};

/// Engine whose agents are tasks that answer one question.
fn engine(root: &Path, program: Program) -> Engine {
    let target = ScriptedTarget::new("process").running(program);
    let targets = Targets::default().with(Arc::new(target));
    let harnesses = Harnesses::default().with(Arc::new(ScriptedHarness::new("command")));
    engine_of(root, Parts { targets, harnesses, ..Parts::default() })
}

/// Admits a run of an agent without files, which this process holds.
async fn admitted(engine: &Engine, folder: &Path) -> (RunId, Lease) {
    let cwd = folder.display().to_string();
    let submission = Submission {
        input: Some(b"{\"question\":6}".to_vec()),
        ..job(engine, &nothing(folder), RunOptions { cwd, ..RunOptions::default() })
    };
    let submission = CheckedSubmission::for_here(engine, submission).unwrap();
    let (run_id, lease) = submit::admit_held(engine, submission).await.unwrap();
    (run_id, lease.unwrap())
}

/// Supervises the run to its end.
async fn supervised(engine: &Engine, run_id: &RunId, lease: Lease) -> Stored {
    let (_sender, control) = watch::channel(Default::default());
    let channels = SupervisorChannels { control, tee: None, ready: None };
    let over = supervise(engine, run_id, lease, channels);
    tokio::time::timeout(LIMIT, Box::pin(over)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_run_completes_in_a_scripted_target_with_a_scripted_harness() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), Program::Answers);
    let (run_id, lease) = admitted(&engine, folder.path()).await;
    let run = supervised(&engine, &run_id, lease).await.run;
    assert!(matches!(run.status, Status::Completed { .. }), "{:?}", run.status);
    assert_eq!(run.output, Some(Payload::Json("{\"question\":6}".into())));
    let attempt = &run.attempts[0];
    let locator = attempt.locator().unwrap();
    assert_eq!(locator.fields["task"], format!("{run_id}/1"));
    assert_eq!((&attempt.process, attempt.process_group_id), (&None, None));
    let steps = engine.store().steps(&run_id).await.unwrap();
    assert_eq!(steps.iter().map(|step| step.key.as_str()).collect::<Vec<_>>(), ["prompt"]);
    let events = engine.store().events(&run_id, 0, 100).await.unwrap();
    assert!(errand_store::verify(&events).unwrap().is_sealed);
}

#[tokio::test]
async fn an_interrupt_cancels_a_run_in_a_scripted_target() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), Program::Sleeps);
    let (run_id, lease) = admitted(&engine, folder.path()).await;
    let (sender, control) = watch::channel(errand_engine::supervise::ControlState::default());
    let channels = SupervisorChannels { control, tee: None, ready: None };
    let over = Box::pin(supervise(&engine, &run_id, lease, channels));
    let told = async {
        until_running(&engine, &run_id).await;
        sender.send_modify(|control| control.interrupts += 2);
    };
    let (over, ()) = tokio::time::timeout(LIMIT, async { tokio::join!(over, told) }).await.unwrap();
    let run = over.unwrap().run;
    assert!(matches!(run.status, Status::Cancelled { .. }), "{:?}", run.status);
    assert!(matches!(run.attempts[0].state, AttemptState::Stopped(..)));
}

/// Waits until the agent of the run lives.
async fn until_running(engine: &Engine, run_id: &RunId) {
    let is_running = |stored: &Stored| matches!(stored.run.status, Status::Running { .. });
    wait::until(engine, run_id, None, is_running).await.unwrap();
}
