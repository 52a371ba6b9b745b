//! The rules of messages, joins, bounds and failures, one by one.

use errand_model::coordination::{
    ChildEnded, ChildOutcome, ChildSaid, CoordinatorNews, CoordinatorTurn, Finish, InputMaterial,
};
use errand_model::event::{EventBody, MessageType, PauseReason};
use errand_model::plan::{
    Chain, Condition, END, Edge, Join, Link, NEXT, Node, PREV, Pattern, SELF, Test, When,
};
use errand_model::{Payload, Timestamp};
use serde_json::{Value, json};

use super::{Coordinator, agents, chain, said, to, types, usage, workflow};

fn json(value: Value) -> InputMaterial {
    InputMaterial::Payload(Payload::Json(value))
}

fn well(value: Value) -> Option<Finish> {
    Some(Finish::Completed(json(value)))
}

fn failed_code(turn: &CoordinatorTurn) -> &str {
    match &turn.finish {
        Some(Finish::Failed(error)) => error.code.as_str(),
        other => panic!("{other:?}"),
    }
}

fn message(turn: &CoordinatorTurn) -> &str {
    match &turn.finish {
        Some(Finish::Failed(error)) => &error.message,
        other => panic!("{other:?}"),
    }
}

fn keys(turn: &CoordinatorTurn) -> Vec<&str> {
    turn.starts.iter().map(|start| start.key.as_str()).collect()
}

fn when(kind: MessageType, payload: Vec<Condition>) -> Option<When> {
    Some(When { kind: Some(kind), payload })
}

fn edge(to: &str, when: Option<When>) -> Edge {
    Edge { to: to.to_owned(), when }
}

impl Coordinator {
    pub(super) fn says(
        &mut self,
        key: &str,
        number: u32,
        to: &str,
        what: (MessageType, Value),
    ) -> CoordinatorTurn {
        let run_id = self.run_of(key);
        let id = format!("{run_id}/{number}");
        let (kind, value) = what;
        let said = ChildSaid { run_id, id, to: to.to_owned(), kind, said: said(value) };
        self.turn(&[CoordinatorNews::Said(said)])
    }

    pub(super) fn fails(&mut self, key: &str) -> CoordinatorTurn {
        let error = crate::table::failure("exit_nonzero");
        let (run_id, outcome) = (self.run_of(key), ChildOutcome::Failed { error });
        self.turn(&[CoordinatorNews::Ended(ChildEnded {
            run_id,
            outcome,
            usage: usage(3),
            received: None,
        })])
    }

    pub(super) fn is_cancelled(&mut self, key: &str) -> CoordinatorTurn {
        let reason = "somebody stopped it".to_owned();
        let (run_id, outcome) = (self.run_of(key), ChildOutcome::Cancelled { reason });
        self.turn(&[CoordinatorNews::Ended(ChildEnded {
            run_id,
            outcome,
            usage: usage(3),
            received: None,
        })])
    }

    pub(super) fn listens(&mut self, key: &str, received: u32) -> CoordinatorTurn {
        let run_id = self.run_of(key);
        self.turn(&[CoordinatorNews::Listens { run_id, received }])
    }
}

/// The flow of the source document: the writer has the analyst check its draft before it ends.
#[test]
fn a_researcher_an_analyst_and_a_writer_with_a_validation_round_trip() {
    let nodes = [
        ("researcher", to(&["analyst"])),
        ("analyst", to(&["writer"])),
        ("writer", to(&["analyst", END])),
    ];
    let mut it = Coordinator::new(workflow("researcher", &nodes), |_| {});
    it.began();
    let turn = it.says("researcher#1", 1, "analyst", (MessageType::Task, json!("query")));
    assert_eq!(keys(&turn), ["analyst#1"]);
    let turn = it.completes("researcher#1", json!("ignored: it wrote itself"));
    assert_eq!(types(&turn), ["step.completed"]);
    let turn = it.completes("analyst#1", json!("findings"));
    assert_eq!(keys(&turn), ["writer#1"]);
    assert_eq!(turn.starts[0].previous.as_deref(), Some("analyst"));
    assert_eq!(turn.starts[0].sends_to, ["analyst", END]);
    let turn = it.says("writer#1", 1, PREV, (MessageType::Validation, json!("draft")));
    assert_eq!(keys(&turn), ["analyst#2"]);
    assert_eq!(types(&it.listens("writer#1", 0)), ["child.listening"]);
    let turn = it.completes("analyst#2", json!("approved"));
    assert_eq!(types(&turn), ["step.completed", "message.sent", "message.delivered"]);
    let delivery = &turn.deliveries[0];
    assert_eq!((delivery.number, delivery.from.as_str()), (1, "analyst"));
    assert_eq!(delivery.payload, Payload::Json(json!("approved")));
    assert!(it.listens("writer#1", 0).events.is_empty(), "an ask that was answered");
    let turn = it.says("writer#1", 2, END, (MessageType::Result, json!("final")));
    assert_eq!((turn.stops.len(), turn.finish), (0, None), "it ends by itself");
    assert_eq!(it.completes("writer#1", json!(0)).finish, well(json!("final")));
}

#[test]
fn a_chain_maps_inputs_and_a_link_may_send_something_back() {
    let template = json!({"text": "{{ output }}", "all": "{{ outputs.a }}"});
    let link = |name: &str, input| Link { name: name.to_owned(), input };
    let links = vec![link("a", None), link("b", Some(template.clone()))];
    let pattern = Pattern::Chain(Chain { links, max_messages: 1 });
    let plan = errand_model::plan::Plan { agents: agents(&["a", "b"]), pattern };
    let mut it = Coordinator::new(plan, |_| {});
    assert_eq!(it.began().starts[0].previous, None);
    let turn = it.completes("a#1", json!(1));
    let InputMaterial::Template { template: found, output, from, kind, outputs } =
        &turn.starts[0].input
    else {
        panic!("{turn:?}")
    };
    assert_eq!((found, &**output, from.as_str()), (&template, &json(json!(1)), "a"));
    assert_eq!((*kind, &outputs["a"]), (MessageType::Result, &Some(Payload::Json(json!(1)))));

    let mut it = Coordinator::new(chain(&["a", "b"]), |_| {});
    it.began();
    it.completes("a#1", json!(1));
    let turn = it.says("b#1", 1, PREV, (MessageType::Validation, json!("better")));
    assert_eq!(keys(&turn), ["a#2"]);
    assert_eq!(turn.starts[0].previous, None, "before the first there is none");
    it.completes("b#1", json!(0));
    assert_eq!(keys(&it.completes("a#2", json!(2))), ["b#2"]);
    assert_eq!(it.completes("b#2", json!(3)).finish, well(json!(3)));
}

#[test]
fn conditions_choose_edges_by_type_and_payload() {
    let approved =
        |is: bool| vec![Condition { pointer: "/ok".to_owned(), test: Test::Eq(json!(is)) }];
    let result = MessageType::Result;
    let edges =
        vec![edge(SELF, when(result, approved(false))), edge(END, when(result, approved(true)))];
    let a = Node { outputs_to: edges, ..Node::default() };
    let mut it = Coordinator::new(workflow("a", &[("a", a)]), |_| {});
    it.began();
    assert_eq!(keys(&it.completes("a#1", json!({"ok": false}))), ["a#2"]);
    assert_eq!(it.completes("a#2", json!({"ok": true})).finish, well(json!({"ok": true})));
}

#[test]
fn next_takes_all_edges_whose_conditions_hold_and_others_are_refused() {
    let edges = vec![
        edge("b", None),
        edge("c", when(MessageType::Validation, Vec::new())),
        edge("b", None),
    ];
    let a = Node { outputs_to: edges, ..Node::default() };
    let nodes = [("a", a), ("b", to(&[END])), ("c", to(&[END])), ("d", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    assert!(it.says("a#1", 1, "d", (MessageType::Task, json!(0))).events.is_empty());
    assert!(it.says("a#1", 2, END, (MessageType::Task, json!(0))).events.is_empty());
    assert_eq!(keys(&it.says("a#1", 3, NEXT, (MessageType::Task, json!(0)))), ["b#1"]);
    let turn = it.says("a#1", 4, NEXT, (MessageType::Validation, json!(0)));
    assert_eq!(keys(&turn), ["c#1"]);
    assert_eq!(types(&turn)[..2], ["message.sent", "message.sent"], "the second waits for b");
    assert!(it.says("a#1", 4, NEXT, (MessageType::Validation, json!(0))).events.is_empty());
}

#[test]
fn a_join_waits_for_one_message_of_each_and_takes_the_oldest() {
    let join = Node { join: Join::All, ..to(&[END]) };
    let nodes = [("a", to(&["b", "c", "j"])), ("b", to(&["j"])), ("c", to(&["j"])), ("j", join)];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    assert_eq!(keys(&it.completes("a#1", json!("a"))), ["b#1", "c#1"]);
    assert!(it.completes("b#1", json!("b")).starts.is_empty());
    let turn = it.completes("c#1", json!("c"));
    let InputMaterial::Object(parts) = &turn.starts[0].input else { panic!("{turn:?}") };
    let parts: Vec<_> = parts.iter().map(|(name, part)| (name.as_str(), part.clone())).collect();
    let part = |name| (name, Some(Payload::Json(json!(name))));
    assert_eq!(parts, [part("a"), part("b"), part("c")]);
    let EventBody::MessageDelivered(delivered) = turn.events.last().unwrap() else { panic!() };
    assert_eq!((delivered.ids.len(), delivered.step.as_str()), (3, "j#1"));
}

#[test]
fn a_failure_takes_the_edges_for_errors_or_fails_the_run() {
    let edges = vec![edge(END, None), edge("mend", when(MessageType::Error, Vec::new()))];
    let a = Node { outputs_to: edges, ..Node::default() };
    let nodes = [("a", a), ("mend", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    let run_id = it.run_of("a#1");
    let turn = it.fails("a#1");
    let said =
        json!({"code": "exit_nonzero", "message": "it broke", "node": "a", "run_id": run_id});
    assert_eq!(turn.starts[0].input, json(said));
    let turn = it.fails("mend#1");
    assert_eq!(failed_code(&turn), "child_failed");
    assert!(message(&turn).contains("mend failed (run "), "{}", message(&turn));
}

#[test]
fn a_run_that_fails_ends_what_lives_of_it_first() {
    let nodes = [("a", to(&["b", "c"])), ("b", to(&[END])), ("c", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    it.completes("a#1", json!(0));
    let turn = it.fails("b#1");
    assert_eq!(types(&turn), ["step.failed", "coordination.settled"]);
    assert_eq!((turn.finish, turn.stops), (None, vec![it.run_of("c#1")]));
    let turn = it.completes("c#1", json!("too late"));
    assert_eq!(types(&turn), ["step.completed"]);
    assert_eq!(failed_code(&turn), "child_failed");
}

#[test]
fn loops_are_bounded_by_messages_and_by_runs() {
    let looping = |max_runs, max_messages| {
        let node = Node { max_runs, ..to(&[SELF]) };
        let mut plan = workflow("a", &[("a", node)]);
        if let Pattern::Workflow(workflow) = &mut plan.pattern {
            workflow.max_messages = max_messages;
        }
        let mut it = Coordinator::new(plan, |_| {});
        it.began();
        it.completes("a#1", json!(1));
        it.completes("a#2", json!(2))
    };
    let turn = looping(Some(2), 100);
    assert_eq!(failed_code(&turn), "too_many_runs");
    assert_eq!(message(&turn), "a may run 2 times, and is to run again");
    let turn = looping(None, 2);
    assert_eq!(failed_code(&turn), "too_many_messages");
    assert_eq!(message(&turn), "the run may send 2 messages, and a sends one more to a");
}

#[test]
fn a_workflow_that_stalls_says_what_waits_for_what() {
    let join = Node { join: Join::All, ..to(&[END]) };
    let never = Node { outputs_to: vec![edge("j", None)], ..Node::default() };
    let nodes = [("a", to(&["j"])), ("b", never), ("j", join)];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    let turn = it.completes("a#1", json!(1));
    assert_eq!(failed_code(&turn), "workflow_stalled");
    assert_eq!(message(&turn), "nothing is under way, and j waits for b");
    let edges = vec![edge(END, when(MessageType::Validation, Vec::new()))];
    let mut it = Coordinator::new(
        workflow("a", &[("a", Node { outputs_to: edges, ..Node::default() })]),
        |_| {},
    );
    it.began();
    let turn = it.completes("a#1", json!(1));
    assert!(message(&turn).ends_with("no edge took the last output to __end__"));
}

#[test]
fn a_control_message_holds_releases_and_ends_another_agent() {
    let control = |action: &str| (MessageType::Control, json!({"action": action}));
    let nodes = [("a", to(&["b", END])), ("b", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    it.says("a#1", 1, "b", (MessageType::Task, json!(1)));
    let b = it.run_of("b#1");
    let turn = it.says("a#1", 2, "b", control("pause"));
    assert_eq!((turn.holds, turn.releases), (vec![b.clone()], vec![]));
    it.turn(&[CoordinatorNews::Waits { run_id: b.clone(), reason: Some(PauseReason::Operator) }]);
    let turn = it.says("a#1", 3, "b", control("resume"));
    assert_eq!((turn.holds, turn.releases), (vec![], vec![b.clone()]));
    it.turn(&[CoordinatorNews::Waits { run_id: b.clone(), reason: None }]);
    assert!(it.turn(&[CoordinatorNews::Look]).releases.is_empty());
    let turn = it.says("a#1", 4, "b", control("cancel"));
    assert_eq!(turn.stops, [b]);
    let turn = it.is_cancelled("b#1");
    assert_eq!((types(&turn), turn.finish.clone()), (vec!["step.failed"], None), "as was meant");
    assert!(it.fails("a#1").finish.is_some());
}

#[test]
fn a_control_message_to_the_end_is_about_the_whole_run() {
    let control = |action: &str| (MessageType::Control, json!({"action": action}));
    let nodes = [("a", to(&["b", END])), ("b", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    it.says("a#1", 1, "b", (MessageType::Task, json!(1)));
    let turn = it.says("a#1", 2, END, control("pause"));
    assert_eq!(types(&turn), ["message.sent", "run.paused"]);
    assert_eq!(turn.holds.len(), 2);
    let turn = it.says("b#1", 1, END, control("resume"));
    assert_eq!(types(&turn), ["message.sent", "run.resumed"]);
    assert_eq!(turn.releases.len(), 2);
    let turn = it.says("b#1", 2, END, control("cancel"));
    assert_eq!(types(&turn), ["message.sent", "run.cancel_requested"]);
    assert_eq!(turn.stops.len(), 2);
    it.is_cancelled("a#1");
    assert_eq!(it.is_cancelled("b#1").finish, Some(Finish::Cancelled));
}

#[test]
fn what_a_child_did_not_get_starts_its_next_run() {
    let nodes = [("a", to(&["b"])), ("b", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    it.says("a#1", 1, "b", (MessageType::Task, json!(1)));
    assert!(it.says("a#1", 2, "b", (MessageType::Task, json!(2))).starts.is_empty());
    let turn = it.fails("b#1");
    assert_eq!(failed_or_none(&turn), None);
    assert!(turn.starts.is_empty(), "the run fails: nothing new begins");
}

fn failed_or_none(turn: &CoordinatorTurn) -> Option<&str> {
    turn.finish.as_ref().map(|_| failed_code(turn))
}

#[test]
fn no_more_start_than_there_are_ids_and_the_rest_comes_next() {
    let plan = super::fan_outs::fan_out(&["m"], |it| it.partition = Some("items".to_owned()));
    let it = Coordinator::new(plan, |_| {});
    let began = [CoordinatorNews::Began { items: Some(3) }];
    let turn = it
        .run
        .turn(&began, std::slice::from_ref(&it.run.id), Timestamp::from_millis(2_000_000))
        .unwrap();
    assert_eq!((keys(&turn), turn.looks_again), (vec!["m#1"], true));
}

#[test]
fn a_child_that_could_not_be_started_failed() {
    let mut it = Coordinator::new(chain(&["a"]), |_| {});
    it.began();
    let error = crate::table::failure("input_invalid");
    let turn = it.turn(&[CoordinatorNews::NotStarted { key: "a#1".to_owned(), error }]);
    assert_eq!(failed_code(&turn), "child_failed");
    assert!(message(&turn).contains("input_invalid: it broke"));
}

#[test]
fn one_that_said_the_last_word_and_waits_for_more_is_to_end() {
    let nodes = [("a", to(&["b", END])), ("b", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    it.says("a#1", 1, "b", (MessageType::Task, json!(1)));
    let (a, b) = (it.run_of("a#1"), it.run_of("b#1"));
    let turn = it.says("a#1", 2, END, (MessageType::Result, json!("last")));
    let only_b = std::slice::from_ref(&b);
    assert_eq!(turn.stops, only_b, "the other one may end by itself");
    assert_eq!(it.turn(&[CoordinatorNews::Look]).stops, only_b);
    let turn = it.listens("a#1", 0);
    assert_eq!(
        (types(&turn), &turn.stops[..]),
        (vec!["child.listening"], std::slice::from_ref(&a))
    );
    assert_eq!(it.turn(&[CoordinatorNews::Look]).stops, [a.clone(), b]);
    assert!(it.is_cancelled("b#1").stops.is_empty(), "it was told");
    assert_eq!(it.turn(&[CoordinatorNews::Look]).stops, [a]);
    assert_eq!(it.is_cancelled("a#1").finish, well(json!("last")));
}

#[test]
fn what_was_brought_to_a_child_that_ended_before_it_had_it_starts_the_next_run() {
    let nodes = [("a", to(&["b"])), ("b", to(&[END])), ("c", to(&[END]))];
    let ends = |it: &mut Coordinator, received| {
        let (run_id, outcome) = (it.run_of("b#1"), ChildOutcome::Completed(said(json!("late"))));
        it.turn(&[CoordinatorNews::Ended(ChildEnded {
            run_id,
            outcome,
            usage: usage(1),
            received,
        })])
    };
    let fed = || {
        let edges = vec![edge(END, when(MessageType::Validation, Vec::new()))];
        let mut nodes = nodes.clone();
        nodes[1].1 = Node { outputs_to: edges, ..Node::default() };
        let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
        it.began();
        it.says("a#1", 1, "b", (MessageType::Task, json!("first")));
        it.listens("b#1", 0);
        assert_eq!(it.says("a#1", 2, "b", (MessageType::Task, json!(2))).deliveries.len(), 1);
        assert!(it.says("a#1", 3, "b", (MessageType::Task, json!(3))).deliveries.is_empty());
        it
    };
    let mut it = fed();
    let turn = ends(&mut it, Some(0));
    assert_eq!(
        types(&turn),
        ["message.delivered", "step.completed", "step.started", "message.delivered"]
    );
    assert_eq!((keys(&turn), &turn.starts[0].input), (vec!["b#2"], &json(json!(2))));
    let EventBody::MessageDelivered(returned) = &turn.events[0] else { panic!("{turn:?}") };
    assert!(returned.returned);
    assert_eq!(it.completes("b#2", json!(0)).starts[0].input, json(json!(3)), "in their order");
    assert_eq!(errand_model::run::Run::fold(&it.events).unwrap(), it.run);
    for received in [Some(1), None] {
        let turn = ends(&mut fed(), received);
        assert_eq!(turn.starts[0].input, json(json!(3)), "it had it: {received:?}");
    }
    let mut it = fed();
    assert_eq!(types(&it.listens("b#1", 1)), ["child.listening", "message.delivered"]);
    assert_eq!(ends(&mut it, Some(1)).starts[0].input, json(json!(3)), "only what it had not");
}

#[test]
fn what_was_brought_to_a_child_that_was_handed_over_is_for_the_other_run() {
    let nodes = [("a", to(&["b"])), ("b", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    it.says("a#1", 1, "b", (MessageType::Task, json!(1)));
    it.listens("b#1", 0);
    it.says("a#1", 2, "b", (MessageType::Task, json!(2)));
    let other = it.run.id.clone();
    let outcome = ChildOutcome::HandedOver { to: other.clone(), agent: "reviewer".to_owned() };
    let (run_id, usage, received) = (it.run_of("b#1"), usage(1), Some(0));
    let turn = it.turn(&[CoordinatorNews::Ended(ChildEnded { run_id, outcome, usage, received })]);
    assert_eq!(types(&turn), ["message.delivered", "step.failed", "step.started"]);
    let turn = it.listens("b#1", 0);
    let delivery = &turn.deliveries[0];
    assert_eq!((&delivery.run_id, delivery.number), (&other, 1));
    assert_eq!(delivery.payload, Payload::Json(json!(2)));
}

#[test]
fn a_released_child_that_waits_for_a_person_again_lets_its_coordinator_wait() {
    let mut it = Coordinator::new(chain(&["a"]), |_| {});
    it.began();
    let run_id = it.run_of("a#1");
    let waits = |reason| CoordinatorNews::Waits { run_id: run_id.clone(), reason };
    it.turn(&[waits(Some(PauseReason::Approval))]);
    assert_eq!(it.run.status.name(), "paused");
    let pause = errand_model::run::Pause { reason: PauseReason::Operator, by: None };
    it.command(&pause.into());
    it.turn(&[CoordinatorNews::Look]);
    it.turn(&[waits(Some(PauseReason::Operator))]);
    it.command(&errand_model::run::Resume { by: None }.into());
    assert_eq!(it.turn(&[CoordinatorNews::Look]).releases, std::slice::from_ref(&run_id));
    let turn = it.turn(&[waits(Some(PauseReason::Approval))]);
    assert_eq!(types(&turn), ["child.waiting", "run.paused"]);
    assert!(turn.releases.is_empty() && it.turn(&[CoordinatorNews::Look]).releases.is_empty());
    // What one child says of that is heard in the order in which it comes.
    let turn = it.turn(&[waits(None), waits(Some(PauseReason::Input))]);
    assert_eq!(types(&turn), ["child.waiting", "child.waiting"]);
    let turn = it.turn(&[waits(Some(PauseReason::Approval)), waits(None)]);
    assert_eq!(types(&turn), ["child.waiting", "child.waiting", "run.resumed"]);
}

#[test]
fn who_is_to_end_is_named_again_once_one_that_was_to_start_could_not() {
    let edges = vec![edge(END, when(MessageType::Validation, Vec::new()))];
    let bounded = Node { outputs_to: edges, max_runs: Some(1), ..Node::default() };
    let nodes = [("a", to(&["b", "c", "l"])), ("b", to(&[END])), ("c", bounded), ("l", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    it.says("a#1", 1, "c", (MessageType::Task, json!(1)));
    it.completes("c#1", json!("nothing"));
    it.says("a#1", 2, "l", (MessageType::Task, json!(1)));
    let turn = it.says("a#1", 3, NEXT, (MessageType::Task, json!(1)));
    assert_eq!((keys(&turn), turn.stops.len()), (vec!["b#1"], 3));
    let error = crate::table::failure("input_invalid");
    let turn = it.turn(&[CoordinatorNews::NotStarted { key: "b#1".to_owned(), error }]);
    assert_eq!(turn.stops, [it.run_of("a#1"), it.run_of("l#1")]);
}

#[test]
fn a_run_knows_how_many_messages_it_received() {
    let mut it = Coordinator::new(chain(&["a"]), |_| {});
    let text = |it: &Coordinator| serde_json::to_value(&it.run).unwrap();
    assert!(text(&it).get("received").is_none());
    let received = EventBody::MessageReceived(errand_model::event::MessageReceived {
        id: "m1".to_owned(),
        from: "b".to_owned(),
        to: "a".to_owned(),
        kind: MessageType::Task,
        payload: Payload::Json(json!(1)),
    });
    it.record(&[received.clone(), received]);
    assert_eq!((it.run.received, text(&it)["received"].clone()), (2, json!(2)));
}
