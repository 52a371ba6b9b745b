//! Runs whose steps are other agents' runs.
//!
//! A coordinator has no process and holds no lease while its children work: whatever happens to them
//! is left for it as a document, in the commit in which it happens, and whoever finds that lets it
//! take a turn.

mod begin;
mod child;
mod document;
mod effects;
pub mod family;
pub(crate) mod handover;
mod heritage;
mod hot;
mod inbox;
mod look;
mod material;
pub(crate) mod report;
mod resolve;
mod turn;
mod verify;

use errand_model::RunId;
use errand_model::event::RunCreated;
use errand_model::placement::Placement;
use errand_model::run::Run;

use crate::{Engine, Error};

pub(crate) use begin::{begin, is_let_go, left};
pub(crate) use document::asked;
pub(crate) use look::Turns;
pub(crate) use report::child_usage;
pub(crate) use resolve::{Parts, resolve};

/// The label that binds a family of runs to the process that works for it: the id of the coordinator
/// at its top, where it was not placed by whoever wanted it.
pub const FAMILY: &str = "errand.dev/family";

/// Lets a coordinator look at what is asked of it.
///
/// # Errors
///
/// If the registry cannot be written.
pub(crate) async fn tell(engine: &Engine, run: &Run) -> Result<(), Error> {
    let now = engine.now();
    let number = u64::try_from(now.as_millis()).unwrap_or_default();
    Ok(engine.store().write_documents(vec![asked(run, number, now)]).await?)
}

/// Makes a run the coordinator that its agent is. One that nobody placed is carried out by a worker
/// of its own.
pub(crate) fn take_part(id: &RunId, created: &mut RunCreated, parts: Parts) {
    let Parts { plan, handoffs } = parts;
    created.handoffs = handoffs;
    created.plan = plan;
    if created.plan.is_some() && created.placement.is_none() {
        let mut placement = Placement::default();
        placement.demands.affinity.insert(FAMILY.to_owned(), id.to_string());
        created.placement = Some(placement);
    }
}
