//! Runs that are made of runs: what follows from what a coordinator hears.

#![expect(
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "what a test did not expect ends it"
)]

mod commands;
mod fan_outs;
mod life;
mod reference;
mod rules;
mod workflows;

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::coordination::{
    ChildEnded, ChildOutcome, CoordinatorNews, CoordinatorTurn, Finish, InputMaterial, StatedValue,
};
use errand_model::event::{AgentRef, AgentUsage, ChildUsage, EventBody, RunKind};
use errand_model::plan::{Chain, END, Edge, Link, Node, Pattern, Plan, Workflow};
use errand_model::run::{Command, Run};
use errand_model::{Digest, Event, EventContext, Head, Payload, RunId, Timestamp, canonical};
use serde_json::{Value, json};

use crate::table::{start, up};
use crate::world::created;

/// A coordinator with its journal.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator {
    pub(crate) run: Run,
    pub(crate) events: Vec<Event>,
    head: Head,
    pub(crate) now: Timestamp,
    next_id: u64,
}

pub(crate) fn agents(names: &[&str]) -> BTreeMap<String, AgentRef> {
    let agent = |name: &str| AgentRef {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        digest: Digest::of(name.as_bytes()),
        path: name.to_owned(),
    };
    names.iter().map(|name| ((*name).to_owned(), agent(name))).collect()
}

impl Coordinator {
    /// Returns a coordinator with a live attempt that has started no child.
    pub(crate) fn new(
        plan: Plan,
        change: impl FnOnce(&mut errand_model::event::RunCreated),
    ) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let id = RunId::new(now, 7);
        let mut spec = created(RunKind::Job, 0);
        spec.input = Some(Payload::Json(json!("in")));
        spec.plan = Some(Box::new(plan));
        spec.placement = Some(errand_model::placement::Placement::default());
        change(&mut spec);
        let mut head = Head::EMPTY;
        let first = head.seal(&id, now, 0, &EventBody::RunCreated(Box::new(spec.clone())));
        let mut this =
            Self { run: Run::create(id, now, spec), events: vec![first], head, now, next_id: 100 };
        this.command(&start(1));
        this.command(&up(1));
        this
    }

    pub(crate) fn command(&mut self, command: &Command) -> Vec<EventBody> {
        let events = self.run.decide(command, self.now).unwrap().events;
        self.record(&events);
        events
    }

    pub(crate) fn record(&mut self, events: &[EventBody]) {
        for body in events {
            let attempt = if let EventBody::AttemptStarted(started) = body {
                started.number
            } else {
                self.run.last_attempt_number()
            };
            self.run.apply(EventContext { at: self.now, attempt }, body).unwrap();
            self.events.push(self.head.seal(&self.run.id, self.now, attempt, body));
        }
    }

    pub(crate) fn turn(&mut self, news: &[CoordinatorNews]) -> CoordinatorTurn {
        self.now = self.now.plus(Duration::from_millis(10));
        let ids: Vec<RunId> =
            (0..8).map(|more| RunId::new(self.now, self.next_id + more)).collect();
        self.next_id += 8;
        let turn = self.run.turn(news, &ids, self.now).unwrap();
        self.record(&turn.events);
        turn
    }

    pub(crate) fn began(&mut self) -> CoordinatorTurn {
        self.turn(&[CoordinatorNews::Began { items: None }])
    }

    pub(crate) fn run_of(&self, key: &str) -> RunId {
        self.run.coordination.as_ref().unwrap().live.get(key).unwrap().run_id.clone()
    }

    pub(crate) fn completes(&mut self, key: &str, output: Value) -> CoordinatorTurn {
        let ended = completed(self.run_of(key), output);
        self.turn(&[ended])
    }
}

pub(crate) fn said(value: Value) -> StatedValue {
    let digest = Digest::of(canonical::to_string(&value).as_bytes());
    StatedValue { payload: Some(Payload::Json(value.clone())), value, digest }
}

pub(crate) fn usage(tokens: u64) -> ChildUsage {
    let mut used = AgentUsage { runs: 1, wall_ms: 5, tool_calls: 1, ..AgentUsage::default() };
    used.tokens.input_tokens = tokens;
    ChildUsage { by_agent: BTreeMap::from([("a".to_owned(), used)]) }
}

pub(crate) fn completed(run_id: RunId, output: Value) -> CoordinatorNews {
    let outcome = ChildOutcome::Completed(said(output));
    CoordinatorNews::Ended(ChildEnded { run_id, outcome, usage: usage(10), received: None })
}

pub(crate) fn chain(names: &[&str]) -> Plan {
    let link = |name: &&str| Link { name: (*name).to_owned(), input: None };
    let links = names.iter().map(link).collect();
    Plan { agents: agents(names), pattern: Pattern::Chain(Chain { links, max_messages: 100 }) }
}

pub(crate) fn workflow(start: &str, nodes: &[(&str, Node)]) -> Plan {
    let names: Vec<&str> = nodes.iter().map(|(name, _)| *name).collect();
    let nodes = nodes.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect();
    let workflow = Workflow { start: start.to_owned(), max_messages: 100, nodes };
    Plan { agents: agents(&names), pattern: Pattern::Workflow(workflow) }
}

pub(crate) fn to(names: &[&str]) -> Node {
    let edge = |name: &&str| Edge { to: (*name).to_owned(), when: None };
    Node { outputs_to: names.iter().map(edge).collect(), ..Node::default() }
}

fn types(turn: &CoordinatorTurn) -> Vec<&str> {
    turn.events.iter().map(EventBody::type_name).collect()
}

#[test]
fn a_chain_gives_each_output_to_the_next_and_ends_with_the_last() {
    let mut it = Coordinator::new(chain(&["a", "b"]), |_| {});
    let turn = it.began();
    assert_eq!(
        types(&turn),
        ["coordination.began", "message.sent", "step.started", "message.delivered"]
    );
    assert_eq!(turn.starts[0].key, "a#1");
    assert_eq!(turn.starts[0].input, InputMaterial::Input);
    let turn = it.completes("a#1", json!(1));
    assert_eq!(
        types(&turn),
        ["step.completed", "message.sent", "step.started", "message.delivered"]
    );
    assert_eq!(turn.starts[0].input, InputMaterial::Payload(Payload::Json(json!(1))));
    assert_eq!(turn.starts[0].previous.as_deref(), Some("a"));
    let turn = it.completes("b#1", json!(2));
    assert_eq!(
        turn.finish,
        Some(Finish::Completed(InputMaterial::Payload(Payload::Json(json!(2)))))
    );
    assert_eq!(it.run.usage.input_tokens, 20);
    assert_eq!(it.run.spent(it.now).wall_time_ms, 10);
    assert_eq!(Run::fold(&it.events).unwrap(), it.run);
}

#[test]
fn a_workflow_runs_branches_at_once_and_the_first_word_to_the_end_ends_it() {
    let nodes = [("a", to(&["b", "c"])), ("b", to(&[END])), ("c", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    let turn = it.completes("a#1", json!(1));
    assert_eq!(turn.starts.len(), 2);
    let other = it.run_of("c#1");
    let turn = it.completes("b#1", json!("b"));
    assert_eq!((turn.finish, turn.stops), (None, vec![other.clone()]));
    let outcome = ChildOutcome::Cancelled { reason: "parent".to_owned() };
    let ended = CoordinatorNews::Ended(ChildEnded {
        run_id: other,
        outcome,
        usage: usage(1),
        received: None,
    });
    let turn = it.turn(&[ended.clone(), ended]);
    assert_eq!(types(&turn), ["step.failed"]);
    assert_eq!(
        turn.finish,
        Some(Finish::Completed(InputMaterial::Payload(Payload::Json(json!("b")))))
    );
}
