//! Reservations of an agent's day, which never exceed its limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use errand_model::event::{EventBody, Reported, RunKind};
use errand_model::price::Day;
use errand_model::spend::{Amounts, BudgetMeasure, SpendingCaps, Spent, Want, WantKind};
use errand_store::{DayReservation, DayReserved, Error, Store};
use serde_json::json;
use tokio::task::JoinSet;

use super::StoreFactory;
use super::appending::start;
use crate::world::{START, Writer, created, holder};

const DAY: Day = Day::of(START);
static NEXT: AtomicU64 = AtomicU64::new(1);

fn asked(writer: &Writer, tokens: u64, allowed: u64) -> DayReservation {
    DayReservation {
        id: format!("rsv_{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        run_id: writer.run.id.clone(),
        epoch: writer.epoch,
        agent: "echo".to_owned(),
        day: DAY,
        want: Want { kind: WantKind::Model, amounts: Amounts { tokens, ..Amounts::ZERO } },
        caps: SpendingCaps { tokens: Some(allowed), ..SpendingCaps::default() },
    }
}

fn called(reservation: &DayReservation, tokens: u64) -> EventBody {
    let data = json!({ "input_tokens": tokens, "reservation_id": reservation.id });
    EventBody::Reported(Reported::new("model.called", data).unwrap())
}

async fn reserved(store: &dyn Store) -> u64 {
    store.day_standing("echo", DAY).await.unwrap().reserved.tokens
}

pub(crate) async fn a_reservation_is_settled_by_the_event_of_its_call(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = start(store.as_ref(), created(RunKind::Job)).await;
    let other = start(store.as_ref(), created(RunKind::Job)).await;
    let first = asked(&writer, 60, 100);
    assert_eq!(store.reserve(first.clone()).await.unwrap(), DayReserved::Granted);
    assert_eq!(store.reserve(first.clone()).await.unwrap(), DayReserved::Granted, "asked again");
    let (measure, used) = (BudgetMeasure::Tokens, 0);
    let spent = Spent { measure, used, reserved: 60, wanted: 41, allowed: 100 };
    let refused = DayReserved::Refused { spent, holders: vec![writer.run.id.clone()] };
    assert_eq!(store.reserve(asked(&other, 41, 100)).await.unwrap(), refused);
    store.append(writer.append(&[called(&first, 30)])).await.unwrap();
    let standing = factory.open().day_standing("echo", DAY).await.unwrap();
    assert_eq!((standing.used.tokens, standing.reserved.tokens), (30, 0));
    assert_eq!(store.reserve(asked(&other, 70, 100)).await.unwrap(), DayReserved::Granted);
}

pub(crate) async fn reservations_end_with_the_attempt_or_its_lease(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = start(store.as_ref(), created(RunKind::Job)).await;
    let lost = start(store.as_ref(), created(RunKind::Job)).await;
    for who in [&writer, &lost] {
        assert_eq!(store.reserve(asked(who, 10, 100)).await.unwrap(), DayReserved::Granted);
    }
    let third = asked(&writer, 10, 100);
    store.reserve(third.clone()).await.unwrap();
    assert_eq!(reserved(store.as_ref()).await, 30);
    store.release(&lost.run.id, vec![third.id.clone()]).await.unwrap();
    assert_eq!(reserved(store.as_ref()).await, 30, "it is not of that run");
    store.release(&writer.run.id, vec![third.id, "none".to_owned()]).await.unwrap();
    assert_eq!(reserved(store.as_ref()).await, 20);
    store.append(writer.complete()).await.unwrap();
    assert_eq!(reserved(store.as_ref()).await, 10);
    store.take(&lost.run.id, lost.epoch, holder(9), None).await.unwrap();
    assert_eq!(reserved(store.as_ref()).await, 0);
    for who in [&writer, &lost] {
        let refused = store.reserve(asked(who, 1, 100)).await.unwrap_err();
        assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    }
}

pub(crate) async fn sixteen_concurrent_runs_never_exceed_a_days_limit(factory: &impl StoreFactory) {
    const ALLOWED: u64 = 1_000;
    let granted = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..16_u64 {
        let store = factory.open();
        let mut writer = start(store.as_ref(), created(RunKind::Job)).await;
        let granted = Arc::clone(&granted);
        tasks.spawn(async move {
            for turn in 0..20_u64 {
                let wanted = 1 + (number * 7 + turn * 13) % 40;
                let reservation = asked(&writer, wanted, ALLOWED);
                if store.reserve(reservation.clone()).await.unwrap() != DayReserved::Granted {
                    continue;
                }
                if turn % 5 == 4 {
                    store.release(&writer.run.id, vec![reservation.id]).await.unwrap();
                    continue;
                }
                // At most as much as was reserved, and sometimes less.
                let used = wanted - (turn % 2).min(wanted);
                store.append(writer.append(&[called(&reservation, used)])).await.unwrap();
                granted.fetch_add(used, Ordering::Relaxed);
                let standing = store.day_standing("echo", DAY).await.unwrap();
                let taken = standing.used.tokens + standing.reserved.tokens;
                assert!(taken <= ALLOWED, "{standing:?}");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let standing = factory.open().day_standing("echo", DAY).await.unwrap();
    assert_eq!(standing.used.tokens, granted.load(Ordering::Relaxed));
    assert_eq!(standing.reserved.tokens, 0);
    assert!(standing.used.tokens <= ALLOWED && standing.used.tokens > ALLOWED - 41, "{standing:?}");
}
