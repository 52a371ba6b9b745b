//! Coordinator turns: processing of reports in any order of arrival.

use std::time::Duration;

use errand_engine::Engine;
use errand_engine::admit;
use errand_engine::run_options::RunOptions;
use errand_engine::submission::CheckedSubmission;
use errand_engine::supervise::ControlState;
use errand_engine::worker::{Options, Until, work};
use errand_model::RunId;
use errand_model::placement::Placement;
use errand_model::run::Run;
use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Parts, agent, engine_of, job};

/// Python function `say(to, payload)` for the agent API.
const PYTHON: &str = r#"
import http.client, json, os, socket
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["ERRAND_API"].removeprefix("unix://"))
def say(to, payload):
    api = Unix("errand")
    headers = {"Authorization": "Bearer " + os.environ["ERRAND_TOKEN"]}
    body = json.dumps({"to": to, "type": "TASK", "payload": payload})
    api.request("POST", "/agent/v1/messages", body, headers)
    assert api.getresponse().status < 300
"#;

/// A coordinator whose children and whose turns are run separately.
struct Team {
    folder: tempfile::TempDir,
    engine: Engine,
    coordinator: RunId,
}

impl Team {
    /// Starts a workflow of agents by name; each with its program, and more of its agent file.
    async fn begin(graph: &str, agents: &[(&str, &str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine_of(folder.path(), Parts::default());
        let coordinator = engine.new_run_id().unwrap();
        let mut this = Self { folder, engine, coordinator };
        for (name, program, more) in agents {
            let path = this.folder.path().join(format!("{name}.py"));
            std::fs::write(&path, format!("{PYTHON}{program}")).unwrap();
            this.agent(name, &format!("command: [python3, {}]\n{more}", path.display()));
        }
        let spec = format!("coordinator: {{ type: workflow, max_messages: 20, {graph} }}\n");
        this.agent("team", &spec);
        this.coordinator = this.admit().await;
        this.work(1, false, Until::Empty).await;
        this
    }

    fn agent(&self, name: &str, spec: &str) {
        let file = format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {name} }}\nspec:\n  {spec}"
        );
        agent(self.folder.path(), name, &file);
    }

    async fn admit(&self) -> RunId {
        let agent = self.folder.path().join("team");
        let cwd = self.folder.path().display().to_string();
        let placement = Some(Placement::default());
        let options = RunOptions { cwd, detached: true, placement, ..RunOptions::default() };
        let submission = job(&self.engine, &agent, options);
        let submission = CheckedSubmission::for_any_worker(&self.engine, submission).unwrap();
        let admission = admit::admission(&self.engine, submission).await.unwrap();
        let run_id = admission.run.id.clone();
        self.engine.store().admit(admission).await.unwrap();
        run_id
    }

    async fn work(&self, slots: u32, turns: bool, until: Until) {
        let (_told, orders) = watch::channel(ControlState::default());
        let options = Options { until, turns, ..Options::new("test", slots) };
        work(&self.engine, options, orders).await.unwrap();
    }

    /// Runs children until no work is left, without turns of the coordinator.
    async fn children_work(&self) {
        self.work(1, false, Until::Empty).await;
    }

    /// Runs due turns of the coordinator until `is_so`, without its children.
    async fn hears_until(&self, is_so: impl Fn(&Run) -> bool) -> Run {
        let limit = std::time::Instant::now() + Duration::from_secs(30);
        let looks = async {
            loop {
                let run = self.run(&self.coordinator).await;
                if is_so(&run) {
                    return run;
                }
                assert!(std::time::Instant::now() < limit, "{:?}", run.coordination);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = self.work(0, true, Until::Told) => unreachable!("nobody told it to end"),
            run = looks => run,
        }
    }

    async fn run(&self, run_id: &RunId) -> Run {
        self.engine.store().load(run_id).await.unwrap().unwrap().run
    }

    /// Returns the reports that the coordinator has not processed.
    async fn left(&self) -> Vec<Document> {
        let query = DocumentQuery {
            kind: DocumentKind::Turn,
            namespaces: Namespaces::All,
            prefix: format!("{}/", self.coordinator),
            order: DocumentOrder::Ascending,
            after: None,
            limit: 100,
        };
        self.engine.store().documents(&query).await.unwrap()
    }

    /// Delays reports by an hour, except those for which `is_due` is true.
    async fn put_off(&self, is_due: impl Fn(&str) -> bool) {
        let at = self.engine.now().plus(Duration::from_secs(3_600));
        let late = self.left().await.into_iter().filter(|document| !is_due(&document.key));
        let writes: Vec<_> = late
            .map(|document| DocumentWrite {
                kind: document.kind,
                namespace: document.namespace,
                key: document.key,
                expect: Expect::Revision(document.revision),
                change: DocumentChange::Put { body: document.body, due_at: Some(at) },
            })
            .collect();
        assert!(!writes.is_empty(), "nothing is to be put off");
        self.engine.store().write_documents(writes).await.unwrap();
    }

    /// Returns the input of the child whose step has that key.
    async fn input_of(&self, run: &Run, key: &str) -> Value {
        let child = run.coordination.as_ref().unwrap().live.get(key).unwrap();
        let input = self.run(&child.run_id).await.spec.input.clone().unwrap();
        errand_engine::payload::to_json(&self.engine.blobs(), &input).unwrap()
    }
}

fn lives(key: &'static str) -> impl Fn(&Run) -> bool {
    move |run| run.coordination.as_ref().is_some_and(|it| it.live.contains_key(key))
}

const PAIR: &str = "start: a, graph: { a: { agent: ../a, outputs_to: [b] }, \
                    b: { agent: ../b, outputs_to: [__end__] } }";

#[tokio::test]
async fn a_childs_messages_are_processed_before_its_end_even_if_that_is_due_first() {
    let says = "say('b', {'n': 1})\nprint(2)\n";
    let team = Team::begin(PAIR, &[("a", says, ""), ("b", "print(3)\n", "")]).await;
    team.hears_until(lives("a#1")).await;
    team.children_work().await;
    team.put_off(|key| key.ends_with("/ended")).await;
    let run = team.hears_until(lives("b#1")).await;
    assert_eq!(team.input_of(&run, "b#1").await, json!({ "n": 1 }));
    assert_eq!(team.left().await.len(), 0, "all of it was heard");
}
