//! Events of one attempt.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Failure;
use crate::{Digest, Locator, ProcessIdentity};

/// `attempt.started`: the lease is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStarted {
    /// Counts from 1 in its run.
    pub number: u32,
    /// Reason for the attempt.
    pub reason: AttemptReason,
    /// Stage of the start.
    pub stage: Stage,
    /// The lease it writes under; grows with every attempt and every take-over.
    pub epoch: u64,
    /// The process that supervises it.
    pub supervisor: ProcessIdentity,
    /// The machine of that process.
    pub host: String,
    /// The worker that the process is, by its name; `None` for a process of the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// Reason for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptReason {
    /// The first.
    Initial,
    /// The last one failed.
    Retry,
    /// A parked run goes on.
    Resume,
    /// A client asked.
    Restart,
    /// The last one's worker died or was told to stop.
    Recovery,
}

/// Stage of a starting attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AttemptStage")]
pub enum Stage {
    /// A worker holds the lease.
    Leased,
    /// The place to run it in is being made.
    Provisioning,
    /// The brief is being assembled.
    Briefing,
    /// Started elsewhere, and not heard of yet.
    AwaitingCheckin,
}

/// `attempt.running`: the agent's process lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRunning {
    /// The agent's process; `None` where errand itself does the work.
    pub process: Option<ProcessIdentity>,
    /// Its process group, which is also its session.
    pub process_group_id: Option<u32>,
    /// Locator of the agent, if it is not a process on its supervisor's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locator: Option<Locator>,
    /// Mechanism that enforces the memory limit; `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_enforced_by: Option<MemoryEnforcement>,
    /// Setup of the attempt; `None` where errand itself does the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Box<AttemptSetup>>,
}

/// `attempt.adopted`: another process supervises the attempt. Its agent outlived the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptAdopted {
    /// Number of the lease under which the attempt goes on; above every one before.
    pub epoch: u64,
    /// The process that supervises it from now on.
    pub supervisor: ProcessIdentity,
    /// The machine of that process.
    pub host: String,
    /// The worker that the process is, by its name; `None` for a process of the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// `attempt.waiting`: the agent does not live yet, and its target says why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptWaiting {
    /// Reason in a word of the target, such as `Unschedulable` or `ImagePull`.
    pub reason: String,
    /// Text of the target; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// `attempt.task_changed`: the task at a dispatcher that carries the attempt out has another state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskChanged {
    /// State of the task: `QUEUED`, `PROVISIONING` or `RUNNING`.
    pub status: String,
    /// Published ports, with their addresses on the dispatcher's machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Value>,
}

/// Means by which a limit on an attempt's memory is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryEnforcement {
    /// The supervisor samples the memory of all processes of the attempt and kills them.
    Rss,
    /// The kernel keeps the control group of the attempt below the limit, and kills processes in it.
    Cgroup,
}

/// Setup of an attempt before the start of its agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSetup {
    /// Harness that drives the agent: `command`, `acp` or `react`.
    pub harness: String,
    /// Target of its process: `process`, `container` or `kubernetes`.
    pub target: String,
    /// Mode of the workspace: `temp`, `cwd`, `worktree` or `clone`.
    pub workspace_mode: String,
    /// Path of the workspace on the attempt's machine.
    pub workspace_path: String,
    /// The digest of the brief that the agent got, secrets masked.
    pub brief_digest: Digest,
    /// The folder of the registry from which the attempt was started.
    pub registry_path: String,
}

/// Resource use of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// From the start of the process to its end.
    #[serde(rename = "wall_ms", with = "crate::millis")]
    pub wall: Duration,
    /// User and system time, of descendants that were waited for too.
    #[serde(rename = "cpu_ms", with = "crate::millis::optional", default)]
    pub cpu: Option<Duration>,
    /// The largest resident set of any of its processes.
    pub max_rss_bytes: Option<u64>,
}

/// `attempt.exited`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptExited {
    /// The agent's exit code, where there was a process.
    pub exit_code: Option<i32>,
    /// Resource use.
    pub usage: ProcessUsage,
}

/// `attempt.failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFailed {
    /// Error of the attempt.
    pub error: Failure,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent, where one did.
    pub signal: Option<i32>,
    /// Resource use, as far as it is known.
    pub usage: ProcessUsage,
}

/// `attempt.stopped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStopped {
    /// Reason for the stop.
    pub reason: StopReason,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent, where one did.
    pub signal: Option<i32>,
    /// Resource use.
    pub usage: ProcessUsage,
}

/// Reason for the stop of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The run is cancelled.
    Cancel,
    /// The run waits without a process.
    Park,
    /// The worker was told to stop.
    Drain,
    /// Another attempt takes its place.
    Restart,
}
