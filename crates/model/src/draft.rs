//! Additions to one run's journal between two commits: decided, applied and sealed here only.
//!
//! Deliberately absent: storage. The engine's module `commit` makes the additions durable.

use thiserror::Error;

use crate::event::{EventBody, RunCreated};
use crate::run::{Command, Decision, IllegalTransition, Rejection, Run};
use crate::step::{Step, Steps};
use crate::{Broken, Event, EventContext, Head, RunId, Timestamp};

/// A run with events that no store has yet.
#[derive(Clone, Debug)]
pub struct JournalDraft {
    run: Run,
    head: Head,
    steps: Steps,
    added: Additions,
}

/// Events that a draft added to a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Additions {
    /// The place in the journal that the events follow.
    pub before: Position,
    /// The events, in order.
    pub events: Vec<Event>,
    /// A state of a step for each event that changed one, in the order of those events.
    pub steps: Vec<Step>,
    /// Set if an event changes the run's lifecycle, and with it the run's record file.
    pub is_transition: bool,
}

/// A place in a run's journal: after its last event, in the run's last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last event.
    pub head: Head,
    /// The last attempt; 0: none began.
    pub attempt: u32,
    /// The lease of that attempt; 0: none began.
    pub epoch: u64,
}

/// Reasons why a draft takes no command.
#[derive(Debug, Error)]
pub enum DraftError {
    /// The run refuses the command; the draft is unchanged.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// An event of the decision cannot follow the events before it: a bug. Those are in the draft.
    #[error("a decision does not fold; this is a bug")]
    Illegal(#[from] IllegalTransition),
}

/// Reasons why a draft takes no event of another process; the draft is unchanged.
#[derive(Debug, Error)]
pub enum AdoptError {
    /// The event's number or hash is not the next one.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The event cannot be read, or cannot happen to the run.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
}

impl Position {
    /// The place before the first event.
    const START: Self = Self { head: Head::EMPTY, attempt: 0, epoch: 0 };

    /// Returns the place at the end of the journal of `run`.
    pub fn of(run: &Run, head: Head) -> Self {
        Self { head, attempt: run.last_attempt_number(), epoch: run.epoch }
    }
}

impl Additions {
    const fn after(before: Position) -> Self {
        Self { before, events: Vec::new(), steps: Vec::new(), is_transition: false }
    }

    /// Returns these additions and those that were made after them, as one.
    #[must_use]
    fn followed_by(mut self, mut later: Self) -> Self {
        self.events.append(&mut later.events);
        self.steps.append(&mut later.steps);
        self.is_transition |= later.is_transition;
        self
    }
}

impl JournalDraft {
    /// Begins the journal of a new run: `run.created` is its first addition.
    pub fn create(id: RunId, created: RunCreated, now: Timestamp) -> Self {
        let mut head = Head::EMPTY;
        let body = EventBody::RunCreated(Box::new(created.clone()));
        let events = vec![head.seal(&id, now, 0, &body)];
        let added = Additions { events, is_transition: true, ..Additions::after(Position::START) };
        Self { run: Run::create(id, now, created), head, steps: Steps::default(), added }
    }

    /// Begins with a stored run and its stored steps.
    pub fn new(run: Run, head: Head, steps: Steps) -> Self {
        let added = Additions::after(Position::of(&run, head));
        Self { run, head, steps, added }
    }

    /// Begins with a stored run whose steps are not loaded, for commands that change no step: those
    /// that people and reconcilers give to a run without a live agent.
    pub fn without_steps(run: Run, head: Head) -> Self {
        Self::new(run, head, Steps::default())
    }

    /// The run after all events, added ones included.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The last event of the journal, added ones included.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The steps after all events.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// The additions since the draft began, or since [`JournalDraft::take`].
    pub fn added(&self) -> &Additions {
        &self.added
    }

    /// The place at the end of the journal, added events included.
    pub fn position(&self) -> Position {
        Position::of(&self.run, self.head)
    }

    /// Decides a command and adds its events.
    ///
    /// # Errors
    ///
    /// [`DraftError::Rejected`], [`DraftError::Illegal`].
    pub fn command(&mut self, command: &Command, now: Timestamp) -> Result<Decision, DraftError> {
        let decision = self.run.decide(command, now)?;
        self.record(&decision.events, now)?;
        Ok(decision)
    }

    /// Adds events that were decided from this very run.
    ///
    /// # Errors
    ///
    /// [`IllegalTransition`]: a bug. The events before that one are in the draft.
    pub fn record(
        &mut self,
        bodies: &[EventBody],
        now: Timestamp,
    ) -> Result<(), IllegalTransition> {
        for body in bodies {
            let attempt = if let EventBody::AttemptStarted(started) = body {
                started.number
            } else {
                self.run.last_attempt_number()
            };
            self.apply(EventContext { at: now, attempt }, body)?;
            let event = self.head.seal(&self.run.id, now, attempt, body);
            self.added.events.push(event);
        }
        Ok(())
    }

    /// Adds an event that another process sealed: its number, hash and attempt stay.
    ///
    /// # Errors
    ///
    /// [`AdoptError`].
    pub fn adopt(&mut self, event: &Event) -> Result<(), AdoptError> {
        let body = event.body().map_err(IllegalTransition::from)?;
        let mut head = self.head;
        head.verify(event)?;
        self.apply(EventContext { at: event.at, attempt: event.attempt }, &body)?;
        self.head = head;
        self.added.events.push(event.clone());
        Ok(())
    }

    /// Takes the additions out for a commit. The next additions follow them.
    pub fn take(&mut self) -> Additions {
        let next = Additions::after(self.position());
        std::mem::replace(&mut self.added, next)
    }

    /// Puts additions back that could not be committed, before those that were made since.
    pub fn put_back(&mut self, taken: Additions) {
        self.added = taken.followed_by(self.take());
    }

    /// Takes the draft apart: the run, its head and its steps after all events, and the additions.
    pub fn into_parts(self) -> (Run, Head, Steps, Additions) {
        (self.run, self.head, self.steps, self.added)
    }

    fn apply(&mut self, context: EventContext, body: &EventBody) -> Result<(), IllegalTransition> {
        self.run.apply(context, body)?;
        if let Some(step) = self.steps.apply(context.at, context.attempt, body) {
            self.added.steps.push(step.clone());
        }
        self.added.is_transition |= is_transition(body);
        Ok(())
    }
}

/// Returns true for an event that changes the lifecycle which a record shows. Frequent events do
/// not: the record file is rewritten with the next event that does.
fn is_transition(body: &EventBody) -> bool {
    !matches!(
        body,
        EventBody::StepStarted(_)
            | EventBody::StepCompleted(_)
            | EventBody::StepFailed(_)
            | EventBody::CheckpointSaved(_)
            | EventBody::OutputSet(_)
            | EventBody::OutputDelta(_)
            | EventBody::CoordinationBegan(_)
            | EventBody::MessageSent(_)
            | EventBody::MessageDelivered(_)
            | EventBody::MessageReceived(_)
            | EventBody::ChildWaiting(_)
            | EventBody::HandoffRequested(_)
            | EventBody::Reported(_)
    )
}
