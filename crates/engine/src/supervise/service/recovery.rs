//! Recovery of wakes that the end of the service's last attempt interrupted: each is continued by
//! another run.

use errand_model::RunId;
use errand_model::event::{ChildUsage, WakeEnded, WakeReason};
use errand_model::inherit::InheritanceEnd;
use errand_model::run::Run;

use super::wake::{Wake, WakeRun, WakeSource};
use super::wake_end::{ended, is_cut_off};
use super::wakes::Wakes;
use crate::{Error, again, reconcile};

/// Most recoveries of one wake: a wake that crashes its supervisor each time must not repeat
/// forever.
const RECOVERY_LIMIT: u32 = 3;

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
        let id = Some(interrupted.id.to_string());
        let source = WakeSource { reason: WakeReason::Recovery, id };
        let run = WakeRun::Continues(ended(interrupted), Box::new(submission));
        self.fire(Wake::new(source, run)).await
    }
}
