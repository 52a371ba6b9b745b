//! Repair of sums that differ from the journal.

use errand_model::budget::BudgetLimits;
use errand_model::event::{EventBody, Reported, RunKind};
use errand_model::price::Day;
use errand_store::Namespaces;
use errand_store::{Store as _, UsageBy, UsageFilter, rebuild};
use rusqlite::Connection;
use serde_json::json;

use super::Fresh;
use crate::conformance::appending::start;
use crate::world::{START, created};

const BY_MODEL: UsageFilter = UsageFilter {
    namespaces: Namespaces::All,
    by: UsageBy::Model,
    since: None,
    until: None,
    agent: None,
    run_id: None,
};

fn called(tokens: u64) -> EventBody {
    let data = json!({ "model": "m", "input_tokens": tokens, "cost_micro_usd": tokens });
    EventBody::Reported(Reported::new("model.called", data).unwrap())
}

#[tokio::test]
async fn sums_that_differ_from_the_journal_are_repaired_when_the_run_ends() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let mut spec = created(RunKind::Job);
    spec.budgets = BudgetLimits { tokens_per_run: Some(1_000), ..BudgetLimits::default() };
    let mut writer = start(&store, spec).await;
    store.append(writer.append(&[called(100), called(20)])).await.unwrap();
    let raw = Connection::open(fresh.registry.database()).unwrap();
    let lied = raw.execute("UPDATE usage SET input_tokens = 1, cost_micro_usd = 7", []).unwrap();
    assert_eq!(lied, 1);
    raw.execute("UPDATE agent_days SET tokens = 1, cost_micro_usd = 7", []).unwrap();
    store.append(writer.complete()).await.unwrap();
    let row = store.usage(&BY_MODEL).await.unwrap().rows.remove(0);
    assert_eq!((row.model_calls, row.input_tokens, row.cost_micro_usd), (2, 120, Some(120)));
    let used = store.day_standing("echo", Day::of(START)).await.unwrap().used;
    assert_eq!((used.tokens, used.cost_micro_usd), (120, 120));
}

#[tokio::test]
async fn a_rebuilt_registry_has_the_same_sums() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let mut over = start(&store, created(RunKind::Job)).await;
    store.append(over.append(&[called(100)])).await.unwrap();
    store.append(over.complete()).await.unwrap();
    let mut live = start(&store, created(RunKind::Job)).await;
    store.append(live.append(&[called(20)])).await.unwrap();
    let before = store.usage(&BY_MODEL).await.unwrap();
    let day = store.day_standing("echo", Day::of(START)).await.unwrap();
    assert_eq!(before.rows[0].input_tokens, 120);
    drop(store);
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(fresh.registry.root().join(name)));
    }
    let report = rebuild(&fresh.registry, START).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let store = fresh.open_sqlite();
    assert_eq!(store.usage(&BY_MODEL).await.unwrap(), before);
    assert_eq!(store.day_standing("echo", Day::of(START)).await.unwrap(), day);
}
