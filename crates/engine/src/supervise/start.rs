//! The beginning of an attempt: its lease, and the inventory that it has.

use errand_model::event::{BomPinned, EventBody};
use errand_model::run::{Report, StartAttempt};

use crate::journal::Journal;
use crate::{Engine, Error, bom};

/// Takes the next attempt and pins its inventory, in one commit.
///
/// The inner error says why there is no inventory: the attempt began all the same, and is to fail
/// with it.
///
/// # Errors
///
/// As [`Journal::command`].
pub(crate) async fn start(engine: &Engine, journal: &Journal) -> Result<Result<(), Error>, Error> {
    let (agent, number) =
        journal.look(|run, _| (run.spec.agent.clone(), run.last_attempt_number() + 1));
    let holder = engine.holder();
    let start = StartAttempt {
        epoch: journal.epoch(),
        supervisor: holder.process.clone(),
        host: holder.host.clone(),
    };
    let (pinned, failed) = match bom::pin(engine, &agent).await {
        Ok(bom) => {
            let pinned = BomPinned { generation: bom.generation, digest: bom.digest };
            (vec![EventBody::BomPinned(pinned)], Ok(()))
        }
        Err(error) => (Vec::new(), Err(error)),
    };
    let pin = Report { attempt: number, events: pinned };
    journal.commands(&[start.into(), pin.into()]).await?;
    Ok(failed)
}
