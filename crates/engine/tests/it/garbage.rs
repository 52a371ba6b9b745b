//! Garbage collection under concurrent changes: unnamed blobs are removed, and named ones never.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use errand_agent::{Clock, SystemClock};
use errand_engine::Engine;
use errand_engine::garbage::{self, GRACE};
use errand_model::event::{
    AgentRef, EventBody, RunCreated, RunKind, Timeouts, Trigger, TriggerKind,
};
use errand_model::retry::{Backoff, RetryPolicy};
use errand_model::run::Run;
use errand_model::{Blob, Digest, Encoding, Head, Payload, RunId, Timestamp};
use errand_store::{Admission, Removal};

use crate::support::{Parts, engine_of};

/// The machine's clock, moved forward, which makes existing files older.
#[derive(Debug)]
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.0)
    }

    fn steadied(&self, at_least: Timestamp) -> Arc<dyn Clock> {
        SystemClock.steadied(at_least)
    }
}

fn engine(root: &Path, ahead: Duration) -> Engine {
    engine_of(root, Parts { clock: Arc::new(Ahead(ahead)), ..Parts::default() })
}

/// Returns a run that names a parcel that does not exist here.
fn created(id: &RunId) -> RunCreated {
    RunCreated {
        name: None,
        kind: RunKind::Job,
        agent: AgentRef {
            name: "echo".to_owned(),
            version: "1.0.0".to_owned(),
            digest: Digest::of(b"parcel"),
            path: "agents/echo".to_owned(),
        },
        trigger: Trigger { kind: TriggerKind::Manual, source: None, payload: None },
        labels: BTreeMap::new(),
        session_id: None,
        parent_run_id: None,
        origin_run_id: None,
        detached: true,
        host: "here".to_owned(),
        cwd: "/".to_owned(),
        input: None,
        env: BTreeMap::new(),
        timeouts: Timeouts::default(),
        retry: RetryPolicy {
            max_retries: 0,
            backoff: Backoff::Fixed,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(1),
            retry_on: Vec::new(),
            dispatch: None,
        },
        service: None,
        launcher: None,
        idempotency_key: None,
        fingerprint: Digest::of(id.as_str().as_bytes()),
        callback_url: None,
        callback_events: Vec::new(),
        budgets: errand_model::budget::BudgetLimits::default(),
        session_turn: None,
        inherits: None,
        replay: None,
        namespace: None,
        placement: None,
        traceparent: None,
        tracestate: None,
        plan: None,
        member: None,
        handoffs: BTreeMap::new(),
        caller_env: None,
        by: None,
        origin_agent: None,
        catalog: Vec::new(),
        brief: None,
        task: None,
        model_route: None,
    }
}

/// Admits a run whose input is that blob: put first, named later.
async fn name(engine: &Engine, content: &str, pause: Duration) -> RunId {
    let digest = engine.blobs().put(content.as_bytes()).unwrap();
    let id = engine.new_run_id().unwrap();
    tokio::time::sleep(pause).await;
    let size_bytes = u64::try_from(content.len()).unwrap();
    let input = Payload::Blob(Blob { digest, size_bytes, encoding: Encoding::Text });
    let created = RunCreated { input: Some(input), ..created(&id) };
    let (now, mut head) = (engine.now(), Head::EMPTY);
    let event = head.seal(&id, now, 0, &EventBody::RunCreated(Box::new(created.clone())));
    let run = Run::create(id.clone(), now, created);
    let admission = Admission {
        run,
        head,
        events: vec![event],
        queued: None,
        dedup: false,
        redrives: false,
        documents: Vec::new(),
    };
    engine.store().admit_held(admission, engine.holder().clone()).await.unwrap();
    id
}

/// Removes a live run: its journal's file first, which would name the blob for good.
async fn forget(engine: &Engine, run_id: &RunId) {
    std::fs::remove_file(engine.registry().run_events(run_id)).unwrap();
    engine.store().remove(run_id, Removal::Any).await.unwrap();
}

#[tokio::test]
async fn unnamed_blobs_are_removed_after_the_grace_period() {
    let folder = tempfile::tempdir().unwrap();
    let young = engine(folder.path(), Duration::ZERO);
    let run_id = name(&young, "named", Duration::ZERO).await;
    let named = Digest::of(b"named");
    let garbage = young.blobs().put(b"garbage").unwrap();
    assert_eq!(garbage::collect(&young, GRACE).await.unwrap().blobs, 0);
    let told = garbage::unnamed(&young, GRACE).await.unwrap();
    assert_eq!((told.bytes, told.young_bytes), (0, 7));
    let old = engine(folder.path(), GRACE * 2);
    assert_eq!(garbage::collect(&old, GRACE).await.unwrap().blobs, 1);
    assert!(young.blobs().get(&garbage).is_err());
    assert_eq!(young.blobs().get(&named).unwrap(), b"named");
    // Other engines use the registry: young blobs are not removed.
    let refused = garbage::collect(&young, Duration::ZERO).await.unwrap_err();
    assert!(matches!(refused, garbage::Error::InUse(_)), "{refused:?}");
    drop(old);
    forget(&young, &run_id).await;
    assert_eq!(garbage::collect(&young, Duration::ZERO).await.unwrap().blobs, 1);
    assert!(young.blobs().get(&named).is_err());
}

/// Writers name the same few contents again and again, with pauses between putting and naming,
/// while runs are removed and collectors run whose grace period is a second: less would be shorter
/// than a writer's pause.
#[test]
fn named_blobs_stay_while_writers_and_collectors_run_at_once() {
    const WRITERS: u32 = 6;
    const RUNS: u32 = 40;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    drop(engine(&root, Duration::ZERO));
    let busy = Arc::new(AtomicU32::new(WRITERS));
    let freed = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let (root, busy) = (root.clone(), Arc::clone(&busy));
        tasks.push(in_a_thread(async move {
            let engine = engine(&root, Duration::ZERO);
            let mut kept = Vec::new();
            for number in 0..RUNS {
                let content = format!("content {}", (number * 7 + writer) % 5);
                let pause = Duration::from_millis(u64::from((number * 13 + writer) % 40));
                kept.push((name(&engine, &content, pause).await, content));
                if number % 3 != 0 {
                    let (run_id, _) = kept.remove(0);
                    forget(&engine, &run_id).await;
                }
                for (_, content) in &kept {
                    let digest = Digest::of(content.as_bytes());
                    assert_eq!(engine.blobs().get(&digest).unwrap(), content.as_bytes());
                }
            }
            busy.fetch_sub(1, Ordering::Relaxed);
            kept
        }));
    }
    for _ in 0..2 {
        let (root, busy, freed) = (root.clone(), Arc::clone(&busy), Arc::clone(&freed));
        tasks.push(in_a_thread(async move {
            let engine = engine(&root, GRACE.saturating_sub(Duration::from_secs(1)));
            while busy.load(Ordering::Relaxed) > 0 {
                let found = garbage::collect(&engine, GRACE).await.unwrap();
                freed.fetch_add(found.blobs, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Vec::new()
        }));
    }
    let kept: Vec<(RunId, String)> = tasks.into_iter().flat_map(|it| it.join().unwrap()).collect();
    in_a_thread(everything_else_goes(root, kept)).join().unwrap();
}

fn in_a_thread<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(work))
}

async fn everything_else_goes(root: std::path::PathBuf, kept: Vec<(RunId, String)>) {
    let engine = engine(&root, GRACE * 2);
    garbage::collect(&engine, GRACE).await.unwrap();
    for (_, content) in &kept {
        let digest = Digest::of(content.as_bytes());
        assert_eq!(engine.blobs().get(&digest).unwrap(), content.as_bytes());
    }
    for (run_id, _) in kept {
        forget(&engine, &run_id).await;
    }
    garbage::collect(&engine, GRACE).await.unwrap();
    let left = garbage::usage(&engine, 9).await.unwrap();
    let blobs = left.kinds.iter().filter(|kind| kind.kind.starts_with("blobs"));
    assert_eq!(blobs.map(|kind| kind.bytes).sum::<u64>(), 0, "{left:?}");
}
