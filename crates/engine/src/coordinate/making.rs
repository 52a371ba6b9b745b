//! A run and what is being added to its journal in one commit.

use errand_model::event::EventBody;
use errand_model::run::{Command, Run};
use errand_model::step::{Step, Steps};
use errand_model::{Event, EventContext, Head, Timestamp};

use crate::{Error, record_file};

/// A run as it is once what was added is durable.
#[derive(Clone, Debug)]
pub(super) struct Making {
    pub(super) run: Run,
    pub(super) head: Head,
    pub(super) steps: Steps,
    /// What is added.
    pub(super) events: Vec<Event>,
    /// The steps that it changes, as they are then.
    pub(super) changed: Vec<Step>,
    /// Whether it changes what the record says of the run's lifecycle.
    pub(super) is_transition: bool,
    now: Timestamp,
}

impl Making {
    pub(super) fn new((run, head): (Run, Head), steps: Steps, now: Timestamp) -> Self {
        let (events, changed) = (Vec::new(), Vec::new());
        Self { run, head, steps, events, changed, is_transition: false, now }
    }

    /// Adds what a command leads to.
    pub(super) fn command(&mut self, command: &Command) -> Result<(), Error> {
        let decision = self.run.decide(command, self.now)?;
        self.record(&decision.events)
    }

    /// Adds what was decided.
    pub(super) fn record(&mut self, bodies: &[EventBody]) -> Result<(), Error> {
        let attempt = self.run.last_attempt_number();
        for body in bodies {
            self.run.apply(EventContext { at: self.now, attempt }, body)?;
            if let Some(step) = self.steps.apply(self.now, attempt, body) {
                self.changed.push(step.clone());
            }
            self.events.push(self.head.seal(&self.run.id, self.now, attempt, body));
            self.is_transition |= record_file::is_transition(body);
        }
        Ok(())
    }
}
