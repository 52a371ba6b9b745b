//! Waiting until a process is dead.

use std::time::Duration;

use errand_model::ProcessIdentity;

use super::identity::{Liveness, liveness};
use super::readable::readable;
use super::signal::pin;

/// How often it is looked where the kernel cannot tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until no process of that identity lives. Needs a tokio runtime with I/O and time.
pub async fn until_gone(identity: &ProcessIdentity) {
    if let Ok(pinned) = pin(identity) {
        let Some(pinned) = pinned else { return };
        if let Ok(pinned) = readable(pinned)
            && pinned.readable().await.is_ok()
        {
            return;
        }
    }
    // Another user's process, or no file descriptor left.
    while liveness(identity) == Liveness::Alive {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
