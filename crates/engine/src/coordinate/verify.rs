//! Verification of children: news that a coordinator missed, asked for when an attempt begins anew,
//! and after a rebuild of the registry from its files, which contain no news.

use errand_model::coordination::{
    ChildEnded, ChildOutcome, CoordinatorNews, LiveChild, MessageDelivery,
};
use errand_model::error_code::ErrorCode;
use errand_model::event::{ChildUsage, Failure};
use errand_model::run::Run;

use crate::news::report;
use crate::{Engine, Error};

/// Type of the event with which a run sends a message.
const SENT: &str = "message.sent";
/// Number of events that are read at once.
const PAGE: u32 = 500;

/// News and messages that were lost.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// News, as the children would tell them now.
    pub(super) news: Vec<CoordinatorNews>,
    /// Messages that were delivered to children that do not have them.
    pub(super) deliveries: Vec<MessageDelivery>,
}

/// Returns news and messages that were lost with a registry that was rebuilt: messages of children,
/// their ends, their waits, and messages for them. All of that is in journals, theirs and the
/// coordinator's.
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
        // Messages among a child's own children concern no other run.
        if !is_fan_out && run.coordination.is_none() {
            lost.news.extend(unheard(engine, child, run).await?);
        }
        if let Some(ended) = report::of_ended(&engine.blobs(), run) {
            lost.news.push(ended);
            continue;
        }
        lost.news.push(CoordinatorNews::Waits { run_id: run.id.clone(), reason: run.paused_for() });
        lost.deliveries.extend(child.not_received(run.received));
    }
    Ok(lost)
}

/// Returns messages of a child that were not sent on.
async fn unheard(
    engine: &Engine,
    child: &LiveChild,
    run: &Run,
) -> Result<Vec<CoordinatorNews>, Error> {
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

/// Returns the ends of all children that are over, and that the coordinator takes for live.
///
/// # Errors
///
/// If the registry cannot be read.
pub(super) async fn missed(
    engine: &Engine,
    coordinator: &Run,
) -> Result<Vec<CoordinatorNews>, Error> {
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

/// Returns the news of a child whose run was removed.
fn gone(run_id: errand_model::RunId) -> CoordinatorNews {
    let message = format!("run {run_id} was removed");
    let error = Failure::new(ErrorCode::RunNotFound, message).for_good();
    let outcome = ChildOutcome::Failed { error };
    CoordinatorNews::Ended(ChildEnded {
        run_id,
        outcome,
        usage: ChildUsage::default(),
        received: None,
    })
}
