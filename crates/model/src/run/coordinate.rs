//! The turns of a coordinator: what it hears, and what follows.

use super::{Rejection, Run};
use crate::coordination::{LiveChild, News, Turn};
use crate::event::EventBody;
use crate::{EventContext, RunId, Timestamp};

impl Run {
    /// Decides what follows for a coordinator from what it hears at `now`, and changes nothing. New
    /// children get their ids from `ids`, in order: no more are started than there are.
    ///
    /// # Errors
    ///
    /// [`Rejection::Terminal`] if it is over; [`Rejection::NotNow`] if it is no coordinator, or no
    /// attempt of it is under way.
    pub fn turn(&self, news: &[News], ids: &[RunId], now: Timestamp) -> Result<Turn, Rejection> {
        let _ = (news, ids, now);
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        if self.coordination.is_none() || self.live_attempt().is_none() {
            return Err(self.not_now("take a turn"));
        }
        Ok(Turn::default())
    }

    pub(super) fn apply_coordination(&mut self, _context: EventContext, event: &EventBody) {
        if let EventBody::HandoffRequested(requested) = event {
            self.handoff = Some(Box::new(requested.clone()));
        }
        let Some(coordination) = &mut self.coordination else { return };
        if let EventBody::StepStarted(started) = event
            && let Some(run_id) = &started.run_id
        {
            let name = started.key.split('#').next().unwrap_or_default().to_owned();
            let child = LiveChild { run_id: run_id.clone(), name, waits_for: None };
            coordination.live.insert(started.key.clone(), child);
            coordination.started += 1;
        } else if let EventBody::StepCompleted(completed) = event {
            coordination.live.remove(&completed.key);
        } else if let EventBody::StepFailed(failed) = event {
            coordination.live.remove(&failed.key);
        }
    }

    /// Whether it is a coordinator whose attempt is under way: it needs no process and no lease while
    /// its children work.
    pub fn is_coordinating(&self) -> bool {
        self.coordination.is_some() && self.live_attempt().is_some()
    }
}
