//! What a run that is a step of a coordinator leaves for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::{SystemClock, os, parcel};
use errand_engine::admit::{self, Lineage, Submission, Wishes};
use errand_engine::ask::{self, Stop};
use errand_engine::supervise::Orders;
use errand_engine::worker::{Executor, InProcess, Options, Processes, Until, work};
use errand_engine::{Engine, Inner, Surroundings, reconcile};
use errand_model::coordination::{ChildOutcome, Membership, News};
use errand_model::event::{CancelCause, RunKind, Trigger, TriggerKind};
use errand_model::placement::Placement;
use errand_model::run::Outcome;
use errand_model::{Digest, Payload, ProcessIdentity, RunId, canonical};
use errand_store::sqlite::{self, Sqlite};
use errand_store::{DocumentKind, DocumentOrder, DocumentQuery, Holder, Namespaces, Registry};
use serde_json::{Value, json};
use tokio::sync::watch;

struct World {
    folder: tempfile::TempDir,
    engine: Engine,
    coordinator: RunId,
}

impl World {
    fn new() -> Self {
        Self::held_by(os::own_identity().unwrap())
    }

    fn held_by(process: ProcessIdentity) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path(), process);
        let coordinator = engine.new_run_id().unwrap();
        Self { folder, engine, coordinator }
    }

    /// A child whose agent is `command`.
    async fn child(&self, command: &str, queued: bool) -> RunId {
        let agent = self.folder.path().join("agent");
        std::fs::create_dir_all(&agent).unwrap();
        let file = format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: some }}\nspec:\n  \
             command: {command}\n  retry_policy: {{ max_retries: 1, initial_delay: 1ms }}\n"
        );
        std::fs::write(agent.join("agent.yaml"), file).unwrap();
        let parcel = parcel::build(&agent, &self.engine.registry().parcels()).unwrap();
        let member = Membership {
            coordinator: self.coordinator.clone(),
            key: "some#1".to_owned(),
            name: "some".to_owned(),
            depth: 1,
            sends_to: Vec::new(),
            previous: None,
        };
        let cwd = self.folder.path().display().to_string();
        let placement = queued.then(Placement::default);
        let submission = Submission {
            parcel,
            source: agent.display().to_string(),
            kind: RunKind::Job,
            trigger: Trigger { kind: TriggerKind::Upstream, source: None, payload: None },
            input: None,
            wishes: Wishes { cwd, detached: true, placement, ..Wishes::default() },
            service: None,
            parent: Some(self.coordinator.clone()),
            origin: None,
            member: Some(Box::new(member)),
            lineage: Lineage::default(),
        };
        let admission = admit::admission(&self.engine, submission).await.unwrap();
        let run_id = admission.run.id.clone();
        self.engine.store().admit(admission).await.unwrap();
        run_id
    }

    async fn work(&self, executor: Arc<dyn Executor>) {
        let (_told, orders) = watch::channel(Orders::default());
        let options = Options { until: Until::Empty, executor, ..Options::new("test", 1) };
        work(&self.engine, options, orders).await.unwrap();
    }

    /// What the coordinator is to hear, by key without its own id.
    async fn news(&self) -> Vec<(String, Value)> {
        let prefix = format!("{}/", self.coordinator);
        let query = DocumentQuery {
            kind: DocumentKind::Turn,
            namespaces: Namespaces::All,
            prefix: prefix.clone(),
            order: DocumentOrder::Ascending,
            after: None,
            limit: 100,
        };
        let documents = self.engine.store().documents(&query).await.unwrap();
        let kept = documents.into_iter().map(|document| {
            assert!(document.due_at.unwrap() <= self.engine.now(), "it is due at once");
            (document.key.strip_prefix(&prefix).unwrap().to_owned(), document.body)
        });
        kept.collect()
    }

    /// How the only thing that the coordinator is to hear says that the child ended.
    async fn outcome(&self, run_id: &RunId) -> ChildOutcome {
        let mut news = self.news().await;
        assert_eq!(news.len(), 1, "{news:?}");
        let (key, body) = news.remove(0);
        assert_eq!(key, format!("{run_id}/ended"));
        let News::Ended(ended) = serde_json::from_value(body).unwrap() else {
            unreachable!("it ended")
        };
        assert_eq!(ended.run_id, *run_id);
        assert_eq!(ended.usage.by_agent["some"].runs, 1);
        ended.outcome
    }
}

fn engine(root: &Path, process: ProcessIdentity) -> Engine {
    let registry = Registry::at(root.join(".errand"));
    let store = Sqlite::open(&registry, sqlite::Options::CREATE).unwrap();
    let surroundings = Surroundings {
        registry,
        environment: BTreeMap::new(),
        program: std::env::current_exe().unwrap(),
        identity: root.join("identity.txt"),
        runtime_dir: root.join("run"),
    };
    let holder = Holder { host: os::host_name(), process, worker: None };
    Engine::new(Inner {
        surroundings,
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        holder,
    })
}

fn code(outcome: ChildOutcome) -> String {
    match outcome {
        ChildOutcome::Failed { error } => error.code,
        other @ (ChildOutcome::Completed(_)
        | ChildOutcome::HandedOver { .. }
        | ChildOutcome::Cancelled { .. }) => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_child_that_does_well_says_so_with_its_output_in_three_forms() {
    let world = World::new();
    let run_id = world.child("[/bin/sh, -c, 'echo \"{\\\"a\\\": [1, 2]}\"']", true).await;
    world.work(Arc::new(Processes)).await;
    let ChildOutcome::Completed(said) = world.outcome(&run_id).await else {
        unreachable!("it did well")
    };
    let value = json!({ "a": [1, 2] });
    assert_eq!(said.value, value);
    assert_eq!(said.digest, Digest::of(canonical::to_string(&value).as_bytes()));
    assert!(said.payload.is_some());
}

#[tokio::test]
async fn a_long_output_is_in_the_blob_store_and_seen_up_to_a_limit() {
    for (length, is_seen) in [(4_000, true), (30_000, true), (70_000, false)] {
        let world = World::new();
        let text = "x".repeat(length);
        let output = errand_engine::payload::from_json(&world.engine.blobs(), json!(text)).unwrap();
        let run_id = world.child("[/bin/true]", true).await;
        let exited = move |_: &_| Outcome::Exited { output: Some(output.clone()) };
        world.work(Arc::new(InProcess::new(exited))).await;
        let ChildOutcome::Completed(said) = world.outcome(&run_id).await else {
            unreachable!("it did well")
        };
        assert_eq!(said.value, if is_seen { json!(text) } else { Value::Null });
        assert_eq!(said.digest, Digest::of(format!("\"{text}\"").as_bytes()));
        let payload = said.payload.unwrap();
        assert_eq!(matches!(payload, Payload::Blob(_)), length > 4_096);
        let kept = errand_engine::payload::to_json(&world.engine.blobs(), &payload).unwrap();
        assert_eq!(kept, json!(text));
    }
}

#[tokio::test]
async fn a_child_that_fails_says_so_once_after_its_last_attempt() {
    let world = World::new();
    let run_id = world.child("[/bin/false]", true).await;
    world.work(Arc::new(Processes)).await;
    let run = world.engine.store().load(&run_id).await.unwrap().unwrap().run;
    assert!(run.dead_letter && run.attempts.len() == 2, "{:?}", run.status);
    assert_eq!(code(world.outcome(&run_id).await), "exit_nonzero");
}

#[tokio::test]
async fn a_child_that_is_cancelled_while_it_waits_says_so() {
    for queued in [true, false] {
        let world = World::new();
        let run_id = world.child("[/bin/true]", queued).await;
        let stop = Stop { cause: CancelCause::Parent, by: None, grace: Duration::ZERO };
        ask::stop(&world.engine, &run_id, &stop).await.unwrap();
        let outcome = world.outcome(&run_id).await;
        assert_eq!(outcome, ChildOutcome::Cancelled { reason: "parent".to_owned() });
    }
}

#[tokio::test]
async fn a_child_whose_process_is_gone_says_so_when_that_is_found() {
    let mut dead = os::own_identity().unwrap();
    dead.start_ticks += 1;
    let world = World::held_by(dead);
    let run_id = world.child("[/bin/true]", false).await;
    let living = engine(world.folder.path(), os::own_identity().unwrap());
    let stored = living.store().load(&run_id).await.unwrap().unwrap();
    reconcile::reconcile(&living, stored).await.unwrap();
    assert_eq!(code(world.outcome(&run_id).await), "launcher_died");
}

#[tokio::test]
async fn a_child_that_is_held_waits_for_nobody() {
    let world = World::new();
    let run_id = world.child("[/bin/true]", true).await;
    ask::pause(&world.engine, &run_id, None).await.unwrap();
    ask::resume(&world.engine, &run_id, None).await.unwrap();
    let news = world.news().await;
    let keys: Vec<&str> = news.iter().map(|(key, _)| key.rsplit('/').next().unwrap()).collect();
    assert_eq!(keys, ["waits-2", "waits-3"]);
    for (_, body) in &news {
        assert_eq!(*body, json!({ "type": "waits", "run_id": run_id, "reason": null }));
    }
}
