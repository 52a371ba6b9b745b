//! A run as a manifest: what was asked for (`spec`) and what became of it (`status`), with times
//! that people read.
//!
//! A manifest has the content of the record, in the form that people know from declarative tools.
//! Deliberately absent: values of environment variables, and where files are on this machine.

use std::collections::BTreeMap;

use errand_model::budget::{BudgetLimits, LimitName};
use errand_model::event::{Inherits, OnBusy, Replay, RunKind, Trigger};
use errand_model::retry::RetryPolicy;
use errand_model::run::Run;
use errand_model::{Digest, Head, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::project::last_error;
use super::value::millis;
use super::{AttemptUsage, RecordError, RunRecord};

/// The `kind` of a run's manifest.
pub const MANIFEST_KIND: &str = "Run";

/// A run as a manifest. Times are RFC 3339 in UTC, durations milliseconds, `null` where not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`crate::agent_file::API_VERSION`].
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// [`MANIFEST_KIND`].
    pub kind: String,
    /// Name and origin.
    pub metadata: ManifestMetadata,
    /// Specification, decided at admission.
    pub spec: ManifestSpec,
    /// Status of the run.
    pub status: ManifestStatus,
}

/// Name and origin of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestMetadata {
    /// The name that the caller gave, or the run's id.
    pub name: String,
    /// The run's name for ever.
    pub run_id: RunId,
    /// Namespace of the run.
    #[serde(default = "super::default_namespace")]
    pub namespace: String,
    /// Labels of agent and caller.
    pub labels: BTreeMap<String, String>,
    /// Time of the admission.
    pub created_at: String,
    /// The machine on which it was admitted.
    pub host: String,
    /// The run that started it.
    pub parent_run_id: Option<RunId>,
    /// The run it repeats.
    pub origin_run_id: Option<RunId>,
}

/// Specification, decided at admission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestSpec {
    /// Agent of the run.
    pub agent: super::RecordAgent,
    /// `job`, `heartbeat` or `service`.
    pub kind: RunKind,
    /// Trigger of the run.
    pub trigger: Trigger,
    /// Input of the agent, in the record's form.
    pub input: Value,
    /// The conversation it belongs to.
    pub session_id: Option<String>,
    /// Names of the environment variables that the caller gave.
    pub env: Vec<String>,
    /// Limits on time.
    pub timeouts: ManifestTimeouts,
    /// Retry policy.
    pub retry_policy: RetryPolicy,
    /// Limits on spending; `null`: none.
    pub budgets: Option<BudgetLimits>,
    /// Behaviour while another run of the session has the turn.
    pub session_turn: Option<OnBusy>,
    /// The run whose completed steps and checkpoint it starts with.
    pub inherits: Option<Inherits>,
    /// Set for a run that does again what another did.
    pub replay: Option<Replay>,
    /// Address for the report of the result.
    pub callback_url: Option<String>,
    /// True if the caller did not wait for it.
    pub detached: bool,
}

/// Limits on time in milliseconds; `null`: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestTimeouts {
    /// The whole run.
    pub run_ms: Option<u64>,
    /// Limit of one step.
    pub step_ms: Option<u64>,
    /// From admission to the first attempt.
    pub queue_ms: Option<u64>,
    /// Limit of one approval.
    pub approval_ms: Option<u64>,
}

/// Status of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestStatus {
    /// Phase: one of the six statuses.
    pub phase: String,
    /// Time of the first attempt's report that it runs.
    pub started_at: Option<String>,
    /// Time of the terminal event.
    pub completed_at: Option<String>,
    /// From start to end.
    pub duration_ms: Option<u64>,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub signal: Option<i32>,
    /// Output of the agent, in the record's form.
    pub output: Value,
    /// Last error.
    pub last_error: Option<RecordError>,
    /// True if all attempts are spent and the run is kept.
    pub dead_letter: bool,
    /// Duration of all ended pauses.
    pub paused_ms: u64,
    /// State of its limits.
    pub budget: Budget,
    /// Known cost in US dollars; `null`: none is known.
    pub cost_usd: Option<f64>,
    /// Calls whose cost is not known.
    pub unpriced_calls: u64,
    /// Tokens of all model calls.
    pub tokens: ManifestTokens,
    /// Completed steps.
    pub steps: u64,
    /// Model calls.
    pub model_calls: u64,
    /// Tool calls.
    pub tool_calls: u64,
    /// Approvals asked for.
    pub approvals: u64,
    /// Policy decisions.
    pub policy_decisions: u64,
    /// Accesses to memory that the agent reported.
    #[serde(default)]
    pub memory_accesses: u64,
    /// Look-ups in bodies of knowledge that the agent reported.
    #[serde(default)]
    pub knowledge_retrievals: u64,
    /// All attempts.
    pub attempts: Vec<ManifestAttempt>,
    /// Its output files: `artifact://<run-id>/<name>`.
    pub artifacts: Vec<String>,
    /// Its timeline: `trace://<run-id>`, drawn by `errand trace`.
    pub trace: String,
    /// The inventory of the last attempt.
    pub bom: Option<super::RecordBom>,
    /// The end of its journal: with the hash of its last event, no other journal can be meant.
    pub journal: Journal,
}

/// State of a run's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Limits of which 80 % were used at some time.
    pub warned: Vec<LimitName>,
    /// Limits that were exceeded at some time.
    pub exceeded: Vec<LimitName>,
    /// Limits that a person raised, and to what.
    pub raised: BTreeMap<LimitName, u64>,
}

/// Tokens of all model calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestTokens {
    /// Read.
    pub input: u64,
    /// Written.
    pub output: u64,
    /// Input tokens that were read from a cache.
    pub cached: u64,
    /// Output tokens that were spent on reasoning.
    pub reasoning: u64,
}

/// An attempt: one try at the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestAttempt {
    /// Counts from 1.
    pub number: u32,
    /// `initial`, `retry`, `resume`, `restart` or `recovery`.
    pub reason: errand_model::event::AttemptReason,
    /// `starting`, `running`, `exited`, `failed` or `stopped`.
    pub status: String,
    /// Harness that drove the agent; `null` before it was started.
    #[serde(default)]
    pub harness: Option<String>,
    /// Target of its process.
    #[serde(default)]
    pub target: Option<String>,
    /// `temp`, `cwd`, `worktree` or `clone`: what it worked in.
    #[serde(default)]
    pub workspace: Option<String>,
    /// The digest of the brief that it got.
    #[serde(default)]
    pub brief_digest: Option<Digest>,
    /// Time at which it took the lease.
    pub started_at: String,
    /// Time of its end.
    pub completed_at: Option<String>,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub signal: Option<i32>,
    /// Error of the attempt.
    pub error: Option<RecordError>,
    /// Resource use; `null` until it ended.
    pub usage: Option<AttemptUsage>,
}

/// The end of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Number of its events.
    pub events: u64,
    /// The hash of the last.
    pub hash: String,
    /// True if no event can follow.
    pub sealed: bool,
}

/// The manifest of a run. `record` is the run's record.
pub fn manifest(run: &Run, head: Head, record: &RunRecord) -> Manifest {
    Manifest {
        api_version: crate::agent_file::API_VERSION.to_owned(),
        kind: MANIFEST_KIND.to_owned(),
        metadata: ManifestMetadata {
            name: run.spec.name.clone().unwrap_or_else(|| run.id.to_string()),
            run_id: run.id.clone(),
            namespace: record.namespace.clone(),
            labels: run.spec.labels.clone(),
            created_at: run.created_at.to_string(),
            host: run.spec.host.clone(),
            parent_run_id: run.spec.parent_run_id.clone(),
            origin_run_id: run.spec.origin_run_id.clone(),
        },
        spec: spec(run, record),
        status: status(run, head, record),
    }
}

fn spec(run: &Run, record: &RunRecord) -> ManifestSpec {
    let timeouts = &run.spec.timeouts;
    ManifestSpec {
        agent: record.agent.clone(),
        kind: run.spec.kind,
        trigger: run.spec.trigger.clone(),
        input: record.input.clone(),
        session_id: super::value::session_id(&run.spec),
        env: run.spec.env.keys().cloned().collect(),
        timeouts: ManifestTimeouts {
            run_ms: timeouts.run.map(millis),
            step_ms: timeouts.step.map(millis),
            queue_ms: timeouts.queue.map(millis),
            approval_ms: timeouts.approval.map(millis),
        },
        retry_policy: run.spec.retry.clone(),
        budgets: Some(run.spec.budgets.clone()).filter(|limits| !limits.is_unlimited()),
        session_turn: run.spec.session_turn,
        inherits: run.spec.inherits.clone(),
        replay: run.spec.replay.clone(),
        callback_url: run.spec.callback_url.clone(),
        detached: run.spec.detached,
    }
}

fn status(run: &Run, head: Head, record: &RunRecord) -> ManifestStatus {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let (usage, counters) = (&record.usage, &record.counters);
    ManifestStatus {
        phase: record.status.clone(),
        started_at: time(record.started_at_ms),
        completed_at: time(record.stopped_at_ms),
        duration_ms: record.duration_ms,
        exit_code: record.exit_code,
        signal: record.signal,
        output: record.output.clone(),
        last_error: last_error(run),
        dead_letter: run.dead_letter,
        paused_ms: millis(run.paused),
        budget: Budget {
            warned: run.budget.warned.iter().copied().collect(),
            exceeded: run.budget.exceeded.iter().copied().collect(),
            raised: run.budget.raised.clone(),
        },
        cost_usd: usage.cost_usd,
        unpriced_calls: usage.unpriced_calls,
        tokens: ManifestTokens {
            input: usage.input_tokens,
            output: usage.output_tokens,
            cached: usage.cached_tokens,
            reasoning: usage.reasoning_tokens,
        },
        steps: counters.steps,
        model_calls: counters.model_calls,
        tool_calls: counters.tool_calls,
        approvals: counters.approvals,
        policy_decisions: counters.policy_decisions,
        memory_accesses: counters.memory_accesses,
        knowledge_retrievals: counters.knowledge_retrievals,
        attempts: record
            .attempts
            .iter()
            .map(|attempt| ManifestAttempt {
                number: attempt.number,
                reason: attempt.reason,
                status: attempt.status.clone(),
                harness: attempt.harness.clone(),
                target: attempt.target.clone(),
                workspace: attempt.workspace.as_ref().map(|it| it.mode.clone()),
                brief_digest: attempt.brief_digest.clone(),
                started_at: attempt.started_at_ms.to_string(),
                completed_at: time(attempt.stopped_at_ms),
                exit_code: attempt.exit_code,
                signal: attempt.signal,
                error: attempt.error.clone(),
                usage: attempt.usage,
            })
            .collect(),
        artifacts: record.artifacts.iter().map(|artifact| artifact.uri.clone()).collect(),
        trace: format!("trace://{}", run.id),
        bom: record.bom.clone(),
        journal: Journal {
            events: head.seq,
            hash: head.hash.to_string(),
            sealed: run.status.is_terminal(),
        },
    }
}
