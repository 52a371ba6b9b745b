//! Decisions: the events and effects that a command leads to.

use crate::Timestamp;
use crate::event::EventBody;

/// Events and effects that a command leads to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Events to be recorded in one commit; empty if the run is as wanted already.
    pub events: Vec<EventBody>,
    /// Effects to be carried out once the events are durable. Each may be carried out twice.
    pub effects: Vec<Effect>,
}

impl Decision {
    /// Records nothing and has no effect.
    pub const NOTHING: Self = Self { events: Vec::new(), effects: Vec::new() };

    pub(super) fn record(events: Vec<EventBody>) -> Self {
        Self { events, effects: Vec::new() }
    }

    pub(super) fn and(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// Actions outside the journal that follow a durable decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the agent of the current attempt.
    SpawnAgent,
    /// End all processes of the current attempt: ask, wait for the grace period, kill.
    StopAgent {
        /// Zero: kill at once.
        grace: std::time::Duration,
    },
    /// Freeze the processes of the current attempt.
    FreezeAgent,
    /// Let frozen processes continue.
    ThawAgent,
    /// Find a worker for the next attempt.
    Dispatch {
        /// Earliest start of that attempt.
        not_before: Timestamp,
    },
}
