//! Start of an attempt: its lease, its inventory and the session that it loads.

use errand_model::event::EventBody;
use errand_model::run::{AttemptReport, StartAttempt};

use super::session;
use crate::journal::Journal;
use crate::{Engine, Error, bom};

/// Starts the next attempt, pins its inventory unless its image is to be resolved first, and records the state
/// of its session, in one commit.
///
/// The inner error says why one of them is missing: the attempt began, and has to fail with it.
///
/// # Errors
///
/// As [`Journal::command`].
pub(crate) async fn start(engine: &Engine, journal: &Journal) -> Result<Result<(), Error>, Error> {
    let (spec, image, number) = journal.look(|run, _| {
        (run.spec.clone(), run.pinned_image().cloned(), run.last_attempt_number() + 1)
    });
    let holder = engine.holder();
    let start = StartAttempt {
        epoch: journal.epoch(),
        supervisor: holder.process.clone(),
        host: holder.host.clone(),
        worker: journal.worker().cloned(),
    };
    let (mut events, mut failed) = match bom::pin_at_start(engine, &spec, image.as_ref()).await {
        Ok(pinned) => (pinned.map(EventBody::BomPinned).into_iter().collect::<Vec<_>>(), Ok(())),
        Err(error) => (Vec::new(), Err(Error::from(error))),
    };
    match session::found(engine, journal).await {
        Ok(loaded) => events.extend(loaded),
        Err(error) => failed = failed.and(Err(error)),
    }
    let report = AttemptReport { attempt: number, events };
    journal.commands(&[start.into(), report.into()]).await?;
    Ok(failed)
}
