//! Changes of a run's state by each event, once `apply.rs` found that the event may follow.

use super::attempt::{AttemptEnd, AttemptState, RunAttempt};
use super::state::{Approval, Artifact, BomRef, Checkpoint, Inquiry, Reply, Run, Status, Verdict};
use crate::accounting::{
    KNOWLEDGE_RETRIEVED, MEMORY_ACCESSED, MODEL_CALLED, ModelCall, TOOL_CALLED, ToolCall,
};
use crate::budget::{OnWarn, ToldBudget};
use crate::event::{
    AttemptEvent, AttemptStarted, LimitEvent, PauseReason, QuestionEvent, Reported, RequeueReason,
    ResultEvent, RunEvent, RunFailed, SessionEvent, StepEvent,
};
use crate::{EventContext, Timestamp};

impl Run {
    pub(super) fn apply_attempt(&mut self, context: EventContext, event: AttemptEvent<'_>) {
        let at = context.at;
        let end = |exit_code, signal, usage| AttemptEnd { at, exit_code, signal, usage };
        if let AttemptEvent::Started(started) = event {
            self.begin_attempt(at, started);
        }
        let Some(attempt) = self.attempts.last_mut() else { return };
        match event {
            AttemptEvent::Started(_) => {}
            AttemptEvent::Waiting(waiting) => attempt.waits_for = Some(waiting.clone()),
            AttemptEvent::Running(running) => {
                attempt.waits_for = None;
                attempt.process.clone_from(&running.process);
                attempt.process_group_id = running.process_group_id;
                attempt.locator.clone_from(&running.locator);
                attempt.setup.clone_from(&running.setup);
                attempt.state = AttemptState::Running;
            }
            AttemptEvent::Adopted(adopted) => {
                self.epoch = adopted.epoch;
                attempt.epoch = adopted.epoch;
                attempt.supervisor.clone_from(&adopted.supervisor);
                attempt.host.clone_from(&adopted.host);
                attempt.worker.clone_from(&adopted.worker);
            }
            AttemptEvent::TaskChanged(task) => {
                if let Some(locator) = &mut attempt.locator {
                    locator.fields.insert("status".to_owned(), task.status.clone().into());
                    locator.fields.insert("ports".to_owned(), task.ports.clone().into());
                }
            }
            AttemptEvent::Exited(exited) => {
                attempt.state = AttemptState::Exited(end(exited.exit_code, None, exited.usage));
            }
            AttemptEvent::Failed(failed) => {
                let end = end(failed.exit_code, failed.signal, failed.usage);
                attempt.state = AttemptState::Failed(end, failed.error.clone());
            }
            AttemptEvent::Stopped(stopped) => {
                let end = end(stopped.exit_code, stopped.signal, stopped.usage);
                attempt.state = AttemptState::Stopped(end, stopped.reason);
            }
        }
    }

    fn begin_attempt(&mut self, at: Timestamp, started: &AttemptStarted) {
        self.epoch = started.epoch;
        self.attempts.push(RunAttempt {
            number: started.number,
            reason: started.reason,
            epoch: started.epoch,
            supervisor: started.supervisor.clone(),
            host: started.host.clone(),
            worker: started.worker.clone(),
            started_at: at,
            process: None,
            process_group_id: None,
            locator: None,
            setup: None,
            waits_for: None,
            state: AttemptState::Starting(started.stage),
        });
    }

    pub(super) fn apply_run(&mut self, at: Timestamp, event: RunEvent<'_>) {
        match event {
            // `check` refuses it: it is the first event of a journal, and only that.
            RunEvent::Created(_) => {}
            RunEvent::CancelRequested(request) => self.cancel_requested = Some(request.clone()),
            RunEvent::RestartRequested(request) => self.restart_requested = Some(request.clone()),
            RunEvent::Started(_) => {
                self.started_at.get_or_insert(at);
                self.status = Status::Running { since: at };
            }
            RunEvent::Requeued(requeued) => {
                if requeued.reason == RequeueReason::Restart {
                    self.restart_requested = None;
                }
                self.status = Status::Pending {
                    since: at,
                    not_before: requeued.not_before_ms,
                    reason: Some(requeued.reason),
                };
            }
            RunEvent::Paused(paused) => {
                let since = if let Status::Paused { since, .. } = self.status { since } else { at };
                self.status = Status::paused(since, paused);
            }
            RunEvent::Resumed(_) => self.resumed(at),
            RunEvent::Completed(completed) => {
                self.output.clone_from(&completed.output);
                self.status = Status::Completed { at, exit_code: completed.exit_code };
            }
            RunEvent::Failed(failed) => {
                let RunFailed { error, exit_code, signal, task: _ } = failed.clone();
                self.status = Status::Failed { at, error, exit_code, signal };
            }
            RunEvent::Cancelled(cancelled) => {
                self.status = Status::Cancelled {
                    at,
                    cause: cancelled.cause,
                    exit_code: cancelled.exit_code,
                    signal: cancelled.signal,
                };
            }
            RunEvent::DeadLettered(_) => self.dead_letter = true,
        }
    }

    fn resumed(&mut self, at: Timestamp) {
        if let Status::Paused { since, reason, .. } = self.status {
            self.paused += at.since(since);
            if reason == PauseReason::Budget {
                // A budget that is exceeded again is acted on again.
                self.budget.spent.clear();
            }
        }
        self.status = if self.live_attempt().is_some() {
            // An approval may precede `attempt.running`; the attempt has started nevertheless.
            self.started_at.get_or_insert(at);
            Status::Running { since: at }
        } else {
            Status::Pending { since: at, not_before: at, reason: None }
        };
    }

    pub(super) fn apply_step(&mut self, context: EventContext, event: StepEvent<'_>) {
        match event {
            StepEvent::Completed(_) | StepEvent::Inherited(_) => self.counters.steps += 1,
            StepEvent::CheckpointInherited(inherited) => {
                self.checkpoint =
                    Some(Checkpoint { state: inherited.state.clone(), at: context.at, attempt: 0 });
            }
            StepEvent::CheckpointSaved(saved) => {
                self.checkpoint = Some(Checkpoint {
                    state: saved.state.clone(),
                    at: context.at,
                    attempt: context.attempt,
                });
            }
            // `step::Steps` folds them.
            StepEvent::Started(_) | StepEvent::Failed(_) => {}
        }
    }

    /// Takes in an event of the session; the store keeps the session itself.
    pub(super) const fn apply_session(&mut self, event: SessionEvent<'_>) {
        match event {
            SessionEvent::Appended(_) => self.has_spoken = true,
            SessionEvent::Loaded(_)
            | SessionEvent::Updated(_)
            | SessionEvent::Cached(_)
            | SessionEvent::RolledBack(_) => {}
        }
    }

    pub(super) fn apply_result(&mut self, context: EventContext, event: ResultEvent<'_>) {
        match event {
            ResultEvent::OutputSet(set) => self.output = Some(set.output.clone()),
            ResultEvent::ArtifactCreated(created) => {
                let artifact = Artifact {
                    digest: created.digest.clone(),
                    size_bytes: created.size_bytes,
                    media_type: created.media_type.clone(),
                    at: context.at,
                };
                self.artifacts.insert(created.name.clone(), artifact);
            }
            ResultEvent::OutputDelta(_)
            | ResultEvent::ReplayDiverged(_)
            | ResultEvent::CheckbackRefused(_) => {}
        }
    }

    pub(super) fn count(&mut self, reported: &Reported) {
        match reported.type_name() {
            MODEL_CALLED => {
                self.counters.model_calls += 1;
                self.usage.add(&ModelCall::of(reported.data()));
            }
            TOOL_CALLED => {
                self.counters.tool_calls += 1;
                self.usage.add_tool(&ToolCall::of(reported.data()));
                self.calls.add_tool(reported.data());
            }
            MEMORY_ACCESSED => self.counters.memory_accesses += 1,
            KNOWLEDGE_RETRIEVED => self.counters.knowledge_retrievals += 1,
            _ => {}
        }
    }

    pub(super) fn apply_question(&mut self, context: EventContext, event: QuestionEvent<'_>) {
        let (at, attempt) = (context.at, context.attempt);
        match event {
            QuestionEvent::ApprovalRequested(request) => {
                let asked_at = self.approvals.get(&request.approval_id).map(|known| known.asked_at);
                if asked_at.is_none() {
                    self.counters.approvals += 1;
                }
                let asked_at = asked_at.unwrap_or(at);
                let open = Approval { request: request.clone(), asked_at, attempt, verdict: None };
                self.approvals.insert(request.approval_id.clone(), open);
            }
            QuestionEvent::ApprovalDecided(decided) => {
                let Some(approval) = self.approvals.get_mut(&decided.approval_id) else { return };
                approval.verdict = Some(Verdict {
                    decision: decided.decision,
                    decided_by: decided.decided_by.clone(),
                    comment: decided.comment.clone(),
                    by_deadline: decided.by_deadline,
                    at,
                    decision_id: decided.decision_id.clone(),
                });
            }
            QuestionEvent::InputRequested(request) => {
                let known = self.inputs.get(&request.input_id);
                let asked_at = known.map_or(at, |known| known.asked_at);
                let open = Inquiry { request: request.clone(), asked_at, attempt, reply: None };
                self.inputs.insert(request.input_id.clone(), open);
            }
            QuestionEvent::InputProvided(provided) => {
                let Some(inquiry) = self.inputs.get_mut(&provided.input_id) else { return };
                let (answer, by) = (provided.answer.clone(), provided.provided_by.clone());
                let decision_id = provided.decision_id.clone();
                inquiry.reply = Some(Reply::Provided { answer, by, at, decision_id });
            }
            QuestionEvent::InputExpired(expired) => {
                let Some(inquiry) = self.inputs.get_mut(&expired.input_id) else { return };
                inquiry.reply = Some(Reply::Expired { at });
            }
        }
    }

    pub(super) fn apply_limit(&mut self, context: EventContext, event: LimitEvent<'_>) {
        match event {
            LimitEvent::BudgetWarned(warned) => {
                self.budget.warned.insert(warned.limit);
                match self.spec.budgets.on_warn {
                    OnWarn::Record => {}
                    OnWarn::Steer => {
                        self.budget.untold.insert(warned.limit, warned.used);
                    }
                }
            }
            LimitEvent::BudgetSteered(steered) => {
                self.budget.untold.retain(|limit, _| !steered.limits.contains(limit));
                let (step, text) = (steered.step.clone(), steered.text.clone());
                self.budget.steered = Some(ToldBudget { step, text });
            }
            LimitEvent::BudgetExceeded(exceeded) => {
                self.budget.exceeded.insert(exceeded.limit);
                self.budget.spent.insert(exceeded.limit);
            }
            LimitEvent::BudgetRaised(raised) => {
                self.budget.raised.insert(raised.limit, raised.allowed);
                self.budget.spent.remove(&raised.limit);
                self.budget.untold.remove(&raised.limit);
            }
            LimitEvent::PolicyDecided(decided) => {
                self.counters.policy_decisions += 1;
                self.calls.add_labels(decided.labels.iter().map(String::as_str));
            }
            LimitEvent::EgressClosed(_) => {}
            LimitEvent::BomPinned(pinned) => {
                self.bom = Some(BomRef {
                    generation: pinned.generation,
                    digest: pinned.digest.clone(),
                    attempt: context.attempt,
                    image: pinned.image.clone(),
                });
            }
        }
    }
}
