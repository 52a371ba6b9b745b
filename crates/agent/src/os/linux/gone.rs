//! Waiting for the end of a process.

use std::time::Duration;

use errand_model::ProcessIdentity;

use super::identity::{Liveness, liveness};
use super::readable::readable;
use super::signal::pin;

/// Interval at which the process is checked if the kernel cannot report its end.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until the process of this identity has ended. Needs a tokio runtime with I/O and time.
pub async fn until_gone(identity: &ProcessIdentity) {
    if let Ok(pinned) = pin(identity) {
        let Some(pinned) = pinned else { return };
        if let Ok(pinned) = readable(pinned)
            && pinned.readable().await.is_ok()
        {
            return;
        }
    }
    // Another user's process, or no file descriptor is left.
    while liveness(identity) == Liveness::Alive {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
