//! Admission of runs that repeat another run.

use errand_api::error_code::ErrorCode;
use errand_engine::again::AgentChoice;
use errand_engine::submission::Submission;
use errand_model::placement::Placement;

use crate::Gateway;
use crate::auth::Caller;
use crate::refusal::Refusal;
use crate::submit::{Submitted, admit, check};

/// Parses the agent choice of a request that repeats a run.
pub(crate) fn choice(
    version: Option<String>,
    latest: Option<bool>,
) -> Result<AgentChoice, Refusal> {
    match (version, latest.unwrap_or_default()) {
        (Some(_), true) => {
            let detail = "version and latest exclude each other".to_owned();
            Err(Refusal::field(ErrorCode::RequestInvalid, "/latest", detail))
        }
        (Some(version), false) => Ok(AgentChoice::Version(version)),
        (None, true) => Ok(AgentChoice::Latest),
        (None, false) => Ok(AgentChoice::Recorded),
    }
}

/// Queues the new run, claimable by any worker even if the original was not (a run of the command
/// line).
pub(crate) async fn start(
    gateway: &Gateway,
    caller: &Caller,
    mut submission: Submission,
) -> Result<Submitted, Refusal> {
    submission.options.by = Some(caller.name());
    submission.options.detached = true;
    let placement = submission.options.placement.take();
    // The delayed start of the original does not apply to its repetition.
    let placement = placement.map(|placement| Placement { not_before: None, ..placement });
    submission.options.placement = Some(placement.unwrap_or_default());
    admit(gateway, check(gateway, submission)?).await
}
