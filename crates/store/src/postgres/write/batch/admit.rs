//! Admission of runs in a batch.

use errand_model::Head;

use super::current::{BatchAnswer, LockedRun, Numbers};
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

/// Decides [`crate::Store::admit`] and [`crate::Store::admit_held`].
pub(super) async fn admit<'a>(
    db: &Db,
    known: &BatchAnswer,
    numbers: &mut Numbers,
    plan: &mut Plan<'a>,
    (admission, holder): (&'a Admission, Option<&Holder>),
) -> Result<Decided, Failure> {
    if let Some(standing_in) = existing(known, admission)? {
        return Ok((Done::Admitted(standing_in, None), Vec::new()));
    }
    check_run(db, admission).await?;
    known.check_documents(&admission.documents)?;
    check_redrive(db, admission).await?;
    let lease = put(numbers, plan, admission, holder)?;
    Ok((Done::Admitted(Admitted::Created, lease), of_admission(admission)))
}

/// Returns the run that stands in for the one to be admitted; `None` if there is none.
pub(super) fn existing(
    known: &BatchAnswer,
    admission: &Admission,
) -> Result<Option<Admitted>, Failure> {
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

/// Refuses a broken journal, and a run whose session is busy and that may not wait.
pub(super) async fn check_run(db: &Db, admission: &Admission) -> Result<(), Failure> {
    verify(&admission.run.id, Head::EMPTY, &admission.events, admission.head)?;
    check_admission(db, admission).await
}

/// Checks an admission as [`check_run`] does; also refuses documents in an unexpected state.
pub(in crate::postgres) async fn check(db: &Db, admission: &Admission) -> Result<(), Failure> {
    check_run(db, admission).await?;
    check_documents(db, &admission.documents).await
}

/// Adds the run to the plan, with a first lease if there is a holder. All checks are done.
pub(super) fn put<'a>(
    numbers: &mut Numbers,
    plan: &mut Plan<'a>,
    admission: &'a Admission,
    holder: Option<&Holder>,
) -> Result<Option<Lease>, Failure> {
    let number = numbers.run()?;
    let epoch = if holder.is_some() { FIRST_EPOCH } else { 0 };
    plan.admit(number, admission, epoch)?;
    let Some(holder) = holder else {
        plan.after.states.push((admission.run.id.clone(), None));
        return Ok(None);
    };
    let lease = Lease {
        run_id: admission.run.id.clone(),
        epoch: FIRST_EPOCH,
        holder: holder.clone(),
        expires_at: None,
    };
    plan.leases.put(number, &lease)?;
    let after = LockedRun {
        run: number,
        status: admission.run.status.name().to_owned(),
        is_over: false,
        epoch,
        head: Some(admission.head),
        leased: Some(epoch),
        state_seq: 0,
        open_requests: 0,
    };
    let is_live = !admission.run.status.is_terminal();
    plan.after.states.push((admission.run.id.clone(), is_live.then_some(after)));
    Ok(Some(lease))
}
