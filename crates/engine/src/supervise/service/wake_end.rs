//! The end of a wake: awaited, and told apart from an interruption.

use std::time::Duration;

use errand_model::RunId;
use errand_model::error_code::ErrorCode;
use errand_model::event::{CancelCause, WakeEnded};
use errand_model::run::{Run, Status};
use errand_store::Stored;

use crate::news::child_usage;
use crate::{Engine, Error, reconcile, wait};

/// Interval of looks at a wake that another process runs: no client waits for its end.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Returns true if the run was interrupted by the end of the service's attempt.
pub(super) fn is_cut_off(wake: &Run) -> bool {
    match &wake.status {
        Status::Failed { error, .. } => {
            let lost_its_supervisor = match error.code.known() {
                Some(code) => matches!(
                    code,
                    ErrorCode::HelperDied | ErrorCode::LauncherDied | ErrorCode::SupervisorStopped
                ),
                None => false,
            };
            lost_its_supervisor || is_killed(wake)
        }
        Status::Cancelled { cause, .. } => match cause {
            CancelCause::Parent | CancelCause::SupervisorGone => true,
            CancelCause::Stopped
            | CancelCause::Interrupted
            | CancelCause::QueueTimeout
            | CancelCause::Superseded
            | CancelCause::ApprovalDeadline
            | CancelCause::Budget => false,
        },
        Status::Pending { .. }
        | Status::Running { .. }
        | Status::Paused { .. }
        | Status::Completed { .. } => false,
    }
}

/// Returns true if a signal ended the agent: a machine that shuts down sends one to every process.
pub(super) fn is_killed(wake: &Run) -> bool {
    matches!(&wake.status, Status::Failed { error, .. } if error.code == ErrorCode::KilledBySignal)
}

/// Returns the end of a wake, for the service's journal.
pub(super) fn ended(wake: &Run) -> WakeEnded {
    let at = wake.status.ended_at().unwrap_or(wake.created_at);
    WakeEnded {
        run_id: wake.id.clone(),
        status: wake.status.name().to_owned(),
        usage: child_usage(wake, at),
    }
}

/// Waits for the end of a wake that another process runs.
pub(super) async fn until_over(engine: Engine, run_id: RunId) -> Result<Stored, Error> {
    loop {
        let stored = reconcile::reconcile(&engine, wait::load(&engine, &run_id).await?).await?;
        if stored.run.status.is_terminal() {
            return Ok(stored);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
