//! Events about the work of a run, for readers that use no others.

use super::{CoordinationEvent, EventBody, EventGroup, StepEvent};

/// Event of a step or a checkpoint, or of a coordinator's children and messages.
#[derive(Clone, Copy, Debug)]
pub enum WorkEvent<'a> {
    /// Event of a step or a checkpoint.
    Step(StepEvent<'a>),
    /// Event of a coordinator's children and messages.
    Coordination(CoordinationEvent<'a>),
}

impl EventBody {
    /// Returns the event if it is about the run's work.
    pub fn work(&self) -> Option<WorkEvent<'_>> {
        match self.group() {
            EventGroup::Step(event) => Some(WorkEvent::Step(event)),
            EventGroup::Coordination(event) => Some(WorkEvent::Coordination(event)),
            EventGroup::Run(_)
            | EventGroup::Attempt(_)
            | EventGroup::Question(_)
            | EventGroup::Limit(_)
            | EventGroup::Session(_)
            | EventGroup::Result(_)
            | EventGroup::Service(_)
            | EventGroup::Reported(_) => None,
        }
    }

    /// Returns the event if it is of a step or a checkpoint.
    pub fn step(&self) -> Option<StepEvent<'_>> {
        match self.work() {
            Some(WorkEvent::Step(event)) => Some(event),
            Some(WorkEvent::Coordination(_)) | None => None,
        }
    }
}
