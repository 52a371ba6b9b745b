//! Appends to journals in a batch.

use super::current::{BatchAnswer, LockedRun, Numbers};
use super::{Decided, Done, Plan, admit};
use crate::change::{of_admission, of_append, of_family};
use crate::fence::check_keys;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::write::check_beginning;
use crate::{Admission, Admitted, Append, Appended, Error, Holder};

/// Decides [`crate::Store::append`].
pub(super) async fn append<'a>(
    db: &Db,
    known: &BatchAnswer,
    plan: &mut Plan<'a>,
    append: &'a Append,
) -> Result<Decided, Failure> {
    let (current, standing) = known.run(&append.run.id)?;
    if standing.is_made(append) {
        let appended = Appended { open_requests: current.open_requests };
        return Ok((Done::Appended(appended), Vec::new()));
    }
    standing.check_held(append)?;
    check_beginning(db, append, current.run).await?;
    write(known, plan, append, current)
}

/// Decides [`crate::Store::append_at_rest`].
pub(super) fn append_at_rest<'a>(
    known: &BatchAnswer,
    plan: &mut Plan<'a>,
    append: &'a Append,
) -> Result<Decided, Failure> {
    let (current, standing) = known.run(&append.run.id)?;
    if standing.is_made(append) {
        let appended = Appended { open_requests: current.open_requests };
        return Ok((Done::Appended(appended), Vec::new()));
    }
    standing.check_at_rest(append)?;
    write(known, plan, append, current)
}

/// A parent with the child that it admits.
#[derive(Clone, Copy)]
pub(super) struct Family<'a> {
    pub(super) parent: &'a Append,
    pub(super) child: &'a Admission,
    pub(super) holder: &'a Holder,
}

/// Decides [`crate::Store::append_and_admit`].
pub(super) async fn append_and_admit<'a>(
    db: &Db,
    known: &BatchAnswer,
    numbers: &mut Numbers,
    plan: &mut Plan<'a>,
    family: Family<'a>,
) -> Result<Decided, Failure> {
    let Family { parent, child, holder } = family;
    let (current, standing) = known.run(&parent.run.id)?;
    standing.check_held(parent)?;
    check_child(known, child)?;
    admit::check_run(db, child).await?;
    known.check_documents(&child.documents)?;
    let (_, mut changes) = write(known, plan, parent, current)?;
    let Some(lease) = admit::put(numbers, plan, child, Some(holder))? else {
        return Err(Failure::Unexpected("a child has no lease"));
    };
    changes.extend(of_admission(child));
    Ok((Done::Leased(lease), changes))
}

/// Decides [`crate::Store::append_and_admit_all`].
///
/// The number of queries does not depend on the number of children.
pub(super) async fn append_and_admit_all<'a>(
    db: &Db,
    known: &BatchAnswer,
    numbers: &mut Numbers,
    plan: &mut Plan<'a>,
    (parent, children): (&'a Append, &'a [Admission]),
) -> Result<Decided, Failure> {
    let (current, standing) = known.run(&parent.run.id)?;
    if standing.is_made(parent) {
        let appended = Appended { open_requests: current.open_requests };
        return Ok((Done::Appended(appended), Vec::new()));
    }
    standing.check_released(parent)?;
    check_beginning(db, parent, current.run).await?;
    check_keys(children)?;
    for child in children {
        check_child(known, child)?;
        admit::check_run(db, child).await?;
        known.check_documents(&child.documents)?;
    }
    known.check_documents(&parent.documents)?;
    let appended = plan.append(parent, current)?;
    for child in children {
        admit::put(numbers, plan, child, None)?;
    }
    Ok((Done::Appended(appended), of_family(parent, children)))
}

/// Refuses a child for which another run would stand in.
fn check_child(known: &BatchAnswer, child: &Admission) -> Result<(), Failure> {
    if let Some(Admitted::Existing(run_id)) = admit::existing(known, child)? {
        let key = child.run.spec.idempotency_key.clone().unwrap_or_default();
        return Err(Error::IdempotencyConflict { key, run_id }.into());
    }
    Ok(())
}

fn write<'a>(
    known: &BatchAnswer,
    plan: &mut Plan<'a>,
    append: &'a Append,
    current: &LockedRun,
) -> Result<Decided, Failure> {
    known.check_documents(&append.documents)?;
    let appended = plan.append(append, current)?;
    Ok((Done::Appended(appended), of_append(append)))
}
