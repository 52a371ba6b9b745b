//! Schedules of a server, on a real registry under a clock that a test sets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use errand_api::audit::{Action, Actor};
use errand_engine::agents::{self, Registration, Replace};
use errand_engine::audit::{self, AuditedAction};
use errand_engine::named;
use errand_engine::schedules::{self, Existing, ScheduleDefinition, Scheduler};
use errand_engine::{Engine, Error};
use errand_model::event::{
    AttemptRunning, CancelCause, EventBody, MissedPolicy, OverlapPolicy, TriggerKind,
};
use errand_model::run::Cancel;
use errand_model::{Event, EventContext, RunId, Timestamp};
use errand_store::{Append, Fence, Filter, Page, Stored};
use serde_json::json;

use crate::outbox::{SetClock, engine};

/// An engine with one registered agent, `nothing`.
pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<SetClock>,
}

impl World {
    pub(crate) async fn new(now: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock(AtomicI64::new(at(now).as_millis())));
        let engine = engine(folder.path(), Arc::clone(&clock));
        let world = Self { folder, engine, clock };
        world.register(None).await;
        world
    }

    pub(crate) async fn register(&self, namespace: Option<&str>) {
        let agent = self.folder.path().join("agent");
        let file = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: nothing }\n\
                    spec:\n  command: [/bin/true]\n  input_schema: { type: object }\n";
        write(&agent, file);
        let plan = agents::check(&agent, "agent.yaml").unwrap();
        let registration = Registration {
            namespace,
            source: "test".to_owned(),
            replace: Replace::No,
            by: &actor(),
        };
        agents::register(&self.engine, plan, registration).await.unwrap();
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn set(&self, now: &str) {
        self.clock.0.store(at(now).as_millis(), Ordering::SeqCst);
    }

    pub(crate) async fn runs(&self) -> Vec<Stored> {
        let page = Page { after: None, limit: 500 };
        let (mut runs, _) = self.engine.store().list(&Filter::default(), &page).await.unwrap();
        runs.reverse();
        runs
    }

    async fn look(&self) -> schedules::NextFiring {
        Scheduler::new(self.engine.clone()).look().await.unwrap()
    }

    async fn define(&self, definition: &ScheduleDefinition) {
        schedules::define(&self.engine, None, ("mine", Existing::Change), definition)
            .await
            .unwrap();
    }

    /// Makes the run's journal one that does not fold.
    async fn damage(&self, run_id: &RunId) {
        let store = self.engine.store();
        let stored = store.load(run_id).await.unwrap().unwrap();
        let holder = self.engine.holder().clone();
        let lease = store.take(run_id, stored.epoch, holder, None).await.unwrap();
        let (now, mut head) = (self.engine.now(), stored.head);
        // There was no attempt that this event could belong to.
        let restarted = EventBody::AttemptRunning(AttemptRunning {
            process: None,
            process_group_id: None,
            locator: None,
            memory_enforced_by: None,
            setup: None,
        });
        let append = Append {
            run: stored.run.clone(),
            events: vec![head.seal(run_id, now, 7, &restarted)],
            head,
            steps: Vec::new(),
            fence: Fence { epoch: lease.epoch },
            snapshot: false,
            release: true,
            requeue: None,
            answered: Vec::new(),
            documents: Vec::new(),
        };
        store.append(append).await.unwrap();
        let loaded = store.load(run_id).await;
        assert!(matches!(loaded, Err(errand_store::Error::Damaged { .. })), "{loaded:?}");
    }

    async fn end(&self, run_id: &RunId) {
        let store = self.engine.store();
        let stored = store.load(run_id).await.unwrap().unwrap();
        let holder = self.engine.holder().clone();
        let lease = store.take(run_id, stored.epoch, holder, None).await.unwrap();
        let (now, cause) = (self.engine.now(), CancelCause::Stopped);
        let cancel = Cancel { cause, by: None, grace: Duration::ZERO };
        let decision = stored.run.decide(&cancel.into(), now).unwrap();
        let (mut head, context) = (stored.head, EventContext { at: now, attempt: 0 });
        let events: Vec<Event> =
            decision.events.iter().map(|body| head.seal(run_id, now, 0, body)).collect();
        let append = Append {
            run: stored.run.clone().apply_all(context, &decision.events).unwrap(),
            head,
            events,
            steps: Vec::new(),
            fence: Fence { epoch: lease.epoch },
            snapshot: true,
            release: true,
            requeue: None,
            answered: Vec::new(),
            documents: Vec::new(),
        };
        store.append(append).await.unwrap();
    }
}

fn actor() -> Actor {
    Actor { key: None, name: None, from: "test".to_owned() }
}

fn write(agent: &Path, file: &str) {
    std::fs::create_dir_all(agent).unwrap();
    std::fs::write(agent.join("agent.yaml"), file).unwrap();
}

fn at(text: &str) -> Timestamp {
    let ms = chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
    Timestamp::from_millis(ms)
}

fn definition(cron: &str, timezone: &str) -> ScheduleDefinition {
    ScheduleDefinition {
        agent: "nothing".to_owned(),
        cron: cron.to_owned(),
        timezone: timezone.to_owned(),
        input: Some(json!({ "a": 1 })),
        missed: MissedPolicy::FireOnce,
        overlap: OverlapPolicy::Allow,
        labels: BTreeMap::from([("team".to_owned(), "x".to_owned())]),
        session_id: None,
        enabled: true,
    }
}

fn slots(runs: &[Stored]) -> Vec<i64> {
    let slot = |stored: &Stored| {
        stored.run.spec.trigger.payload.as_ref().unwrap()["slot_ms"].as_i64().unwrap()
    };
    runs.iter().map(slot).collect()
}

#[tokio::test]
async fn a_slot_fires_a_run_with_schedule_and_slot_in_its_trigger() {
    let world = World::new("2026-06-01T11:59:30Z").await;
    world.define(&definition("* * * * *", "UTC")).await;
    assert_eq!(world.look().await.at, Some(at("2026-06-01T12:00:00Z")));
    assert!(world.runs().await.is_empty());
    world.pass(Duration::from_secs(30));
    let next = world.look().await;
    assert_eq!(next.at, Some(at("2026-06-01T12:01:00Z")));
    world.look().await;
    let runs = world.runs().await;
    assert_eq!(runs.len(), 1);
    let spec = &runs[0].run.spec;
    assert_eq!(spec.trigger.kind, TriggerKind::Schedule);
    assert_eq!(spec.trigger.source.as_deref(), Some("mine"));
    let payload = json!({
        "schedule_id": "mine", "slot_ms": at("2026-06-01T12:00:00Z"), "cron": "* * * * *",
        "timezone": "UTC",
    });
    assert_eq!(spec.trigger.payload, Some(payload));
    assert_eq!(spec.labels["team"], "x");
    assert!(spec.placement.is_some(), "any worker may have it");
    let view = schedules::get(&world.engine, None, "mine").await.unwrap();
    assert_eq!(view.last_run_id.as_ref(), Some(&runs[0].run.id));
    assert_eq!(view.next_fires_ms.len(), 5);
}

#[tokio::test]
async fn a_run_that_is_damaged_stops_no_schedule() {
    let world = World::new("2026-06-01T11:59:30Z").await;
    let skips =
        ScheduleDefinition { overlap: OverlapPolicy::Skip, ..definition("* * * * *", "UTC") };
    world.define(&skips).await;
    schedules::define(&world.engine, None, ("other", Existing::Change), &skips).await.unwrap();
    world.pass(Duration::from_secs(30));
    world.look().await;
    let runs = world.runs().await;
    assert_eq!(runs.len(), 2);
    for stored in &runs {
        world.damage(&stored.run.id).await;
    }
    world.pass(Duration::from_secs(60));
    let next = world.look().await;
    assert_eq!(next.at, Some(at("2026-06-01T12:02:00Z")));
    assert_eq!(world.runs().await.len(), 2, "beside the damaged ones");
}

#[tokio::test]
async fn the_audit_log_of_every_namespace_is_bounded() {
    let world = World::new("2026-06-01T12:00:00Z").await;
    let engine = &world.engine;
    let (actor, beyond) = (actor(), 600);
    for namespace in [None, Some("a"), Some("b")] {
        let deed = || AuditedAction {
            namespace,
            action: Action::AgentDeleted,
            object: "some",
            by: &actor,
            detail: json!({}),
        };
        let count = if namespace == Some("a") { audit::KEPT + beyond } else { 3 };
        let entries = (0..count).map(|_| audit::write(engine, deed()).unwrap()).collect();
        engine.store().write_documents(entries).await.unwrap();
    }
    world.look().await;
    for (namespace, kept) in [(None, 4), (Some("a"), audit::KEPT), (Some("b"), 3)] {
        let left = audit::list(engine, namespace, None, audit::KEPT + beyond).await.unwrap();
        // Including the entry of the agent's registration.
        assert_eq!(left.len(), usize::try_from(kept).unwrap(), "{namespace:?}");
    }
}

#[tokio::test]
async fn several_schedulers_at_once_fire_each_slot_once() {
    let world = World::new("2026-06-01T12:00:00Z").await;
    let mut every = definition("@every 1s", "UTC");
    every.missed = MissedPolicy::FireAll;
    world.define(&every).await;
    for _ in 0..5 {
        world.pass(Duration::from_secs(4));
        let look = || async { Scheduler::new(world.engine.clone()).look().await.unwrap() };
        tokio::join!(look(), look(), look(), look());
        world.look().await;
    }
    let mut fired = slots(&world.runs().await);
    fired.sort_unstable();
    let first = at("2026-06-01T12:00:00Z").as_millis();
    assert_eq!(fired, (1..=20).map(|second| first + second * 1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn missed_slots_are_fired_once_skipped_or_all_fired_by_policy() {
    for (missed, expected) in
        [(MissedPolicy::FireOnce, 1), (MissedPolicy::Skip, 0), (MissedPolicy::FireAll, 3)]
    {
        let world = World::new("2026-06-01T11:30:00Z").await;
        world.define(&ScheduleDefinition { missed, ..definition("0 * * * *", "UTC") }).await;
        world.set("2026-06-01T14:30:00Z");
        world.look().await;
        let fired = slots(&world.runs().await);
        assert_eq!(fired.len(), expected, "{missed:?}");
        if missed == MissedPolicy::FireOnce {
            assert_eq!(fired[0], at("2026-06-01T14:00:00Z").as_millis(), "the latest");
        }
        let view = schedules::get(&world.engine, None, "mine").await.unwrap();
        assert_eq!(view.recent.iter().map(|fired| fired.slots).sum::<u64>(), 3, "{missed:?}");
        world.look().await;
        assert_eq!(world.runs().await.len(), expected, "{missed:?}: once and for all");
    }
}

#[tokio::test]
async fn a_slot_during_the_previous_run_is_skipped_or_waits_by_policy() {
    let world = World::new("2026-06-01T11:59:30Z").await;
    world
        .define(&ScheduleDefinition {
            overlap: OverlapPolicy::Skip,
            ..definition("* * * * *", "UTC")
        })
        .await;
    for _ in 0..3 {
        world.pass(Duration::from_secs(60));
        world.look().await;
    }
    assert_eq!(world.runs().await.len(), 1);
    let view = schedules::get(&world.engine, None, "mine").await.unwrap();
    assert_eq!(view.recent[0].skipped.as_deref(), Some("the run before it is not over"));
    world
        .define(&ScheduleDefinition {
            overlap: OverlapPolicy::Queue,
            ..definition("* * * * *", "UTC")
        })
        .await;
    world.pass(Duration::from_secs(60));
    assert!(world.look().await.waits);
    assert_eq!(world.runs().await.len(), 1);
    let first = world.runs().await[0].run.id.clone();
    world.end(&first).await;
    assert!(!world.look().await.waits);
    assert_eq!(world.runs().await.len(), 2);
}

#[tokio::test]
async fn a_wall_clock_slot_fires_once_across_a_dst_change() {
    // Zurich: 2026-03-29 02:00 becomes 03:00, and 2026-10-25 03:00 becomes 02:00.
    for (from, to, expected) in [
        ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", "2026-03-29T01:00:00Z"),
        ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", "2026-10-25T00:30:00Z"),
    ] {
        let world = World::new(from).await;
        let missed = MissedPolicy::FireAll;
        let half = ScheduleDefinition { missed, ..definition("30 2 * * *", "Europe/Zurich") };
        world.define(&half).await;
        while world.engine.now() < at(to) {
            world.pass(Duration::from_secs(900));
            world.look().await;
        }
        assert_eq!(slots(&world.runs().await), [at(expected).as_millis()], "{from}");
    }
}

#[tokio::test]
async fn a_paused_schedule_fires_when_asked_and_its_slots_are_gone() {
    let world = World::new("2026-06-01T11:59:30Z").await;
    let all =
        ScheduleDefinition { missed: MissedPolicy::FireAll, ..definition("* * * * *", "UTC") };
    world.define(&all).await;
    let paused = schedules::pause(&world.engine, None, "mine").await.unwrap();
    assert!(paused.next_fires_ms.is_empty());
    world.pass(Duration::from_secs(600));
    assert_eq!(world.look().await.at, None);
    assert!(world.runs().await.is_empty());
    let run_id = schedules::fire_now(&world.engine, None, "mine").await.unwrap();
    let runs = world.runs().await;
    assert_eq!(runs[0].run.id, run_id);
    assert!(runs[0].run.spec.trigger.payload.as_ref().unwrap()["slot_ms"].is_null());
    schedules::resume(&world.engine, None, "mine").await.unwrap();
    world.look().await;
    assert_eq!(world.runs().await.len(), 1, "what passed while it was paused is gone");
    world.pass(Duration::from_secs(60));
    world.look().await;
    assert_eq!(world.runs().await.len(), 2);
    schedules::remove(&world.engine, None, "mine").await.unwrap();
    assert!(schedules::get(&world.engine, None, "mine").await.is_err());
}

#[tokio::test]
async fn an_invalid_schedule_is_refused() {
    let world = World::new("2026-06-01T12:00:00Z").await;
    let good = definition("* * * * *", "UTC");
    let bad_agent = ScheduleDefinition { agent: "unknown".to_owned(), ..good.clone() };
    let bad_input = ScheduleDefinition { input: Some(json!([])), ..good.clone() };
    for (name, definition, code) in [
        ("mine", definition("0 0 31 2 *", "UTC"), "cron_invalid"),
        ("mine", definition("never", "UTC"), "cron_invalid"),
        ("mine", definition("* * * * *", "Europe/Atlantis"), "time_zone_invalid"),
        ("mine", bad_agent, "agent_not_found"),
        ("mine", bad_input, "input_invalid"),
        ("No Name", good.clone(), "schedule_invalid"),
    ] {
        let refused =
            schedules::define(&world.engine, None, (name, Existing::Refuse), &definition).await;
        assert_eq!(refused.unwrap_err().code().as_str(), code);
    }
    assert!(schedules::list(&world.engine, None, None, 10).await.unwrap().is_empty());
    world.define(&good).await;
    let again = schedules::define(&world.engine, None, ("mine", Existing::Refuse), &good).await;
    assert_eq!(again.unwrap_err().code().as_str(), "schedule_conflict");
    let other = schedules::get(&world.engine, Some("other"), "mine").await;
    assert!(matches!(other, Err(Error::Definition(named::Error::NotFound { .. }))));
}

#[tokio::test]
async fn a_slot_whose_agent_is_gone_is_recorded_and_the_next_one_is_tried() {
    let world = World::new("2026-06-01T11:59:30Z").await;
    world.define(&definition("* * * * *", "UTC")).await;
    agents::remove(&world.engine, None, ("nothing", None), &actor()).await.unwrap();
    world.pass(Duration::from_secs(30));
    assert_eq!(world.look().await.at, Some(at("2026-06-01T12:01:00Z")));
    let view = schedules::get(&world.engine, None, "mine").await.unwrap();
    let why = view.recent[0].skipped.clone().unwrap();
    assert!(why.contains("no agent nothing is registered"), "{why}");
}
