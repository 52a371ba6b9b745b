//! Admission of prepared runs: the store takes them in, or another run stands in for them.

use errand_agent::workspace::Workspaces;
use errand_model::RunId;
use errand_store::{Admission, Admitted, Lease};

use crate::admit;
use crate::admit::{admission, admission_as};
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
        /// Another run does not do as it is asked.
        Asks(ask::Error),
        /// The session is busy.
        Sessions(sessions::Error),
        /// The run, or this process, is ending.
        Ending(RunEnding),
        /// The system has no randomness for the id.
        Randomness(NoRandomness),
    }
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
    admit_prepared(engine, admission(engine, submission).await?).await
}

/// Admits what [`admission`] made, with other changes of the same commit.
///
/// # Errors
///
/// As [`errand_store::Store::admit`].
pub async fn admit_prepared(
    engine: &Engine,
    admission: Admission,
) -> Result<(RunId, Admitted), Error> {
    let (run, head) = (admission.run.clone(), admission.head);
    let admitted = loop {
        match engine.store().admit(admission.clone()).await {
            Ok(admitted) => break admitted,
            Err(error) => settled(engine, &run.id, error).await?,
        }
    };
    if admitted == Admitted::Created {
        engine.metrics().committed(&run, &admission.events);
        record_file::write_quietly(engine, &run, head, None);
        // The run is admitted even if the runs before it cannot be ended.
        drop(ask::supersede(engine, &run).await);
    }
    Ok((run.id, admitted))
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
            // A run in the foreground is not shown to its caller yet; its supervisor writes the file.
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
