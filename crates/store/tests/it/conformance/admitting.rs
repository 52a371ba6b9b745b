//! Admission of runs.

use errand_model::event::{AttemptExited, EventBody, Failure, ProcessUsage, RunFailed, RunKind};
use errand_model::{Digest, Head};
use errand_store::{Admitted, Error, Filter, Page};
use tokio::task::JoinSet;

use super::StoreFactory;
use crate::world::{Writer, created, holder};

const ALL: Page = Page { after: None, limit: u32::MAX };

pub(crate) async fn an_idempotency_key_admits_one_run(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut spec = created(RunKind::Job);
    spec.idempotency_key = Some("a \"key\" '".to_owned());
    let (first, admission) = Writer::new(spec.clone());
    assert_eq!(store.admit(admission).await.unwrap(), Admitted::Created);
    for _ in 0..2 {
        let (_, again) = Writer::new(spec.clone());
        let (answer, lease) = store.admit_held(again, holder(1)).await.unwrap();
        assert_eq!((answer, lease), (Admitted::Existing(first.run.id.clone()), None));
    }
    let (runs, _) = store.list(&Filter::default(), &ALL).await.unwrap();
    assert_eq!(runs.len(), 1);
}

pub(crate) async fn an_idempotency_key_with_another_fingerprint_is_refused(
    factory: &impl StoreFactory,
) {
    let store = factory.open();
    let mut spec = created(RunKind::Job);
    spec.idempotency_key = Some("key".to_owned());
    let (first, admission) = Writer::new(spec.clone());
    store.admit(admission).await.unwrap();
    spec.fingerprint = Digest::of(b"other");
    let (second, other) = Writer::new(spec);
    let refused = store.admit(other).await.unwrap_err();
    assert!(
        matches!(&refused, Error::IdempotencyConflict { run_id, .. } if *run_id == first.run.id),
        "{refused:?}"
    );
    assert_eq!(store.load(&second.run.id).await.unwrap(), None);
}

pub(crate) async fn many_admissions_with_one_key_admit_one_run(factory: &impl StoreFactory) {
    let stores = [factory.open(), factory.open()];
    let mut admissions = JoinSet::new();
    for number in 0..64 {
        let store = stores[number % 2].clone();
        admissions.spawn(async move {
            let mut spec = created(RunKind::Job);
            spec.idempotency_key = Some("key".to_owned());
            store.admit(Writer::new(spec).1).await.unwrap()
        });
    }
    let mut new = 0;
    while let Some(admitted) = admissions.join_next().await {
        new += usize::from(admitted.unwrap() == Admitted::Created);
    }
    assert_eq!(new, 1);
}

pub(crate) async fn dedup_finds_an_equal_run_unless_it_failed(factory: &impl StoreFactory) {
    let store = factory.open();
    let (mut writer, admission) = Writer::job();
    let (_, lease) = store.admit_held(admission, holder(1)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    let again = || {
        let mut admission = Writer::job().1;
        admission.dedup = true;
        admission
    };
    let standing_in = Admitted::Existing(writer.run.id.clone());
    assert_eq!(store.admit(again()).await.unwrap(), standing_in);
    store.append(writer.start()).await.unwrap();
    assert_eq!(store.admit(again()).await.unwrap(), standing_in);
    let exited = AttemptExited { exit_code: Some(1), usage: ProcessUsage::default() };
    let error = Failure {
        code: "exit_nonzero".into(),
        message: "1".to_owned(),
        step: None,
        retryable: None,
        stderr_tail: None,
    };
    let failed = RunFailed { task: None, error, exit_code: Some(1), signal: None };
    let end = writer.append(&[EventBody::AttemptExited(exited), EventBody::RunFailed(failed)]);
    store.append(end).await.unwrap();
    assert_eq!(store.admit(again()).await.unwrap(), Admitted::Created);
}

pub(crate) async fn a_run_id_is_admitted_once(factory: &impl StoreFactory) {
    let store = factory.open();
    let (writer, admission) = Writer::job();
    store.admit(admission.clone()).await.unwrap();
    assert!(store.admit(admission.clone()).await.is_err());
    let (_, other) = Writer::job();
    let (second, third) = tokio::join!(store.admit(admission), store.admit(other));
    assert!(second.is_err());
    assert_eq!(third.unwrap(), Admitted::Created);
    assert_eq!(store.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
}

pub(crate) async fn a_broken_journal_is_refused(factory: &impl StoreFactory) {
    let store = factory.open();
    let (writer, mut admission) = Writer::job();
    admission.head = Head::EMPTY;
    assert!(matches!(store.admit(admission).await, Err(Error::Damaged { .. })));
    assert_eq!(store.load(&writer.run.id).await.unwrap(), None);
}
