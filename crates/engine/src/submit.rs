//! Admission of prepared runs: the store takes them in, or another run stands in for them.

use errand_agent::workspace::Workspaces;
use errand_model::RunId;
use errand_store::{Admission, Admitted, Lease, Stored};
use futures_util::future::BoxFuture;

use crate::admit::{self, admission, admission_as};
use crate::error::{NoRandomness, RunEnding, operation_error};
use crate::submission::CheckedSubmission;
use crate::{Engine, ask, record_file, sessions};

operation_error! {
    /// Error: a run cannot be admitted or stored.
    pub enum Error {
        /// The run is not admitted.
        Admission(admit::Error),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A command to a live run failed, or was not carried out in time.
        Asks(ask::Error),
        /// The session is busy.
        Sessions(sessions::Error),
        /// The run, or this process, is ending.
        Ending(RunEnding),
        /// The system has no randomness for the id.
        Randomness(NoRandomness),
    }
}

/// Result of a submission.
#[derive(Clone, Debug)]
pub enum SubmittedRun {
    /// The run was admitted: as it is stored, unless another process changed it since.
    Created(Box<Stored>),
    /// Another run stands in for it.
    Existing(RunId),
}

/// Admits a checked submission that another process will run.
///
/// # Errors
///
/// As [`errand_store::Store::admit`].
pub async fn admit(
    engine: &Engine,
    submission: CheckedSubmission,
) -> Result<(RunId, Admitted), Error> {
    let admission = admission(engine, submission).await?;
    let run_id = admission.run.id.clone();
    Ok(match admit_prepared(engine, admission).await? {
        SubmittedRun::Created(_) => (run_id, Admitted::Created),
        SubmittedRun::Existing(existing) => (run_id, Admitted::Existing(existing)),
    })
}

/// Admits a checked submission that another process will run, and returns the run without loading
/// it.
///
/// # Errors
///
/// As [`errand_store::Store::admit`].
pub async fn submit(engine: &Engine, submission: CheckedSubmission) -> Result<SubmittedRun, Error> {
    admit_prepared(engine, admission(engine, submission).await?).await
}

/// Admits what [`admission`] made, with other changes of the same commit.
///
/// # Errors
///
/// As [`errand_store::Store::admit`].
pub fn admit_prepared(
    engine: &Engine,
    admission: Admission,
) -> BoxFuture<'_, Result<SubmittedRun, Error>> {
    Box::pin(async move {
        let admitted = loop {
            match engine.store().admit(admission.clone()).await {
                Ok(admitted) => break admitted,
                Err(error) => settled(engine, &admission.run.id, error).await?,
            }
        };
        if let Admitted::Existing(existing) = admitted {
            return Ok(SubmittedRun::Existing(existing));
        }
        let Admission { run, head, events, .. } = admission;
        engine.metrics().committed(&run, &events);
        // The record file of a queued run is written by the process that takes it out of the queue: of
        // all that an admission costs, a new file costs most.
        if run.spec.placement.is_none() {
            record_file::write_quietly(engine, &run, head, None);
        }
        // The run is admitted even if the runs before it cannot be ended.
        drop(ask::supersede(engine, &run).await);
        let stored = Stored { run, head, lease: None, epoch: 0, open_requests: 0 };
        Ok(SubmittedRun::Created(Box::new(stored)))
    })
}

/// Admits a checked submission that this process runs itself.
///
/// # Errors
///
/// As [`errand_store::Store::admit_held`].
pub async fn admit_held(
    engine: &Engine,
    submission: CheckedSubmission,
) -> Result<(RunId, Result<Lease, RunId>), Error> {
    admit_held_as(engine, engine.new_run_id()?, submission).await
}

/// Admits a checked submission under a known id, as [`admit_held`] does.
///
/// # Errors
///
/// As [`errand_store::Store::admit_held`].
pub async fn admit_held_as(
    engine: &Engine,
    id: RunId,
    submission: CheckedSubmission,
) -> Result<(RunId, Result<Lease, RunId>), Error> {
    let admission = admission_as(engine, id, submission).await?;
    let (run, head) = (admission.run.clone(), admission.head);
    let (admitted, lease) = loop {
        match engine.store().admit_held(admission.clone(), engine.holder().clone()).await {
            Ok(admitted) => break admitted,
            Err(error) => settled(engine, &run.id, error).await?,
        }
    };
    match (admitted, lease) {
        (Admitted::Created, Some(lease)) => {
            engine.metrics().committed(&run, &admission.events);
            // A detached run is shown to its caller at once. The supervisor of another run writes
            // the file.
            if run.spec.detached {
                record_file::write_quietly(engine, &run, head, Some(engine.holder()));
            }
            Ok((run.id, Ok(lease)))
        }
        (Admitted::Created, None) => Err(RunEnding.into()),
        (Admitted::Existing(existing), _) => Ok((run.id, Err(existing))),
    }
}

/// Removes the obstacle to an admission, or gives up: nothing of the run is left then.
async fn settled(engine: &Engine, run_id: &RunId, error: errand_store::Error) -> Result<(), Error> {
    Ok(sessions::settle_user(engine, error).await.inspect_err(|_| {
        // The workspace that was copied for the run is not needed.
        drop(Workspaces::new(engine.registry().workspaces()).remove(run_id));
    })?)
}
