//! Appends of a process that changed the run last, and therefore expects its state.

use errand_model::run::Pause;
use errand_store::{Appended, Error, Store as _};

use crate::world::{START, Writer, holder};

#[tokio::test]
async fn an_append_after_a_change_of_another_process_is_decided_by_the_stored_state() {
    let fresh = super::Fresh::new();
    let (here, there) = (fresh.open_postgres(), fresh.open_postgres());
    let (mut writer, admission) = Writer::job();
    let run_id = writer.run.id.clone();
    let (_, lease) = here.admit_held(admission, holder(1)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    here.append(writer.start()).await.unwrap();
    let first = here.append(writer.step("first")).await.unwrap();
    assert_eq!(first, Appended { open_requests: 0 });

    there.request(&run_id, Pause::by_operator(None).into(), START).await.unwrap();
    let second = writer.step("second");
    assert_eq!(here.append(second.clone()).await.unwrap(), Appended { open_requests: 1 });
    // A repetition is the same append.
    assert_eq!(here.append(second).await.unwrap(), Appended { open_requests: 1 });
    here.append(writer.step("third")).await.unwrap();

    let head = writer.head;
    there.take(&run_id, writer.epoch, holder(2), None).await.unwrap();
    let refused = here.append(writer.step("fourth")).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    assert_eq!(there.load(&run_id).await.unwrap().unwrap().head, head);
}

#[tokio::test]
async fn a_journal_that_another_process_continued_is_not_overwritten() {
    let fresh = super::Fresh::new();
    let (here, there) = (fresh.open_postgres(), fresh.open_postgres());
    let (mut writer, admission) = Writer::job();
    let (_, lease) = here.admit_held(admission, holder(1)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    here.append(writer.start()).await.unwrap();

    let mut other = writer.clone();
    there.append(other.step("there")).await.unwrap();
    let refused = here.append(writer.step("here")).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
    let stored = there.load(&other.run.id).await.unwrap().unwrap();
    assert_eq!((stored.run, stored.head), (other.run.clone(), other.head));
    here.append(other.complete()).await.unwrap();
}
