//! Property tests of fan-outs: for any fan-out, outcomes and order of news, the output is that of
//! counting by hand, no more children run at once than allowed, and never more is promised than
//! there is.

use std::collections::{BTreeMap, BTreeSet};

use errand_model::budget::{BudgetLimits, LimitName};
use errand_model::coordination::{
    ChildEnded, ChildOutcome, CoordinatorNews, CoordinatorTurn, Finish, InputMaterial, Start,
};
use errand_model::event::{AgentUsage, ChildUsage, Failure};
use errand_model::plan::{Aggregation, FanOut, OnFailure, Pattern, Plan};
use errand_model::run::Run;
use errand_model::{Payload, RunId};
use proptest::prelude::*;
use serde_json::json;

use super::{Coordinator, agents, said};

pub(crate) fn fan_out(names: &[&str], change: impl FnOnce(&mut FanOut)) -> Plan {
    let mut fan_out = FanOut {
        members: names.iter().map(|name| (*name).to_owned()).collect(),
        partition: None,
        aggregation: Aggregation::MergeAll,
        timeout_per_agent: None,
        max_parallel: None,
        on_failure: OnFailure::Fail,
    };
    change(&mut fan_out);
    Plan { agents: agents(names), pattern: Pattern::FanOut(fan_out) }
}

pub(crate) fn spending(tokens: u64) -> ChildUsage {
    let mut used = AgentUsage { runs: 1, ..AgentUsage::default() };
    used.tokens.output_tokens = tokens;
    ChildUsage { by_agent: BTreeMap::from([("a".to_owned(), used)]) }
}

#[derive(Clone, Debug)]
struct Case {
    plan: Plan,
    items: Option<u32>,
    /// Outputs of the children; `None`: the child fails.
    luck: Vec<Option<u8>>,
    order: Vec<u8>,
    tokens: Option<u64>,
}

fn any_case() -> impl Strategy<Value = Case> {
    let aggregation = prop_oneof![
        Just(Aggregation::MergeAll),
        Just(Aggregation::Collect),
        Just(Aggregation::FirstSuccess),
        Just(Aggregation::Majority),
    ];
    let on_failure = prop_oneof![
        Just(OnFailure::Fail),
        Just(OnFailure::Ignore),
        (1..5_u32).prop_map(OnFailure::MinSuccess),
    ];
    let shape = (1..8_usize, proptest::option::of(0..14_u32), proptest::option::of(1..5_u32));
    let luck = proptest::collection::vec(proptest::option::weighted(0.8, 0..2_u8), 14);
    let order = proptest::collection::vec(any::<u8>(), 1..20);
    let tokens = proptest::option::of(20..500_u64);
    (aggregation, on_failure, shape, luck, order, tokens).prop_map(
        |(aggregation, on_failure, (members, items, max_parallel), luck, order, tokens)| {
            let names: Vec<String> = (0..members).map(|at| format!("m{at}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let plan = fan_out(&names, |it| {
                it.aggregation = aggregation;
                it.on_failure = on_failure;
                it.max_parallel = max_parallel;
                it.partition = items.map(|_| "items".to_owned());
            });
            Case { plan, items, luck, order, tokens }
        },
    )
}

/// Returns the expected end of a fan-out, counted by hand, for children that ended in this order.
fn by_hand(
    fan_out: &FanOut,
    total: usize,
    ended: &[(usize, Option<u8>)],
) -> Option<Result<serde_json::Value, String>> {
    let well: Vec<(usize, u8)> =
        ended.iter().filter_map(|(at, said)| Some((*at, (*said)?))).collect();
    let bad = ended.len() - well.len();
    let open = total - ended.len();
    let err = |code: &str| Some(Err(code.to_owned()));
    let least = match fan_out.on_failure {
        OnFailure::MinSuccess(least) => usize::try_from(least).unwrap(),
        OnFailure::Fail | OnFailure::Ignore => 0,
    };
    let votes = |what: u8| well.iter().filter(|(_, said)| *said == what).count();
    let winner = [0_u8, 1].into_iter().find(|what| votes(*what) * 2 > total);
    let labels = |at: usize| {
        let name = &fan_out.members[at % fan_out.members.len()];
        if fan_out.partition.is_some() { format!("{name}-{}", at + 1) } else { name.clone() }
    };
    match fan_out.aggregation {
        Aggregation::FirstSuccess => {
            if let Some((_, said)) = well.first() {
                Some(Ok(json!(said)))
            } else if open == 0 || open < least {
                err("fan_out_failed")
            } else {
                None
            }
        }
        Aggregation::Majority => {
            if let Some(what) = winner {
                Some(Ok(json!(what)))
            } else if [0, 1].iter().all(|what| (votes(*what) + open) * 2 <= total) {
                err("no_majority")
            } else if well.len() + open < least {
                err("fan_out_failed")
            } else {
                None
            }
        }
        Aggregation::MergeAll | Aggregation::Collect => {
            if well.len() + open < least {
                err("fan_out_failed")
            } else if bad > 0 && fan_out.on_failure == OnFailure::Fail {
                err("child_failed")
            } else if open > 0 {
                None
            } else if well.is_empty() && bad > 0 {
                err("fan_out_failed")
            } else if fan_out.aggregation == Aggregation::MergeAll {
                let parts: BTreeMap<String, u8> =
                    well.iter().map(|(at, said)| (labels(*at), *said)).collect();
                Some(Ok(json!(parts)))
            } else {
                let said = |at| well.iter().find(|(other, _)| *other == at).map(|(_, said)| *said);
                Some(Ok(json!((0..total).map(said).collect::<Vec<_>>())))
            }
        }
    }
}

fn result(finish: &Finish) -> Result<serde_json::Value, String> {
    let plain = |payload: &Option<Payload>| match payload {
        Some(Payload::Json(value)) => value.clone(),
        None => serde_json::Value::Null,
        other => panic!("{other:?}"),
    };
    match finish {
        Finish::Completed(InputMaterial::Payload(Payload::Json(value))) => Ok(value.clone()),
        Finish::Completed(InputMaterial::Object(parts)) => {
            Ok(parts.iter().map(|(name, part)| (name.clone(), plain(part))).collect())
        }
        Finish::Completed(InputMaterial::List(parts)) => Ok(parts.iter().map(plain).collect()),
        Finish::Failed(error) => Err(error.code.to_string()),
        other => panic!("{other:?}"),
    }
}

fn place_of(start: &Start, fan_out: &FanOut) -> usize {
    let (name, number) = start.key.rsplit_once('#').unwrap();
    let number: usize = number.parse().unwrap();
    let at = fan_out.members.iter().position(|member| member == name).unwrap();
    let place = (number - 1) * fan_out.members.len() + at;
    let index = if let InputMaterial::Item { index, .. } = &start.input { *index } else { 0 };
    if fan_out.partition.is_some() {
        assert_eq!(usize::try_from(index).unwrap(), place);
    }
    place
}

fn ended(run_id: RunId, luck: Option<u8>, tokens: u64) -> CoordinatorNews {
    let outcome = match luck {
        Some(what) => ChildOutcome::Completed(said(json!(what))),
        None => ChildOutcome::Failed {
            error: Failure {
                code: "broken".into(),
                message: "it broke".to_owned(),
                step: None,
                retryable: None,
                stderr_tail: None,
            },
        },
    };
    CoordinatorNews::Ended(ChildEnded { run_id, outcome, usage: spending(tokens), received: None })
}

struct Live {
    place: usize,
    run_id: RunId,
    allowed: u64,
}

fn play(case: &Case) {
    let Pattern::FanOut(fan_out) = &case.plan.pattern else { return };
    let total = case.items.map_or(fan_out.members.len(), |items| usize::try_from(items).unwrap());
    let mut it = Coordinator::new(case.plan.clone(), |spec| {
        spec.budgets = BudgetLimits { tokens_per_run: case.tokens, ..BudgetLimits::default() };
    });
    let (mut live, mut over, mut places, mut used) =
        (Vec::<Live>::new(), Vec::new(), BTreeSet::new(), 0);
    let mut turn = it.turn(&[CoordinatorNews::Began { items: case.items }]);
    let mut was_over = false;
    let mut expect = by_hand(fan_out, total, &over);
    for round in 0..100_usize {
        take(&turn, fan_out, &mut live, &mut places);
        let most = fan_out.max_parallel.map_or(total, |most| usize::try_from(most).unwrap());
        assert!(live.len() <= most);
        let promised: u64 = live.iter().map(|live| live.allowed).sum();
        assert!(case.tokens.is_none_or(|tokens| used + promised <= tokens));
        if let Some(finish) = &turn.finish {
            let found = result(finish);
            if found != Err("budget_exceeded".to_owned()) {
                assert_eq!(Some(found), expect);
            }
            assert!(live.is_empty());
            assert_eq!(Run::fold(&it.events).unwrap(), it.run);
            return;
        }
        assert!(!live.is_empty() || turn.looks_again, "it hangs");
        if live.is_empty() {
            turn = it.turn(&[CoordinatorNews::Look]);
            continue;
        }
        let is_news = expect.is_some() && !std::mem::replace(&mut was_over, expect.is_some());
        assert_eq!(turn.stops.len(), if is_news { live.len() } else { 0 });
        let choice = usize::from(case.order[round % case.order.len()]);
        let child = live.remove(choice % live.len());
        let luck = case.luck[child.place];
        let tokens = if case.tokens.is_some() {
            child.allowed.min(u64::from(luck.unwrap_or(7)) + 3)
        } else {
            3
        };
        used += tokens;
        over.push((child.place, luck));
        expect = expect.or_else(|| by_hand(fan_out, total, &over));
        let news = ended(child.run_id, luck, tokens);
        if choice % 3 == 0 {
            it.run = Run::fold(&it.events).unwrap();
        }
        turn = it.turn(&[news.clone(), news]);
    }
    panic!("it does not end");
}

fn take(
    turn: &CoordinatorTurn,
    fan_out: &FanOut,
    live: &mut Vec<Live>,
    places: &mut BTreeSet<usize>,
) {
    for start in &turn.starts {
        let place = place_of(start, fan_out);
        assert!(places.insert(place), "{} is started twice", start.key);
        let tokens = start.budgets.iter().find(|(limit, _)| *limit == LimitName::TokensPerRun);
        let allowed = tokens.map_or(0, |(_, allowed)| *allowed);
        live.push(Live { place, run_id: start.run_id.clone(), allowed });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fan_out_ends_as_counting_by_hand_says(case in any_case()) {
        play(&case);
    }
}

#[test]
fn a_turn_of_a_large_fan_out_copies_no_more_than_it_changes() {
    let plan = fan_out(&["m"], |it| it.partition = Some("items".to_owned()));
    let mut it = Coordinator::new(plan, |_| {});
    let mut turn = it.turn(&[CoordinatorNews::Began { items: Some(300) }]);
    let mut started = turn.starts.len();
    while turn.looks_again {
        turn = it.turn(&[CoordinatorNews::Look]);
        started += turn.starts.len();
    }
    assert_eq!(started, 300);
    let mut finish = None;
    for number in 1..=300 {
        let turn = it.turn(&[ended(it.run_of(&format!("m#{number}")), Some(1), 1)]);
        assert_eq!(turn.events.len(), 1);
        finish = turn.finish;
    }
    let Some(Finish::Completed(InputMaterial::Object(parts))) = finish else {
        panic!("{finish:?}")
    };
    assert_eq!(parts.len(), 300);
    assert!(parts.contains_key("m-300"));
}
