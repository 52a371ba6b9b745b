//! The life of a coordinator: holds, waits, budgets, losses, retries, its end.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::budget::{BudgetLimits, LimitName, OnExceed};
use errand_model::coordination::{
    ChildEnded, ChildOutcome, ChildSaid, CoordinatorNews, CoordinatorTurn, Finish, InputMaterial,
};
use errand_model::event::{
    CancelCause, EventBody, Failure, MessageType, PauseReason, ProcessUsage, RequeueReason,
    RunCreated, StepInherited,
};
use errand_model::plan::{Condition, END, Edge, Node, OnFailure, Pattern, Test, When};
use errand_model::retry::RetryPolicy;
use errand_model::run::{
    AttemptOutcome, Cancel, EndAttempt, Lose, Pause, Restart, Resume, Run, Status,
};
use errand_model::{Blob, Digest, Encoding, EventContext, Payload};
use serde_json::json;

use super::fan_outs::{fan_out, spending};
use super::{Coordinator, chain, said, to, types, usage, workflow};
use crate::table::{start, up};

fn fork() -> errand_model::plan::Plan {
    let nodes = [("a", to(&["b", "c"])), ("b", to(&[END])), ("c", to(&[END]))];
    workflow("a", &nodes)
}

fn pause() -> errand_model::run::Command {
    Pause { reason: PauseReason::Operator, by: Some("ada".to_owned()) }.into()
}

fn cancel() -> errand_model::run::Command {
    Cancel { cause: CancelCause::Stopped, by: None, grace: Duration::ZERO }.into()
}

impl Coordinator {
    fn waits(&mut self, key: &str, reason: Option<PauseReason>) -> CoordinatorTurn {
        let run_id = self.run_of(key);
        self.turn(&[CoordinatorNews::Waits { run_id, reason }])
    }

    /// Ends the attempt as a turn says.
    fn finishes(&mut self, turn: &CoordinatorTurn) -> Vec<EventBody> {
        let outcome = match turn.finish.clone().unwrap() {
            Finish::Completed(InputMaterial::Payload(payload)) => {
                AttemptOutcome::Exited { output: Some(payload) }
            }
            Finish::Completed(_) => AttemptOutcome::Exited { output: None },
            Finish::Failed(error) => AttemptOutcome::Failed(error),
            Finish::Cancelled => AttemptOutcome::Drained,
        };
        let usage = ProcessUsage::default();
        let attempt = self.run.last_attempt_number();
        let end = EndAttempt { task: None, attempt, outcome, exit_code: None, signal: None, usage };
        self.command(&end.into())
    }

    fn next_attempt(&mut self) {
        self.now = self.now.plus(Duration::from_secs(60));
        let epoch = self.run.epoch + 1;
        self.command(&start(epoch));
        let attempt = self.run.last_attempt_number();
        self.command(&up(attempt));
    }
}

fn names(events: &[EventBody]) -> Vec<&str> {
    events.iter().map(EventBody::type_name).collect()
}

fn budgets(limits: BudgetLimits) -> impl FnOnce(&mut RunCreated) {
    |spec| spec.budgets = limits
}

#[test]
fn a_coordinator_waits_with_its_children_and_goes_on_with_the_first() {
    let mut it = Coordinator::new(fork(), |_| {});
    it.began();
    it.completes("a#1", json!(1));
    assert_eq!(types(&it.waits("b#1", Some(PauseReason::Approval))), ["child.waiting"]);
    let turn = it.waits("c#1", Some(PauseReason::Input));
    assert_eq!(types(&turn), ["child.waiting", "run.paused"]);
    assert!(it.waits("c#1", Some(PauseReason::Input)).events.is_empty());
    assert!(matches!(it.run.status, Status::Paused { reason: PauseReason::Approval, .. }));
    assert_eq!(types(&it.waits("b#1", None)), ["child.waiting", "run.resumed"]);
    assert!(matches!(it.run.status, Status::Running { .. }));
}

#[test]
fn a_held_coordinator_holds_its_children_and_begins_nothing() {
    let mut it = Coordinator::new(chain(&["a", "b"]), |_| {});
    it.began();
    it.command(&pause());
    let a = it.run_of("a#1");
    assert_eq!(it.turn(&[CoordinatorNews::Look]).holds, [a]);
    let turn = it.completes("a#1", json!(1));
    assert_eq!(types(&turn), ["step.completed", "message.sent"]);
    it.command(&Resume { by: None }.into());
    let turn = it.turn(&[CoordinatorNews::Look]);
    assert_eq!(turn.starts[0].key, "b#1");
    it.command(&pause());
    it.turn(&[CoordinatorNews::Look]);
    assert_eq!(it.waits("b#1", Some(PauseReason::Operator)).holds, []);
    it.command(&Resume { by: None }.into());
    let turn = it.turn(&[CoordinatorNews::Look]);
    assert_eq!(turn.releases, [it.run_of("b#1")]);
    assert!(it.waits("b#1", None).releases.is_empty());
    it.command(&pause());
    let turn = it.completes("b#1", json!(2));
    assert_eq!(turn.finish, None, "it ends once it is let go on");
    it.command(&Resume { by: None }.into());
    assert!(it.turn(&[CoordinatorNews::Look]).finish.is_some());
}

#[test]
fn budgets_are_shared_by_those_that_start_at_once_and_what_is_left_flows_back() {
    let limits = BudgetLimits { tokens_per_run: Some(100), ..BudgetLimits::default() };
    let mut it = Coordinator::new(fork(), budgets(limits));
    let all = |turn: &CoordinatorTurn| -> Vec<_> {
        turn.starts.iter().map(|start| start.budgets.clone()).collect()
    };
    let tokens = |allowed| vec![(LimitName::TokensPerRun, allowed)];
    assert_eq!(all(&it.began()), [tokens(100)]);
    let turn = it.completes("a#1", json!(1));
    assert_eq!(all(&turn), [tokens(45), tokens(45)]);
    assert_eq!(it.run.usage.input_tokens, 10);
    assert_eq!(it.run.counters.tool_calls, 1);

    let limits = BudgetLimits { tokens_per_run: Some(10), ..BudgetLimits::default() };
    let plan = fan_out(&["a", "b", "c"], |it| {
        it.max_parallel = Some(2);
        it.on_failure = OnFailure::Ignore;
    });
    let mut it = Coordinator::new(plan, budgets(limits));
    assert_eq!(all(&it.turn(&[CoordinatorNews::Began { items: None }])), [tokens(5), tokens(5)]);
    let outcome = ChildOutcome::Completed(said(json!(1)));
    let run_id = it.run_of("a#1");
    let ended =
        CoordinatorNews::Ended(ChildEnded { run_id, outcome, usage: spending(5), received: None });
    let turn = it.turn(&[ended]);
    assert!(turn.starts.is_empty() && turn.finish.is_none(), "b may leave something");
    let outcome = ChildOutcome::Completed(said(json!(1)));
    let run_id = it.run_of("b#1");
    let ended =
        CoordinatorNews::Ended(ChildEnded { run_id, outcome, usage: spending(2), received: None });
    assert_eq!(all(&it.turn(&[ended])), [tokens(3)]);
}

#[test]
fn a_spent_budget_fails_holds_or_cancels_the_run() {
    let spent = |on_exceed| {
        let limits =
            BudgetLimits { tokens_per_run: Some(10), on_exceed, ..BudgetLimits::default() };
        let mut it = Coordinator::new(chain(&["a", "b"]), budgets(limits));
        it.began();
        let turn = it.completes("a#1", json!(1));
        (it, turn)
    };
    let (_, turn) = spent(OnExceed::DenyCall);
    let Some(Finish::Failed(error)) = &turn.finish else { panic!("{turn:?}") };
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("budget_exceeded", "tokens_per_run is spent: 10 of 10")
    );
    let (_, turn) = spent(OnExceed::Cancel);
    assert_eq!(turn.finish, Some(Finish::Cancelled));
    let (mut it, turn) = spent(OnExceed::Pause);
    assert_eq!(turn.finish, None);
    assert_eq!(*types(&turn).last().unwrap(), "run.paused");
    let raise = errand_model::run::Raise {
        limits: vec![(LimitName::TokensPerRun, 20)],
        by: "ada".to_owned(),
    };
    it.command(&raise.into());
    it.command(&Resume { by: None }.into());
    assert_eq!(
        it.turn(&[CoordinatorNews::Look]).starts[0].budgets,
        [(LimitName::TokensPerRun, 10)]
    );
}

#[test]
fn deadlines_flow_down_and_the_run_fails_at_its_own() {
    let plan = fan_out(&["a", "b"], |it| it.timeout_per_agent = Some(Duration::from_secs(30)));
    let limit = |seconds| {
        move |spec: &mut RunCreated| spec.timeouts.run = Some(Duration::from_secs(seconds))
    };
    let mut it = Coordinator::new(plan.clone(), limit(600));
    assert_eq!(it.began().starts[0].timeout, Some(Duration::from_secs(30)));
    let mut it = Coordinator::new(plan, limit(10));
    assert_eq!(it.began().starts[0].timeout, Some(Duration::from_millis(9_990)));
    it.now = it.now.plus(Duration::from_secs(10));
    let turn = it.turn(&[CoordinatorNews::Look]);
    assert_eq!((types(&turn), turn.stops.len()), (vec!["coordination.settled"], 2));
    it.is_cancelled("a#1");
    let turn = it.is_cancelled("b#1");
    let Some(Finish::Failed(error)) = &turn.finish else { panic!("{turn:?}") };
    assert_eq!((error.code.as_str(), error.step.as_deref()), ("timeout_run", Some("a#1")));
    assert_eq!(error.retryable, Some(false));
}

#[test]
fn a_cancelled_coordinator_ends_its_children_first() {
    let mut it = Coordinator::new(fork(), |_| {});
    it.began();
    it.completes("a#1", json!(1));
    assert_eq!(names(&it.command(&cancel())), ["run.cancel_requested"]);
    let turn = it.turn(&[CoordinatorNews::Look]);
    assert_eq!(turn.stops.len(), 2);
    assert!(it.is_cancelled("b#1").stops.is_empty(), "it was told");
    assert_eq!(it.turn(&[CoordinatorNews::Look]).stops.len(), 1);
    let turn = it.is_cancelled("c#1");
    assert_eq!(turn.finish, Some(Finish::Cancelled));
    assert_eq!(names(&it.finishes(&turn)), ["attempt.stopped", "run.cancelled"]);

    let mut it = Coordinator::new(fork(), |_| {});
    it.command(&cancel());
    let turn = it.began();
    assert_eq!((turn.events.len(), turn.finish), (0, Some(Finish::Cancelled)));
}

#[test]
fn a_live_coordinator_is_not_restarted() {
    let mut it = Coordinator::new(fork(), |_| {});
    it.began();
    let restart = Restart { by: None, grace: Duration::ZERO };
    let refused = it.run.decide(&restart.into(), it.now).unwrap_err().to_string();
    assert!(refused.ends_with("its agents have runs of their own, restart those"), "{refused}");
}

#[test]
fn a_lost_coordinator_goes_on_with_its_children_as_they_are() {
    let mut it = Coordinator::new(chain(&["a", "b"]), |_| {});
    it.began();
    for epoch in 2..20_u64 {
        let lost = it.command(&Lose { epoch: epoch * 2 }.into());
        assert_eq!(names(&lost), ["attempt.failed", "run.requeued"]);
        let EventBody::RunRequeued(requeued) = &lost[1] else { panic!() };
        assert_eq!(requeued.reason, RequeueReason::WorkerLost);
        assert!(it.run.turn(&[CoordinatorNews::Look], &[], it.now).is_err());
        it.now = it.now.plus(Duration::from_secs(600));
        it.command(&start(epoch * 2 + 1));
        it.command(&up(u32::try_from(epoch).unwrap()));
        let turn = it.turn(&[CoordinatorNews::Began { items: None }]);
        assert_eq!((turn.events.len(), turn.starts.len()), (0, 0), "nothing begins anew");
    }
    assert_eq!(it.run.failures(), 0);
    assert_eq!(it.completes("a#1", json!(1)).starts[0].key, "b#1");
}

#[test]
fn a_coordinator_that_is_cancelled_between_two_attempts_ends_its_children_all_the_same() {
    let mut it = Coordinator::new(chain(&["a", "b"]), |_| {});
    it.began();
    it.command(&Lose { epoch: 2 }.into());
    assert_eq!(names(&it.command(&cancel())), ["run.cancel_requested"]);
    assert!(names(&it.command(&Lose { epoch: 3 }.into())) == ["run.requeued"]);
    it.next_attempt();
    assert_eq!(it.turn(&[CoordinatorNews::Began { items: None }]).stops.len(), 1);
    assert_eq!(it.is_cancelled("a#1").finish, Some(Finish::Cancelled));
}

fn retrying(spec: &mut RunCreated) {
    spec.retry = RetryPolicy { max_retries: 2, ..RetryPolicy::NEVER };
}

#[test]
fn a_retry_begins_anew_and_runs_nothing_again_that_is_done() {
    let nodes = [("a", to(&["b", "c"])), ("b", to(&["c"])), ("c", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), retrying);
    it.began();
    it.says("a#1", 1, "b", (MessageType::Task, json!("for b")));
    it.completes("a#1", json!("unheard"));
    it.completes("b#1", json!("from b"));
    let turn = it.fails("c#1");
    assert_eq!(names(&it.finishes(&turn)), ["attempt.failed", "run.requeued"]);
    it.next_attempt();
    let turn = it.began();
    assert_eq!(
        types(&turn),
        [
            "coordination.began",
            "message.sent",
            "message.delivered",
            "message.sent",
            "message.delivered",
            "message.sent",
            "step.started",
            "message.delivered"
        ]
    );
    assert_eq!(turn.starts.len(), 1);
    assert_eq!(turn.starts[0].key, "c#1");
    assert_eq!(turn.starts[0].input, InputMaterial::Payload(Payload::Json(json!("from b"))));
    let turn = it.completes("c#1", json!("good"));
    assert_eq!(names(&it.finishes(&turn)), ["attempt.exited", "run.completed"]);
    assert_eq!(it.run.output, Some(Payload::Json(json!("good"))));
    assert_eq!(Run::fold(&it.events).unwrap(), it.run);
}

#[test]
fn the_run_that_tried_a_step_last_is_known_until_the_step_is_done() {
    let mut it = Coordinator::new(chain(&["a"]), retrying);
    it.began();
    let first = it.run_of("a#1");
    let turn = it.fails("a#1");
    let tried = |it: &Coordinator| it.run.coordination.as_ref().unwrap().tried("a#1").cloned();
    assert_eq!(tried(&it), Some(first));
    it.finishes(&turn);
    it.next_attempt();
    it.began();
    let second = it.run_of("a#1");
    let turn = it.fails("a#1");
    assert_eq!(tried(&it), Some(second));
    it.finishes(&turn);
    it.next_attempt();
    it.began();
    it.completes("a#1", json!(1));
    assert_eq!(tried(&it), None);
}

fn inherited_payload(key: &str, output: Payload) -> EventBody {
    EventBody::StepInherited(StepInherited {
        key: key.to_owned(),
        kind: None,
        fingerprint: None,
        detail: None,
        output: Some(output),
        stderr: None,
        duration: Duration::ZERO,
    })
}

#[test]
fn what_another_run_put_out_is_looked_into_where_an_edge_depends_on_it() {
    let test = Test::Eq(json!(true));
    let payload = vec![Condition { pointer: "/ok".to_owned(), test }];
    let when = Some(When { kind: None, payload });
    let edges = vec![Edge { to: END.to_owned(), when }];
    let node = Node { outputs_to: edges, ..Node::default() };
    let mut it = Coordinator::new(workflow("a", &[("a", node)]), |_| {});
    let mut run = Run::create(it.run.id.clone(), it.now, it.run.spec.as_ref().clone());
    let (digest, encoding) = (Digest::of(b"long"), Encoding::Json);
    let long = Payload::Blob(Blob { digest, size_bytes: 9_999, encoding });
    let inherited = inherited_payload("a#1", long.clone());
    run.apply(EventContext { at: it.now, attempt: 0 }, &inherited).unwrap();
    it.run = run;
    it.next_attempt();
    let turn = it.began();
    assert_eq!(types(&turn), ["coordination.began", "message.sent"]);
    assert_eq!((turn.recalls, turn.finish), (vec![("a#1".to_owned(), long.clone())], None));
    let said = said(json!({"ok": true}));
    let turn = it.turn(&[CoordinatorNews::Recalled { key: "a#1".to_owned(), said }]);
    assert_eq!(turn.finish, Some(Finish::Completed(InputMaterial::Payload(long))));
}

#[test]
fn a_new_run_takes_over_what_another_one_did() {
    let inherited = |key: &str, output| inherited_payload(key, Payload::Json(output));
    let mut it = Coordinator::new(chain(&["a", "b"]), |_| {});
    let mut run = Run::create(it.run.id.clone(), it.now, it.run.spec.as_ref().clone());
    run.apply(EventContext { at: it.now, attempt: 0 }, &inherited("a#1", json!(7))).unwrap();
    it.run = run;
    it.next_attempt();
    let turn = it.began();
    assert_eq!(turn.starts.len(), 1);
    assert_eq!(turn.starts[0].key, "b#1");
    assert_eq!(turn.starts[0].input, InputMaterial::Payload(Payload::Json(json!(7))));

    let plan = fan_out(&["x", "y", "z"], |_| {});
    let mut it = Coordinator::new(plan, |_| {});
    let mut run = Run::create(it.run.id.clone(), it.now, it.run.spec.as_ref().clone());
    run.apply(EventContext { at: it.now, attempt: 0 }, &inherited("y#1", json!(7))).unwrap();
    it.run = run;
    it.next_attempt();
    let turn = it.began();
    let keys: Vec<&str> = turn.starts.iter().map(|start| start.key.as_str()).collect();
    assert_eq!(keys, ["x#1", "z#1"]);
    it.completes("z#1", json!(9));
    let turn = it.completes("x#1", json!(8));
    let part = |value| Some(Payload::Json(json!(value)));
    let all = [("x", part(8)), ("y", part(7)), ("z", part(9))];
    let all: BTreeMap<_, _> = all.into_iter().map(|(name, it)| (name.to_owned(), it)).collect();
    assert_eq!(turn.finish, Some(Finish::Completed(InputMaterial::Object(all))));
}

#[test]
fn a_child_that_is_handed_over_goes_on_as_the_other_run() {
    let limits = BudgetLimits { tokens_per_run: Some(100), ..BudgetLimits::default() };
    let mut it = Coordinator::new(chain(&["a", "b"]), budgets(limits));
    it.began();
    let (run_id, to) = (it.run_of("a#1"), it.run.id.clone());
    let outcome = ChildOutcome::HandedOver { to: to.clone(), agent: "reviewer".to_owned() };
    let news =
        CoordinatorNews::Ended(ChildEnded { run_id, outcome, usage: usage(10), received: None });
    let turn = it.turn(&[news.clone(), news]);
    assert_eq!(types(&turn), ["step.failed", "step.started"]);
    assert!(turn.starts.is_empty() && turn.finish.is_none());
    let EventBody::StepStarted(started) = &turn.events[1] else { panic!() };
    assert_eq!(started.allowance[&LimitName::TokensPerRun], 90);
    assert_eq!(it.run_of("a#1"), to);
    assert_eq!(it.completes("a#1", json!(2)).starts[0].key, "b#1");
    assert_eq!(it.run.usage.input_tokens, 20);
}

#[test]
fn what_the_run_says_that_a_child_was_handed_over_to_is_heard_after_that() {
    let nodes = [("a", to(&["b"])), ("b", to(&[END]))];
    let mut it = Coordinator::new(workflow("a", &nodes), |_| {});
    it.began();
    let (run_id, other) = (it.run_of("a#1"), it.run.id.clone());
    let said = CoordinatorNews::Said(ChildSaid {
        run_id: other.clone(),
        id: format!("{other}/3"),
        to: "b".to_owned(),
        kind: MessageType::Task,
        said: said(json!("from the other")),
    });
    let ended = super::completed(other.clone(), json!("unheard"));
    let outcome = ChildOutcome::HandedOver { to: other, agent: "reviewer".to_owned() };
    let news =
        CoordinatorNews::Ended(ChildEnded { run_id, outcome, usage: usage(1), received: None });
    let turn = it.turn(&[said, ended, news]);
    assert_eq!(
        types(&turn),
        [
            "step.failed",
            "step.started",
            "message.sent",
            "step.completed",
            "step.started",
            "message.delivered"
        ]
    );
    assert_eq!(
        turn.starts[0].input,
        InputMaterial::Payload(Payload::Json(json!("from the other")))
    );
}

#[test]
fn usage_adds_up_by_agent_through_nested_coordinators() {
    let mut it = Coordinator::new(chain(&["a"]), |_| {});
    it.began();
    let (run_id, outcome) = (it.run_of("a#1"), ChildOutcome::Completed(said(json!(1))));
    let mut used = usage(10);
    used.by_agent.extend(spending(7).by_agent.into_values().map(|used| ("b".to_owned(), used)));
    it.turn(&[CoordinatorNews::Ended(ChildEnded {
        run_id,
        outcome,
        usage: used.clone(),
        received: None,
    })]);
    assert_eq!(it.run.coordination.as_ref().unwrap().usage, used.by_agent);
    let spent = it.run.spent(it.now.plus(Duration::from_secs(100)));
    assert_eq!((spent.tokens, spent.wall_time_ms, spent.tool_calls), (17, 5, 1));
}

#[test]
fn a_partition_without_a_list_fails_and_one_without_items_is_done() {
    let plan = fan_out(&["m"], |it| it.partition = Some("items".to_owned()));
    let turn = Coordinator::new(plan.clone(), |_| {}).began();
    assert!(
        matches!(turn.finish, Some(Finish::Failed(Failure { ref code, .. })) if code.as_str() == "input_invalid")
    );
    let turn =
        Coordinator::new(plan.clone(), |_| {}).turn(&[CoordinatorNews::Began { items: Some(0) }]);
    assert_eq!(turn.finish, Some(Finish::Completed(InputMaterial::Object(BTreeMap::new()))));
    let turn =
        Coordinator::new(plan, |_| {}).turn(&[CoordinatorNews::Began { items: Some(10_001) }]);
    assert!(
        matches!(turn.finish, Some(Finish::Failed(Failure { ref code, .. })) if code.as_str() == "too_many_children")
    );
}

#[test]
fn the_first_success_ends_the_others_and_what_they_say_later_changes_nothing() {
    let plan = fan_out(&["a", "b", "c"], |it| {
        it.aggregation = errand_model::plan::Aggregation::FirstSuccess;
    });
    assert!(matches!(plan.pattern, Pattern::FanOut(_)));
    let mut it = Coordinator::new(plan, |_| {});
    it.began();
    assert_eq!(it.fails("a#1").stops.len(), 0);
    assert_eq!(it.completes("b#1", json!("b")).stops, [it.run_of("c#1")]);
    let turn = it.completes("c#1", json!("c"));
    assert_eq!(
        turn.finish,
        Some(Finish::Completed(InputMaterial::Payload(Payload::Json(json!("b")))))
    );
}
