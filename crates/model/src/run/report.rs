//! Reports of an agent while it works: steps, checkpoints, outputs, artifacts, calls.

use super::{Decision, Rejection, Run};
use crate::Timestamp;
use crate::event::{EventBody, PinnedImage};

/// An event that belongs to the work of one attempt.
///
/// `step.rs`, which knows the steps, decides whether a step may begin or complete.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptReport {
    /// Attempt that did the work.
    pub attempt: u32,
    /// Reported events.
    pub events: Vec<EventBody>,
}

impl Run {
    /// Returns the image that all containers of the run are made from, once its name was resolved.
    pub fn pinned_image(&self) -> Option<&PinnedImage> {
        self.bom.as_ref()?.image.as_ref()
    }

    pub(super) fn report(
        &self,
        report: &AttemptReport,
        now: Timestamp,
    ) -> Result<Decision, Rejection> {
        self.check_attempt(report.attempt)?;
        let mut events = report.events.clone();
        let after = self.after(&events, now);
        events.extend(after.events);
        Ok(Decision { events, effects: after.effects })
    }
}
