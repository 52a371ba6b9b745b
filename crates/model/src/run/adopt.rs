//! Adoption of a live attempt, whose agent outlived its supervisor.

use super::{Decision, Effect, Rejection, Run};
use crate::ProcessIdentity;
use crate::event::{AttemptAdopted, EventBody};

/// Take the live attempt over, under a new lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptAttempt {
    /// Number of the lease; above every one that wrote before.
    pub epoch: u64,
    /// Process that supervises the attempt from now on.
    pub supervisor: ProcessIdentity,
    /// Machine of that process.
    pub host: String,
    /// Name of the worker, if the process is one.
    pub worker: Option<String>,
}

impl Run {
    /// Decides that another process supervises the live attempt. The effects bring the agent into
    /// the state that the run is in: the supervisor before may have died between the two.
    pub(super) fn adopt_attempt(&self, adopt: &AdoptAttempt) -> Result<Decision, Rejection> {
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        if adopt.epoch <= self.epoch {
            return Err(Rejection::Fenced {
                run_id: self.id.clone(),
                epoch: adopt.epoch,
                current: self.epoch,
            });
        }
        if !self.outlives_supervisor() {
            return Err(self.not_now("adopt"));
        }
        let adopted = AttemptAdopted {
            epoch: adopt.epoch,
            supervisor: adopt.supervisor.clone(),
            host: adopt.host.clone(),
            worker: adopt.worker.clone(),
        };
        let is_frozen = if self.is_held() { Effect::FreezeAgent } else { Effect::ThawAgent };
        let of_cancel = self.cancel_requested.as_ref().map(|request| request.grace);
        let of_restart = self.restart_requested.as_ref().map(|request| request.grace);
        let decision = Decision::record(vec![EventBody::AttemptAdopted(adopted)]);
        Ok(match of_cancel.or(of_restart) {
            Some(grace) => decision.and(Effect::StopAgent { grace }),
            None => decision.and(is_frozen),
        })
    }
}
