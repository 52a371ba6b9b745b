//! Property tests of workflows: for any graph, agents and order of news, the model decides as the
//! naive interpreter does, and a crash changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use errand_model::coordination::{
    ChildEnded, ChildOutcome, ChildSaid, CoordinatorNews, CoordinatorTurn, Finish, InputMaterial,
};
use errand_model::event::{EventBody, Failure, MessageType};
use errand_model::plan::{
    Condition, END, Edge, Join, NEXT, Node, PREV, Plan, SELF, Test, When, Workflow,
};
use errand_model::run::Run;
use errand_model::{Payload, RunId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::reference::{Heard, Outcome, Reference};
use super::{Coordinator, said, usage, workflow};

/// Action of an agent before it ends.
#[derive(Clone, Debug)]
enum Act {
    Say(u8, MessageType, u8),
    Listen,
}

#[derive(Clone, Debug)]
struct Behaviour {
    acts: Vec<Act>,
    /// True if the agent ends before it receives the first message that it asks for.
    misses: bool,
    /// `None`: it fails.
    output: Option<u8>,
}

fn value(what: u8) -> Value {
    json!({"approved": what.is_multiple_of(2), "score": what % 4})
}

fn any_kind() -> impl Strategy<Value = MessageType> {
    prop_oneof![
        3 => Just(MessageType::Result),
        2 => Just(MessageType::Validation),
        1 => Just(MessageType::Task),
        1 => Just(MessageType::Error),
    ]
}

fn any_when() -> impl Strategy<Value = Option<When>> {
    let condition = prop_oneof![
        any::<bool>().prop_map(|is| ("/approved", Test::Eq(json!(is)))),
        (0..4_u8).prop_map(|least| ("/score", Test::Gte(json!(least)))),
        Just(("/nothing", Test::Exists(false))),
    ];
    let condition =
        condition.prop_map(|(pointer, test)| vec![Condition { pointer: pointer.to_owned(), test }]);
    let payload = prop_oneof![Just(Vec::new()), condition];
    let when = (proptest::option::of(any_kind()), payload)
        .prop_map(|(kind, payload)| Some(When { kind, payload }));
    prop_oneof![3 => Just(None), 2 => when]
}

/// A place in a list of names and roles.
fn name(nodes: usize, place: u8) -> String {
    let roles = [END, SELF, PREV, NEXT];
    let place = usize::from(place) % (nodes + roles.len());
    roles.get(place).map_or_else(|| format!("n{}", place - roles.len()), |it| (*it).to_owned())
}

fn any_node(nodes: usize) -> impl Strategy<Value = Node> {
    let edge =
        (any::<u8>(), any_when()).prop_map(move |(to, when)| Edge { to: name(nodes, to), when });
    let edges = proptest::collection::vec(edge, 1..4);
    let join = prop_oneof![4 => Just(Join::Any), 1 => Just(Join::All)];
    (edges, join, proptest::option::weighted(0.3, 1..4_u32))
        .prop_map(|(outputs_to, join, max_runs)| Node { outputs_to, join, max_runs, input: None })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    (1..=8_usize, 1..40_u32).prop_flat_map(|(nodes, max_messages)| {
        proptest::collection::vec(any_node(nodes), nodes).prop_map(move |list| {
            let names: Vec<String> = (0..list.len()).map(|at| format!("n{at}")).collect();
            let nodes: Vec<(&str, Node)> =
                names.iter().map(String::as_str).zip(list.iter().cloned()).collect();
            let mut plan = workflow("n0", &nodes);
            if let errand_model::plan::Pattern::Workflow(workflow) = &mut plan.pattern {
                workflow.max_messages = max_messages;
            }
            plan
        })
    })
}

fn any_behaviour() -> impl Strategy<Value = Behaviour> {
    let say = (any::<u8>(), any_kind(), any::<u8>())
        .prop_map(|(to, kind, what)| Act::Say(to, kind, what));
    let act = prop_oneof![2 => say, 1 => Just(Act::Listen)];
    let output = prop_oneof![5 => any::<u8>().prop_map(Some), 1 => Just(None)];
    (proptest::collection::vec(act, 0..3), proptest::bool::weighted(0.3), output)
        .prop_map(|(acts, misses, output)| Behaviour { acts, misses, output })
}

/// The world around a coordinator: its children, as they go on one by one.
struct World<'a> {
    it: Coordinator,
    reference: Reference<'a>,
    nodes: usize,
    behaviours: &'a [Behaviour],
    /// Of live children, by key: run, acts left, next number of a message, messages got.
    live: BTreeMap<String, Child>,
    told: Vec<CoordinatorNews>,
    /// Messages that were brought and not taken yet, by child and number.
    inbox: BTreeSet<(RunId, u32)>,
    keys: BTreeSet<String>,
    runs: BTreeSet<RunId>,
}

#[expect(clippy::struct_excessive_bools, reason = "each may hold without the others")]
struct Child {
    run_id: RunId,
    behaviour: Behaviour,
    at: usize,
    said: u32,
    got: u32,
    listens: bool,
    missed: bool,
    is_stopped: bool,
}

impl<'a> World<'a> {
    fn new(plan: &Plan, workflow: &'a Workflow, behaviours: &'a [Behaviour]) -> Self {
        let nodes = workflow.nodes.len();
        Self {
            it: Coordinator::new(plan.clone(), |_| {}),
            reference: Reference::new(workflow),
            nodes,
            behaviours,
            live: BTreeMap::new(),
            told: Vec::new(),
            inbox: BTreeSet::new(),
            keys: BTreeSet::new(),
            runs: BTreeSet::new(),
        }
    }

    /// Returns the next news of a child; `None` while it waits for a message.
    fn step(&mut self, key: &str, is_stuck: bool) -> Option<(CoordinatorNews, Vec<Heard>)> {
        let child = self.live.get_mut(key).unwrap();
        let run_id = child.run_id.clone();
        if child.is_stopped {
            let outcome = ChildOutcome::Cancelled { reason: "told so".to_owned() };
            return Some(self.end(key, outcome, Heard::Failed(run_id.to_string())));
        }
        if child.listens {
            if !is_stuck {
                return None;
            }
            // It is tired of waiting, and ends.
            child.at = usize::MAX;
        }
        let act = child.behaviour.acts.get(child.at).cloned();
        child.at = child.at.saturating_add(1);
        match act {
            Some(Act::Say(to, kind, what)) => {
                child.said += 1;
                let (id, to) = (format!("{run_id}/{}", child.said), name(self.nodes, to));
                let (value, said) = (value(what), said(value(what)));
                let heard = Heard::Said { number: child.said, to: to.clone(), kind, value };
                Some((CoordinatorNews::Said(ChildSaid { run_id, id, to, kind, said }), vec![heard]))
            }
            Some(Act::Listen) => {
                child.listens = true;
                Some((
                    CoordinatorNews::Listens { run_id, received: child.got },
                    vec![Heard::Listens],
                ))
            }
            None => Some(if let Some(what) = child.behaviour.output {
                let outcome = ChildOutcome::Completed(said(value(what)));
                self.end(key, outcome, Heard::Completed(value(what)))
            } else {
                let error = Failure {
                    code: "broken".into(),
                    message: "it broke".to_owned(),
                    step: None,
                    retryable: None,
                    stderr_tail: None,
                };
                self.end(key, ChildOutcome::Failed { error }, Heard::Failed(run_id.to_string()))
            }),
        }
    }

    fn end(
        &mut self,
        key: &str,
        outcome: ChildOutcome,
        heard: Heard,
    ) -> (CoordinatorNews, Vec<Heard>) {
        let child = self.live.remove(key).unwrap();
        let missed = child.missed.then_some(Heard::Missed);
        let (run_id, received) = (child.run_id, Some(child.got));
        let ended = ChildEnded { run_id, outcome, usage: usage(1), received };
        (CoordinatorNews::Ended(ended), missed.into_iter().chain([heard]).collect())
    }

    fn take(&mut self, turn: &CoordinatorTurn, expect: &Outcome) {
        let mut found = Outcome::default();
        for start in &turn.starts {
            let input = match &start.input {
                InputMaterial::Input => json!("in"),
                InputMaterial::Payload(Payload::Json(value)) => value.clone(),
                InputMaterial::Object(parts) => parts
                    .iter()
                    .map(|(name, part)| match part {
                        Some(Payload::Json(value)) => (name.clone(), value.clone()),
                        other => panic!("{other:?}"),
                    })
                    .collect(),
                other => panic!("{other:?}"),
            };
            found.starts.push((start.key.clone(), input));
            assert!(self.keys.insert(start.key.clone()), "{} is started twice", start.key);
            assert!(self.runs.insert(start.run_id.clone()), "an id is used twice");
            let behaviour = self.behaviours[self.keys.len() % self.behaviours.len()].clone();
            let run_id = start.run_id.clone();
            let child = Child {
                run_id,
                behaviour,
                at: 0,
                said: 0,
                got: 0,
                listens: false,
                missed: false,
                is_stopped: false,
            };
            self.live.insert(start.key.clone(), child);
        }
        for unread in &turn.unread {
            self.inbox.remove(unread);
        }
        let coordination = self.it.run.coordination.as_ref().unwrap();
        for delivery in &turn.deliveries {
            let child = self.live.iter_mut().find(|(_, child)| child.run_id == delivery.run_id);
            let (key, child) = child.unwrap();
            assert!(child.listens && delivery.number == child.got + 1);
            child.listens = false;
            let known = coordination.live.get(key).unwrap();
            assert_eq!(known.not_received(child.got).as_ref(), Some(delivery));
            assert_eq!(known.not_received(delivery.number), None);
            assert!(self.inbox.insert((delivery.run_id.clone(), delivery.number)));
            if child.behaviour.misses {
                (child.missed, child.at) = (true, usize::MAX);
            } else {
                child.got += 1;
                self.inbox.remove(&(delivery.run_id.clone(), delivery.number));
            }
            found.fed.push(key.clone());
        }
        for run_id in &turn.stops {
            let stopped = coordination.live.iter().find(|(_, child)| child.run_id == *run_id);
            found.stops.insert(stopped.unwrap().0.clone());
        }
        for key in &found.stops {
            if let Some(child) = self.live.get_mut(key) {
                child.is_stopped = true;
            }
        }
        found.finish = turn.finish.as_ref().map(|finish| match finish {
            Finish::Completed(InputMaterial::Payload(Payload::Json(value))) => Ok(value.clone()),
            Finish::Failed(error) => Err(error.code.to_string()),
            other => panic!("{other:?}"),
        });
        assert_eq!(found, *expect);
        let names: BTreeSet<&str> =
            coordination.live.values().map(|child| child.name.as_str()).collect();
        assert_eq!(names.len(), coordination.live.len(), "a node runs twice at once");
    }

    /// Checks the journal's messages and the number of their deliveries.
    fn check_journal(&self) {
        let mut delivered = BTreeSet::new();
        let mut sent = Vec::new();
        for event in &self.it.events {
            let body = event.body().unwrap();
            if let EventBody::MessageSent(it) = body {
                let Payload::Json(value) = it.payload else { panic!("no JSON") };
                sent.push((it.id, it.from, it.to, it.kind, value));
            } else if let EventBody::MessageDelivered(it) = body {
                for id in it.ids {
                    if it.returned {
                        assert!(delivered.remove(&id), "{id} is not there to be returned");
                        continue;
                    }
                    assert!(sent.iter().any(|sent| sent.0 == id), "{id} was never sent");
                    assert!(delivered.insert(id), "a message is delivered twice");
                }
            }
        }
        let ids: BTreeSet<_> = sent.iter().map(|sent| &sent.0).collect();
        assert_eq!(ids.len(), sent.len());
        let found: Vec<_> = sent
            .iter()
            .map(|(id, from, to, kind, value)| (from, to, kind, value, delivered.contains(id)))
            .collect();
        let expect: Vec<_> = self
            .reference
            .messages
            .iter()
            .map(|it| (&it.from, &it.to, &it.kind, &it.value, it.is_delivered))
            .collect();
        assert_eq!(found, expect);
    }
}

/// Which children go on, how many at once, and what comes twice.
#[derive(Clone, Debug)]
struct Choice {
    who: u8,
    how_many: u8,
    again: Option<u8>,
    crash: bool,
}

fn any_choice() -> impl Strategy<Value = Choice> {
    (any::<u8>(), 1..4_u8, proptest::option::weighted(0.3, any::<u8>()), any::<bool>())
        .prop_map(|(who, how_many, again, crash)| Choice { who, how_many, again, crash })
}

fn play(plan: &Plan, behaviours: &[Behaviour], choices: &[Choice]) {
    let errand_model::plan::Pattern::Workflow(workflow) = &plan.pattern else { return };
    let mut world = World::new(plan, workflow, behaviours);
    let turn = world.it.began();
    let expect = world.reference.begin(&json!("in"));
    world.take(&turn, &expect);
    let mut finish = turn.finish;
    // Each child does at most four things, and is started for a message.
    let bound = 6 * (usize::try_from(workflow.max_messages).unwrap() + 2);
    for round in 0.. {
        if finish.is_some() {
            break;
        }
        assert!(round < bound, "it does not end");
        let choice = &choices[round % choices.len()];
        let (mut news, mut heard) = (Vec::new(), Vec::new());
        for is_stuck in [false, true] {
            let keys: Vec<String> = world.live.keys().cloned().collect();
            for more in 0..choice.how_many {
                if keys.is_empty() || (is_stuck && !news.is_empty()) {
                    break;
                }
                let key = &keys[(usize::from(choice.who) + usize::from(more)) % keys.len()];
                let is_told = heard.iter().any(|(told, _)| told == key);
                if world.live.contains_key(key) && !is_told {
                    let Some((told, meant)) = world.step(key, is_stuck) else { continue };
                    news.push(told);
                    heard.extend(meant.into_iter().map(|meant| (key.clone(), meant)));
                }
            }
            if news.is_empty() && !is_stuck {
                // Somebody else may go on.
                for key in &keys {
                    if let Some((told, meant)) = world.step(key, false) {
                        news.push(told);
                        heard.extend(meant.into_iter().map(|meant| (key.clone(), meant)));
                        break;
                    }
                }
            }
        }
        heard.sort_by_key(|(_, heard)| match heard {
            Heard::Said { number, .. } => (0, *number),
            Heard::Missed | Heard::Completed(_) | Heard::Failed(_) => (1, 0),
            Heard::Listens => (2, 0),
        });
        let fresh = news.clone();
        if let Some(again) = choice.again.filter(|_| !world.told.is_empty()) {
            news.insert(0, world.told[usize::from(again) % world.told.len()].clone());
            news.extend(fresh.first().cloned());
        }
        world.told.extend(fresh);
        if choice.crash {
            let folded = Run::fold(&world.it.events).unwrap();
            assert_eq!(folded, world.it.run);
            let text = serde_json::to_string(&folded).unwrap();
            world.it.run = serde_json::from_str(&text).unwrap();
            assert_eq!(folded, world.it.run);
        }
        let turn = world.it.turn(&news);
        let expect = world.reference.hear(&heard);
        world.take(&turn, &expect);
        finish = turn.finish;
    }
    world.check_journal();
    assert!(world.inbox.is_empty(), "nobody takes these any more: {:?}", world.inbox);
    assert_eq!(Run::fold(&world.it.events).unwrap(), world.it.run);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_workflow_goes_as_the_naive_interpreter_says(
        plan in any_plan(),
        behaviours in proptest::collection::vec(any_behaviour(), 1..8),
        choices in proptest::collection::vec(any_choice(), 1..12),
    ) {
        play(&plan, &behaviours, &choices);
    }
}
