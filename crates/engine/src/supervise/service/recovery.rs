//! Recovery of wakes that the end of the service's last attempt interrupted: each is continued by
//! another run.

use std::time::Duration;

use errand_model::RunId;
use errand_model::error_code::ErrorCode;
use errand_model::event::{CancelCause, ChildUsage, WakeEnded, WakeReason};
use errand_model::inherit::InheritanceEnd;
use errand_model::run::{Run, Status};

use errand_store::Stored;

use super::wake::Wake;
use super::wakes::Wakes;
use crate::news::child_usage;
use crate::{Engine, Error, again, reconcile, wait};

/// Most recoveries of one wake: a wake that crashes its supervisor each time must not repeat
/// forever.
const RECOVERY_LIMIT: u32 = 3;
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

impl Wakes {
    /// Handles the wakes of earlier attempts: records the end of those that are over, follows those
    /// that have a supervisor of their own, and continues those that were interrupted.
    pub(super) async fn recover(&mut self) -> Result<(), Error> {
        let left = self.journal.look(|run, _| {
            run.service.as_ref().map(|service| service.under_way.clone()).unwrap_or_default()
        });
        for (id, recoveries) in left {
            let Ok(run_id) = id.parse::<RunId>() else { continue };
            let Some(stored) = self.engine.store().load(&run_id).await? else {
                let (status, usage) = ("removed".to_owned(), ChildUsage::default());
                self.end(WakeEnded { run_id, status, usage }).await?;
                continue;
            };
            let wake = reconcile::reconcile(&self.engine, stored).await?.run;
            if !wake.status.is_terminal() {
                self.follow(run_id);
            } else if is_cut_off(&wake) && recoveries < RECOVERY_LIMIT {
                self.take_up(&wake).await?;
            } else {
                self.end(ended(&wake)).await?;
            }
        }
        Ok(())
    }

    /// Fires a wake that continues an interrupted one.
    async fn take_up(&mut self, interrupted: &Run) -> Result<(), Error> {
        let submission = match again::onward(&self.engine, interrupted, InheritanceEnd::End).await {
            Ok(submission) => submission,
            Err(error) => {
                let why = crate::supervise::chain(&error);
                let run_id = &interrupted.id;
                self.say(&format!("the interrupted wake {run_id} cannot be taken up: {why}"));
                return self.end(ended(interrupted)).await;
            }
        };
        let trigger = interrupted.spec.trigger.clone();
        let mut wake = Wake::new(WakeReason::Recovery, trigger);
        wake.source = Some(interrupted.id.to_string());
        wake.takes_up = Some((ended(interrupted), Box::new(submission)));
        self.fire(wake).await
    }
}
