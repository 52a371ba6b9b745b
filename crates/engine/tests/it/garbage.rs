//! What nothing names is removed, and nothing that something names, whatever happens at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use errand_agent::{Clock, SystemClock, os};
use errand_engine::garbage::{self, GRACE};
use errand_engine::{Engine, Inner, Surroundings};
use errand_model::event::{ArtifactCreated, EventBody, RunCreated};
use errand_model::run::Run;
use errand_model::{Digest, EventContext, Head, RunId, Timestamp};
use errand_store::sqlite::{self, Sqlite};
use errand_store::{Admission, Append, Fence, Holder, Registry, Removal};
use serde_json::json;

/// The machine's clock, so much later: what is there is so much older.
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

/// An engine of a process of its own, as far as others can tell.
fn engine(root: &Path, ahead: Duration) -> Engine {
    let registry = Registry::at(root.join(".errand"));
    let store = Sqlite::open(&registry, sqlite::Options::CREATE).unwrap();
    let surroundings = Surroundings {
        registry,
        environment: BTreeMap::new(),
        program: std::env::current_exe().unwrap(),
        identity: root.join("identity.txt"),
        runtime_dir: root.join("run"),
    };
    let process = os::own_identity().unwrap();
    let holder = Holder { host: os::host_name(), process, worker: None };
    let clock = Arc::new(Ahead(ahead));
    Engine::new(Inner { surroundings, store: Arc::new(store), clock, holder })
}

/// Admits a run that names the artifact, as a supervisor does: put first, named later.
async fn name(engine: &Engine, content: &str, pause: Duration) -> RunId {
    let digest = engine.blobs().put(content.as_bytes()).unwrap();
    let id = engine.new_run_id().unwrap();
    let created: RunCreated = serde_json::from_value(json!({
        "name": null, "kind": "job", "trigger": { "kind": "manual", "source": null, "payload": null },
        "agent": { "name": "a", "version": "1", "digest": Digest::of(b"parcel"), "path": "a" },
        "labels": {}, "session_id": null, "parent_run_id": null, "origin_run_id": null,
        "detached": false, "host": "here", "cwd": "/", "input": null, "env": {},
        "timeouts": { "queue_ms": null, "run_ms": null, "step_ms": null, "grace_period_ms": null },
        "retry": { "max_retries": 0, "backoff": "fixed", "initial_delay_ms": 1, "max_delay_ms": 1, "retry_on": [] },
        "service": null, "launcher": null, "idempotency_key": null,
        "fingerprint": Digest::of(id.as_str().as_bytes()), "callback_url": null,
    }))
    .unwrap();
    let (now, mut head) = (engine.now(), Head::EMPTY);
    let event = head.seal(&id, now, 0, &EventBody::RunCreated(Box::new(created.clone())));
    let mut run = Run::create(id.clone(), now, created);
    let admission = Admission {
        run: run.clone(),
        head,
        events: vec![event],
        queued: None,
        dedup: false,
        redrives: false,
        documents: Vec::new(),
    };
    let (_, lease) = engine.store().admit_held(admission, engine.holder().clone()).await.unwrap();
    tokio::time::sleep(pause).await;
    let size_bytes = u64::try_from(content.len()).unwrap();
    let named = ArtifactCreated { name: "x".to_owned(), digest, size_bytes, media_type: None };
    let body = EventBody::ArtifactCreated(named);
    run.apply(EventContext { at: now, attempt: 0 }, &body).unwrap();
    let event = head.seal(&id, now, 0, &body);
    let append = Append {
        run,
        head,
        events: vec![event],
        steps: Vec::new(),
        fence: Fence { epoch: lease.unwrap().epoch },
        snapshot: false,
        release: false,
        requeue: None,
        answered: Vec::new(),
        documents: Vec::new(),
    };
    engine.store().append(append).await.unwrap();
    id
}

#[tokio::test]
async fn what_nothing_names_goes_once_it_is_old_enough() {
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
    // Others use the registry: nothing is removed that is younger than others can know of.
    let refused = garbage::collect(&young, Duration::ZERO).await.unwrap_err();
    assert!(matches!(refused, errand_engine::Error::InUse { .. }), "{refused:?}");
    drop(old);
    young.store().remove(&run_id, Removal::Any).await.unwrap();
    assert_eq!(garbage::collect(&young, Duration::ZERO).await.unwrap().blobs, 1);
    assert!(young.blobs().get(&named).is_err());
}

/// Writers name the same few contents again and again, with pauses between putting and naming, while
/// runs are removed and collectors run whose grace period is a second: less would be shorter than
/// what a writer may take here.
#[test]
fn nothing_that_is_named_is_ever_missing_whoever_names_and_collects_at_once() {
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
                    engine.store().remove(&run_id, Removal::Any).await.unwrap();
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
        engine.store().remove(&run_id, Removal::Any).await.unwrap();
    }
    garbage::collect(&engine, GRACE).await.unwrap();
    let left = garbage::usage(&engine, 9).await.unwrap();
    let blobs = left.kinds.iter().filter(|kind| kind.kind.starts_with("blobs"));
    assert_eq!(blobs.map(|kind| kind.bytes).sum::<u64>(), 0, "{left:?}");
}
