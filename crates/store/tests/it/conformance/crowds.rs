//! Many processes at once in one session, and on one dead letter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use errand_model::event::{OnBusy, RunKind};
use errand_store::{Error, Store};
use tokio::task::JoinSet;

use super::StoreFactory;
use super::dead_letters::died;
use super::sessions::{begun, said};
use crate::world::{Writer, created, holder};

fn in_session(turn: OnBusy) -> (Writer, errand_store::Admission) {
    let mut spec = created(RunKind::Job);
    spec.session_id = Some("talk".to_owned());
    spec.session_turn = Some(turn);
    Writer::new(spec)
}

pub(crate) async fn one_of_many_rejecting_runs_in_a_session_is_admitted(
    factory: &impl StoreFactory,
) {
    let stores = [factory.open(), factory.open()];
    let mut all = JoinSet::new();
    for number in 0..16 {
        let store = stores[number % 2].clone();
        all.spawn(async move { store.admit(in_session(OnBusy::Reject).1).await });
    }
    let mut admitted = 0;
    while let Some(answer) = all.join_next().await {
        match answer.unwrap() {
            Ok(_) => admitted += 1,
            Err(error) => assert!(matches!(error, Error::SessionBusy { .. }), "{error:?}"),
        }
    }
    assert_eq!(admitted, 1);
}

pub(crate) async fn a_session_never_has_two_running_runs(factory: &impl StoreFactory) {
    const RUNS: usize = 12;
    let stores = [factory.open(), factory.open(), factory.open()];
    let under_way = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for number in 0..RUNS {
        let store = stores[number % 3].clone();
        let under_way = Arc::clone(&under_way);
        all.spawn(async move {
            let (mut writer, admission) = in_session(OnBusy::Enqueue);
            let (_, lease) = store.admit_held(admission, holder(7)).await.unwrap();
            writer.epoch = lease.unwrap().epoch;
            // No run checks its turn first: all try, again and again.
            loop {
                let mut trying = writer.clone();
                match store.append(trying.start()).await {
                    Ok(_) => writer = trying,
                    Err(Error::SessionBusy { .. }) => {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Err(error) => unreachable!("{error:?}"),
                }
                break;
            }
            assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0, "two are under way");
            store.append(writer.checkpoint("mine")).await.unwrap();
            under_way.fetch_sub(1, Ordering::SeqCst);
            store.append(writer.complete()).await.unwrap();
        });
    }
    let mut done = 0;
    while let Some(one) = all.join_next().await {
        one.unwrap();
        done += 1;
    }
    assert_eq!(done, RUNS);
    assert_eq!(stores[0].session_summary("talk").await.unwrap(), None);
}

pub(crate) async fn histories_written_by_several_processes_have_no_gap(
    factory: &impl StoreFactory,
) {
    let mut all = JoinSet::new();
    for _ in 0..6 {
        let store = factory.open();
        all.spawn(async move {
            let mut writer = begun(&*store, "talk").await;
            for _ in 0..5 {
                let events = [said("talk", &["a", "b"]), said("other", &["c"])];
                store.append(writer.append(&events)).await.unwrap();
            }
        });
    }
    while let Some(one) = all.join_next().await {
        one.unwrap();
    }
    let store = factory.open();
    for (session, expected) in [("talk", 60), ("other", 30)] {
        let messages = store.session_messages(session, None, 99).await.unwrap();
        assert!(messages.iter().map(|message| message.number).eq(1..=expected), "{session}");
    }
}

pub(crate) async fn one_redrive_wins_among_several_processes(factory: &impl StoreFactory) {
    let stores = [factory.open(), factory.open()];
    let dead = died(&*stores[0], "post").await.run.id;
    let mut all = JoinSet::new();
    for number in 0..16 {
        let (store, dead): (Arc<dyn Store>, _) = (stores[number % 2].clone(), dead.clone());
        all.spawn(async move {
            let mut spec = created(RunKind::Job);
            spec.origin_run_id = Some(dead);
            let mut admission = Writer::new(spec).1;
            admission.redrives = true;
            store.admit(admission).await
        });
    }
    let mut won = 0;
    while let Some(answer) = all.join_next().await {
        match answer.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, Error::Settled { .. }), "{error:?}"),
        }
    }
    assert_eq!(won, 1);
}
