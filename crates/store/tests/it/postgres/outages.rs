//! Outages of the database: nothing is lost, nothing is done twice, no caller gets an error.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use errand_model::RunId;
use errand_model::placement::Offer;
use errand_store::postgres::{Options, Postgres};
use errand_store::{Admitted, Claim, Error, Filter, Page, Store, StoreChange};
use errand_testkit::postgres::{Durability, PostgresServer};
use tokio::task::JoinSet;

use crate::world::{START, Writer, holder, queued};

/// Steps that each writer appends, at least.
const STEPS: usize = 40;

/// Number of concurrent writers.
const WRITERS: usize = 12;

fn server(settings: &str) -> Arc<PostgresServer> {
    let server = PostgresServer::start(Durability::None, settings);
    Postgres::migrate(&server.url()).unwrap();
    Arc::new(server)
}

fn open(server: &PostgresServer) -> Arc<dyn Store> {
    Arc::new(Postgres::open(&server.url(), Options::DEFAULT).unwrap())
}

/// Admits a run and appends to it until `enough`, each append after the answer to the last. Returns
/// the writer's view of the run.
async fn write(store: Arc<dyn Store>, enough: Arc<AtomicBool>) -> Writer {
    let (mut writer, admission) = Writer::job();
    let (admitted, lease) = store.admit_held(admission, holder(1)).await.unwrap();
    assert_eq!(admitted, Admitted::Created);
    writer.epoch = lease.unwrap().epoch;
    store.append(writer.start()).await.unwrap();
    let mut step = 0;
    while step < STEPS || !enough.load(Ordering::Relaxed) {
        store.append(writer.step(&format!("step-{step}"))).await.unwrap();
        step += 1;
    }
    store.append(writer.complete()).await.unwrap();
    writer
}

/// Runs writers in two processes while `happens` acts on the server.
async fn while_writing(
    server: &Arc<PostgresServer>,
    happens: impl FnOnce(Arc<PostgresServer>) + Send + 'static,
) {
    let stores = [open(server), open(server)];
    let enough = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write(Arc::clone(&stores[number % 2]), Arc::clone(&enough)));
    }
    let of = Arc::clone(server);
    tokio::task::spawn_blocking(move || happens(of)).await.unwrap();
    enough.store(true, Ordering::Relaxed);
    let mut count = 0;
    while let Some(writer) = writers.join_next().await {
        let writer = writer.unwrap();
        let stored = stores[0].load(&writer.run.id).await.unwrap().unwrap();
        assert_eq!((stored.run, stored.head), (writer.run, writer.head));
        count += 1;
    }
    assert_eq!(count, WRITERS);
    let all = Page { after: None, limit: 99 };
    assert_eq!(stores[1].list(&Filter::default(), &all).await.unwrap().0.len(), WRITERS);
}

#[tokio::test]
async fn a_server_that_is_restarted_under_load_loses_and_doubles_nothing() {
    let server = server("");
    while_writing(&server, |server| {
        server.restart();
        server.crash();
        server.resume();
        server.restart();
    })
    .await;
}

#[tokio::test]
async fn sessions_that_are_ended_in_the_middle_lose_and_double_nothing() {
    let server = server("");
    while_writing(&server, |server| {
        for _ in 0..15 {
            server.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = 'errand'",
            );
        }
    })
    .await;
}

#[tokio::test]
async fn each_run_is_claimed_and_completed_once_despite_outages() {
    const RUNS: usize = 200;
    let server = server("");
    let store = open(&server);
    let mut all = BTreeSet::new();
    for _ in 0..RUNS {
        let (writer, mut admission) = Writer::job();
        queued(&mut admission, 0);
        store.admit(admission).await.unwrap();
        all.insert(writer.run.id);
    }
    let mut workers = JoinSet::new();
    for _ in 0..3 {
        workers.spawn(work(open(&server)));
    }
    let of = Arc::clone(&server);
    let happens = tokio::task::spawn_blocking(move || {
        of.restart();
        of.crash();
        of.resume();
    });
    let mut claimed = BTreeSet::new();
    let mut count = 0;
    while let Some(mine) = workers.join_next().await {
        let mine = mine.unwrap();
        count += mine.len();
        claimed.extend(mine);
    }
    happens.await.unwrap();
    assert_eq!((count, claimed), (RUNS, all));
}

/// Claims and completes runs until there are none left.
async fn work(store: Arc<dyn Store>) -> Vec<RunId> {
    let mut done = Vec::new();
    loop {
        let claim = Claim {
            holder: holder(3),
            limit: 4,
            now: START.plus(Duration::from_secs(1)),
            lease_for: None,
            offer: Offer::default(),
        };
        let claimed = store.claim(claim).await.unwrap();
        if claimed.is_empty() {
            return done;
        }
        for (stored, lease) in claimed {
            let (run, head, now) = (stored.run, stored.head, START);
            let mut writer = Writer { run, head, now, epoch: lease.epoch };
            store.append(writer.start()).await.unwrap();
            store.append(writer.complete()).await.unwrap();
            done.push(writer.run.id);
        }
    }
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_waited_for() {
    let server = server("-c max_connections=8 -c superuser_reserved_connections=0");
    let store = open(&server);
    let (mut writer, admission) = Writer::job();
    let hoarders: Vec<_> = (0..8)
        .map(|_| {
            let server = Arc::clone(&server);
            std::thread::spawn(move || {
                // Some of these connections are refused themselves.
                drop(std::panic::catch_unwind(|| server.psql("SELECT pg_sleep(2)")));
            })
        })
        .collect();
    let (_, lease) = store.admit_held(admission, holder(1)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    store.append(writer.start()).await.unwrap();
    assert_eq!(store.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
    for hoarder in hoarders {
        hoarder.join().unwrap();
    }
}

#[tokio::test]
async fn of_two_processes_that_append_to_one_run_one_is_refused() {
    let fresh = super::Fresh::new();
    let stores = [fresh.open_postgres(), fresh.open_postgres()];
    let (mut writer, admission) = Writer::job();
    let (_, lease) = stores[0].admit_held(admission, holder(1)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    stores[0].append(writer.start()).await.unwrap();
    for round in 0..20 {
        let (mut left, mut right) = (writer.clone(), writer.clone());
        let appends = (left.checkpoint("left"), right.checkpoint("right"));
        let made = tokio::join!(stores[0].append(appends.0), stores[1].append(appends.1));
        writer = match made {
            (Ok(_), Err(Error::Conflict { .. })) => left,
            (Err(Error::Conflict { .. }), Ok(_)) => right,
            other => panic!("round {round}: {other:?}"),
        };
    }
    let stored = stores[1].load(&writer.run.id).await.unwrap().unwrap();
    assert_eq!((stored.run, stored.head), (writer.run, writer.head));
}

#[tokio::test]
async fn a_lease_that_was_taken_over_cannot_write_from_any_process() {
    let fresh = super::Fresh::new();
    let stores = [fresh.open_postgres(), fresh.open_postgres()];
    for _ in 0..20 {
        let (mut writer, admission) = Writer::job();
        let (_, lease) = stores[0].admit_held(admission, holder(1)).await.unwrap();
        writer.epoch = lease.unwrap().epoch;
        let append = writer.start();
        let made = tokio::join!(
            stores[0].append(append),
            stores[1].take(&writer.run.id, 1, holder(2), None)
        );
        assert_eq!(made.1.unwrap().epoch, 2);
        let stored = stores[0].load(&writer.run.id).await.unwrap().unwrap();
        match made.0 {
            // The writer was faster.
            Ok(_) => assert_eq!(stored.head, writer.head),
            Err(Error::Fenced { current: 2, .. }) => assert_eq!(stored.head.seq, 1),
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(stored.epoch, 2);
    }
}

#[tokio::test]
async fn writers_share_existing_connections_if_no_more_can_be_opened() {
    let server = server("-c max_connections=8 -c superuser_reserved_connections=0");
    let store = open(&server);
    let (writer, admission) = Writer::job();
    store.admit(admission).await.unwrap();
    // The store now has a connection of each kind.
    store.load(&writer.run.id).await.unwrap();
    store.put_bom("agent", &errand_model::Digest::of(b"0"), START).await.unwrap();
    let hoarders: Vec<_> = (0..8)
        .map(|_| {
            let server = Arc::clone(&server);
            std::thread::spawn(move || {
                // Some of these connections are refused themselves.
                drop(std::panic::catch_unwind(|| server.psql("SELECT pg_sleep(2)")));
            })
        })
        .collect();
    let mut tasks = JoinSet::new();
    for number in 0..24_u32 {
        let (store, run_id) = (Arc::clone(&store), writer.run.id.clone());
        tasks.spawn(async move {
            let digest = errand_model::Digest::of(&number.to_le_bytes());
            store.put_bom(&format!("agent-{number}"), &digest, START).await.unwrap();
            assert!(store.load(&run_id).await.unwrap().is_some());
        });
    }
    tasks.join_all().await;
    for hoarder in hoarders {
        hoarder.join().unwrap();
    }
}

#[tokio::test]
async fn announcements_resume_after_both_connections_were_ended() {
    let server = server("");
    let (listening, telling) = (open(&server), open(&server));
    let mut changes = listening.changes();
    for _ in 0..3 {
        server.psql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name = 'errand'",
        );
        let (_, mut admission) = Writer::job();
        queued(&mut admission, 0);
        telling.admit(admission).await.unwrap();
        let heard = async {
            while !matches!(changes.recv().await, Ok(StoreChange::Queued | StoreChange::Elsewhere))
            {
            }
        };
        tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
    }
}
