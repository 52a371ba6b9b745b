//! Actions on live runs: stopped, paused, resumed, woken, answered.

use async_trait::async_trait;
use errand_api::gateway::people::{Decided, Provided};
use errand_api::gateway::run::RunAction;
use errand_model::RunId;
use errand_model::budget::LimitName;
use errand_model::run::{Cancel, DecideApproval};

use super::local::{LocalError, LocalOperations};
use crate::ask::{self, AnswerDraft, Wake};
use crate::{reconcile, wait};

/// Result of stopping a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Set if the run was over before it was stopped.
    pub was_over: bool,
    /// Status that the run ended with.
    pub status: String,
}

/// Acts on live runs.
#[async_trait]
pub trait ActionOperations<E: Send + 'static>: Send + Sync {
    /// Ends a run. Returns once none of its processes is alive.
    async fn stop(&self, run_id: &RunId, cancel: &Cancel) -> Result<Stopped, E>;

    /// Carries out a command that needs nothing else. Returns once it has settled; if the run is
    /// held then, none of its processes executes.
    async fn act(&self, run_id: &RunId, action: RunAction) -> Result<(), E>;

    /// Resumes a paused run with raised limits, if any are given, in the name of `by`. A run that
    /// was not paused continues with the raised limits.
    async fn resume(&self, run_id: &RunId, raise: &[(LimitName, u64)], by: String)
    -> Result<(), E>;

    /// Wakes a service. Returns the run of the wake.
    async fn wake(&self, service: &RunId, wake: Wake) -> Result<RunId, E>;

    /// Decides an approval of a run, or of a child of it.
    async fn decide(&self, run_id: &RunId, decide: DecideApproval) -> Result<Decided, E>;

    /// Answers a question of a run, or of a child of it.
    async fn provide(&self, run_id: &RunId, draft: AnswerDraft) -> Result<Provided, E>;

    /// Returns the names of the secrets for which a paused run waits.
    async fn awaited_secrets(&self, run_id: &RunId) -> Result<Vec<String>, E>;
}

#[async_trait]
impl<E: LocalError> ActionOperations<E> for LocalOperations {
    async fn stop(&self, run_id: &RunId, cancel: &Cancel) -> Result<Stopped, E> {
        let stored = wait::load(self.engine(), run_id).await?;
        let before = reconcile::reconcile(self.engine(), stored).await?;
        let was_over = before.run.status.is_terminal();
        let ended =
            if was_over { before } else { ask::cancel(self.engine(), run_id, cancel).await? };
        Ok(Stopped { was_over, status: ended.run.status.name().to_owned() })
    }

    async fn act(&self, run_id: &RunId, action: RunAction) -> Result<(), E> {
        ask::carry_out(self.engine(), run_id, &action.command, Some(action.by)).await?;
        Ok(())
    }

    async fn resume(
        &self,
        run_id: &RunId,
        raise: &[(LimitName, u64)],
        by: String,
    ) -> Result<(), E> {
        if !raise.is_empty() {
            let raised = ask::raise(self.engine(), run_id, raise, by.clone()).await?;
            if !raised.run.is_held() {
                return Ok(());
            }
        }
        ask::resume(self.engine(), run_id, Some(by)).await?;
        Ok(())
    }

    async fn wake(&self, service: &RunId, wake: Wake) -> Result<RunId, E> {
        Ok(ask::wake(self.engine(), service, &wake).await?)
    }

    async fn decide(&self, run_id: &RunId, decide: DecideApproval) -> Result<Decided, E> {
        Ok(ask::decide_approval(self.engine(), run_id, decide).await?)
    }

    async fn provide(&self, run_id: &RunId, draft: AnswerDraft) -> Result<Provided, E> {
        Ok(ask::provide_input(self.engine(), run_id, draft).await?)
    }

    async fn awaited_secrets(&self, run_id: &RunId) -> Result<Vec<String>, E> {
        Ok(ask::awaited_secrets(self.engine(), run_id).await?)
    }
}
