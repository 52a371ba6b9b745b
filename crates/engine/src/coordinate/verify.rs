//! What became of children that a coordinator has not heard of: it is asked for when an attempt
//! begins anew, and after the registry was made anew from its files, which hold no news.

use errand_model::coordination::{ChildEnded, ChildOutcome, News};
use errand_model::event::{ChildUsage, Failure};
use errand_model::run::Run;

use super::report;
use crate::{Engine, Error};

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
    let error = Failure {
        code: "run_not_found".to_owned(),
        message: format!("run {run_id} was removed"),
        step: None,
        retryable: Some(false),
    };
    let outcome = ChildOutcome::Failed { error };
    News::Ended(ChildEnded { run_id, outcome, usage: ChildUsage::default(), received: None })
}
