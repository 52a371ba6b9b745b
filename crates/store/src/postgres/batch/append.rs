//! A journal grows.

use errand_model::event::Event;
use errand_model::{Head, RunId};

use super::current::{Current, Known, Numbers};
use super::{Decided, Done, Plan, admit};
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::damaged;
use crate::postgres::write::{check_beginning, check_documents};
use crate::{Admission, Admitted, Append, Appended, Change, Error, Holder};

/// [`crate::Store::append`].
pub(super) async fn append<'a>(
    db: &Db,
    known: &Known,
    plan: &mut Plan<'a>,
    append: &'a Append,
) -> Result<Decided, Failure> {
    let (current, head) = known.run(&append.run.id)?;
    if is_made(append, current, head) {
        let appended = Appended { open_requests: current.open_requests };
        return Ok((Done::Appended(appended), Vec::new()));
    }
    check(append, current, head)?;
    check_beginning(db, append, current.run).await?;
    write(db, plan, append, current).await
}

/// [`crate::Store::append_at_rest`].
pub(super) async fn append_at_rest<'a>(
    db: &Db,
    known: &Known,
    plan: &mut Plan<'a>,
    append: &'a Append,
) -> Result<Decided, Failure> {
    let (current, head) = known.run(&append.run.id)?;
    if is_made(append, current, head) {
        let appended = Appended { open_requests: current.open_requests };
        return Ok((Done::Appended(appended), Vec::new()));
    }
    if current.leased.is_some() {
        let (run_id, epoch) = (append.run.id.clone(), append.fence.epoch);
        return Err(Error::Fenced { run_id, epoch, current: current.epoch }.into());
    }
    check_head(append, current, head)?;
    write(db, plan, append, current).await
}

/// A parent and the child that it admits.
#[derive(Clone, Copy)]
pub(super) struct Family<'a> {
    pub(super) parent: &'a Append,
    pub(super) child: &'a Admission,
    pub(super) holder: &'a Holder,
}

/// [`crate::Store::append_and_admit`].
pub(super) async fn append_and_admit<'a>(
    db: &Db,
    known: &Known,
    numbers: &mut Numbers,
    plan: &mut Plan<'a>,
    family: Family<'a>,
) -> Result<Decided, Failure> {
    let Family { parent, child, holder } = family;
    let (current, head) = known.run(&parent.run.id)?;
    check(parent, current, head)?;
    if let Some(Admitted::Existing(run_id)) = admit::existing(known, child)? {
        let key = child.run.spec.idempotency_key.clone().unwrap_or_default();
        return Err(Error::IdempotencyConflict { key, run_id }.into());
    }
    admit::check(db, child).await?;
    let (_, mut changes) = write(db, plan, parent, current).await?;
    let Some(lease) = admit::put(numbers, plan, child, Some(holder))? else {
        return Err(Failure::Unexpected("a child has no lease"));
    };
    changes.extend(admit::changes(child));
    Ok((Done::Leased(lease), changes))
}

async fn write<'a>(
    db: &Db,
    plan: &mut Plan<'a>,
    append: &'a Append,
    current: &Current,
) -> Result<Decided, Failure> {
    if !append.documents.is_empty() {
        check_documents(db, &append.documents).await?;
    }
    let appended = plan.append(append, current)?;
    Ok((Done::Appended(appended), changes(append)))
}

/// What others may want to hear of an append.
fn changes(append: &Append) -> Vec<Change> {
    let run = &append.run;
    let is_over = run.status.is_terminal();
    let grown = Change::Run { run_id: run.id.clone(), seq: append.head.seq, is_over };
    let is_free = append.requeue.is_some() || (is_over && run.spec.placement.is_some());
    std::iter::once(grown).chain(is_free.then_some(Change::Queued)).collect()
}

/// Whether these very events were appended already, by a commit of which its caller does not know.
/// The hash says that all of the journal is the same.
fn is_made(append: &Append, current: &Current, head: Head) -> bool {
    append.head == head && append.fence.epoch == current.epoch && !append.events.is_empty()
}

/// Refuses whoever was superseded, is late, or does not continue the journal.
fn check(append: &Append, current: &Current, head: Head) -> Result<(), Failure> {
    let epoch = append.fence.epoch;
    if epoch == current.epoch && !current.is_over && current.leased != Some(epoch) {
        let run_id = append.run.id.clone();
        return Err(Error::Fenced { run_id, epoch, current: current.epoch }.into());
    }
    check_head(append, current, head)
}

/// Refuses whoever is late, whether a lease is in force or not.
fn check_head(append: &Append, current: &Current, head: Head) -> Result<(), Failure> {
    let run_id = &append.run.id;
    let epoch = append.fence.epoch;
    if epoch != current.epoch {
        let fenced = Error::Fenced { run_id: run_id.clone(), epoch, current: current.epoch };
        return Err(fenced.into());
    }
    if current.is_over {
        return Err(Error::Sealed { run_id: run_id.clone() }.into());
    }
    let expected = append.events.first().map_or(append.head.seq, |first| first.seq - 1);
    if expected != head.seq {
        let found = head.seq;
        return Err(Error::Conflict { run_id: run_id.clone(), expected, found }.into());
    }
    verify(run_id, head, &append.events, append.head)
}

/// Refuses events that do not hold together: a bug of whoever made them, caught before it is kept.
pub(super) fn verify(
    run_id: &RunId,
    mut head: Head,
    events: &[Event],
    end: Head,
) -> Result<(), Failure> {
    for event in events {
        if event.run_id != *run_id {
            return Err(damaged(run_id.as_str(), "an event of another run").into());
        }
        head.verify(event).map_err(|broken| damaged(run_id.as_str(), broken.to_string()))?;
    }
    if head == end && !events.is_empty() {
        return Ok(());
    }
    Err(damaged(run_id.as_str(), "its events do not lead to the head that was given").into())
}
