//! A new run that does again what another did.

use errand_api::error_code::ErrorCode;
use errand_engine::admit::Submission;
use errand_engine::again::AgentChoice;
use errand_model::placement::Placement;

use crate::Gateway;
use crate::auth::Caller;
use crate::refusal::Refusal;
use crate::submit::{Submitted, admit, check};

/// The agent that a request names for a run that does another one again.
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

/// Queues it. A run that no worker was to claim (one of the command line) leads to one that a worker
/// claims.
pub(crate) async fn start(
    gateway: &Gateway,
    caller: &Caller,
    mut submission: Submission,
) -> Result<Submitted, Refusal> {
    submission.wishes.by = Some(caller.name());
    submission.wishes.detached = true;
    let placement = submission.wishes.placement.take();
    // What was to be begun late is begun again at once.
    let placement = placement.map(|placement| Placement { not_before: None, ..placement });
    submission.wishes.placement = Some(placement.unwrap_or_default());
    check(gateway, &submission)?;
    admit(gateway, submission).await
}
