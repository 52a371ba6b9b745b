//! Dead letters, noted with the event that makes them.

use std::time::Duration;

use errand_model::event::{
    AttemptFailed, EventBody, Failure, Inherits, ProcessUsage, RunCreated, RunDeadLettered,
    RunFailed, RunKind,
};
use errand_model::{RunId, Timestamp};
use errand_store::{DeadLetterFate, DeadLetterFilter, Discard, Error, Page, Removal, Store};

use super::StoreFactory;
use crate::world::{START, Writer, created};

const ALL: Page = Page { after: None, limit: 99 };

/// Admits a run of that agent that fails for good at the step `send`.
pub(crate) async fn died(store: &dyn Store, agent: &str) -> Writer {
    let mut spec = created(RunKind::Job);
    agent.clone_into(&mut spec.agent.name);
    died_in(store, spec).await
}

/// Admits a run that fails for good at the step `send`.
pub(crate) async fn died_in(store: &dyn Store, spec: RunCreated) -> Writer {
    let (mut writer, admission) = Writer::new(spec);
    let (_, lease) = store.admit_held(admission, crate::world::holder(7)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    store.append(writer.start()).await.unwrap();
    store.append(writer.step("fetch")).await.unwrap();
    store.append(writer.begin_step("send")).await.unwrap();
    let error = Failure {
        code: "exit_nonzero".into(),
        message: "the agent exited with code 1".to_owned(),
        step: None,
        retryable: None,
        stderr_tail: None,
    };
    let usage = ProcessUsage::default();
    let end = writer.append(&[
        EventBody::AttemptFailed(AttemptFailed {
            error: error.clone(),
            exit_code: Some(1),
            signal: None,
            usage,
        }),
        EventBody::RunDeadLettered(RunDeadLettered { attempts: 1 }),
        EventBody::RunFailed(RunFailed { task: None, error, exit_code: Some(1), signal: None }),
    ]);
    store.append(end).await.unwrap();
    writer
}

/// Admits a run that repeats `origin`.
async fn again(
    store: &dyn Store,
    origin: &RunId,
    redrives: bool,
    upto_seq: Option<u64>,
) -> Result<RunId, Error> {
    let mut spec = created(RunKind::Job);
    spec.origin_run_id = Some(origin.clone());
    spec.inherits = upto_seq.map(|upto_seq| Inherits { run_id: origin.clone(), upto_seq });
    let (writer, mut admission) = Writer::new(spec);
    admission.redrives = redrives;
    store.admit(admission).await.map(|_| writer.run.id)
}

async fn listed(store: &dyn Store, filter: &DeadLetterFilter) -> Vec<RunId> {
    let letters = store.dead_letters(filter, &ALL).await.unwrap();
    letters.into_iter().map(|letter| letter.run_id).collect()
}

async fn fate(store: &dyn Store, run_id: &RunId) -> DeadLetterFate {
    let run_id = Some(run_id.clone());
    let filter = DeadLetterFilter { settled: true, run_id, ..DeadLetterFilter::default() };
    store.dead_letters(&filter, &ALL).await.unwrap().remove(0).fate
}

pub(crate) async fn a_dead_letter_is_listed_with_its_error(factory: &impl StoreFactory) {
    let store = factory.open();
    let (first, second) = (died(&*store, "post").await, died(&*store, "mail").await);
    let open = DeadLetterFilter::default();
    assert_eq!(listed(&*store, &open).await, [second.run.id.clone(), first.run.id.clone()]);
    let found = store.dead_letters(&open, &ALL).await.unwrap().pop().unwrap();
    assert_eq!((found.agent.as_str(), found.attempts), ("post", 1));
    assert_eq!((found.at, found.fate), (first.now, DeadLetterFate::Open));
    assert_eq!(found.code, "exit_nonzero");
    assert_eq!(found.message, "the agent exited with code 1");
    assert_eq!(found.step.as_deref(), Some("send"));
    let filter = |agent: Option<&str>, code: Option<&str>, since: Option<Timestamp>| {
        let (agent, code) = (agent.map(str::to_owned), code.map(str::to_owned));
        DeadLetterFilter { agent, code, since, ..DeadLetterFilter::default() }
    };
    let of_mail = filter(Some("mail"), None, None);
    assert_eq!(listed(&*store, &of_mail).await, std::slice::from_ref(&second.run.id));
    assert_eq!(listed(&*store, &filter(None, Some("timeout_run"), None)).await, []);
    let later = first.now.plus(Duration::from_secs(60));
    assert_eq!(listed(&*store, &filter(None, None, Some(later))).await, []);
    assert_eq!(listed(&*store, &filter(None, None, Some(START))).await.len(), 2);
    let page = Page { after: Some(second.run.id.clone()), limit: 1 };
    let next = store.dead_letters(&open, &page).await.unwrap();
    assert_eq!(next[0].run_id, first.run.id);
}

pub(crate) async fn a_dead_letter_is_redriven_once(factory: &impl StoreFactory) {
    let store = factory.open();
    let dead = died(&*store, "post").await.run.id;
    let fork = again(&*store, &dead, false, Some(3)).await.unwrap();
    assert_eq!(fate(&*store, &dead).await, DeadLetterFate::Open, "{fork} is only a fork");
    let redriven = again(&*store, &dead, true, Some(99)).await.unwrap();
    let expected = DeadLetterFate::Redriven { run_id: redriven.clone(), at: START };
    assert_eq!(fate(&*store, &dead).await, expected);
    assert_eq!(listed(&*store, &DeadLetterFilter::default()).await, []);
    let refused = again(&*store, &dead, true, None).await.unwrap_err();
    assert!(matches!(refused, Error::Settled { .. }), "{refused:?}");
    assert!(refused.to_string().contains(redriven.as_str()), "{refused}");
    let once_more = again(&*store, &dead, false, None).await.unwrap();
    let expected = DeadLetterFate::Redriven { run_id: once_more.clone(), at: START };
    assert_eq!(fate(&*store, &dead).await, expected);
    let alive = again(&*store, &once_more, true, None).await.unwrap_err();
    assert!(matches!(alive, Error::NoDeadLetter { .. }), "{alive:?}");
}

pub(crate) async fn one_of_many_redrives_wins(factory: &impl StoreFactory) {
    let store = factory.open();
    let dead = died(&*store, "post").await.run.id;
    let tries = (0..8).map(|_| again(&*store, &dead, true, None));
    let mut won = 0;
    for tried in futures_join(tries).await {
        won += usize::from(tried.is_ok());
    }
    assert_eq!(won, 1);
}

/// Runs all futures concurrently, and waits for them.
async fn futures_join<F: Future>(all: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = all.into_iter().map(|one| (Some(Box::pin(one)), None)).collect();
    std::future::poll_fn(move |context| {
        for (future, output) in &mut pending {
            if let Some(running) = future
                && let std::task::Poll::Ready(ready) = running.as_mut().poll(context)
            {
                (*future, *output) = (None, Some(ready));
            }
        }
        if pending.iter().all(|(future, _)| future.is_none()) {
            let outputs = pending.iter_mut().filter_map(|(_, output)| output.take()).collect();
            return std::task::Poll::Ready(outputs);
        }
        std::task::Poll::Pending
    })
    .await
}

pub(crate) async fn a_discarded_dead_letter_is_kept_and_not_listed(factory: &impl StoreFactory) {
    let store = factory.open();
    let dead = died(&*store, "post").await.run.id;
    let by = Some("ada".to_owned());
    let discard = Discard { run_id: dead.clone(), by: by.clone(), at: START };
    store.discard(discard.clone()).await.unwrap();
    assert_eq!(fate(&*store, &dead).await, DeadLetterFate::Discarded { at: START, by });
    assert_eq!(listed(&*store, &DeadLetterFilter::default()).await, []);
    assert!(store.load(&dead).await.unwrap().is_some());
    let refused = store.discard(discard).await.unwrap_err();
    assert!(matches!(refused, Error::Settled { .. }), "{refused:?}");
    let refused = again(&*store, &dead, true, None).await.unwrap_err();
    assert!(matches!(refused, Error::Settled { .. }), "{refused:?}");
    store.remove(&dead, Removal::Terminal).await.unwrap();
    let filter = DeadLetterFilter { settled: true, ..DeadLetterFilter::default() };
    assert_eq!(listed(&*store, &filter).await, []);
}
