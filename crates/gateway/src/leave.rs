//! Cancellation of a run when its waiting client disconnects.

use std::time::Duration;

use errand_engine::ask::cancel;
use errand_model::RunId;
use errand_model::event::CancelCause;
use errand_model::run::Cancel;

use crate::Gateway;

/// Time that the agent has to exit.
const GRACE: Duration = Duration::from_secs(10);

/// Guard that cancels a run when it is dropped, unless the client stayed to the end.
#[derive(Debug)]
pub(crate) struct Leave {
    gateway: Gateway,
    run_id: RunId,
    by: String,
    stayed: bool,
}

impl Leave {
    /// Creates a guard that cancels the run in the name of `by`.
    pub(crate) const fn new(gateway: Gateway, run_id: RunId, by: String) -> Self {
        Self { gateway, run_id, by, stayed: false }
    }

    /// Notes that the client received everything.
    pub(crate) const fn stay(&mut self) {
        self.stayed = true;
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        // A gateway that shuts down has disconnected its clients itself.
        if self.stayed || self.gateway.is_closing() {
            return;
        }
        let (gateway, run_id) = (self.gateway.clone(), self.run_id.clone());
        let how = Cancel { cause: CancelCause::Stopped, by: Some(self.by.clone()), grace: GRACE };
        self.gateway.feeds().spawn(Box::pin(async move {
            if let Err(error) = cancel(gateway.engine(), &run_id, &how).await {
                tracing::warn!(%run_id, "the client went away, and its run was not cancelled: {error}");
            }
        }));
    }
}
