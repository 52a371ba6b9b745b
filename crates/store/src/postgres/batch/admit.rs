//! A run begins to exist.

use errand_model::Head;

use super::current::{Known, Numbers};
use super::{Decided, Done, Plan};
use crate::change::of_admission;
use crate::fence::verify;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::fingerprint;
use crate::postgres::write::{check_admission, check_documents, check_redrive};
use crate::{Admission, Admitted, Error, Holder, Lease};

/// The number of a run's first lease.
const FIRST_EPOCH: u64 = 1;

/// [`crate::Store::admit`] and [`crate::Store::admit_held`].
pub(super) async fn admit<'a>(
    db: &Db,
    known: &Known,
    numbers: &mut Numbers,
    plan: &mut Plan<'a>,
    (admission, holder): (&'a Admission, Option<&Holder>),
) -> Result<Decided, Failure> {
    if let Some(standing_in) = existing(known, admission)? {
        return Ok((Done::Admitted(standing_in, None), Vec::new()));
    }
    check(db, admission).await?;
    check_redrive(db, admission).await?;
    let lease = put(numbers, plan, admission, holder)?;
    Ok((Done::Admitted(Admitted::Created, lease), of_admission(admission)))
}

/// The run that stands in for the one to be admitted, if any does.
pub(super) fn existing(known: &Known, admission: &Admission) -> Result<Option<Admitted>, Failure> {
    let spec = &admission.run.spec;
    let (wanted, _) = fingerprint(&spec.fingerprint);
    if let Some(key) = &spec.idempotency_key
        && let Some((run_id, found)) = known.by_key(spec.namespace.as_deref(), key)
    {
        if *found != wanted {
            let (key, run_id) = (key.clone(), run_id.clone());
            return Err(Error::IdempotencyConflict { key, run_id }.into());
        }
        return Ok(Some(Admitted::Existing(run_id.clone())));
    }
    if admission.dedup
        && let Some(run_id) = known.by_fingerprint(&wanted)
    {
        return Ok(Some(Admitted::Existing(run_id.clone())));
    }
    Ok(None)
}

/// Refuses a journal that does not hold, and a run that would have to wait and is not to.
pub(super) async fn check_run(db: &Db, admission: &Admission) -> Result<(), Failure> {
    verify(&admission.run.id, Head::EMPTY, &admission.events, admission.head)?;
    check_admission(db, admission).await
}

/// As [`check_run`]; and documents that are not as expected.
pub(in crate::postgres) async fn check(db: &Db, admission: &Admission) -> Result<(), Failure> {
    check_run(db, admission).await?;
    if !admission.documents.is_empty() {
        check_documents(db, &admission.documents).await?;
    }
    Ok(())
}

/// Writes the run, and its first lease for a holder. Everything was checked.
pub(super) fn put<'a>(
    numbers: &mut Numbers,
    plan: &mut Plan<'a>,
    admission: &'a Admission,
    holder: Option<&Holder>,
) -> Result<Option<Lease>, Failure> {
    let number = numbers.run()?;
    let epoch = if holder.is_some() { FIRST_EPOCH } else { 0 };
    plan.admit(number, admission, epoch)?;
    let Some(holder) = holder else { return Ok(None) };
    let lease = Lease {
        run_id: admission.run.id.clone(),
        epoch: FIRST_EPOCH,
        holder: holder.clone(),
        expires_at: None,
    };
    plan.leases.put(number, &lease)?;
    Ok(Some(lease))
}
