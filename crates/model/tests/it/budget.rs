//! Limits: what warns, what stops, and that no order of calls passes them.

use std::sync::Arc;
use std::time::Duration;

use errand_model::budget::{BudgetLimits, BudgetScope, LimitName, OnExceed};
use errand_model::event::{
    BudgetExceeded, BudgetRaised, BudgetWarned, EventBody, PauseReason, Reported, RunKind,
};
use errand_model::run::{
    AttemptOutcome, AttemptReport, DeniedCall, Effect, Meter, Pause, Raise, Rejection, Resume, Run,
    Status,
};
use errand_model::spend::{Amounts, Book, SpendingCaps, Spent, Want, WantKind};
use proptest::prelude::*;
use serde_json::json;

use crate::table::{end, start, up};
use crate::world::Journaled;

/// A run with limits whose first attempt works.
fn working(limits: BudgetLimits) -> Journaled {
    let mut journaled = Journaled::new(RunKind::Job, 1);
    Arc::make_mut(&mut journaled.run.spec).budgets = limits;
    journaled.command(&start(1)).unwrap();
    journaled.command(&up(1)).unwrap();
    journaled
}

fn tokens(allowed: u64, on_exceed: OnExceed) -> BudgetLimits {
    BudgetLimits { tokens_per_run: Some(allowed), on_exceed, ..BudgetLimits::default() }
}

fn report(tokens: u64) -> AttemptReport {
    let data = json!({ "input_tokens": tokens });
    let event = EventBody::Reported(Reported::new("model.called", data).unwrap());
    AttemptReport { attempt: 1, events: vec![event] }
}

/// Returns the types of events and the effects that follow a report.
fn said(journaled: &mut Journaled, tokens: u64) -> (Vec<String>, Vec<Effect>) {
    let now = journaled.now.plus(Duration::from_secs(10));
    let effects = journaled.run.decide(&report(tokens).into(), now).unwrap().effects;
    let events = journaled.command(&report(tokens).into()).unwrap();
    (events.iter().skip(1).map(|event| event.type_name().to_owned()).collect(), effects)
}

#[test]
fn a_warning_comes_once_and_so_does_the_end() {
    let mut journaled = working(tokens(100, OnExceed::DenyCall));
    assert_eq!(said(&mut journaled, 79), (vec![], vec![]));
    assert_eq!(said(&mut journaled, 1), (vec!["budget.warned".to_owned()], vec![]));
    assert_eq!(said(&mut journaled, 20), (vec![], vec![]), "all of it may be used");
    let events = journaled.command(&report(5).into()).unwrap();
    let exceeded = BudgetExceeded {
        limit: LimitName::TokensPerRun,
        used: 105,
        allowed: 100,
        action: OnExceed::DenyCall,
    };
    assert_eq!(events[1..], [EventBody::BudgetExceeded(exceeded)]);
    assert_eq!(said(&mut journaled, 1_000), (vec![], vec![]));
    assert_eq!(journaled.run.budget.exceeded.len(), 1);
    assert!(matches!(journaled.run.status, Status::Running { .. }));
}

#[test]
fn one_report_may_warn_and_end_at_once() {
    let mut journaled = working(tokens(100, OnExceed::DenyCall));
    let events = journaled.command(&report(200).into()).unwrap();
    let (limit, used, allowed) = (LimitName::TokensPerRun, 200, 100);
    assert_eq!(events[1], EventBody::BudgetWarned(BudgetWarned { limit, used, allowed }));
    assert_eq!(events.len(), 3);
}

#[test]
fn a_run_is_held_until_it_may_spend_more() {
    let mut journaled = working(tokens(100, OnExceed::Pause));
    let (events, effects) = said(&mut journaled, 150);
    assert_eq!(events, ["budget.warned", "budget.exceeded", "run.paused"]);
    assert_eq!(effects, [Effect::FreezeAgent]);
    let resume = Resume { by: None }.into();
    let refused = journaled.command(&resume).unwrap_err();
    assert!(matches!(refused, Rejection::BudgetSpent { used: 150, allowed: 100, .. }), "{refused}");
    let raise = |allowed| {
        Raise { limits: vec![(LimitName::TokensPerRun, allowed)], by: "ann".to_owned() }.into()
    };
    assert!(matches!(journaled.command(&raise(99)), Err(Rejection::NotRaised { .. })));
    journaled.command(&raise(150)).unwrap();
    assert!(matches!(journaled.command(&resume), Err(Rejection::BudgetSpent { .. })));
    let raised =
        BudgetRaised { limit: LimitName::TokensPerRun, allowed: 300, by: "ann".to_owned() };
    assert_eq!(journaled.command(&raise(300)).unwrap(), [EventBody::BudgetRaised(raised)]);
    journaled.command(&resume).unwrap();
    assert!(matches!(journaled.run.status, Status::Running { .. }));
    // What is exceeded again holds it again.
    assert_eq!(said(&mut journaled, 151).0, ["budget.exceeded", "run.paused"]);
    let other = Raise { limits: vec![(LimitName::ToolCallsPerRun, 5)], by: String::new() };
    assert!(matches!(journaled.command(&other.into()), Err(Rejection::NoSuchLimit { .. })));
}

#[test]
fn a_run_held_at_a_call_without_room_is_held_until_somebody_allows_more() {
    let mut journaled = working(tokens(1_000, OnExceed::Pause));
    said(&mut journaled, 800);
    let denied = DeniedCall { limit: LimitName::TokensPerRun, used: 800, allowed: 1_000 };
    let meter = Meter { attempt: 1, day: None, denied: Some(denied) };
    journaled.command(&meter.into()).unwrap();
    let resume = Resume { by: None }.into();
    let refused = journaled.command(&resume).unwrap_err();
    assert!(
        matches!(refused, Rejection::BudgetSpent { used: 800, allowed: 1_000, .. }),
        "{refused}"
    );
    let limits = vec![(LimitName::TokensPerRun, 1_200)];
    journaled.command(&Raise { limits, by: "ann".to_owned() }.into()).unwrap();
    journaled.command(&resume).unwrap();
    assert!(matches!(journaled.run.status, Status::Running { .. }));
}

#[test]
fn a_run_held_by_its_day_is_held_as_long_as_nothing_is_left_of_the_day() {
    let limits = BudgetLimits { tokens_per_day: Some(10), ..tokens(100, OnExceed::Pause) };
    let mut journaled = working(limits);
    let used = |tokens| Amounts { tokens, ..Amounts::ZERO };
    assert_eq!(journaled.run.day_still_spent(used(11)), None, "nothing holds it");
    journaled.command(&Meter { attempt: 1, day: Some(used(11)), denied: None }.into()).unwrap();
    let spent = DeniedCall { limit: LimitName::TokensPerDay, used: 10, allowed: 10 };
    assert_eq!(journaled.run.day_still_spent(used(10)), Some(spent));
    assert_eq!(journaled.run.day_still_spent(used(3)), None, "of the next day");
}

#[test]
fn a_run_is_cancelled_by_its_budget() {
    let mut journaled = working(tokens(100, OnExceed::Cancel));
    let (events, effects) = said(&mut journaled, 150);
    assert_eq!(events, ["budget.warned", "budget.exceeded", "run.cancel_requested"]);
    assert!(matches!(effects[..], [Effect::StopAgent { .. }]));
    journaled.command(&end(1, AttemptOutcome::Exited { output: None })).unwrap();
    assert!(matches!(
        journaled.run.status,
        Status::Cancelled { cause: errand_model::event::CancelCause::Budget, .. }
    ));
}

#[test]
fn a_denied_call_and_the_day_of_the_agent_are_told() {
    let limits = BudgetLimits { tool_calls_per_day: Some(10), ..tokens(100, OnExceed::DenyCall) };
    let mut journaled = working(limits);
    let day = |tool_calls| Some(Amounts { tool_calls, ..Amounts::ZERO });
    let meter = |day, denied| Meter { attempt: 1, day, denied }.into();
    assert_eq!(journaled.command(&meter(day(7), None)).unwrap(), []);
    let (limit, allowed) = (LimitName::ToolCallsPerDay, 10);
    let warned = EventBody::BudgetWarned(BudgetWarned { limit, used: 8, allowed });
    assert_eq!(journaled.command(&meter(day(8), None)).unwrap(), [warned]);
    let denied = DeniedCall { limit: LimitName::TokensPerRun, used: 60, allowed: 100 };
    let events = journaled.command(&meter(None, Some(denied))).unwrap();
    assert!(matches!(events[..], [EventBody::BudgetExceeded(BudgetExceeded { used: 60, .. })]));
    assert_eq!(journaled.command(&meter(day(9), Some(denied))).unwrap(), []);
    assert_eq!(journaled.run.caps(BudgetScope::Day).tool_calls, Some(10));
}

#[test]
fn the_watch_runs_while_the_agent_works() {
    // Ten seconds pass before each command.
    let limits = BudgetLimits { wall_time_ms_per_run: Some(100_000), ..BudgetLimits::default() };
    let mut journaled = working(limits);
    let shown = |run: &Run, journaled: &Journaled| run.spent(journaled.now).wall_time_ms;
    assert_eq!(shown(&journaled.run, &journaled), 0);
    let due = |journaled: &Journaled| {
        journaled.run.next_meter().map(|at| at.since(journaled.now).as_millis())
    };
    assert_eq!(due(&journaled), Some(80_001));
    let pause = Pause { reason: PauseReason::Operator, by: None };
    journaled.command(&pause.into()).unwrap();
    assert_eq!(shown(&journaled.run, &journaled), 10_000);
    assert_eq!(due(&journaled), None, "it stands still");
    journaled.command(&Resume { by: None }.into()).unwrap();
    assert_eq!(shown(&journaled.run, &journaled), 10_000);
    let failure = crate::table::failure("exit_nonzero");
    journaled.command(&end(1, AttemptOutcome::Failed(failure))).unwrap();
    assert_eq!(shown(&journaled.run, &journaled), 20_000);
    journaled.command(&start(2)).unwrap();
    journaled.command(&up(2)).unwrap();
    assert_eq!(shown(&journaled.run, &journaled), 20_000);
    journaled.now = journaled.now.plus(Duration::from_secs(85));
    let meter = Meter { attempt: 2, day: None, denied: None };
    let types: Vec<_> = journaled
        .command(&meter.clone().into())
        .unwrap()
        .iter()
        .map(|event| event.type_name().to_owned())
        .collect();
    assert_eq!(types, ["budget.warned", "budget.exceeded"]);
    assert_eq!(due(&journaled), None);
    assert_eq!(journaled.command(&meter.into()).unwrap(), []);
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Reserve {
        call: u8,
        tokens: u64,
    },
    /// At most what was reserved, in percent.
    Settle {
        call: u8,
        percent: u64,
    },
    Release {
        call: u8,
    },
}

fn any_turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        3 => (0..8_u8, 0..60_u64).prop_map(|(call, tokens)| Turn::Reserve { call, tokens }),
        2 => (0..8_u8, 0..=100_u64).prop_map(|(call, percent)| Turn::Settle { call, percent }),
        1 => (0..8_u8).prop_map(|call| Turn::Release { call }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_calls_passes_a_limit(
        turns in proptest::collection::vec(any_turn(), 0..80),
        allowed in 0..200_u64,
    ) {
        let caps = SpendingCaps { tokens: Some(allowed), ..SpendingCaps::default() };
        let (mut book, mut used) = (Book::default(), Amounts::ZERO);
        let mut promised = std::collections::BTreeMap::new();
        for turn in turns {
            match turn {
                Turn::Reserve { call, tokens } => {
                    let amounts = Amounts { tokens, ..Amounts::ZERO };
                    let want = Want { kind: WantKind::Model, amounts };
                    let before = book.clone();
                    match book.reserve(&call.to_string(), &caps, used, &want) {
                        Ok(()) => { promised.entry(call).or_insert(tokens); }
                        Err(Spent { used: told, reserved, wanted, allowed: limit, .. }) => {
                            prop_assert_eq!(&book, &before);
                            prop_assert!(told + reserved + wanted > limit || told + reserved >= limit);
                        }
                    }
                }
                Turn::Settle { call, percent } => if let Some(tokens) = promised.remove(&call) {
                    used.tokens += tokens * percent / 100;
                    prop_assert!(book.take_back(&call.to_string()));
                },
                Turn::Release { call } => {
                    let was_there = promised.remove(&call).is_some();
                    prop_assert_eq!(book.take_back(&call.to_string()), was_there);
                }
            }
            prop_assert_eq!(book.total().tokens, promised.values().sum::<u64>());
            prop_assert!(used.tokens + book.total().tokens <= allowed);
        }
    }
}
