//! The only way a run changes: one event at a time, live and in replay alike.

use std::sync::Arc;

use thiserror::Error;

use super::service::new_service;
use super::state::{Run, Status};
use super::{CallSummary, Counters};
use crate::accounting::TokenUsage;
use crate::event::{
    AttemptAdopted, AttemptStarted, Event, EventBody, EventGroup, InputExpired, InputProvided,
    PauseReason, RunCreated, UnknownEvent,
};
use crate::{EventContext, RunId, Timestamp};

/// An event that cannot follow what went before it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IllegalTransition {
    /// The event does not fit the run's status.
    #[error("{event} cannot follow: run {run_id} is {status}")]
    Status {
        /// The run.
        run_id: RunId,
        /// Its status.
        status: &'static str,
        /// The event's type.
        event: String,
    },
    /// The event belongs to an attempt that is not under way.
    #[error(
        "{event} of attempt {attempt} cannot follow: attempt {attempt} of run {run_id} is not under way"
    )]
    Attempt {
        /// The run.
        run_id: RunId,
        /// Attempt of the event.
        attempt: u32,
        /// The event's type.
        event: String,
    },
    /// An attempt under an older lease than one that wrote already.
    #[error(
        "an attempt under lease {epoch} cannot follow: lease {current} of run {run_id} is in force"
    )]
    Epoch {
        /// The run.
        run_id: RunId,
        /// The older lease.
        epoch: u64,
        /// The lease in force.
        current: u64,
    },
    /// The journal does not begin with `run.created`, or has it twice.
    #[error("a journal begins with run.created, and has it once")]
    Creation,
    /// An event that cannot be read.
    #[error(transparent)]
    Unknown(#[from] UnknownEvent),
}

impl Run {
    /// The run that `run.created` begins.
    pub fn create(id: RunId, at: Timestamp, created: RunCreated) -> Self {
        let service = created.service.as_ref().map(new_service);
        let coordination = created.plan.as_ref().map(|_| Box::default());
        Self {
            id,
            spec: Arc::new(created),
            created_at: at,
            started_at: None,
            status: Status::Pending { since: at, not_before: at, reason: None },
            epoch: 0,
            attempts: Vec::new(),
            cancel_requested: None,
            restart_requested: None,
            output: None,
            checkpoint: None,
            artifacts: std::collections::BTreeMap::new(),
            counters: Counters::default(),
            calls: CallSummary::default(),
            usage: TokenUsage::default(),
            dead_letter: false,
            has_spoken: false,
            service,
            approvals: std::collections::BTreeMap::new(),
            inputs: std::collections::BTreeMap::new(),
            paused: std::time::Duration::ZERO,
            budget: crate::budget::BudgetState::default(),
            bom: None,
            coordination,
            received: 0,
            handoff: None,
        }
    }

    /// The fold of a whole journal.
    ///
    /// # Errors
    ///
    /// [`IllegalTransition`] at the first event that cannot follow.
    pub fn fold<'a>(
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Self, IllegalTransition> {
        let mut events = events.into_iter();
        let first = events.next().ok_or(IllegalTransition::Creation)?;
        let EventBody::RunCreated(created) = first.body()? else {
            return Err(IllegalTransition::Creation);
        };
        let mut run = Self::create(first.run_id.clone(), first.at, *created);
        for event in events {
            run.apply(EventContext { at: event.at, attempt: event.attempt }, &event.body()?)?;
        }
        Ok(run)
    }

    /// Takes in one event.
    ///
    /// # Errors
    ///
    /// [`IllegalTransition`]; the run is then unchanged.
    pub fn apply(
        &mut self,
        context: EventContext,
        event: &EventBody,
    ) -> Result<(), IllegalTransition> {
        self.check(context, event)?;
        match event.group() {
            EventGroup::Run(event) => self.apply_run(context.at, event),
            EventGroup::Attempt(event) => self.apply_attempt(context, event),
            EventGroup::Step(event) => self.apply_step(context, event),
            EventGroup::Question(event) => self.apply_question(context, event),
            EventGroup::Limit(event) => self.apply_limit(context, event),
            EventGroup::Session(event) => self.apply_session(event),
            EventGroup::Result(event) => self.apply_result(context, event),
            EventGroup::Coordination(event) => self.apply_message(event),
            EventGroup::Service(event) => self.apply_service(context.at, event),
            EventGroup::Reported(reported) => self.count(reported),
        }
        self.apply_coordination(context, event);
        self.meter_working_time(context.at, event);
        Ok(())
    }

    /// Checks that the event may follow: the transition table, row by row. A refused event changes
    /// nothing.
    fn check(&self, context: EventContext, event: &EventBody) -> Result<(), IllegalTransition> {
        let has_live_attempt = self.live_attempt().is_some();
        let by_attempt = || self.check_author(context, event);
        let pending = matches!(self.status, Status::Pending { .. });
        let running = matches!(self.status, Status::Running { .. });
        let live = !self.status.is_terminal();
        // One that any worker may claim can also be given back before it began.
        let has_begun = !self.attempts.is_empty() || self.spec.placement.is_some();
        let fits = match event {
            EventBody::RunCreated(_) => return Err(IllegalTransition::Creation),
            EventBody::AttemptStarted(started) => self.is_next(started)?,
            EventBody::RunStarted(_) => pending && by_attempt()?,
            EventBody::RunRequeued(_) => (running || pending) && !has_live_attempt && has_begun,
            EventBody::RunPaused(to) => live && !self.waits_for(to.reason),
            EventBody::RunResumed(_) => live && !pending && !running,
            EventBody::CancelRequested(_) => live,
            EventBody::RestartRequested(_) => live && has_live_attempt,
            EventBody::RunCompleted(_) => running && !has_live_attempt,
            EventBody::RunFailed(_)
            | EventBody::RunCancelled(_)
            | EventBody::RunDeadLettered(_) => live && !has_live_attempt,
            EventBody::StepInherited(_) | EventBody::CheckpointInherited(_) => {
                pending && self.attempts.is_empty()
            }
            EventBody::ApprovalDecided(decided) => live && self.asks_approval(&decided.approval_id),
            EventBody::InputProvided(InputProvided { input_id, .. })
            | EventBody::InputExpired(InputExpired { input_id }) => live && self.asks(input_id),
            EventBody::BudgetRaised(_) | EventBody::PolicyDecided(_) => live,
            EventBody::ListenerBound(_)
            | EventBody::WakeFired(_)
            | EventBody::WakeSkipped(_)
            | EventBody::WakeEnded(_) => live && self.service.is_some() && by_attempt()?,
            EventBody::CoordinationBegan(_)
            | EventBody::CoordinationSettled(_)
            | EventBody::MessageDelivered(_)
            | EventBody::ChildWaiting(_)
            | EventBody::ChildListening(_) => live && self.coordination.is_some() && by_attempt()?,
            EventBody::AttemptAdopted(adopted) => by_attempt()? && self.may_adopt(adopted)?,
            EventBody::AttemptWaiting(_)
            | EventBody::AttemptRunning(_)
            | EventBody::TaskChanged(_)
            | EventBody::AttemptExited(_)
            | EventBody::AttemptFailed(_)
            | EventBody::AttemptStopped(_)
            | EventBody::MessageSent(_)
            | EventBody::MessageReceived(_)
            | EventBody::HandoffRequested(_)
            | EventBody::StepStarted(_)
            | EventBody::StepCompleted(_)
            | EventBody::StepFailed(_)
            | EventBody::CheckpointSaved(_)
            | EventBody::OutputSet(_)
            | EventBody::OutputDelta(_)
            | EventBody::ArtifactCreated(_)
            | EventBody::ApprovalRequested(_)
            | EventBody::InputRequested(_)
            | EventBody::BudgetWarned(_)
            | EventBody::BudgetSteered(_)
            | EventBody::BudgetExceeded(_)
            | EventBody::BomPinned(_)
            | EventBody::EgressClosed(_)
            | EventBody::SessionLoaded(_)
            | EventBody::SessionUpdated(_)
            | EventBody::SessionAppended(_)
            | EventBody::SessionCached(_)
            | EventBody::SessionRolledBack(_)
            | EventBody::ReplayDiverged(_)
            | EventBody::CheckbackRefused(_)
            | EventBody::Reported(_) => live && by_attempt()?,
        };
        if fits { Ok(()) } else { Err(self.illegal(event)) }
    }

    /// Checks that the attempt may be the next one.
    fn is_next(&self, started: &AttemptStarted) -> Result<bool, IllegalTransition> {
        let has_live_attempt = self.live_attempt().is_some();
        if !self.status.is_terminal() && !has_live_attempt {
            self.check_epoch(started.epoch)?;
        }
        let pending = matches!(self.status, Status::Pending { .. });
        Ok(pending && !has_live_attempt && started.number == self.last_attempt_number() + 1)
    }

    /// Checks that the live attempt may be adopted.
    fn may_adopt(&self, adopted: &AttemptAdopted) -> Result<bool, IllegalTransition> {
        if self.outlives_supervisor() {
            self.check_epoch(adopted.epoch)?;
        }
        Ok(self.outlives_supervisor())
    }

    /// `true` for an event of the attempt that is under way.
    fn check_author(
        &self,
        context: EventContext,
        event: &EventBody,
    ) -> Result<bool, IllegalTransition> {
        if self.live_attempt().is_some_and(|live| live.number == context.attempt) {
            return Ok(true);
        }
        Err(IllegalTransition::Attempt {
            run_id: self.id.clone(),
            attempt: context.attempt,
            event: event.type_name().to_owned(),
        })
    }

    fn check_epoch(&self, epoch: u64) -> Result<(), IllegalTransition> {
        if epoch > self.epoch {
            return Ok(());
        }
        Err(IllegalTransition::Epoch { run_id: self.id.clone(), epoch, current: self.epoch })
    }

    /// Returns true if it is paused for that reason: a paused run may come to wait for another one.
    fn waits_for(&self, paused_for: PauseReason) -> bool {
        matches!(&self.status, Status::Paused { reason, .. } if *reason == paused_for)
    }

    /// Returns whether the approval is requested and not decided.
    fn asks_approval(&self, approval_id: &str) -> bool {
        self.approvals.get(approval_id).is_some_and(|approval| approval.verdict.is_none())
    }

    /// Returns whether the input is requested and not answered.
    fn asks(&self, input_id: &str) -> bool {
        self.inputs.get(input_id).is_some_and(|inquiry| inquiry.reply.is_none())
    }

    fn illegal(&self, event: &EventBody) -> IllegalTransition {
        IllegalTransition::Status {
            run_id: self.id.clone(),
            status: self.status.name(),
            event: event.type_name().to_owned(),
        }
    }
}
