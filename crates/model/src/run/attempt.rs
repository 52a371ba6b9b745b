//! Attempts of a run, and their ends.

use serde::{Deserialize, Serialize};

use crate::event::{
    AttemptReason, AttemptSetup, AttemptWaiting, Failure, ProcessUsage, Stage, StopReason,
};
use crate::{Locator, ProcessIdentity, Timestamp};

/// An attempt: one try at a run by one process under one lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunAttempt {
    /// Counts from 1.
    pub number: u32,
    /// Reason for the attempt.
    pub reason: AttemptReason,
    /// The lease it writes under.
    pub epoch: u64,
    /// Process that supervises it.
    pub supervisor: ProcessIdentity,
    /// On which machine.
    pub host: String,
    /// The worker's name, if one supervises it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Time at which it took the lease.
    pub started_at: Timestamp,
    /// The agent's process, once it lived.
    pub process: Option<ProcessIdentity>,
    /// Its process group.
    pub process_group_id: Option<u32>,
    /// Locator of the agent, if it was not a process on its supervisor's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locator: Option<Locator>,
    /// Setup of the attempt, once its agent is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Box<AttemptSetup>>,
    /// Reason why its agent does not live yet, as its target gave it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<AttemptWaiting>,
    /// State of the attempt.
    pub state: AttemptState,
}

impl RunAttempt {
    /// Returns where its agent lived; `None` before it did, and where errand itself did the work.
    pub fn locator(&self) -> Option<Locator> {
        self.locator.clone().or_else(|| self.process.as_ref().map(Locator::of_process))
    }

    /// Returns the name of the target in which its agent lived, or was to live.
    pub fn target(&self) -> &str {
        let of_setup = self.setup.as_ref().map(|setup| setup.target.as_str());
        let of_locator = || self.locator.as_ref().map(|locator| locator.target.as_str());
        of_setup.or_else(of_locator).unwrap_or(Locator::PROCESS)
    }
}

/// State of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// The lease is taken, the agent does not live yet.
    Starting(Stage),
    /// The agent lives.
    Running,
    /// The attempt ended well.
    Exited(AttemptEnd),
    /// The attempt failed.
    Failed(AttemptEnd, Failure),
    /// The attempt was stopped from outside.
    Stopped(AttemptEnd, StopReason),
}

impl AttemptState {
    /// Returns true if a process of the attempt may be alive.
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Starting(_) | Self::Running)
    }
}

/// End of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// Time of the end.
    pub at: Timestamp,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent, where one did.
    pub signal: Option<i32>,
    /// Resource use.
    pub usage: ProcessUsage,
}
