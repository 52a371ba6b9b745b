//! Reports of a coordinator's step to its coordinator.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::os;
use errand_engine::admit;
use errand_engine::ask;
use errand_engine::run_options::RunOptions;
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::supervise::ControlState;
use errand_engine::worker::{Executor, InProcess, Options, Processes, Until, work};
use errand_engine::{Engine, reconcile};
use errand_model::coordination::{ChildOutcome, CoordinatorNews};
use errand_model::event::CancelCause;
use errand_model::placement::Placement;
use errand_model::plan::Membership;
use errand_model::run::{AttemptOutcome, Cancel};
use errand_model::{Digest, Payload, ProcessIdentity, RunId, canonical};
use errand_store::{
    DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect, Holder,
    Namespaces,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Parts, agent, engine_of, job};

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

    /// Admits a child whose agent is `command`.
    async fn child(&self, command: &str, queued: bool) -> RunId {
        let file = format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: some }}\nspec:\n  \
             command: {command}\n  retry_policy: {{ max_retries: 1, initial_delay: 1ms }}\n"
        );
        let agent = agent(self.folder.path(), "agent", &file);
        let member = Membership {
            coordinator: self.coordinator.clone(),
            key: "some#1".to_owned(),
            name: "some".to_owned(),
            depth: 1,
            sends_to: vec!["other".to_owned()],
            previous: Some("before".to_owned()),
        };
        let cwd = self.folder.path().display().to_string();
        let placement = queued.then(Placement::default);
        let options = RunOptions { cwd, detached: true, placement, ..RunOptions::default() };
        let submission = Submission {
            parent: Some(self.coordinator.clone()),
            member: Some(Box::new(member)),
            ..job(&self.engine, &agent, options)
        };
        let submission = CheckedSubmission::for_any_worker(&self.engine, submission).unwrap();
        let admission = admit::admission(&self.engine, submission).await.unwrap();
        let run_id = admission.run.id.clone();
        self.engine.store().admit(admission).await.unwrap();
        run_id
    }

    async fn work(&self, executor: Arc<dyn Executor>) {
        let (_told, orders) = watch::channel(ControlState::default());
        // Reports for the coordinator are read by the test, not processed.
        let turns = false;
        let options = Options { until: Until::Empty, executor, turns, ..Options::new("test", 1) };
        work(&self.engine, options, orders).await.unwrap();
    }

    /// Returns the reports for the coordinator, by key without its own id.
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

    /// Waits for the report under a key.
    async fn hears(&self, key: &str) -> Value {
        let limit = std::time::Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.news().await.into_iter().find(|(known, _)| known == key);
            if let Some((_, body)) = found {
                return body;
            }
            assert!(std::time::Instant::now() < limit, "nobody said {key}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Writes a message for the child.
    async fn deliver(&self, run_id: &RunId, number: u32) {
        let body = json!({
            "id": format!("m{number}"), "from": "other", "to": "some", "type": "TASK",
            "payload": { "json": { "n": number } },
        });
        let write = DocumentWrite {
            kind: DocumentKind::Inbox,
            namespace: None,
            key: format!("{run_id}/{number:010}"),
            expect: Expect::Absent,
            change: DocumentChange::Put { body, due_at: None },
        };
        self.engine.store().write_documents(vec![write]).await.unwrap();
    }

    async fn events(&self, run_id: &RunId, kind: &str) -> Vec<Value> {
        let events = self.engine.store().events(run_id, 0, 1000).await.unwrap();
        let of_kind = events.iter().filter(|event| event.kind == kind);
        of_kind.map(|event| serde_json::from_str(&event.data).unwrap()).collect()
    }

    /// Returns the child's outcome in the only report.
    async fn outcome(&self, run_id: &RunId) -> ChildOutcome {
        let mut news = self.news().await;
        assert_eq!(news.len(), 1, "{news:?}");
        let (key, body) = news.remove(0);
        assert_eq!(key, format!("{run_id}/ended"));
        let CoordinatorNews::Ended(ended) = serde_json::from_value(body).unwrap() else {
            unreachable!("it ended")
        };
        assert_eq!(ended.run_id, *run_id);
        assert_eq!(ended.usage.by_agent["some"].runs, 1);
        ended.outcome
    }
}

fn engine(root: &Path, process: ProcessIdentity) -> Engine {
    let parts = Parts::default();
    let holder = Holder { process, ..parts.holder };
    engine_of(root, Parts { holder, ..parts })
}

fn code(outcome: ChildOutcome) -> String {
    match outcome {
        ChildOutcome::Failed { error } => error.code.into(),
        other @ (ChildOutcome::Completed(_)
        | ChildOutcome::HandedOver { .. }
        | ChildOutcome::Cancelled { .. }) => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_completed_child_reports_its_output_in_three_forms() {
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
async fn a_long_output_is_reported_as_a_blob_up_to_a_limit() {
    for (length, is_seen) in [(4_000, true), (30_000, true), (70_000, false)] {
        let world = World::new();
        let text = "x".repeat(length);
        let output = errand_engine::payload::from_json(&world.engine.blobs(), json!(text)).unwrap();
        let run_id = world.child("[/bin/true]", true).await;
        let exited = move |_: &_| AttemptOutcome::Exited { output: Some(output.clone()) };
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
async fn a_failed_child_reports_once_after_its_last_attempt() {
    let world = World::new();
    let run_id = world.child("[/bin/false]", true).await;
    world.work(Arc::new(Processes)).await;
    let run = world.engine.store().load(&run_id).await.unwrap().unwrap().run;
    assert!(run.dead_letter && run.attempts.len() == 2, "{:?}", run.status);
    assert_eq!(code(world.outcome(&run_id).await), "exit_nonzero");
}

#[tokio::test]
async fn a_child_cancelled_in_the_queue_reports_it() {
    for queued in [true, false] {
        let world = World::new();
        let run_id = world.child("[/bin/true]", queued).await;
        let cancel = Cancel { cause: CancelCause::Parent, by: None, grace: Duration::ZERO };
        ask::cancel(&world.engine, &run_id, &cancel).await.unwrap();
        let outcome = world.outcome(&run_id).await;
        assert_eq!(outcome, ChildOutcome::Cancelled { reason: "parent".to_owned() });
    }
}

#[tokio::test]
async fn a_child_whose_process_died_reports_it_at_reconciliation() {
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
async fn a_paused_child_reports_its_pause_and_its_resumption() {
    let world = World::new();
    let run_id = world.child("[/bin/true]", true).await;
    ask::pause(&world.engine, &run_id, None).await.unwrap();
    ask::resume(&world.engine, &run_id, None).await.unwrap();
    let news = world.news().await;
    let keys: Vec<&str> = news.iter().map(|(key, _)| key.rsplit('/').next().unwrap()).collect();
    assert_eq!(keys, ["waits-2", "waits-3"]);
    let waits = |reason: Value| json!({ "type": "waits", "run_id": run_id, "reason": reason });
    assert_eq!(news[0].1, waits("operator".into()));
    assert_eq!(news[1].1, waits(Value::Null));
}

/// Python function `call(method, path, body)` for the agent API.
const PYTHON: &str = r#"
import http.client, json, os, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["ERRAND_API"].removeprefix("unix://"))
def call(method, path, body=None):
    api = Unix("errand")
    headers = {"Authorization": "Bearer " + os.environ["ERRAND_TOKEN"]}
    api.request(method, "/agent/v1/" + path, json.dumps(body) if body else None, headers)
    answer = api.getresponse()
    return answer.status, json.loads(answer.read())
def next_one():
    status, message = call("GET", "messages/next?timeout_ms=20000")
    assert status == 200, message
    return message
"#;

/// Admits a child whose agent is a Python program.
async fn python(world: &World, program: &str) -> RunId {
    let path = world.folder.path().join("agent.py");
    std::fs::write(&path, format!("{PYTHON}{program}")).unwrap();
    world.child(&format!("[python3, {}]", path.display()), true).await
}

#[tokio::test]
async fn messages_of_a_child_are_reported_to_its_coordinator_within_the_graph() {
    let world = World::new();
    let program = r#"
said = [call("POST", "messages", {"to": to, "type": "VALIDATION", "payload": {"to": to}})
        for to in ["other", "__prev__", "before", "__next__", "__self__", "some",
                   "__end__", "nobody", "__start__"]]
print(json.dumps([[status, answer.get("seq", answer.get("code"))] for status, answer in said]))
"#;
    let run_id = python(&world, program).await;
    world.work(Arc::new(Processes)).await;
    let sent = world.events(&run_id, "message.sent").await;
    let to: Vec<&str> = sent.iter().map(|sent| sent["to"].as_str().unwrap()).collect();
    assert_eq!(to, ["other", "__prev__", "before", "__next__", "__self__", "some"]);
    let run = world.engine.store().load(&run_id).await.unwrap().unwrap().run;
    let output =
        errand_engine::payload::to_json(&world.engine.blobs(), &run.output.unwrap()).unwrap();
    let refused = json!([422, "message_target_invalid"]);
    assert_eq!(output.as_array().unwrap()[6..], [refused.clone(), refused.clone(), refused]);
    for (answer, sent) in output.as_array().unwrap().iter().zip(&sent) {
        let seq = answer[1].as_u64().unwrap();
        assert_eq!(sent["id"], format!("{run_id}/{seq}"));
        let heard = world.hears(&format!("{run_id}/{seq}")).await;
        let CoordinatorNews::Said(said) = serde_json::from_value(heard).unwrap() else {
            unreachable!("it was said")
        };
        assert_eq!(
            (said.id.as_str(), said.to.as_str()),
            (sent["id"].as_str().unwrap(), sent["to"].as_str().unwrap())
        );
        assert_eq!(said.said.value, json!({ "to": sent["to"] }));
    }
    world.hears(&format!("{run_id}/ended")).await;
}

#[tokio::test]
async fn a_later_attempt_receives_messages_again_that_no_checkpoint_covers() {
    let world = World::new();
    let program = r#"
if os.environ["ERRAND_ATTEMPT"] == "1":
    next_one()
    call("PUT", "checkpoint", {"state": {"seen": 1}})
    next_one()
    next_one()
    sys.exit(1)
print(json.dumps([next_one()["payload"]["n"] for _ in range(3)]))
"#;
    let run_id = python(&world, program).await;
    let feed = async {
        for received in 0..4 {
            let heard = world.hears(&format!("{run_id}/listens-{received}")).await;
            let listens = CoordinatorNews::Listens { run_id: run_id.clone(), received };
            assert_eq!(heard, serde_json::to_value(listens).unwrap());
            world.deliver(&run_id, received + 1).await;
        }
    };
    tokio::join!(world.work(Arc::new(Processes)), feed);
    let received = world.events(&run_id, "message.received").await;
    let ids: Vec<&str> = received.iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["m1", "m2", "m3", "m4"], "each is recorded once");
    let news = world.hears(&format!("{run_id}/ended")).await;
    assert_eq!(news["outcome"]["value"], json!([2, 3, 4]), "{news}");
    let query = DocumentQuery {
        kind: DocumentKind::Inbox,
        namespaces: Namespaces::All,
        prefix: String::new(),
        order: DocumentOrder::Ascending,
        after: None,
        limit: 10,
    };
    assert!(world.engine.store().documents(&query).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_child_that_waits_long_for_a_message_reports_it_again() {
    let world = World::new();
    let run_id = python(&world, "print(next_one()[\"payload\"][\"n\"])\n").await;
    let feed = async {
        let key = format!("{run_id}/listens-0");
        world.hears(&key).await;
        // As if it had been lost with the registry.
        let lost = DocumentWrite {
            kind: DocumentKind::Turn,
            namespace: None,
            key: format!("{}/{key}", world.coordinator),
            expect: Expect::Revision(1),
            change: DocumentChange::Remove,
        };
        world.engine.store().write_documents(vec![lost]).await.unwrap();
        world.hears(&key).await;
        world.deliver(&run_id, 1).await;
    };
    tokio::join!(world.work(Arc::new(Processes)), feed);
    let news = world.hears(&format!("{run_id}/ended")).await;
    assert_eq!(news["outcome"]["value"], 1, "{news}");
}
