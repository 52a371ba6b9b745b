//! Lists of the questions of all runs to people.

use errand_store::Namespaces;
use std::time::Duration;

use errand_model::Digest;
use errand_model::event::{
    ApprovalDecided, ApprovalRequested, ApprovalVerdict, AttemptStopped, CancelCause,
    DeadlineDefault, EventBody, PauseReason, ProcessUsage, RunCancelled, RunCreated, RunPaused,
    RunResumed, StopReason,
};
use errand_store::{Append, Error, Questions, Store, StoredQuestion, UnfinishedCounts};

use super::StoreFactory;
use super::appending::{start, started};
use crate::world::{START, Writer, holder};

fn asking(id: &str, deadline_ms: u64) -> EventBody {
    EventBody::ApprovalRequested(ApprovalRequested {
        approval_id: id.to_owned(),
        action: "deploy".to_owned(),
        target: "production".to_owned(),
        digest: Digest::of(b"release"),
        summary: None,
        step: None,
        deadline_ms: Some(START.plus(Duration::from_millis(deadline_ms))),
        default: DeadlineDefault::Reject,
        park: true,
    })
}

fn decided(id: &str) -> EventBody {
    EventBody::ApprovalDecided(ApprovalDecided {
        approval_id: id.to_owned(),
        decision: ApprovalVerdict::Approve,
        decided_by: "ada".to_owned(),
        comment: None,
        by_deadline: false,
        decision_id: None,
    })
}

fn paused() -> EventBody {
    EventBody::RunPaused(RunPaused::new(PauseReason::Approval, None))
}

fn parked() -> EventBody {
    EventBody::AttemptStopped(AttemptStopped {
        reason: StopReason::Park,
        exit_code: Some(75),
        signal: None,
        usage: ProcessUsage::default(),
    })
}

fn cancelled() -> EventBody {
    EventBody::RunCancelled(RunCancelled {
        task: None,
        cause: CancelCause::Stopped,
        by: None,
        exit_code: None,
        signal: None,
    })
}

/// Admits a run without a process that waits for the decision of `id`.
async fn at_rest(store: &dyn Store, id: &str, deadline_ms: u64) -> Writer {
    rest(store, started(store).await, asking(id, deadline_ms)).await
}

/// Admits a run that waits for a decision.
pub(crate) async fn at_rest_in(store: &dyn Store, spec: RunCreated) -> Writer {
    rest(store, start(store, spec).await, asking("apr_1", 500)).await
}

async fn rest(store: &dyn Store, mut writer: Writer, asking: EventBody) -> Writer {
    let mut append = writer.append(&[asking, paused(), parked()]);
    append.release = true;
    store.append(append).await.unwrap();
    writer
}

fn ids(asked: &[StoredQuestion]) -> Vec<String> {
    asked
        .iter()
        .map(|asked| {
            let body = asked.asked.body().unwrap();
            let EventBody::ApprovalRequested(asked) = body else { unreachable!("{body:?}") };
            asked.approval_id
        })
        .collect()
}

pub(crate) async fn live_runs_and_open_questions_are_counted(factory: &impl StoreFactory) {
    let store = factory.open();
    assert_eq!(store.standing().await.unwrap(), UnfinishedCounts::default());
    drop(at_rest(&*store, "apr_1", 500).await);
    drop(started(&*store).await);
    let mut over = started(&*store).await;
    store.append(over.append(&[parked(), cancelled()])).await.unwrap();
    let standing = factory.open().standing().await.unwrap();
    let paused = standing.live.iter().find(|(status, _)| status == "paused");
    assert_eq!(paused.map(|(_, count)| *count), Some(1), "{standing:?}");
    assert_eq!(standing.live.iter().map(|(_, count)| count).sum::<u64>(), 2, "{standing:?}");
    let open = store.questions(Questions::Open, &Namespaces::All, 10).await.unwrap();
    let oldest = open.first().map(|asked| asked.asked_at);
    assert_eq!((standing.open_questions, standing.oldest_question_at), (1, oldest));
}

pub(crate) async fn open_questions_are_listed_oldest_first(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut one = at_rest(&*store, "apr_1", 500).await;
    // Asked later, by the clock of its run.
    let mut two = started(&*store).await;
    two.now = two.now.plus(Duration::from_secs(1));
    store.append(two.append(&[asking("apr_2", 100), paused()])).await.unwrap();
    let open = factory.open().questions(Questions::Open, &Namespaces::All, 10).await.unwrap();
    assert_eq!(ids(&open), ["apr_1", "apr_2"]);
    assert_eq!((&open[0].run_id, open[0].agent.as_str()), (&one.run.id, "echo"));
    assert_eq!((open[1].asked_at, &open[1].answered), (two.now, &None));
    assert_eq!(
        ids(&store.questions(Questions::Open, &Namespaces::All, 1).await.unwrap()),
        ["apr_1"]
    );
    let due = START.plus(Duration::from_millis(100));
    assert_eq!(
        ids(&store.questions(Questions::Due(due), &Namespaces::All, 10).await.unwrap()),
        ["apr_2"]
    );

    // A repetition in another attempt is the same question.
    store.append(two.append(&[asking("apr_2", 100)])).await.unwrap();
    let again = store.questions(Questions::Open, &Namespaces::All, 10).await.unwrap();
    assert_eq!(again[1].asked_at, open[1].asked_at);
    assert!(again[1].asked.seq > open[1].asked.seq);

    let resumed = EventBody::RunResumed(RunResumed { by: None });
    store.append_at_rest(one.append(&[decided("apr_1"), resumed])).await.unwrap();
    assert_eq!(
        ids(&store.questions(Questions::Open, &Namespaces::All, 10).await.unwrap()),
        ["apr_2"]
    );
    // The end of a run ends its questions.
    store.append(two.append(&[parked(), cancelled()])).await.unwrap();
    assert_eq!(store.questions(Questions::Open, &Namespaces::All, 10).await.unwrap(), []);
    let all = store.questions(Questions::All, &Namespaces::All, 10).await.unwrap();
    let answers: Vec<_> =
        all.iter().map(|asked| asked.answered.as_ref().unwrap().kind.as_str()).collect();
    assert_eq!(answers, ["approval.decided", "run.cancelled"]);
    store.remove(&two.run.id, errand_store::Removal::Terminal).await.unwrap();
    assert_eq!(
        ids(&store.questions(Questions::All, &Namespaces::All, 10).await.unwrap()),
        ["apr_1"]
    );
}

pub(crate) async fn one_of_many_writers_of_a_run_at_rest_wins(factory: &impl StoreFactory) {
    let store = factory.open();
    let writer = at_rest(&*store, "apr_1", 500).await;
    let append = |by: &str| -> Append {
        let mut writer = writer.clone();
        let EventBody::ApprovalDecided(mut decided) = decided("apr_1") else { unreachable!() };
        decided.decided_by = by.to_owned();
        let resumed = EventBody::RunResumed(RunResumed { by: None });
        writer.append(&[EventBody::ApprovalDecided(decided), resumed])
    };
    let other = factory.open();
    let (ada, bob) =
        tokio::join!(store.append_at_rest(append("ada")), other.append_at_rest(append("bob")));
    let lost = match (ada, bob) {
        (Ok(_), Err(lost)) | (Err(lost), Ok(_)) => lost,
        both => unreachable!("{both:?}"),
    };
    assert!(matches!(lost, Error::Conflict { .. }), "{lost:?}");
    // The next holder of the run finds the answer.
    let lease = store.take(&writer.run.id, writer.epoch, holder(9), None).await.unwrap();
    assert_eq!(lease.epoch, writer.epoch + 1);
    let stored = store.load(&writer.run.id).await.unwrap().unwrap();
    assert_eq!(stored.run.status.name(), "pending");
}

pub(crate) async fn a_run_under_a_lease_is_not_at_rest(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    let refused = store.append_at_rest(writer.checkpoint("mine")).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    let mut stale = at_rest(&*store, "apr_1", 500).await;
    let lease = store.take(&stale.run.id, stale.epoch, holder(9), None).await.unwrap();
    let resumed = EventBody::RunResumed(RunResumed { by: None });
    let late = stale.append(&[decided("apr_1"), resumed]);
    let refused = store.append_at_rest(late).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    store.give_back(&stale.run.id, lease.epoch - 1).await.unwrap();
    let stored = store.load(&stale.run.id).await.unwrap().unwrap();
    assert_eq!((stored.epoch, stored.lease.as_ref()), (lease.epoch, Some(&lease)));
    store.give_back(&stale.run.id, lease.epoch).await.unwrap();
    assert_eq!(store.load(&stale.run.id).await.unwrap().unwrap().lease, None);
}
