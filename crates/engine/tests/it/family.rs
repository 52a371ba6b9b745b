//! Coordinated runs without a server: this process works for a whole family.

use std::path::{Path, PathBuf};

use errand_engine::run_options::RunOptions;
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::supervise::ControlState;
use errand_engine::{Engine, again, family_worker, payload, submit};
use errand_model::RunId;
use errand_model::budget::LimitName;
use errand_model::event::{EventBody, TriggerKind};
use errand_model::run::{Run, Status};
use errand_store::{Filter, Page};
use errand_testkit::{LIMIT, TestAgent};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{self, Parts, engine_of, job};

/// Slots of the family's worker.
const SLOTS: u32 = 4;
/// Retry policy with one quick retry, as a line of `spec`.
const ONE_RETRY: &str = "  retry_policy: { max_retries: 1, backoff: fixed, initial_delay: 10ms, \
                         max_delay: 10ms }\n";

/// Registry with agents beside it.
struct Place {
    folder: tempfile::TempDir,
    engine: Engine,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine_of(folder.path(), Parts::default());
        Self { folder, engine }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn agent(&self, agent: &TestAgent) {
        agent.write_below(self.folder.path());
    }

    /// Writes an agent whose output is a Python expression over its input `given`.
    fn answers(&self, name: &str, expression: &str) {
        let script = format!(
            "import json, os, sys\n\
             def document(text):\n\
             \x20   try: return json.loads(text)\n\
             \x20   except ValueError: return text or None\n\
             given = document(open(os.environ['ERRAND_INPUT']).read())\n\
             print(json.dumps({expression}))\n"
        );
        self.agent(&TestAgent::python(&script).named(name));
    }

    /// Writes a coordinator over agents beside it.
    fn coordinator(&self, name: &str, definition: &str, more: &str) -> PathBuf {
        let yaml = format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {name}, version: 1.0.0 }}\n\
             spec:\n  coordinator: {definition}\n{more}"
        );
        support::agent(self.folder.path(), name, &yaml)
    }

    /// Returns the submission of a coordinator's run.
    fn submission(&self, agent: &Path, input: &Value) -> Submission {
        let options = RunOptions {
            cwd: self.folder.path().display().to_string(),
            labels: [("team".to_owned(), "blue".to_owned())].into(),
            ..RunOptions::default()
        };
        Submission {
            input: Some(input.to_string().into_bytes()),
            ..job(&self.engine, agent, options)
        }
    }

    /// Admits a run and carries it out with all its descendants.
    async fn carry_out(&self, submission: Submission) -> Run {
        let submission = CheckedSubmission::for_here(&self.engine, submission).unwrap();
        let (run_id, _) = submit::admit(&self.engine, submission).await.unwrap();
        let (_told, orders) = watch::channel(ControlState::default());
        let work = family_worker::carry_out(&self.engine, &run_id, SLOTS, orders);
        let ended = tokio::time::timeout(LIMIT, Box::pin(work)).await.unwrap().unwrap().run;
        let events = self.engine.store().events(&run_id, 0, 10_000).await.unwrap();
        assert!(errand_store::verify(&events).unwrap().is_sealed);
        ended
    }

    /// Runs a coordinator to its end.
    async fn run(&self, agent: &Path, input: &Value) -> Run {
        self.carry_out(self.submission(agent, input)).await
    }

    /// Returns the output of a coordinator's run, which completes.
    async fn output(&self, agent: &Path, input: &Value) -> Value {
        output(&self.engine, &self.run(agent, input).await)
    }

    /// Returns all runs, the oldest first.
    async fn runs(&self) -> Vec<Run> {
        let page = Page { after: None, limit: 100 };
        let (runs, _) = self.engine.store().list(&Filter::default(), &page).await.unwrap();
        runs.into_iter().rev().map(|stored| stored.run).collect()
    }

    async fn children(&self, parent: &RunId) -> Vec<Run> {
        let mut runs = self.runs().await;
        runs.retain(|run| run.spec.parent_run_id.as_ref() == Some(parent));
        runs
    }

    /// Returns the lines that the agent `first` of [`Self::nested`] wrote, one for each execution.
    fn executions(&self) -> usize {
        std::fs::read_to_string(self.path("first.txt")).unwrap().lines().count()
    }

    /// Writes the agents `first`, which notes each execution, and `second`, which begins with
    /// `passes`.
    fn two(&self, passes: &str) {
        let first = format!("echo run >> '{}'\necho 1\n", self.path("first.txt").display());
        self.agent(&TestAgent::shell(&first).named("first"));
        self.agent(&TestAgent::shell(&format!("{passes}echo 2\n")).named("second"));
    }

    /// Writes a coordinator over `middle`, which is over `inner`, which is over [`Self::two`].
    fn nested(&self, passes: &str, more: &str) -> PathBuf {
        self.two(passes);
        self.coordinator("inner", "{ type: chain, agents: [../first, ../second] }", "");
        self.coordinator("middle", "{ type: chain, agents: [../inner] }", "");
        self.coordinator("outer", "{ type: chain, agents: [../middle] }", more)
    }

    /// Returns a line of shell that fails the first time.
    fn fails_once(&self) -> String {
        let mark = self.path("second.txt");
        let mark = mark.display();
        format!("if [ ! -e '{mark}' ]; then touch '{mark}'; exit 1; fi\n")
    }

    /// Returns a line of shell that fails until [`Self::open_gate`].
    fn needs_gate(&self) -> String {
        format!("test -e '{}'\n", self.path("go").display())
    }

    fn open_gate(&self) {
        std::fs::write(self.path("go"), "").unwrap();
    }
}

fn output(engine: &Engine, run: &Run) -> Value {
    assert!(matches!(run.status, Status::Completed { .. }), "{:?}", run.status);
    payload::to_json(&engine.blobs(), run.output.as_ref().unwrap()).unwrap()
}

fn has_failed(run: &Run) -> bool {
    matches!(run.status, Status::Failed { .. })
}

#[tokio::test]
async fn names_of_agents_with_underscores_are_names_of_members_and_folders() {
    let place = Place::new();
    for name in ["spanish_translator", "french_translator", "german_translator"] {
        place.answers(name, &format!("given + ' ({})'", &name[..2]));
    }
    let definition = "{ type: fan_out, agents: [../spanish_translator, ../french_translator, \
                      ../german_translator], aggregation: merge_all }";
    let fan_out = place.coordinator("all_translators", definition, "");
    let expected = json!({
        "spanish_translator": "hello (sp)",
        "french_translator": "hello (fr)",
        "german_translator": "hello (ge)",
    });
    assert_eq!(place.output(&fan_out, &json!("hello")).await, expected);
    let runs = place.runs().await;
    let spanish = runs.iter().filter(|run| run.spec.agent.name == "spanish_translator");
    assert_eq!(spanish.count(), 1);
}

#[tokio::test]
async fn a_chain_gives_each_agent_the_output_of_the_previous_one() {
    let place = Place::new();
    place.answers("double", "given * 2");
    place.answers("add", "given + 1");
    let chain = place.coordinator("sums", "{ type: chain, agents: [../double, ../add] }", "");
    let run = place.run(&chain, &json!(20)).await;
    assert_eq!(output(&place.engine, &run), 41);
    assert_eq!(place.runs().await.len(), 3);
    let children = place.children(&run.id).await;
    assert_eq!(children.len(), 2);
    for child in children {
        assert_eq!(child.spec.trigger.kind, TriggerKind::Upstream);
        assert_eq!(child.spec.trigger.source.as_deref(), Some(run.id.as_str()));
        assert!(matches!(child.status, Status::Completed { .. }), "{:?}", child.status);
    }
}

#[tokio::test]
async fn a_chain_may_build_an_agents_input_from_all_earlier_outputs() {
    let place = Place::new();
    place.answers("split", "{'words': given.split()}");
    place.answers("tell", "given");
    let mapped = "{ agent: ../tell, input: { first: '{{ output.words.0 }}', \
        all: 'of {{ input }}', by: '{{ from }}', none: '{{ output.x | 3 }}', \
        split: '{{ outputs.split.words }}' } }";
    let chain = format!("{{ type: chain, agents: [../split, {mapped}] }}");
    let chain = place.coordinator("words", &chain, "");
    assert_eq!(
        place.output(&chain, &json!("a b")).await,
        json!({ "first": "a", "all": "of a b", "by": "split", "none": 3, "split": ["a", "b"] })
    );
}

#[tokio::test]
async fn a_fan_out_gives_all_agents_the_same_input_and_merges_their_outputs() {
    let place = Place::new();
    for name in ["es", "fr", "de"] {
        place.answers(name, &format!("'{name}: ' + given"));
    }
    let all = "{ type: fan_out, agents: [../es, ../fr, ../de] }";
    let all = place.coordinator("all", all, "");
    assert_eq!(
        place.output(&all, &json!("hi")).await,
        json!({ "de": "de: hi", "es": "es: hi", "fr": "fr: hi" })
    );
    let parts = "{ type: fan_out, agents: [../es, ../fr], partition: items, aggregation: collect }";
    let parts = place.coordinator("parts", parts, "");
    assert_eq!(
        place.output(&parts, &json!({ "items": ["a", "b", "c"] })).await,
        json!(["es: a", "fr: b", "es: c"])
    );
}

#[tokio::test]
async fn a_workflow_takes_the_edges_whose_conditions_hold() {
    let place = Place::new();
    place.answers("judge", "{'good': given['score'] > 5, 'score': given['score']}");
    place.answers("improve", "{'score': given['score'] + 3}");
    let graph = "\n    type: workflow\n    start: judge\n    max_messages: 20\n    graph:\n      \
        judge:\n        agent: ../judge\n        outputs_to:\n          \
        - { to: __end__, when: { payload: { good: true } } }\n          \
        - { to: improve, when: { payload: { good: false } } }\n      \
        improve: { agent: ../improve, outputs_to: [judge] }\n";
    let loops = place.coordinator("loop", graph, "");
    let run = place.run(&loops, &json!({ "score": 1 })).await;
    assert_eq!(output(&place.engine, &run), json!({ "good": true, "score": 7 }));
    // judge, improve, judge, improve, judge
    assert_eq!(place.children(&run.id).await.len(), 5);
    let events = place.engine.store().events(&run.id, 0, 1_000).await.unwrap();
    let sent = events.iter().filter(|event| matches!(event.body(), Ok(EventBody::MessageSent(_))));
    assert_eq!(sent.count(), 6);
}

#[tokio::test]
async fn coordinators_are_agents_of_coordinators() {
    let place = Place::new();
    place.answers("double", "given * 2");
    place.answers("add", "given + 1");
    place.coordinator("inner", "{ type: chain, agents: [../double, ../add] }", "");
    let outer = "{ type: fan_out, agents: [../inner, ../add], aggregation: collect }";
    let outer = place.coordinator("outer", outer, "");
    assert_eq!(place.output(&outer, &json!(5)).await, json!([11, 6]));
}

#[tokio::test]
async fn a_failed_child_fails_its_chain_which_names_the_step() {
    let place = Place::new();
    place.agent(&TestAgent::shell("echo broken >&2\nexit 3\n").named("bad"));
    place.answers("add", "given + 1");
    let chain = place.coordinator("sums", "{ type: chain, agents: [../bad, ../add] }", "");
    let run = place.run(&chain, &json!(1)).await;
    let Status::Failed { error, .. } = &run.status else { unreachable!("{:?}", run.status) };
    assert_eq!(error.code.as_str(), "child_failed");
    assert!(error.message.contains("bad"), "{}", error.message);
}

#[tokio::test]
async fn budgets_and_time_limits_of_a_coordinator_bound_its_children() {
    let place = Place::new();
    place.agent(&TestAgent::shell("exec sleep 600\n").named("slow"));
    let limits = "  timeouts: { run: 2s }\n  budgets: { tokens_per_run: 500 }\n";
    let only = place.coordinator("only", "{ type: chain, agents: [../slow] }", limits);
    let run = place.run(&only, &json!(0)).await;
    assert!(has_failed(&run), "{:?}", run.status);
    let child = place.children(&run.id).await.remove(0);
    assert_eq!(child.spec.labels["team"], "blue");
    let allowed: Vec<_> = child.spec.budgets.named().collect();
    assert_eq!(allowed, [(LimitName::TokensPerRun, 500)]);
    assert!(child.status.is_terminal(), "{:?}", child.status);
}

#[tokio::test]
async fn another_attempt_of_a_coordinator_keeps_completed_steps() {
    let place = Place::new();
    place.two(&place.fails_once());
    let definition = "{ type: chain, agents: [../first, ../second] }";
    let again = place.coordinator("again", definition, ONE_RETRY);
    let run = place.run(&again, &json!(0)).await;
    assert_eq!(output(&place.engine, &run), 2);
    assert_eq!(place.executions(), 1, "a completed step is not repeated");
    assert_eq!(run.last_attempt_number(), 2);
}

#[tokio::test]
async fn a_retry_of_a_failed_coordinator_inherits_completed_steps() {
    let place = Place::new();
    place.two(&place.needs_gate());
    let definition = "{ type: chain, agents: [../first, ../second] }";
    let chain = place.coordinator("sums", definition, "");
    let failed = place.run(&chain, &json!(0)).await;
    assert!(has_failed(&failed), "{:?}", failed.status);
    place.open_gate();
    let again = again::retry(&place.engine, &failed.id).await.unwrap();
    let run = place.carry_out(again).await;
    assert_eq!(output(&place.engine, &run), 2);
    assert_eq!(place.executions(), 1, "a completed step is not repeated");
}

#[tokio::test]
async fn a_retry_does_not_repeat_completed_steps_of_a_nested_coordinator() {
    let place = Place::new();
    let outer = place.nested(&place.needs_gate(), "");
    let failed = place.run(&outer, &json!(0)).await;
    assert!(has_failed(&failed), "{:?}", failed.status);
    // A retry that fails, and another retry of that one.
    let second = again::retry(&place.engine, &failed.id).await.unwrap();
    let second = place.carry_out(second).await;
    assert!(has_failed(&second), "{:?}", second.status);
    place.open_gate();
    let third = again::retry(&place.engine, &second.id).await.unwrap();
    let run = place.carry_out(third).await;
    assert_eq!(output(&place.engine, &run), 2);
    assert_eq!(place.executions(), 1, "a completed step is not repeated");
    let middle = place.children(&run.id).await.remove(0);
    assert!(middle.spec.origin_run_id.is_some());
}

#[tokio::test]
async fn another_attempt_does_not_repeat_completed_steps_of_a_nested_coordinator() {
    let place = Place::new();
    let outer = place.nested(&place.fails_once(), ONE_RETRY);
    assert_eq!(place.output(&outer, &json!(0)).await, 2);
    assert_eq!(place.executions(), 1, "a completed step is not repeated");
}

#[tokio::test]
async fn the_output_of_a_coordinator_must_match_its_output_schema() {
    let place = Place::new();
    place.answers("add", "given + 1");
    let schema = "  output_schema: { type: integer, maximum: 5 }\n";
    let chain = place.coordinator("sums", "{ type: chain, agents: [../add] }", schema);
    assert_eq!(place.output(&chain, &json!(4)).await, 5);
    let run = place.run(&chain, &json!(5)).await;
    let Status::Failed { error, .. } = &run.status else { unreachable!("{:?}", run.status) };
    assert!(error.message.contains("output_schema"), "{}", error.message);
}
