//! Events of a coordinator, as its run takes them in.

use super::{Run, Status};
use crate::EventContext;
use crate::event::{CoordinationEvent, EventBody, PauseReason, StepEvent};

impl Run {
    /// Takes in an event of messages and handoffs, as far as it concerns the agent's own run.
    pub(super) fn apply_message(&mut self, event: CoordinationEvent<'_>) {
        match event {
            CoordinationEvent::HandoffRequested(requested) => {
                self.handoff = Some(Box::new(requested.clone()));
            }
            CoordinationEvent::MessageReceived(_) => {
                self.received = self.received.saturating_add(1);
            }
            // The state of the coordinator takes them in.
            CoordinationEvent::Began(_)
            | CoordinationEvent::Settled(_)
            | CoordinationEvent::MessageSent(_)
            | CoordinationEvent::MessageDelivered(_)
            | CoordinationEvent::ChildWaiting(_)
            | CoordinationEvent::ChildListening(_) => {}
        }
    }

    pub(super) fn apply_coordination(&mut self, context: EventContext, event: &EventBody) {
        let (Some(plan), Some(coordination)) = (&self.spec.plan, &mut self.coordination) else {
            return;
        };
        coordination.apply(plan, context.at, event);
        let usage = match event.step() {
            Some(StepEvent::Completed(completed)) => completed.usage.as_ref(),
            Some(StepEvent::Failed(failed)) => failed.usage.as_ref(),
            Some(
                StepEvent::Started(_)
                | StepEvent::Inherited(_)
                | StepEvent::CheckpointSaved(_)
                | StepEvent::CheckpointInherited(_),
            )
            | None => None,
        };
        for used in usage.iter().flat_map(|usage| usage.by_agent.values()) {
            self.usage = self.usage.plus(&used.tokens);
            self.counters.model_calls += used.model_calls;
            self.counters.tool_calls += used.tool_calls;
            self.counters.memory_accesses += used.memory_accesses;
            self.counters.knowledge_retrievals += used.knowledge_retrievals;
        }
    }

    /// Returns true if it is a coordinator whose attempt is under way: it needs no process and no
    /// lease while its children work.
    pub fn is_coordinating(&self) -> bool {
        self.coordination.is_some() && self.live_attempt().is_some()
    }

    /// Returns true if it has live children.
    pub(super) fn has_live_children(&self) -> bool {
        self.coordination.as_ref().is_some_and(|coordination| !coordination.live.is_empty())
    }

    /// Returns the reason for which it waits, if it is paused.
    pub const fn paused_for(&self) -> Option<PauseReason> {
        match &self.status {
            Status::Paused { reason, .. } => Some(*reason),
            Status::Pending { .. }
            | Status::Running { .. }
            | Status::Completed { .. }
            | Status::Failed { .. }
            | Status::Cancelled { .. } => None,
        }
    }
}
