//! Attempts in the record.

use errand_model::event::ProcessUsage;
use errand_model::run::{AttemptEnd, AttemptState, RunAttempt};
use errand_model::{Digest, Locator, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RecordError;

/// An attempt: one try at a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RecordAttempt")]
pub struct AttemptRecord {
    /// Counts from 1.
    pub number: u32,
    /// `initial`, `retry`, `resume`, `restart` or `recovery`.
    pub reason: errand_model::event::AttemptReason,
    /// `starting`, `running`, `exited`, `failed` or `stopped`.
    #[schemars(extend("enum" = ["starting", "running", "exited", "failed", "stopped"]))]
    pub status: String,
    /// Stage of a starting attempt.
    pub stage: Option<errand_model::event::Stage>,
    /// Reason for which a starting attempt waits, as its target gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<RecordWait>,
    /// The machine that it was made on.
    #[serde(default)]
    pub host: String,
    /// The worker that made it, by its name; `null` for a process of the run's own.
    #[serde(default)]
    pub worker: Option<String>,
    /// The agent's process.
    pub pid: Option<u32>,
    /// The agent's process group.
    pub process_group_id: Option<u32>,
    /// Harness that drove the agent: `command`, `acp` or `react`; `null` before it was started.
    #[serde(default)]
    pub harness: Option<String>,
    /// Target of its process: `process`, `container` or `kubernetes`.
    #[serde(default)]
    pub target: Option<String>,
    /// The container that its agent lives in, or lived in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<RecordContainer>,
    /// The task at a dispatcher that carries it out, or carried it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<RecordTask>,
    /// The directory that it worked in.
    #[serde(default)]
    pub workspace: Option<RecordWorkspace>,
    /// The digest of the brief that it got, which is `brief.json` among the files of the run.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub brief_digest: Option<Digest>,
    /// The folder of the registry from which it was started.
    #[serde(default)]
    pub registry_path: Option<String>,
    /// Time at which it took the lease.
    #[schemars(with = "i64")]
    pub started_at_ms: Timestamp,
    /// Time of its end.
    #[schemars(with = "Option<i64>")]
    pub stopped_at_ms: Option<Timestamp>,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub signal: Option<i32>,
    /// Error of the attempt.
    pub error: Option<RecordError>,
    /// Resource use; `null` until it ended.
    pub usage: Option<AttemptUsage>,
}

/// Reason for which a starting attempt waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordWait {
    /// Word of the target, such as `Unschedulable`, `ImagePullBackOff` or `ImagePull`.
    pub reason: String,
    /// Text of the target; may be empty.
    #[serde(default)]
    pub message: String,
}

/// The container of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RecordContainer {
    /// Id that the engine gave it.
    pub id: String,
    /// Name: `errand-RUN-ATTEMPT`.
    pub name: String,
    /// Address of the engine.
    pub engine: String,
    /// The image as the agent file names it.
    pub image: String,
    /// The image with the digest that the name stood for when the attempt began.
    pub image_digest: String,
    /// Published ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<RecordPort>,
}

/// A published port of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RecordPort {
    /// Port in the container.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Address of this machine at which it is published; `null` if the engine named none.
    pub host: Option<String>,
    /// Port of this machine; `null` if the engine named none.
    pub port: Option<u16>,
}

impl RecordContainer {
    /// Returns the container that a locator names; `None` for a locator of another target.
    fn of(locator: &Locator) -> Option<Self> {
        if locator.target != "container" {
            return None;
        }
        let fields = locator.fields.clone().into_iter().collect();
        serde_json::from_value(Value::Object(fields)).ok()
    }
}

/// The task at a dispatcher that carries an attempt out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RecordTask {
    /// Name of the dispatcher in the catalog.
    pub dispatcher: String,
    /// Address of the dispatcher.
    pub url: String,
    /// Id of the task.
    pub task_id: String,
    /// State of the task as it was seen last while it was live: `QUEUED`, `PROVISIONING` or `RUNNING`.
    pub status: String,
    /// Published ports, with their addresses on the dispatcher's machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<RecordPort>,
}

impl RecordTask {
    /// Returns the task that a locator names; `None` for a locator of another target.
    fn of(locator: &Locator) -> Option<Self> {
        if locator.target != "dispatcher" {
            return None;
        }
        let fields = locator.fields.clone().into_iter().collect();
        serde_json::from_value(Value::Object(fields)).ok()
    }
}

/// The directory that an attempt worked in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordWorkspace {
    /// `temp`, `cwd`, `worktree` or `clone`.
    pub mode: String,
    /// Path on the attempt's machine.
    pub path: String,
}

/// Resource use of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RecordAttemptUsage")]
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
            wall_ms: super::value::millis(usage.wall),
            cpu_ms: usage.cpu.map(super::value::millis),
            max_rss_bytes: usage.max_rss_bytes,
        }
    }
}

impl From<&RunAttempt> for AttemptRecord {
    fn from(attempt: &RunAttempt) -> Self {
        let (status, stage, end, error): (_, _, Option<&AttemptEnd>, _) = match &attempt.state {
            AttemptState::Starting(stage) => ("starting", Some(*stage), None, None),
            AttemptState::Running => ("running", None, None, None),
            AttemptState::Exited(end) => ("exited", None, Some(end), None),
            AttemptState::Failed(end, error) => ("failed", None, Some(end), Some(error)),
            AttemptState::Stopped(end, _) => ("stopped", None, Some(end), None),
        };
        let setup = attempt.setup.as_deref();
        let waits_for = attempt.waits_for.as_ref().filter(|_| stage.is_some());
        Self {
            number: attempt.number,
            reason: attempt.reason,
            status: status.to_owned(),
            stage,
            waits_for: waits_for
                .map(|it| RecordWait { reason: it.reason.clone(), message: it.message.clone() }),
            host: attempt.host.clone(),
            worker: attempt.worker.clone(),
            pid: attempt.process.as_ref().map(|process| process.pid),
            process_group_id: attempt.process_group_id,
            harness: setup.map(|setup| setup.harness.clone()),
            target: setup.map(|setup| setup.target.clone()),
            container: attempt.locator().as_ref().and_then(RecordContainer::of),
            task: attempt.locator().as_ref().and_then(RecordTask::of),
            workspace: setup.map(|setup| RecordWorkspace {
                mode: setup.workspace_mode.clone(),
                path: setup.workspace_path.clone(),
            }),
            brief_digest: setup.map(|setup| setup.brief_digest.clone()),
            registry_path: setup.map(|setup| setup.registry_path.clone()),
            started_at_ms: attempt.started_at,
            stopped_at_ms: end.map(|end| end.at),
            exit_code: end.and_then(|end| end.exit_code),
            signal: end.and_then(|end| end.signal),
            error: error.map(Into::into),
            usage: end.map(|end| (&end.usage).into()),
        }
    }
}
