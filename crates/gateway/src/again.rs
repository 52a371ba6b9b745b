//! A new run that does again what another did.

use errand_engine::admit::Submission;
use errand_model::placement::Placement;

use crate::Gateway;
use crate::refusal::Refusal;
use crate::submit::{Submitted, admit, check};

/// Queues it. A run that no worker was to claim (one of the command line) leads to one that a worker
/// claims.
pub(crate) async fn start(
    gateway: &Gateway,
    mut submission: Submission,
) -> Result<Submitted, Refusal> {
    submission.wishes.detached = true;
    let placement = submission.wishes.placement.take();
    // What was to be begun late is begun again at once.
    let placement = placement.map(|placement| Placement { not_before: None, ..placement });
    submission.wishes.placement = Some(placement.unwrap_or_default());
    check(gateway, &submission)?;
    admit(gateway, submission).await
}
