//! Turn of a coordinator: news and their consequences, in one commit.

use std::time::Duration;

use errand_model::coordination::{
    ChildEnded, ChildOutcome, CoordinatorNews, CoordinatorTurn, Finish, Start,
};
use errand_model::draft::{DraftError, JournalDraft};
use errand_model::event::{Failure, ProcessUsage};
use errand_model::run::{AttemptOutcome, EndAttempt, Run};
use errand_model::step::Steps;
use errand_model::{Head, RunId, Timestamp};
use errand_store::{Admission, Document, DocumentWrite};

use super::child::{self, Opened};
use super::hot::{CachedCoordinator, CoordinatorCache};
use super::{effects, inbox, material, verify};
use crate::commit::{Admits, Commit, Writer, commit};
use crate::error::PayloadRefused;
use crate::news::{document, report};
use crate::{Engine, Error, record_file, unheld};

/// Number of times that a turn is decided anew since another process was faster.
const TRIES: usize = 8;
/// Delay of news for a coordinator that another process holds.
const HELD: Duration = Duration::from_secs(1);
/// Delay of news for a coordinator without a live attempt: the next attempt reads all news anyway.
const NOT_NOW: Duration = Duration::from_secs(600);
/// Delay of news that a newer version of errand wrote.
const NOT_READ: Duration = Duration::from_secs(60);
/// Time after which the files of an ended coordinator are checked, in case its writer was killed.
const TELL_AGAIN: Duration = Duration::from_secs(5);
/// Time after which a coordinator tells its children again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Takes a turn of a coordinator with the news that are due.
///
/// # Errors
///
/// If the registry fails: the news stay, and are found again.
pub(super) async fn take(
    engine: &Engine,
    hot: &CoordinatorCache,
    run_id: &RunId,
    documents: &[Document],
) -> Result<(), Error> {
    let mut fresh = documents.iter().any(document::is_own);
    let mut documents = documents.to_vec();
    for _ in 0..TRIES {
        let Some(known) = hot.take(engine, run_id, fresh).await? else {
            return forget(engine, &documents).await;
        };
        if known.run.status.is_terminal() {
            if documents.iter().any(document::is_end) {
                tell_files(engine, (&known.run, known.head)).await?;
            }
            return forget(engine, &documents).await;
        }
        if known.is_held {
            return postpone(engine, &documents, HELD).await;
        }
        if !known.run.is_coordinating() {
            return postpone(engine, &documents, NOT_NOW).await;
        }
        let all = document::together(engine, &known.run, documents.clone()).await?;
        let is_known_first = fresh && document::are_among(&all, &documents);
        documents = all;
        documents.sort_by_key(document::order);
        let prepared = prepare(engine, known, &documents).await?;
        fresh = true;
        if prepared.commit.added.events.is_empty() && !is_known_first {
            // Only a state that was read after the news is a proof that there is nothing to do: an
            // older one may lack the child that they are of, and no fence refuses their removal.
            continue;
        }
        match write(engine, &prepared).await {
            Ok(()) => {
                let Prepared { commit, steps, turn, now, .. } = prepared;
                let Commit { run, head, writer, .. } = commit;
                if !run.status.is_terminal() {
                    let (run, epoch) = (run.clone(), writer.epoch());
                    let (is_held, last_at) = (false, now);
                    hot.keep(CachedCoordinator { run, head, steps, epoch, is_held, last_at });
                }
                effects::carry_out(engine, &run, &turn).await;
                return Ok(());
            }
            // Another process handled the news, or wrote the journal: the known state is outdated.
            Err(Error::Store(errand_store::Error::DocumentChanged { .. })) => return Ok(()),
            Err(error) if unheld::is_race(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Turn that is decided and not committed.
struct Prepared {
    commit: Commit,
    /// Steps after the turn.
    steps: Steps,
    turn: CoordinatorTurn,
    /// Children that the turn starts.
    admits: Admits,
    now: Timestamp,
}

async fn prepare(
    engine: &Engine,
    known: CachedCoordinator,
    documents: &[Document],
) -> Result<Prepared, Error> {
    let now = engine.now().max(known.last_at);
    let before = known.head.seq;
    let mut draft = JournalDraft::new(known.run, known.head, known.steps);
    let (mut turn, mut children, mut opened) =
        (CoordinatorTurn::default(), Vec::new(), Opened::default());
    let mut answered = Vec::new();
    if documents.iter().any(document::is_own) {
        answered = obey(engine, &mut draft, now).await?;
    }
    let (mut news, mut unprepared) = heard(engine, draft.run(), documents)?;
    if documents.iter().any(document::is_restored) {
        let lost = verify::lost(engine, draft.run()).await?;
        news.extend(lost.news);
        turn.deliveries.extend(lost.deliveries);
    } else if documents.iter().any(document::is_incomplete) {
        news.extend(verify::missed(engine, draft.run()).await?);
    }
    let looks_on = documents.iter().any(document::is_restored) && news.iter().any(is_handover);
    while !news.is_empty() {
        let next = draft.run().turn(&news, &ids(engine)?, now)?;
        draft.record(&next.events, now)?;
        news.clear();
        for start in &next.starts {
            match admit(engine, draft.run(), (start, &mut opened), now).await? {
                Ok(child) => children.push(child),
                Err(error) => {
                    news.push(CoordinatorNews::NotStarted { key: start.key.clone(), error });
                }
            }
        }
        for (key, output) in &next.recalls {
            let said = report::so_said(&engine.blobs(), Some(output));
            news.push(CoordinatorNews::Recalled { key: key.clone(), said });
        }
        merge(&mut turn, next);
    }
    if let Some(failure) = unprepared.take() {
        turn.finish = Some(Finish::Failed(failure));
    }
    if let Some(finish) = turn.finish.clone() {
        end(engine, &mut draft, &finish, now)?;
    }
    let mut documents = documents_of(draft.run(), &turn, documents, now);
    if looks_on && draft.run().is_coordinating() {
        // The run that it was handed over to may be over, too.
        replace(&mut documents, document::restored(draft.run(), now));
    }
    let stores_fold = is_due(before, draft.head().seq) || !draft.run().is_coordinating();
    let writer = Writer::Turn { epoch: known.epoch };
    let (run, head, steps, added) = draft.into_parts();
    let commit = Commit { run, head, added, writer, answered, documents, stores_fold };
    Ok(Prepared { commit, steps, turn, admits: Admits::All(children), now })
}

async fn admit(
    engine: &Engine,
    coordinator: &Run,
    start: (&Start, &mut Opened),
    now: Timestamp,
) -> Result<Result<Admission, Failure>, Error> {
    Box::pin(child::admission(engine, coordinator, start, now)).await
}

/// Returns the news in documents, and a failure if the coordinator cannot begin.
fn heard(
    engine: &Engine,
    coordinator: &Run,
    documents: &[Document],
) -> Result<(Vec<CoordinatorNews>, Option<Failure>), Error> {
    let (mut news, mut unprepared) = (Vec::new(), None);
    for document in documents {
        let Some(said) = document::said(document) else { continue };
        // News of the beginning may have been lost with the old registry.
        if !matches!(said, CoordinatorNews::Began { .. }) && !document::is_restored(document) {
            news.push(said);
            continue;
        }
        match material::count_items(engine, coordinator) {
            Ok(items) => news.push(CoordinatorNews::Began { items }),
            Err(failure) if coordinator.coordination.iter().all(|it| it.live.is_empty()) => {
                unprepared = Some(failure);
            }
            // The coordinator began before: an unreadable input may be readable later.
            Err(failure) => return Err(PayloadRefused { reason: failure.message }.into()),
        }
    }
    Ok((news, unprepared))
}

/// Returns true if another run carries on the task of a child.
const fn is_handover(news: &CoordinatorNews) -> bool {
    matches!(
        news,
        CoordinatorNews::Ended(ChildEnded { outcome: ChildOutcome::HandedOver { .. }, .. })
    )
}

/// Decides the requests that were left for the last holder of the lease. Returns their numbers.
async fn obey(
    engine: &Engine,
    draft: &mut JournalDraft,
    now: Timestamp,
) -> Result<Vec<i64>, Error> {
    let mut answered = Vec::new();
    for request in engine.store().requests(&draft.run().id).await? {
        match draft.command(&request.command.into(), now) {
            Ok(_) | Err(DraftError::Rejected(_)) => answered.push(request.id),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answered)
}

/// Returns ids for as many children as one turn may start.
fn ids(engine: &Engine) -> Result<Vec<RunId>, Error> {
    let ids = (0..errand_model::coordination::STARTS_PER_TURN).map(|_| engine.new_run_id());
    Ok(ids.collect::<Result<_, _>>()?)
}

fn merge(turn: &mut CoordinatorTurn, next: CoordinatorTurn) {
    let CoordinatorTurn {
        events,
        starts,
        deliveries,
        unread,
        recalls: _,
        stops,
        holds,
        releases,
        finish,
        looks_again,
    } = next;
    turn.events.extend(events);
    turn.starts.extend(starts);
    turn.deliveries.extend(deliveries);
    turn.unread.extend(unread);
    // The last decision counts.
    (turn.stops, turn.holds, turn.releases) = (stops, holds, releases);
    turn.finish = finish.or(turn.finish.take());
    turn.looks_again |= looks_again;
}

/// Ends the attempt.
fn end(
    engine: &Engine,
    draft: &mut JournalDraft,
    finish: &Finish,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(live) = draft.run().live_attempt() else { return Ok(()) };
    let outcome = match finish {
        Finish::Completed(output) => match material::output(engine, draft.run(), output) {
            Ok(output) => AttemptOutcome::Exited { output },
            Err(failure) => AttemptOutcome::Failed(failure),
        },
        Finish::Failed(failure) => AttemptOutcome::Failed(failure.clone()),
        Finish::Cancelled => AttemptOutcome::Drained,
    };
    let end = EndAttempt {
        task: None,
        attempt: live.number,
        outcome,
        exit_code: None,
        signal: None,
        usage: ProcessUsage { wall: now.since(live.started_at), ..ProcessUsage::default() },
    };
    draft.command(&end.into(), now)?;
    Ok(())
}

/// Returns the changes of documents: processed news are removed, and consequences are added.
fn documents_of(
    run: &Run,
    turn: &CoordinatorTurn,
    documents: &[Document],
    now: Timestamp,
) -> Vec<DocumentWrite> {
    let is_heard = |document: &&Document| document::said(document).is_some();
    let mut writes: Vec<_> = documents.iter().filter(is_heard).map(document::heard).collect();
    let unread = documents.iter().filter(|document| !is_heard(document));
    writes.extend(unread.map(|document| document::later(document, now.plus(NOT_READ))));
    writes.extend(turn.deliveries.iter().map(|delivery| inbox::put(run, delivery, now)));
    writes.extend(turn.unread.iter().map(|(child, number)| inbox::removal(run, child, *number)));
    if run.is_coordinating() {
        if turn.looks_again {
            replace(&mut writes, document::look(run, now));
        } else if effects::wants(turn) {
            replace(&mut writes, document::look(run, now.plus(LOOK_AGAIN)));
        }
        // The end of its time moved while it was held.
        let is_lost =
            |document| document::is_deadline(document) || document::is_incomplete(document);
        let was_due = documents.iter().any(is_lost);
        let deadline = was_due.then(|| document::deadline_again(run, now.plus(LOOK_AGAIN)));
        if let Some(deadline) = deadline.flatten() {
            replace(&mut writes, deadline);
        }
    }
    if run.status.is_terminal() {
        writes.push(document::ended(run, now.plus(TELL_AGAIN)));
    }
    writes
}

/// Replaces a change of the same document, or adds the change.
fn replace(writes: &mut Vec<DocumentWrite>, write: DocumentWrite) {
    let same = |other: &DocumentWrite| other.kind == write.kind && other.key == write.key;
    match writes.iter_mut().find(|other| same(other)) {
        Some(other) => *other = DocumentWrite { expect: other.expect, ..write },
        None => writes.push(write),
    }
}

/// Returns true if a journal grew by an eighth since its fold was stored, so that all stored folds
/// together are in proportion to the journal.
fn is_due(before: u64, after: u64) -> bool {
    let mut threshold = 64_u64;
    while threshold <= before {
        threshold += threshold / 8;
    }
    after >= threshold
}

async fn write(engine: &Engine, prepared: &Prepared) -> Result<(), Error> {
    let Prepared { commit: decided, admits, .. } = prepared;
    if decided.added.events.is_empty() {
        return Ok(engine.store().write_documents(decided.documents.clone()).await?);
    }
    commit(engine, decided, admits).await?;
    if decided.run.status.is_terminal() {
        // Otherwise the document is found later, and the files are made good then.
        drop(engine.store().write_documents(vec![document::is_told(&decided.run)]).await);
    }
    Ok(())
}

/// Completes the journal file and the record file of a coordinator whose last writer was killed.
async fn tell_files(engine: &Engine, (run, head): (&Run, Head)) -> Result<(), Error> {
    engine.store().sync_files(&run.id).await?;
    record_file::write_quietly(engine, run, head, None);
    Ok(())
}

/// Removes news for a coordinator that is over.
async fn forget(engine: &Engine, documents: &[Document]) -> Result<(), Error> {
    write_each(engine, documents.iter().map(document::heard)).await
}

/// Postpones news until an attempt may be live.
pub(super) async fn postpone(
    engine: &Engine,
    documents: &[Document],
    by: Duration,
) -> Result<(), Error> {
    let at = engine.now().plus(by);
    write_each(engine, documents.iter().map(|document| document::later(document, at))).await
}

async fn write_each(
    engine: &Engine,
    writes: impl Iterator<Item = DocumentWrite> + Send,
) -> Result<(), Error> {
    match engine.store().write_documents(writes.collect()).await {
        // Another process handled it.
        Err(errand_store::Error::DocumentChanged { .. }) => Ok(()),
        written => Ok(written?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_written_ever_more_rarely() {
        let due = (1..10_000).filter(|seq| is_due(seq - 1, *seq)).count();
        assert!((30..60).contains(&due), "{due}");
        assert!(is_due(60, 70) && !is_due(64, 65));
    }
}
