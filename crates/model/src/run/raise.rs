//! Raising limits of a run that lives, held or not.

use serde::{Deserialize, Serialize};

use super::{Decision, Rejection, Run};
use crate::budget::LimitName;
use crate::event::{BudgetRaised, EventBody};

/// Command of a caller: raise limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// Limits, each with the amount that may be used from now on.
    pub limits: Vec<(LimitName, u64)>,
    /// Name of the person who allows it.
    pub by: String,
}

impl Run {
    pub(super) fn raise(&self, raise: &Raise) -> Result<Decision, Rejection> {
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        let mut events = Vec::new();
        for (limit, allowed) in &raise.limits {
            let Some(now) = self.allowed(*limit) else {
                return Err(Rejection::NoSuchLimit { run_id: self.id.clone(), limit: *limit });
            };
            if *allowed < now {
                return Err(Rejection::NotRaised {
                    run_id: self.id.clone(),
                    limit: *limit,
                    allowed: now,
                });
            }
            if *allowed > now {
                let (limit, by) = (*limit, raise.by.clone());
                events.push(EventBody::BudgetRaised(BudgetRaised { limit, allowed: *allowed, by }));
            }
        }
        Ok(Decision::record(events))
    }
}
