//! The end of a turn: who is to end, to be held or to go on, and whether the run itself ends.

use super::TurnContext;
use crate::RunId;
use crate::coordination::{ChildHold, Finish, LiveChild, material};
use crate::error_code::ErrorCode;
use crate::event::{EventBody, Failure, PauseReason, RunPaused, RunResumed};

impl TurnContext<'_> {
    pub(super) fn wind_up(&mut self) {
        let is_over = self.is_over();
        self.turn.stops = self.stops(is_over);
        if self.state.live.is_empty() && self.paused != Some(PauseReason::Operator)
            || self.is_cancelled() && self.state.live.is_empty()
        {
            self.turn.finish = self.finish();
        }
        if self.turn.finish.is_some() {
            return;
        }
        if !is_over {
            self.roll_up();
            self.hold_and_release();
        }
    }

    /// Returns the children that are to end: all of a run that is over, except the one with the
    /// last message while it does not wait. They may be many, and are named once and again on every
    /// look.
    fn stops(&self, is_over: bool) -> Vec<RunId> {
        if !is_over {
            if self.graph.is_none() {
                return Vec::new();
            }
            let stopping = self.state.live.values().filter(|child| child.is_stopping);
            return stopping.map(|child| child.run_id.clone()).collect();
        }
        let end = self.state.routing.end.as_ref().filter(|_| !self.is_cancelled());
        let last = end.and_then(|end| end.step.as_ref());
        if self.was_over && !self.looks {
            let begins_to_listen = |key: &&String| {
                let of_it = |event: &EventBody| matches!(event, EventBody::ChildListening(listening) if listening.key == **key);
                self.turn.events.iter().any(of_it)
            };
            let last = last.filter(begins_to_listen).and_then(|key| self.state.live.get(key));
            return last.map(|child| child.run_id.clone()).into_iter().collect();
        }
        let ends_itself = |key: &String, child: &LiveChild| last == Some(key) && !child.listens;
        let live = self.state.live.iter().filter(|(key, child)| !ends_itself(key, child));
        live.map(|(_, child)| child.run_id.clone()).collect()
    }

    /// Returns the end of the run, once no child of it is live.
    fn finish(&self) -> Option<Finish> {
        if self.is_cancelled() {
            return Some(Finish::Cancelled);
        }
        if let Some(error) = &self.state.routing.failed {
            return Some(Finish::Failed(error.clone()));
        }
        if let Some(end) = &self.state.routing.end {
            return Some(Finish::Completed(material::of_payload(end.payload.get())));
        }
        if let Some(verdict) = self.verdict() {
            return Some(self.result(verdict));
        }
        let is_stalled = self.graph.is_some()
            && self.turn.recalls.is_empty()
            && !self.turn.looks_again
            && !self.is_held();
        is_stalled.then(|| Finish::Failed(Failure::new(ErrorCode::WorkflowStalled, self.stalled())))
    }

    /// Waits with its children if all of them wait for people, and goes on with the first.
    fn roll_up(&mut self) {
        let live = u32::try_from(self.state.live.len()).unwrap_or(u32::MAX);
        let all_wait = live > 0
            && self.state.waiting >= live
            && self.state.releasing == 0
            && !self.turn.looks_again;
        let waits_for = |child: &LiveChild| child.waits_for.filter(|it| it.is_missing());
        let children = all_wait.then(|| self.state.live.values());
        let reason = children.and_then(|mut children| children.find_map(waits_for));
        match (self.paused, reason) {
            (None, Some(reason)) => {
                self.record(EventBody::RunPaused(RunPaused::new(reason, None)));
            }
            (Some(reason), None) if reason.is_missing() => {
                self.record(EventBody::RunResumed(RunResumed { by: None }));
            }
            (None, None) | (Some(_), Some(_) | None) => {}
        }
    }

    /// Names the children that are to be held, and those that are to be released. A released child
    /// whose hold was never confirmed may still be held: it is named on every look.
    fn hold_and_release(&mut self) {
        let is_held = self.is_held();
        if !is_held && self.state.releasing == 0 && self.graph.is_none() {
            return;
        }
        for child in self.state.live.values() {
            let is_on_hold = child.waits_for == Some(PauseReason::Operator);
            match child.hold {
                ChildHold::Released if !is_held => {
                    if is_on_hold || self.looks {
                        self.turn.releases.push(child.run_id.clone());
                    }
                }
                ChildHold::Free if !is_held => {}
                ChildHold::Free | ChildHold::Released | ChildHold::WithRun | ChildHold::ByAgent => {
                    if !is_on_hold {
                        self.turn.holds.push(child.run_id.clone());
                    }
                }
            }
        }
    }
}
