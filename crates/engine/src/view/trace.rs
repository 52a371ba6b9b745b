//! What a run did with its time.

use errand_api::trace::{Builder, Trace};
use errand_model::RunId;
use errand_store::{Filter, Page, Stored};

use crate::{Engine, Error, reconcile, wait};

/// Events that are read at once.
const PAGE: u32 = 5_000;
/// Runs that this one started whose own record is looked at: the newest.
const CHILD_LIMIT: u32 = 1_000;

/// A run on a time axis, as it is now.
///
/// # Errors
///
/// [`errand_store::Error::NoRun`]; if the registry fails.
pub async fn trace(engine: &Engine, run_id: &RunId) -> Result<Trace, Error> {
    let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
    let run = &stored.run;
    let agent = &run.spec.agent;
    let name = match &run.spec.name {
        Some(name) => format!("{name} ({}@{})", agent.name, agent.version),
        None => format!("{}@{}", agent.name, agent.version),
    };
    let mut builder = Builder::new(name, run.created_at);
    let mut after = 0;
    // A live run grows meanwhile: the tree is of the moment that was looked at.
    while after < stored.head.seq {
        let events = engine.store().events(run_id, after, PAGE).await?;
        let Some(last) = events.last() else { break };
        after = last.seq;
        for event in events.iter().filter(|event| event.seq <= stored.head.seq) {
            builder.push(event);
        }
    }
    let now = engine.now();
    for child in children(engine, run_id).await? {
        builder.child(&child.run, now);
    }
    Ok(builder.finish(run_id, &run.status, now))
}

async fn children(engine: &Engine, run_id: &RunId) -> Result<Vec<Stored>, Error> {
    let filter = Filter { parent_run_id: Some(run_id.clone()), ..Filter::default() };
    let page = Page { after: None, limit: CHILD_LIMIT };
    let (mut children, _) = engine.store().list(&filter, &page).await?;
    // Damaged ones are left out: `ps` tells of them.
    children.reverse();
    Ok(children)
}
