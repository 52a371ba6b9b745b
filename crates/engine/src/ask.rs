//! Requests to a run: carried out by its supervisor if one lives, else by the caller itself.

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

/// Most rounds of a race with a supervisor or another client.
const TRIES: usize = 16;

/// Returns the id of a decision, unique among all decisions.
fn new_decision_id() -> Result<String, Error> {
    Ok(format!("dec_{:016x}", random()?))
}

/// Leaves a request for the run's supervisor and notifies it.
///
/// # Errors
///
/// If the registry fails, or [`errand_store::Error::Sealed`] if the run is over meanwhile.
pub async fn ask(engine: &Engine, stored: &Stored, kind: RequestKind) -> Result<(), Error> {
    engine.store().request(&stored.run.id, kind, engine.now()).await?;
    nudge(engine, &stored.run.id).await
}

/// Notifies the holder of the run's lease of new requests.
async fn nudge(engine: &Engine, run_id: &RunId) -> Result<(), Error> {
    // Loaded again: the lease may have been taken while the request was written.
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(()) };
    if stored.run.is_coordinating() && stored.lease.is_none() {
        // The holder released the run meanwhile.
        return news::tell(engine, &stored.run).await;
    }
    let Some(lease) = stored.lease.filter(|lease| reconcile::is_here(engine, lease)) else {
        return Ok(());
    };
    os::signal(&lease.holder.process, Signal::Look)
        .map(|_| ())
        .map_err(Error::io("signal the supervisor of", engine.registry().run_log(run_id)))
}
