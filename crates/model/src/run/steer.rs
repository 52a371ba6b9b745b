//! Steering: the next model call after a warning carries how much of the budget is left.

use super::Run;
use crate::Timestamp;
use crate::budget::{BudgetScope, LimitName, OnWarn};

/// A limit about which a model is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteeredLimit {
    /// The limit.
    pub limit: LimitName,
    /// Amount used: until now, or of a day, when the warning was due.
    pub used: u64,
    /// Amount allowed.
    pub allowed: u64,
}

/// Words about the budget that a model call adds for its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetSteering {
    /// Limits whose warnings no call has carried yet.
    Due(Vec<SteeredLimit>),
    /// Text that the same call carried before: it is made again.
    Again(String),
}

impl Run {
    /// Returns what the model call of a step tells about the budget; `None`: nothing.
    pub fn steering(&self, step: &str, now: Timestamp) -> Option<BudgetSteering> {
        match self.spec.budgets.on_warn {
            OnWarn::Record => return None,
            OnWarn::Steer => {}
        }
        let spent = self.spent(now);
        let due = self.budget.untold.iter().filter_map(|(limit, warned)| {
            let used = match limit.scope() {
                BudgetScope::Run => spent.of(limit.measure()),
                BudgetScope::Day => *warned,
            };
            Some(SteeredLimit { limit: *limit, used, allowed: self.allowed(*limit)? })
        });
        let due: Vec<SteeredLimit> = due.collect();
        if !due.is_empty() {
            return Some(BudgetSteering::Due(due));
        }
        let last = self.budget.steered.as_ref().filter(|last| last.step == step)?;
        Some(BudgetSteering::Again(last.text.clone()))
    }
}
