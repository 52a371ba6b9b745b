//! Expiry of approvals and questions that were not answered in time.

use std::time::Duration;

use super::{Cancel, Decision, Rejection, Run};
use crate::Timestamp;
use crate::event::{
    ApprovalDecided, ApprovalVerdict, CancelCause, DeadlineDefault, EventBody, InputExpired,
};

/// Look at the deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expire {}

/// Time for an agent to end by itself after its approval expired.
const GRACE: Duration = Duration::from_secs(10);
/// Name in the place of a person for an approval that expired.
const NOBODY: &str = "deadline";

impl Run {
    /// Returns the earliest deadline of open approvals and inputs; `None` without one.
    pub fn answer_deadline(&self) -> Option<Timestamp> {
        let approvals = self.open_approvals().filter_map(|open| open.request.deadline_ms);
        let inputs = self.open_inputs().filter_map(|open| open.request.deadline_ms);
        approvals.chain(inputs).min()
    }

    /// Decides the expiry of approvals and inputs whose deadline has passed; decides nothing
    /// before.
    pub(super) fn expire(&self, now: Timestamp) -> Result<Decision, Rejection> {
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        let is_due = |deadline: Option<Timestamp>| deadline.is_some_and(|at| now >= at);
        let approvals = self.open_approvals().filter(|open| is_due(open.request.deadline_ms));
        let mut events = Vec::new();
        for approval in approvals {
            let decision = match approval.request.default {
                DeadlineDefault::Approve => ApprovalVerdict::Approve,
                DeadlineDefault::Reject => ApprovalVerdict::Reject,
                DeadlineDefault::Cancel => {
                    return self.cancel(&Cancel {
                        cause: CancelCause::ApprovalDeadline,
                        by: None,
                        grace: GRACE,
                    });
                }
            };
            events.push(EventBody::ApprovalDecided(ApprovalDecided {
                approval_id: approval.request.approval_id.clone(),
                decision,
                decided_by: NOBODY.to_owned(),
                comment: None,
                by_deadline: true,
                decision_id: None,
            }));
        }
        for inquiry in self.open_inputs().filter(|open| is_due(open.request.deadline_ms)) {
            let input_id = inquiry.request.input_id.clone();
            events.push(EventBody::InputExpired(InputExpired { input_id }));
        }
        if events.is_empty() {
            return Ok(Decision::NOTHING);
        }
        Ok(self.resuming_after(events, None, now))
    }
}
