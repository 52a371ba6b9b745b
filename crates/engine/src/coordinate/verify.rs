//! What became of children that a coordinator has not heard of: it is asked for when an attempt
//! begins anew, and after the registry was made anew from its files, which hold no news.

use errand_model::coordination::{ChildEnded, ChildOutcome, Delivery, LiveChild, News};
use errand_model::error_code::ErrorCode;
use errand_model::event::{ChildUsage, Failure};
use errand_model::run::Run;

use crate::news::report;
use crate::{Engine, Error};

/// The event with which a run says something.
const SENT: &str = "message.sent";
/// Events that are read at once.
const PAGE: u32 = 500;

/// What a coordinator has to hear again, and what its children have to get again.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// As its children would tell it now.
    pub(super) news: Vec<News>,
    /// Messages that were brought to children that do not have them.
    pub(super) deliveries: Vec<Delivery>,
}

/// What was lost with a registry that was made anew: whatever its children said, how they ended, what
/// they wait for, and the messages that they were to find. All of it is in journals: theirs, and its
/// own.
///
/// # Errors
///
/// If the registry cannot be read.
pub(super) async fn lost(engine: &Engine, coordinator: &Run) -> Result<Lost, Error> {
    let mut lost = Lost::default();
    let is_fan_out = coordinator.spec.plan.as_ref().is_some_and(|plan| plan.is_fan_out());
    for child in coordinator.coordination.iter().flat_map(|it| it.live.values()) {
        let Some(stored) = engine.store().load(&child.run_id).await? else {
            lost.news.push(gone(child.run_id.clone()));
            continue;
        };
        let run = &stored.run;
        // What a coordinator routes among its own children is for nobody else.
        if !is_fan_out && run.coordination.is_none() {
            lost.news.extend(unheard(engine, child, run).await?);
        }
        if let Some(ended) = report::of_ended(&engine.blobs(), run) {
            lost.news.push(ended);
            continue;
        }
        lost.news.push(News::Waits { run_id: run.id.clone(), reason: run.paused_for() });
        lost.deliveries.extend(child.not_received(run.received));
    }
    Ok(lost)
}

/// What a child said that was not sent on.
async fn unheard(engine: &Engine, child: &LiveChild, run: &Run) -> Result<Vec<News>, Error> {
    let (mut unheard, mut after) = (Vec::new(), 0);
    loop {
        let events = engine.store().events(&run.id, after, PAGE).await?;
        let said = events.iter().filter(|event| event.kind == SENT);
        let said = said.filter(|event| !child.has_said(&format!("{}/{}", run.id, event.seq)));
        unheard.extend(said.filter_map(|event| report::news(&engine.blobs(), run, event)));
        match events.last() {
            Some(last) => after = last.seq,
            None => return Ok(unheard.into_iter().map(|(_, news)| news).collect()),
        }
    }
}

/// News of all children that are over, and of which the coordinator thinks that they live.
///
/// # Errors
///
/// If the registry cannot be read.
pub(super) async fn missed(engine: &Engine, coordinator: &Run) -> Result<Vec<News>, Error> {
    let mut missed = Vec::new();
    for child in coordinator.coordination.iter().flat_map(|it| it.live.values()) {
        let Some(stored) = engine.store().load(&child.run_id).await? else {
            missed.push(gone(child.run_id.clone()));
            continue;
        };
        missed.extend(report::of_ended(&engine.blobs(), &stored.run));
    }
    Ok(missed)
}

/// A child whose run was removed.
fn gone(run_id: errand_model::RunId) -> News {
    let message = format!("run {run_id} was removed");
    let error = Failure::new(ErrorCode::RunNotFound, message).for_good();
    let outcome = ChildOutcome::Failed { error };
    News::Ended(ChildEnded { run_id, outcome, usage: ChildUsage::default(), received: None })
}
