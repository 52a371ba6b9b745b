//! A child's share of its coordinator's budgets and time.

use std::time::Duration;

use super::TurnContext;
use crate::budget::{BudgetScope, LimitName, OnExceed};
use crate::error_code::ErrorCode;
use crate::event::{
    BudgetExceeded, CancelCause, CancelRequested, ChildUsage, EventBody, Failure, PauseReason,
    RunPaused,
};
use crate::spend::{Amounts, BudgetMeasure};

/// Time for agents to end by themselves if a budget cancels the run.
const GRACE: Duration = Duration::from_secs(10);

/// Result of a request for a share of the budgets.
pub(super) enum Share {
    /// Share of each limit.
    Granted(Vec<(LimitName, u64)>),
    /// Nothing is left: the child waits until others leave some, or for a person.
    Waits,
}

impl TurnContext<'_> {
    /// Returns an equal share for one of `among` children of the amounts that are neither used nor
    /// reserved.
    ///
    /// If no amount is left and no live child may return some, the budget is exceeded.
    pub(super) fn share(&mut self, among: u32) -> Share {
        let mut granted = Vec::new();
        for measure in BudgetMeasure::ALL {
            let limit = LimitName::of(BudgetScope::Run, measure);
            let Some(allowed) = self.run.allowed(limit) else { continue };
            let used = self.state.spent.of(measure);
            let promised = self.state.promised.of(measure);
            let left = allowed.saturating_sub(used).saturating_sub(promised);
            if left == 0 {
                if self.state.live.is_empty() {
                    self.exceed(limit, used, allowed);
                }
                return Share::Waits;
            }
            granted.push((limit, (left / u64::from(among.max(1))).max(1)));
        }
        Share::Granted(granted)
    }

    fn exceed(&mut self, limit: LimitName, used: u64, allowed: u64) {
        let action = self.run.spec.budgets.on_exceed;
        if !self.run.budget.spent.contains(&limit) {
            let exceeded = BudgetExceeded { limit, used, allowed, action };
            self.record(EventBody::BudgetExceeded(exceeded));
        }
        match action {
            OnExceed::DenyCall => {
                let message = format!("{} is spent: {used} of {allowed}", limit.word());
                self.fail_with(ErrorCode::BudgetExceeded, message, None);
            }
            OnExceed::Pause => {
                if !self.is_held() {
                    let reason = PauseReason::Budget;
                    self.record(EventBody::RunPaused(RunPaused::new(reason, None)));
                }
            }
            OnExceed::Cancel => {
                let (cause, by) = (CancelCause::Budget, None);
                let request = CancelRequested { cause, by, grace: GRACE };
                self.record(EventBody::CancelRequested(request));
            }
        }
    }

    /// Returns the time left to a child, so that it ends with the run.
    pub(super) fn time_left(&self) -> Option<Duration> {
        Some(self.run.run_deadline()?.since(self.now))
    }

    /// Applies limits to the usage and the time so far.
    pub(super) fn watch(&mut self) {
        let before = self.run.coordination.as_ref().map(|before| before.spent);
        if before != Some(self.state.spent) && !self.run.spec.budgets.is_unlimited() {
            for event in self.run.limits(self.state.spent, None, None).events {
                self.record(event);
            }
        }
        let is_late = self.run.run_deadline().is_some_and(|deadline| self.now >= deadline);
        if is_late && self.paused.is_none() && !self.is_over() {
            let limit = self.run.spec.timeouts.run.unwrap_or_default();
            let step = self.state.live.keys().next().cloned();
            let message = format!("the run took longer than its limit of {limit:?}");
            self.fail(Failure::new(ErrorCode::TimeoutRun, message).at_step(step).for_good());
        }
    }
}

/// All that a child used, as budgets count it.
pub(super) fn used(usage: Option<&ChildUsage>) -> Amounts {
    let agents = usage.iter().flat_map(|usage| usage.by_agent.values());
    agents.fold(Amounts::ZERO, |sum, agent| sum.plus(agent.amounts()))
}
