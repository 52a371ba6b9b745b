//! A whole run in a second target, driven by a second harness.
//!
//! Both take the names of the first ones, since agent files know no others.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use errand_agent::{Harnesses, SystemClock, Targets, os, parcel};
use errand_engine::run_options::RunOptions;
use errand_engine::submission::{CheckedSubmission, Lineage, Submission};
use errand_engine::supervise::{SupervisorChannels, supervise};
use errand_engine::{Engine, EngineContext, Inner, submit, wait};
use errand_model::event::{RunKind, Trigger, TriggerKind};
use errand_model::run::{AttemptState, Status};
use errand_model::{Payload, RunId};
use errand_store::sqlite::{self, Sqlite};
use errand_store::{Holder, Lease, Registry, Stored};
use errand_testkit::conformance::Program;
use errand_testkit::{LIMIT, ScriptedHarness, ScriptedTarget};
use tokio::sync::watch;

/// Engine whose agents are tasks that answer one question.
fn engine(root: &Path, program: Program) -> Engine {
    let registry = Registry::at(root.join(".errand"));
    let store = Sqlite::open(&registry, sqlite::Options::CREATE).unwrap();
    let target = ScriptedTarget::new("process").running(program);
    let surroundings = EngineContext {
        registry,
        environment: BTreeMap::new(),
        program: std::env::current_exe().unwrap(),
        identity: root.join("identity.txt"),
        runtime_dir: root.join("run"),
        targets: Targets::default().with(Arc::new(target)),
        harnesses: Harnesses::default().with(Arc::new(ScriptedHarness::new("command"))),
    };
    let process = os::own_identity().unwrap();
    let holder = Holder { host: os::host_name(), process, worker: None };
    let clock = Arc::new(SystemClock);
    Engine::new(Inner { surroundings, store: Arc::new(store), clock, holder })
}

/// Admits a run of an agent without files, which this process holds.
async fn admitted(engine: &Engine, folder: &Path) -> (RunId, Lease) {
    let agent = folder.join("agent");
    std::fs::create_dir(&agent).unwrap();
    let file = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: nothing }\n\
                spec: { command: [/bin/true] }\n";
    std::fs::write(agent.join("agent.yaml"), file).unwrap();
    let parcel = parcel::build(&agent, &engine.registry().parcels()).unwrap();
    let submission = Submission {
        parcel,
        source: agent.display().to_string(),
        kind: RunKind::Job,
        trigger: Trigger { kind: TriggerKind::Manual, source: None, payload: None },
        input: Some(b"{\"question\":6}".to_vec()),
        options: RunOptions { cwd: folder.display().to_string(), ..RunOptions::default() },
        service: None,
        parent: None,
        origin: None,
        member: None,
        lineage: Lineage::default(),
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
