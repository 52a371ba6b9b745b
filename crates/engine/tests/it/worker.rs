//! A worker with slots: every queued run is carried out once, and ends well.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use errand_agent::{SystemClock, os, parcel};
use errand_engine::admit::{self, Lineage, Submission, Wishes};
use errand_engine::supervise::Orders;
use errand_engine::worker::{Options, Until, work};
use errand_engine::{Engine, Inner, Surroundings};
use errand_model::event::{RunKind, Trigger, TriggerKind};
use errand_model::run::Status;
use errand_store::sqlite::{self, Sqlite};
use errand_store::{Filter, Holder, Page, Pending, Registry};
use tokio::sync::watch;

const RUNS: u32 = 40;

fn engine(root: &Path) -> Engine {
    let registry = Registry::at(root.join(".errand"));
    let store = Sqlite::open(&registry, sqlite::Options::CREATE).unwrap();
    let surroundings = Surroundings {
        registry,
        environment: BTreeMap::new(),
        program: std::env::current_exe().unwrap(),
        identity: root.join("identity.txt"),
        runtime_dir: root.join("run"),
    };
    let process = os::own_identity().unwrap();
    let holder = Holder { host: os::host_name(), process, worker: Some("test".to_owned()) };
    Engine::new(Inner {
        surroundings,
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        holder,
    })
}

async fn queue(engine: &Engine, agent: &Path, cwd: &Path) {
    let parcel = parcel::build(agent, &engine.registry().parcels()).unwrap();
    let submission = Submission {
        parcel,
        source: agent.display().to_string(),
        kind: RunKind::Job,
        trigger: Trigger { kind: TriggerKind::Manual, source: None, payload: None },
        input: None,
        wishes: Wishes { cwd: cwd.display().to_string(), ..Wishes::default() },
        service: None,
        parent: None,
        origin: None,
        member: None,
        lineage: Lineage::default(),
    };
    let mut admission = admit::admission(engine, submission).await.unwrap();
    admission.queued = Some(Pending { priority: 0, ready_at: engine.now() });
    engine.store().admit(admission).await.unwrap();
}

#[tokio::test]
async fn two_slots_carry_out_every_queued_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("agent");
    std::fs::create_dir(&agent).unwrap();
    let file = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: nothing }\n\
                spec: { command: [/bin/true] }\n";
    std::fs::write(agent.join("agent.yaml"), file).unwrap();
    let engine = engine(folder.path());
    for _ in 0..RUNS {
        queue(&engine, &agent, folder.path()).await;
    }
    let (_told, orders) = watch::channel(Orders::default());
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
