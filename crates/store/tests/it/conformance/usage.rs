//! Sums of the use by calls, updated in the commit that records them.

use errand_model::event::{EventBody, Replay, ReplayPolicy, Reported, RunKind};
use errand_model::price::Day;
use errand_model::spend::Amounts;
use errand_store::Namespaces;
use errand_store::{Removal, Store, UsageBy, UsageFilter, UsageRow, UsageTotals};
use serde_json::{Value, json};

use super::StoreFactory;
use super::appending::start;
use crate::world::{START, Writer, created, new_id};

const DAY: Day = Day::of(START);

fn called(kind: &str, data: Value) -> EventBody {
    EventBody::Reported(Reported::new(kind, data).unwrap())
}

fn by(by: UsageBy) -> UsageFilter {
    UsageFilter {
        namespaces: Namespaces::All,
        by,
        since: None,
        until: None,
        agent: None,
        run_id: None,
    }
}

/// Admits a run of that agent with two priced model calls, one unpriced, and one tool call.
async fn worked(store: &dyn Store, agent: &str, team: Option<&str>) -> Writer {
    let mut spec = created(RunKind::Job);
    spec.agent.name = agent.to_owned();
    spec.session_id = team.map(|team| format!("{team} talks"));
    spec.labels.extend(team.map(|team| ("team.\"x\"".to_owned(), team.to_owned())));
    let mut writer = start(store, spec).await;
    let model = |step: Value, cost: Value| {
        json!({
            "provider": "openai", "model": "m", "input_tokens": 100, "output_tokens": 10,
            "cached_tokens": 50, "reasoning_tokens": 5, "step": step, "cost_micro_usd": cost,
        })
    };
    let events = [
        called("model.called", model(json!("plan"), json!(7))),
        called("model.called", model(json!("plan"), json!(8))),
        called("model.called", json!({ "model": "house", "input_tokens": 1, "agent": "helper" })),
        called("tool.called", json!({ "name": "send", "step": "act" })),
        called("progress.reported", json!({})),
    ];
    store.append(writer.append(&events)).await.unwrap();
    writer
}

fn shown(rows: &[UsageRow]) -> Vec<String> {
    let line = |row: &UsageRow| {
        format!(
            "{} runs={} calls={}-{}+{} tokens={}/{}/{}/{} cost={:?}",
            row.key.as_deref().unwrap_or("-"),
            row.runs,
            row.model_calls,
            row.unpriced_calls,
            row.tool_calls,
            row.input_tokens,
            row.output_tokens,
            row.cached_tokens,
            row.reasoning_tokens,
            row.cost_micro_usd
        )
    };
    rows.iter().map(line).collect()
}

pub(crate) async fn calls_are_summed_by_each_property(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut first = worked(store.as_ref(), "writer", Some("red")).await;
    worked(store.as_ref(), "writer", Some("blue")).await;
    worked(store.as_ref(), "editor", None).await;
    let other = factory.open();
    let rows = async |query: UsageFilter| shown(&other.usage(&query).await.unwrap().rows);
    let whole = "calls=3-1+1 tokens=201/20/100/10 cost=Some(15)";
    let total = other.usage(&by(UsageBy::Model)).await.unwrap().total;
    // Tool calls are in no row of models, and so not in their total.
    assert_eq!(shown(&[total]), ["- runs=3 calls=9-3+0 tokens=603/60/300/30 cost=Some(45)"]);
    assert_eq!(
        rows(by(UsageBy::Agent)).await,
        [
            "writer runs=2 calls=4-0+2 tokens=400/40/200/20 cost=Some(30)",
            "editor runs=1 calls=2-0+1 tokens=200/20/100/10 cost=Some(15)",
            "helper runs=3 calls=3-3+0 tokens=3/0/0/0 cost=None",
        ]
    );
    assert_eq!(
        rows(by(UsageBy::Model)).await,
        [
            "openai/m runs=3 calls=6-0+0 tokens=600/60/300/30 cost=Some(45)",
            "house runs=3 calls=3-3+0 tokens=3/0/0/0 cost=None",
        ]
    );
    let one = "runs=1 calls=3-1+1 tokens=201/20/100/10 cost=Some(15)";
    let label = UsageBy::Label("team.\"x\"".to_owned());
    assert_eq!(
        rows(by(label)).await,
        [format!("- {one}"), format!("blue {one}"), format!("red {one}")]
    );
    assert_eq!(
        rows(by(UsageBy::Session)).await,
        [format!("- {one}"), format!("blue talks {one}"), format!("red talks {one}")]
    );
    assert_eq!(
        rows(by(UsageBy::Day)).await,
        ["2027-01-15 runs=3 calls=9-3+3 tokens=603/60/300/30 cost=Some(45)"]
    );
    assert_eq!(
        rows(by(UsageBy::Step)).await,
        [
            "plan runs=3 calls=6-0+0 tokens=600/60/300/30 cost=Some(45)",
            "- runs=3 calls=3-3+0 tokens=3/0/0/0 cost=None",
            "act runs=3 calls=0-0+3 tokens=0/0/0/0 cost=None",
        ]
    );
    assert_eq!(rows(by(UsageBy::Tool)).await, ["send runs=3 calls=0-0+3 tokens=0/0/0/0 cost=None"]);
    let total = other.usage(&by(UsageBy::Tool)).await.unwrap().total;
    assert_eq!(shown(&[total]), ["- runs=3 calls=0-0+3 tokens=0/0/0/0 cost=None"]);
    let query = UsageFilter { run_id: Some(first.run.id.clone()), ..by(UsageBy::Run) };
    assert_eq!(rows(query).await, [format!("{} runs=1 {whole}", first.run.id)]);
    let query = UsageFilter { agent: Some("editor".to_owned()), ..by(UsageBy::Session) };
    assert_eq!(rows(query).await, [format!("- {one}")]);
    let after = Day::from_number(DAY.number() + 1);
    let query = UsageFilter { since: Some(after), ..by(UsageBy::Day) };
    assert_eq!(rows(query).await, [""; 0]);
    let query = UsageFilter {
        namespaces: Namespaces::All,
        since: Some(DAY),
        until: Some(DAY),
        ..by(UsageBy::Day)
    };
    assert_eq!(rows(query).await.len(), 1);
    tools_cost_what_their_calls_say(store.as_ref(), &mut first).await;
}

async fn tools_cost_what_their_calls_say(store: &dyn Store, writer: &mut Writer) {
    let search = called("tool.called", json!({ "name": "search", "cost_micro_usd": 5 }));
    store.append(writer.append(&[search])).await.unwrap();
    assert_eq!(
        shown(&store.usage(&by(UsageBy::Tool)).await.unwrap().rows),
        [
            "search runs=1 calls=0-0+1 tokens=0/0/0/0 cost=Some(5)",
            "send runs=3 calls=0-0+3 tokens=0/0/0/0 cost=None",
        ]
    );
    let spent = store.day_standing("writer", DAY).await.unwrap().used;
    assert_eq!((spent.cost_micro_usd, spent.tool_calls), (35, 3));
}

pub(crate) async fn the_use_of_a_removed_run_stays_counted_in_its_day(factory: &impl StoreFactory) {
    let store = factory.open();
    let writer = worked(store.as_ref(), "writer", None).await;
    let used = Amounts { tokens: 221, cost_micro_usd: 15, tool_calls: 1, wall_time_ms: 0 };
    assert_eq!(store.day_standing("writer", DAY).await.unwrap().used, used);
    assert_eq!(store.day_standing("editor", DAY).await.unwrap().used, Amounts::ZERO);
    store.remove(&writer.run.id, Removal::Any).await.unwrap();
    assert_eq!(store.day_standing("writer", DAY).await.unwrap().used, used);
    assert_eq!(store.usage(&by(UsageBy::Total)).await.unwrap(), UsageTotals::default());
}

pub(crate) async fn events_that_were_appended_already_are_counted_once(
    factory: &impl StoreFactory,
) {
    let store = factory.open();
    let mut writer = start(store.as_ref(), created(RunKind::Job)).await;
    let call = called("model.called", json!({ "input_tokens": 5, "cost_micro_usd": 5 }));
    let append = writer.append(&[call]);
    store.append(append.clone()).await.unwrap();
    store.append(append).await.unwrap();
    assert_eq!(store.usage(&by(UsageBy::Total)).await.unwrap().total.model_calls, 1);
    assert_eq!(store.day_standing("echo", DAY).await.unwrap().used.tokens, 5);
}

pub(crate) async fn time_is_counted_when_an_attempt_ends(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = start(store.as_ref(), created(RunKind::Job)).await;
    assert_eq!(store.usage(&by(UsageBy::Total)).await.unwrap(), UsageTotals::default());
    store.append(writer.checkpoint("half")).await.unwrap();
    store.append(writer.complete()).await.unwrap();
    let total = store.usage(&by(UsageBy::Total)).await.unwrap().total;
    assert_eq!((total.runs, total.wall_time_ms, total.model_calls), (1, 10, 0));
    assert_eq!(store.day_standing("echo", DAY).await.unwrap().used.wall_time_ms, 10);
}

pub(crate) async fn a_replay_from_the_record_uses_nothing(factory: &impl StoreFactory) {
    let store = factory.open();
    for (policy, used) in [(ReplayPolicy::Strict, 0), (ReplayPolicy::Live, 5)] {
        let mut spec = created(RunKind::Job);
        spec.replay = Some(Replay { of: new_id(), policy });
        let mut writer = start(store.as_ref(), spec).await;
        let call = called("model.called", json!({ "input_tokens": 5 }));
        store.append(writer.append(&[call])).await.unwrap();
        store.append(writer.complete()).await.unwrap();
        assert_eq!(store.day_standing("echo", DAY).await.unwrap().used.tokens, used);
    }
    assert_eq!(store.usage(&by(UsageBy::Run)).await.unwrap().rows.len(), 1);
}
