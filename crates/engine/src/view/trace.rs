//! Traces: the spans of a run on a time axis.

use errand_api::trace::{Nested, Trace, TraceBuilder};
use errand_model::RunId;
use errand_store::{Filter, Page, Stored};

use crate::{Engine, Error, reconcile, wait};

/// Events read at once.
const PAGE: u32 = 5_000;
/// Most child runs whose own journals are read: the newest.
const CHILD_LIMIT: u32 = 1_000;
/// Most journals of children that are read for one trace, if the caller sets no other bound: a
/// larger trace is not readable by people.
const NESTED_LIMIT: usize = 1_000;

/// Bounds of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceAsk {
    /// Most spans in the trace; those that matter most are kept. Journals of children whose spans
    /// would not be kept are not read.
    pub limit: usize,
    /// Levels of children whose journals are read.
    pub depth: u32,
}

/// Returns the trace of a run, brought up to date; a coordinator's with its children below it.
///
/// # Errors
///
/// [`errand_store::Error::NoRun`]; if the registry fails.
pub async fn trace(engine: &Engine, run_id: &RunId, ask: TraceAsk) -> Result<Trace, Error> {
    let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
    if stored.run.spec.plan.is_none() {
        return Ok(single(engine, &stored).await?.shortened(ask.limit));
    }
    let mut nested = Nested::new(single(engine, &stored).await?, ask.limit);
    let mut left = NESTED_LIMIT;
    for _ in 0..ask.depth {
        while let Some((place, child)) = nested.next_run() {
            let Some(fewer) = left.checked_sub(1) else { return Ok(nested.finish()) };
            left = fewer;
            // A child that was removed or is unreadable stays the one line that its coordinator
            // knows.
            if let Ok(Some(child)) = engine.store().load(&child).await {
                nested.put(place, single(engine, &child).await?);
            }
        }
        if !nested.descend() {
            break;
        }
    }
    Ok(nested.finish())
}

/// Returns the trace of a run without its children's own spans.
async fn single(engine: &Engine, stored: &Stored) -> Result<Trace, Error> {
    let run = &stored.run;
    let agent = &run.spec.agent;
    let name = match &run.spec.name {
        Some(name) => format!("{name} ({}@{})", agent.name, agent.version),
        None => format!("{}@{}", agent.name, agent.version),
    };
    let mut builder = TraceBuilder::new(name, run.created_at);
    if run.spec.plan.is_some() {
        builder = builder.of_coordinator();
    }
    let mut after = 0;
    // A live run grows meanwhile: the trace ends at the head that was loaded.
    while after < stored.head.seq {
        let events = engine.store().events(&run.id, after, PAGE).await?;
        let Some(last) = events.last() else { break };
        after = last.seq;
        for event in events.iter().filter(|event| event.seq <= stored.head.seq) {
            builder.push(event);
        }
    }
    let now = engine.now();
    // A coordinator's children are named by its journal.
    if run.spec.plan.is_none() {
        for child in children(engine, &run.id).await? {
            builder.child(&child.run, now);
        }
    }
    Ok(builder.finish(&run.id, &run.status, now))
}

async fn children(engine: &Engine, run_id: &RunId) -> Result<Vec<Stored>, Error> {
    let filter = Filter { parent_run_id: Some(run_id.clone()), ..Filter::default() };
    let page = Page { after: None, limit: CHILD_LIMIT };
    let (mut children, _) = engine.store().list(&filter, &page).await?;
    // Damaged runs are left out: `ps` reports them.
    children.reverse();
    Ok(children)
}
