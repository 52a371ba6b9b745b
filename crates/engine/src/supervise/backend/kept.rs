//! Facts about the attempt that another supervisor needs.

use errand_agent::agent_api::AttemptResult;

use super::AttemptBackend;
use crate::kept::KeptAttempt;

impl AttemptBackend {
    /// Keeps the first result of an agent for another supervisor.
    pub(super) fn keep_result(&self, result: &AttemptResult) {
        let Some(token) = &self.kept_token else { return };
        if self.said(|said| said.result.is_none()) {
            let (attempt, token) = (self.attempt, token.clone());
            let kept = KeptAttempt { attempt, token, result: Some(result.clone()) };
            // On a full disk, the exit code of the agent decides under another supervisor.
            drop(kept.write(&self.engine, self.journal.run_id()));
        }
    }
}
