//! Asking something of a run: of its supervisor where one lives, else by doing it oneself.

mod decide;
mod hold;
mod provide;
mod restart;
mod stop;
mod supersede;
mod wake;

use errand_agent::os::{self, Signal};
use errand_model::RunId;
use errand_store::{RequestKind, Stored};

pub use decide::{Decide, decide};
pub use hold::{awaited_secrets, awaits_secrets, is_held, pause, raise, resume};
pub(crate) use hold::{begin_pause, begin_resume};
pub use provide::{Provide, provide};
pub use restart::{Restarted, replace, restart};
pub use stop::{Stop, begin_stop, stop};
pub(crate) use supersede::supersede;
pub use wake::{Wake, wake};

use crate::engine::random;
use crate::{Engine, Error, news, reconcile};

/// How often a race with a supervisor or another client is run again.
const TRIES: usize = 16;

/// What tells one decision from every other one.
fn new_decision_id() -> Result<String, Error> {
    Ok(format!("dec_{:016x}", random()?))
}

/// Leaves a request for the run's supervisor and tells it to look.
///
/// # Errors
///
/// If the registry fails, or [`errand_store::Error::Sealed`] if the run is over meanwhile.
pub async fn ask(engine: &Engine, stored: &Stored, kind: RequestKind) -> Result<(), Error> {
    engine.store().request(&stored.run.id, kind, engine.now()).await?;
    nudge(engine, &stored.run.id).await
}

/// Tells whoever holds the run's lease to look at what is asked of it.
async fn nudge(engine: &Engine, run_id: &RunId) -> Result<(), Error> {
    // Loaded again: the lease may have been taken while the request was written.
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(()) };
    if stored.run.is_coordinating() && stored.lease.is_none() {
        // Whoever held it let go of it meanwhile.
        return news::tell(engine, &stored.run).await;
    }
    let Some(lease) = stored.lease.filter(|lease| reconcile::is_here(engine, lease)) else {
        return Ok(());
    };
    os::signal(&lease.holder.process, Signal::Look)
        .map(|_| ())
        .map_err(Error::io("signal the supervisor of", engine.registry().run_log(run_id)))
}
