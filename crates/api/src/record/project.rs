//! From the fold of a journal to the record.

use errand_model::budget::{BudgetScope, LimitName};
use errand_model::event::{CancelCause, Failure, RunKind};
use errand_model::run::{AttemptState, Run, Status};
use errand_model::{Head, Timestamp};

use super::coordinator;
use super::operation::operation;
use super::person::{self, RecordPause};
use super::value::{linked_value, millis, session_id, usd};
use super::{
    JournalHead, RECORD_SCHEMA, RecordAgent, RecordArtifact, RecordBom, RecordBudgets,
    RecordContainer, RecordCounters, RecordError, RecordLimit, RecordPort, RecordUsage, RunRecord,
};

/// Paths of a run's files: the part of a record that the journal does not know.
#[derive(Clone, Debug)]
pub struct Places {
    /// The log.
    pub log_path: String,
    /// The session's state.
    pub session_file: Option<String>,
    /// The supervising process, if one holds the lease: pid and process group.
    pub supervisor: Option<(u32, u32)>,
}

/// The record of a run.
pub fn project(run: &Run, head: Head, places: Places) -> RunRecord {
    let (exit_code, signal) = exit(&run.status);
    let live = !run.status.is_terminal();
    let supervisor = places.supervisor.filter(|_| live);
    RunRecord {
        schema: RECORD_SCHEMA,
        run_id: run.id.clone(),
        name: run.spec.name.clone(),
        kind: run.spec.kind,
        status: run.status.name().to_owned(),
        process_status: process_status(&run.status).to_owned(),
        agent: RecordAgent::from(&run.spec.agent),
        trigger: run.spec.trigger.clone(),
        labels: run.spec.labels.clone(),
        namespace: run
            .spec
            .namespace
            .clone()
            .unwrap_or_else(|| errand_model::DEFAULT_NAMESPACE.to_owned()),
        session_id: session_id(&run.spec),
        waits_behind: None,
        parent_run_id: run.spec.parent_run_id.clone(),
        member: run.spec.member.as_deref().map(Into::into),
        coordinator: coordinator::coordinator(run),
        handoff: coordinator::handoff(run),
        origin_run_id: run.spec.origin_run_id.clone(),
        origin_agent: run.spec.origin_agent.as_deref().map(RecordAgent::from),
        by: run.spec.by.clone(),
        detached: run.spec.detached,
        host: run.attempts.last().map_or(&run.spec.host, |attempt| &attempt.host).clone(),
        pid: supervisor.map(|(pid, _)| pid),
        process_group_id: supervisor.map(|(_, group)| group),
        created_at_ms: run.created_at,
        ready_at_ms: ready_at(run),
        started_at_ms: run.started_at,
        stopped_at_ms: run.status.ended_at(),
        duration_ms: run.status.ended_at().and_then(|at| run.duration(at)).map(millis),
        exit_code,
        signal,
        attempt: run.last_attempt_number(),
        attempts: run.attempts.iter().map(Into::into).collect(),
        operation: operation(run),
        input: linked_value(&run.id, run.spec.input.as_ref()),
        output: linked_value(&run.id, run.output.as_ref()),
        last_error: last_error(run),
        log_path: places.log_path,
        session_file: places.session_file,
        usage: usage(run),
        budgets: budgets(run),
        counters: counters(run),
        pause: RecordPause::of(&run.status),
        approvals: person::approvals(run),
        inputs: person::inputs(run),
        artifacts: artifacts(run),
        bom: run.bom.as_ref().map(|bom| RecordBom {
            name: run.spec.agent.name.clone(),
            generation: bom.generation,
            digest: bom.digest.clone(),
            image: bom.image.as_ref().map(Into::into),
        }),
        parcel_digest: run.spec.agent.digest.clone(),
        journal: Some(JournalHead { seq: head.seq, hash: head.hash.to_string() }),
    }
}

fn counters(run: &Run) -> RecordCounters {
    RecordCounters {
        steps: run.counters.steps,
        model_calls: run.counters.model_calls,
        tool_calls: run.counters.tool_calls,
        approvals: run.counters.approvals,
        policy_decisions: run.counters.policy_decisions,
        memory_accesses: run.counters.memory_accesses,
        knowledge_retrievals: run.counters.knowledge_retrievals,
    }
}

fn artifacts(run: &Run) -> Vec<RecordArtifact> {
    let record = |(name, artifact): (&String, &errand_model::run::Artifact)| RecordArtifact {
        name: name.clone(),
        uri: format!("artifact://{}/{name}", run.id),
        digest: artifact.digest.clone(),
        size_bytes: artifact.size_bytes,
        media_type: artifact.media_type.clone(),
    };
    run.artifacts.iter().map(record).collect()
}

fn exit(status: &Status) -> (Option<i32>, Option<i32>) {
    match status {
        Status::Completed { exit_code, .. } => (*exit_code, None),
        Status::Failed { exit_code, signal, .. } | Status::Cancelled { exit_code, signal, .. } => {
            (*exit_code, *signal)
        }
        Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => (None, None),
    }
}

/// The word that `ps` shows: the projection of DESIGN's table, computed and never stored.
fn process_status(status: &Status) -> &'static str {
    match status {
        Status::Pending { .. } => "starting",
        Status::Running { .. } | Status::Paused { .. } => "running",
        Status::Completed { .. } => "exited",
        Status::Failed { .. } => "failed",
        Status::Cancelled { .. } => "stopped",
    }
}

pub(super) fn last_error(run: &Run) -> Option<RecordError> {
    if let Status::Failed { error, .. } = &run.status {
        return Some(error.into());
    }
    if let Status::Cancelled { cause, .. } = &run.status
        && let Some(error) = cancelled(run, *cause)
    {
        return Some(error);
    }
    if let Status::Completed { .. } = &run.status {
        // What went wrong before is with its attempt.
        return None;
    }
    run.attempts.iter().rev().find_map(|attempt| match &attempt.state {
        AttemptState::Failed(_, error) => Some(error.into()),
        AttemptState::Starting(_)
        | AttemptState::Running
        | AttemptState::Exited(_)
        | AttemptState::Stopped(..) => None,
    })
}

/// From when on a worker may claim it, or its next attempt begins.
fn ready_at(run: &Run) -> Option<Timestamp> {
    let Status::Pending { not_before, .. } = &run.status else { return None };
    if run.live_attempt().is_some() {
        return None;
    }
    let Some(placement) = run.spec.placement.as_ref() else {
        return (!run.attempts.is_empty()).then_some(*not_before);
    };
    let wanted = placement.not_before;
    Some(wanted.map_or(*not_before, |wanted| wanted.max(*not_before)))
}

/// Returns the reason of a cancellation that no person asked for.
fn cancelled(run: &Run, cause: CancelCause) -> Option<RecordError> {
    let (code, message) = match cause {
        CancelCause::QueueTimeout => {
            let limit = run.spec.timeouts.queue.unwrap_or_default();
            ("timeout_queue", format!("the run could not begin within its limit of {limit:?}"))
        }
        CancelCause::Superseded => {
            let by = run.cancel_requested.as_ref().and_then(|request| request.by.as_deref());
            let by = by.unwrap_or("a newer one");
            ("superseded", format!("run {by} took its place in the session"))
        }
        CancelCause::ApprovalDeadline => {
            ("timeout_approval", "nobody decided within the time that it had".to_owned())
        }
        CancelCause::Budget => {
            let spent: Vec<&str> = run.budget.exceeded.iter().map(|name| name.word()).collect();
            ("budget_exceeded", format!("it was over its budget: {}", spent.join(", ")))
        }
        CancelCause::Parent => ("stopped", "the run that started it ended it".to_owned()),
        CancelCause::Stopped | CancelCause::Interrupted | CancelCause::SupervisorGone => {
            return None;
        }
    };
    Some(RecordError { code: code.to_owned(), message, step: None, stderr_tail: None })
}

impl From<&Failure> for RecordError {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.to_string(),
            message: failure.message.clone(),
            step: failure.step.clone(),
            stderr_tail: failure.stderr_tail.clone(),
        }
    }
}

fn usage(run: &Run) -> RecordUsage {
    let usage = &run.usage;
    let by_agent = coordinator::usage_by_agent(run);
    let wall_ms = by_agent.iter().map(|sums| sums.wall_time_ms).sum();
    RecordUsage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_tokens: usage.cached_tokens,
        reasoning_tokens: usage.reasoning_tokens,
        cost_usd: usage.cost_micro_usd.map(usd),
        unpriced_calls: usage.unpriced_calls,
        wall_time_ms: run.budget.watch.spent_ms.saturating_add(wall_ms),
        exceeded: run.budget.exceeded.iter().copied().collect(),
        by_step: Vec::new(),
        by_agent,
    }
}

fn budgets(run: &Run) -> Option<RecordBudgets> {
    // Time is shown as it was counted last; the record has no clock.
    let spent = run.spent(run.budget.watch.since_ms.unwrap_or_default());
    let limit = |limit: LimitName| {
        let used = (limit.scope() == BudgetScope::Run).then(|| spent.of(limit.measure()));
        Some(RecordLimit { limit, allowed: run.allowed(limit)?, used })
    };
    let limits: Vec<_> = LimitName::ALL.into_iter().filter_map(limit).collect();
    let on_exceed = run.spec.budgets.on_exceed;
    (!limits.is_empty()).then_some(RecordBudgets { on_exceed, limits })
}

impl RunRecord {
    /// Returns true if the run never changes again.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }

    /// Returns the container that the run's agent lives in. The ports of one that is gone may be
    /// those of another container.
    pub fn live_container(&self) -> Option<&RecordContainer> {
        let live = self.attempts.last().filter(|attempt| attempt.status == "running");
        live.and_then(|attempt| attempt.container.as_ref())
    }

    /// Returns the published ports of the run's live agent: of its container, or of its task at a dispatcher.
    pub fn live_ports(&self) -> &[RecordPort] {
        let live = self.attempts.last().filter(|attempt| attempt.status == "running");
        let task = live.and_then(|attempt| attempt.task.as_ref());
        match (self.live_container(), task) {
            (Some(container), _) => &container.ports,
            (None, Some(task)) => &task.ports,
            (None, None) => &[],
        }
    }

    /// Returns the time of the next wake, for a service.
    pub fn next_wake_at(&self) -> Option<Timestamp> {
        self.operation.next_wake_at_ms.filter(|_| self.kind == RunKind::Service)
    }
}
