//! Attempts in the record.

use errand_model::Timestamp;
use errand_model::event::ProcessUsage;
use errand_model::run::{Attempt, AttemptEnd, AttemptState};
use serde::{Deserialize, Serialize};

use super::RecordError;

/// One try at a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Counts from 1.
    pub number: u32,
    /// `initial`, `retry`, `resume`, `restart` or `recovery`.
    pub reason: errand_model::event::AttemptReason,
    /// `starting`, `running`, `exited`, `failed` or `stopped`.
    pub status: String,
    /// How far a starting attempt is.
    pub stage: Option<errand_model::event::Stage>,
    /// The agent's process.
    pub pid: Option<u32>,
    /// The agent's process group.
    pub process_group_id: Option<u32>,
    /// When it took the lease.
    pub started_at_ms: Timestamp,
    /// When it ended.
    pub stopped_at_ms: Option<Timestamp>,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub signal: Option<i32>,
    /// What went wrong.
    pub error: Option<RecordError>,
    /// What it used; `null` until it ended.
    pub usage: Option<AttemptUsage>,
}

/// What an attempt used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptUsage {
    /// From start to end.
    pub wall_ms: u64,
    /// User and system time.
    pub cpu_ms: Option<u64>,
    /// The largest resident set.
    pub max_rss_bytes: Option<u64>,
}

impl From<&ProcessUsage> for AttemptUsage {
    fn from(usage: &ProcessUsage) -> Self {
        Self {
            wall_ms: super::project::millis(usage.wall),
            cpu_ms: usage.cpu.map(super::project::millis),
            max_rss_bytes: usage.max_rss_bytes,
        }
    }
}

impl From<&Attempt> for AttemptRecord {
    fn from(attempt: &Attempt) -> Self {
        let (status, stage, end, error): (_, _, Option<&AttemptEnd>, _) = match &attempt.state {
            AttemptState::Starting(stage) => ("starting", Some(*stage), None, None),
            AttemptState::Running => ("running", None, None, None),
            AttemptState::Exited(end) => ("exited", None, Some(end), None),
            AttemptState::Failed(end, error) => ("failed", None, Some(end), Some(error)),
            AttemptState::Stopped(end, _) => ("stopped", None, Some(end), None),
        };
        Self {
            number: attempt.number,
            reason: attempt.reason,
            status: status.to_owned(),
            stage,
            pid: attempt.process.as_ref().map(|process| process.pid),
            process_group_id: attempt.process_group_id,
            started_at_ms: attempt.started_at,
            stopped_at_ms: end.map(|end| end.at),
            exit_code: end.and_then(|end| end.exit_code),
            signal: end.and_then(|end| end.signal),
            error: error.map(Into::into),
            usage: end.map(|end| (&end.usage).into()),
        }
    }
}
