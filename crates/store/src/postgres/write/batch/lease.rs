//! Leases and requests to their holders in a batch.

use errand_model::run::CallerCommand;
use errand_model::{RunId, Timestamp};

use super::current::{BatchAnswer, Numbers};
use super::{Decided, Done, Plan};
use crate::postgres::failure::Failure;
use crate::postgres::row::json;
use crate::{Error, Holder, Lease, StoreChange};

/// Decides [`crate::Store::take`].
pub(super) fn take(
    known: &BatchAnswer,
    plan: &mut Plan<'_>,
    (run_id, seen_epoch): (&RunId, u64),
    holder: &Holder,
    expires_at: Option<Timestamp>,
) -> Result<Decided, Failure> {
    let (current, _) = known.run(run_id)?;
    if current.is_over {
        return Err(Error::Sealed { run_id: run_id.clone() }.into());
    }
    if current.epoch != seen_epoch {
        let (run_id, epoch) = (run_id.clone(), seen_epoch);
        return Err(Error::Fenced { run_id, epoch, current: current.epoch }.into());
    }
    let lease = Lease {
        run_id: run_id.clone(),
        epoch: current.epoch + 1,
        holder: holder.clone(),
        expires_at,
    };
    plan.take(current, &lease)?;
    Ok((Done::Leased(lease), Vec::new()))
}

/// Decides [`crate::Store::give_back`].
pub(super) fn give_back(
    known: &BatchAnswer,
    plan: &mut Plan<'_>,
    run_id: &RunId,
    epoch: u64,
) -> Result<Decided, Failure> {
    match known.run(run_id) {
        Ok((current, _)) if current.leased == Some(epoch) => {
            plan.give_back(current, epoch);
            plan.after.states.push((run_id.clone(), None));
        }
        Ok(_) | Err(Failure::Refused(Error::NoRun { .. })) => {}
        Err(failure) => return Err(failure),
    }
    Ok((Done::GivenBack, Vec::new()))
}

/// Decides [`crate::Store::request`].
pub(super) fn ask(
    known: &BatchAnswer,
    numbers: &mut Numbers,
    plan: &mut Plan<'_>,
    (run_id, command, now): (&RunId, &CallerCommand, Timestamp),
) -> Result<Decided, Failure> {
    let (current, _) = known.run(run_id)?;
    if current.is_over {
        return Err(Error::Sealed { run_id: run_id.clone() }.into());
    }
    let id = numbers.request()?;
    plan.after.states.push((run_id.clone(), None));
    plan.requests.put(id, current.run, now.as_millis(), json(command)?);
    Ok((Done::Asked(id), vec![StoreChange::Asked { run_id: run_id.clone() }]))
}
