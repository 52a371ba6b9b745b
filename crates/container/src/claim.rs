//! Attempts whose containers this process starts or watches.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use errand_agent::target::TargetStartError;
use errand_model::RunId;

/// Run and number of an attempt.
type AttemptKey = (RunId, u32);

/// Attempts whose containers this process starts or watches.
#[derive(Debug, Default)]
pub struct AttemptClaims(Arc<Mutex<BTreeSet<AttemptKey>>>);

impl AttemptClaims {
    /// Claims an attempt for as long as the claim lives.
    ///
    /// # Errors
    ///
    /// [`TargetStartError::AlreadyStarted`].
    pub fn claim(&self, run_id: &RunId, attempt: u32) -> Result<AttemptClaim, TargetStartError> {
        let run_id = run_id.clone();
        let mut claimed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !claimed.insert((run_id.clone(), attempt)) {
            return Err(TargetStartError::AlreadyStarted { run_id, attempt });
        }
        Ok(AttemptClaim { claimed: Arc::clone(&self.0), attempt: (run_id, attempt) })
    }
}

/// Right of this process to start the container of one attempt.
#[derive(Debug)]
pub struct AttemptClaim {
    claimed: Arc<Mutex<BTreeSet<AttemptKey>>>,
    attempt: AttemptKey,
}

impl Drop for AttemptClaim {
    fn drop(&mut self) {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.attempt);
    }
}
