//! Decides the commands that clients left for a run that this process holds.

use errand_model::run::{CallerCommand, Effect};

use crate::error::CodedError as _;
use crate::journal::{self, Journal};
use crate::{Engine, Error};

/// Decides all open requests, in order, and returns the effects.
///
/// A request that the model refuses changes nothing, and is removed with the next commit.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn answer(engine: &Engine, journal: &Journal) -> Result<Vec<Effect>, Error> {
    let mut effects = Vec::new();
    for request in engine.store().requests(journal.run_id()).await? {
        // The service's loop answers it, in the commit that admits the wake's run.
        if matches!(request.command, CallerCommand::WakeService(_)) {
            continue;
        }
        let ends_at_once = matches!(request.command, CallerCommand::Cancel(_))
            && journal.look(|run, _| run.live_attempt().is_none());
        let command = request.command.into();
        let answered = if ends_at_once {
            journal.end(&command).await
        } else {
            journal.answer(&command, &[request.id]).await
        };
        match answered {
            Ok(decision) => effects.extend(decision.effects),
            Err(error) if error.rejection().is_some() => journal.forget(request.id),
            Err(journal::Error::Ending(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(effects)
}
