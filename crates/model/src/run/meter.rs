//! Metering of a run's spending against its limits: warnings, and actions at a limit.
//!
//! Reports of an agent are checked with the report itself, in one commit. Other changes (the clock,
//! the day that all runs of an agent share, a denied call) come with [`Meter`].

use std::time::Duration;

use super::{Cancel, Decision, Effect, Rejection, Run, Status};
use crate::Timestamp;
use crate::accounting::{MODEL_CALLED, ModelCall, TOOL_CALLED, ToolCall};
use crate::budget::{BudgetScope, LimitName, OnExceed};
use crate::event::{BudgetExceeded, BudgetWarned, CancelCause, EventBody, PauseReason, RunPaused};
use crate::spend::{Amounts, BudgetMeasure, SpendingCaps};

/// A warning is due when so much of a limit is used.
pub const WARN_PERCENT: u64 = 80;
/// Time for an agent to end by itself when a budget cancels its run.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// Look at the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Attempt that did the work.
    pub attempt: u32,
    /// Usage of all runs of the agent today, if it was looked up.
    pub day: Option<Amounts>,
    /// A call that was denied.
    pub denied: Option<DeniedCall>,
}

/// A call that was denied, since a limit left no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeniedCall {
    /// The limit.
    pub limit: LimitName,
    /// Amount used, without this call.
    pub used: u64,
    /// Amount allowed.
    pub allowed: u64,
}

impl Run {
    /// Returns the run's spending until `now`.
    pub fn spent(&self, now: Timestamp) -> Amounts {
        Amounts {
            tokens: self.usage.input_tokens.saturating_add(self.usage.output_tokens),
            cost_micro_usd: self.usage.cost_micro_usd.unwrap_or(0),
            tool_calls: self.counters.tool_calls,
            // A coordinator does nothing itself: its time is that of its children.
            wall_time_ms: match &self.coordination {
                Some(coordination) => coordination.spent.wall_time_ms,
                None => self.budget.watch.read(now),
            },
        }
    }

    /// Returns the caps of the run, or of all runs of its agent in a day, as they were raised.
    pub fn caps(&self, scope: BudgetScope) -> SpendingCaps {
        let of = |measure| self.allowed(LimitName::of(scope, measure));
        SpendingCaps {
            tokens: of(BudgetMeasure::Tokens),
            cost_micro_usd: of(BudgetMeasure::CostMicroUsd),
            tool_calls: of(BudgetMeasure::ToolCalls),
            wall_time_ms: of(BudgetMeasure::WallTimeMs),
        }
    }

    /// Returns one limit, as it was raised.
    pub fn allowed(&self, limit: LimitName) -> Option<u64> {
        let pinned = self.spec.budgets.of(limit)?;
        Some(self.budget.raised.get(&limit).map_or(pinned, |raised| pinned.max(*raised)))
    }

    /// The next moment at which time alone brings a warning, or the end of a limit.
    pub fn next_meter(&self) -> Option<Timestamp> {
        let limit = LimitName::WallTimeMsPerRun;
        let allowed = self.allowed(limit)?;
        if self.budget.spent.contains(&limit) {
            return None;
        }
        let warning = u64::try_from(u128::from(allowed) * u128::from(WARN_PERCENT) / 100);
        let due = if self.budget.warned.contains(&limit) {
            allowed.saturating_add(1)
        } else {
            warning.unwrap_or(allowed).saturating_add(1).min(allowed)
        };
        self.budget.watch.shows_at(due)
    }

    /// Returns a limit of the run itself that was exceeded before and leaves nothing now, or that
    /// left no room for the call at which the run is held: such calls are denied until the limit is
    /// raised.
    pub fn still_spent(&self, now: Timestamp) -> Option<DeniedCall> {
        let spent = self.spent(now);
        let is_held = matches!(self.status, Status::Paused { reason: PauseReason::Budget, .. });
        self.budget.exceeded.iter().find_map(|limit| {
            let allowed = self.allowed(*limit).filter(|_| limit.scope() == BudgetScope::Run)?;
            let used = spent.of(limit.measure());
            let is_spent = used >= allowed || (is_held && self.budget.spent.contains(limit));
            is_spent.then_some(DeniedCall { limit: *limit, used, allowed })
        })
    }

    /// A limit of the day that holds the run, if it leaves nothing after `used` of today.
    pub fn day_still_spent(&self, used: Amounts) -> Option<DeniedCall> {
        let is_held = matches!(self.status, Status::Paused { reason: PauseReason::Budget, .. });
        let spent = self.budget.spent.iter().filter(|limit| limit.scope() == BudgetScope::Day);
        spent.filter(|_| is_held).find_map(|limit| {
            let (allowed, used) = (self.allowed(*limit)?, used.of(limit.measure()));
            (used >= allowed).then_some(DeniedCall { limit: *limit, used, allowed })
        })
    }

    pub(super) fn meter(&self, meter: &Meter, now: Timestamp) -> Result<Decision, Rejection> {
        self.check_attempt(meter.attempt)?;
        Ok(self.limits(self.spent(now), meter.day, meter.denied))
    }

    /// Decides the consequences of events that an agent reports, before they are recorded.
    pub(super) fn after(&self, events: &[EventBody], now: Timestamp) -> Decision {
        if self.spec.budgets.is_unlimited() {
            return Decision::NOTHING;
        }
        let mut spent = self.spent(now);
        for event in events {
            let EventBody::Reported(reported) = event else { continue };
            if reported.type_name() == MODEL_CALLED {
                let call = ModelCall::of(reported.data());
                let cost_micro_usd = call.cost_micro_usd.unwrap_or(0);
                let tokens = call.tokens.total();
                spent = spent.plus(Amounts { tokens, cost_micro_usd, ..Amounts::ZERO });
            } else if reported.type_name() == TOOL_CALLED {
                let cost = ToolCall::of(reported.data()).cost_micro_usd;
                let cost_micro_usd = cost.unwrap_or(0);
                spent = spent.plus(Amounts { tool_calls: 1, cost_micro_usd, ..Amounts::ZERO });
            }
        }
        self.limits(spent, None, None)
    }

    /// Warnings, and what happens at limits that were not known to be exceeded.
    pub(crate) fn limits(
        &self,
        spent: Amounts,
        day: Option<Amounts>,
        denied: Option<DeniedCall>,
    ) -> Decision {
        let scopes = [(BudgetScope::Run, Some(spent)), (BudgetScope::Day, day)];
        let (mut warned, mut exceeded) = (Vec::new(), Vec::new());
        for (scope, used) in scopes {
            let Some(used) = used else { continue };
            let caps = self.caps(scope);
            let named = |measure: BudgetMeasure| {
                let limit = LimitName::of(scope, measure);
                (limit, used.of(measure), caps.of(measure).unwrap_or(0))
            };
            warned.extend(caps.warned(used, WARN_PERCENT).map(named));
            exceeded.extend(caps.exceeded(used).map(named));
        }
        exceeded.extend(denied.map(|denied| (denied.limit, denied.used, denied.allowed)));
        let mut events = Vec::new();
        for (limit, used, allowed) in warned {
            if !self.budget.warned.contains(&limit) {
                events.push(EventBody::BudgetWarned(BudgetWarned { limit, used, allowed }));
            }
        }
        let action = self.spec.budgets.on_exceed;
        exceeded.retain(|(limit, ..)| !self.budget.spent.contains(limit));
        exceeded.dedup_by_key(|(limit, ..)| *limit);
        if exceeded.is_empty() {
            return Decision::record(events);
        }
        for (limit, used, allowed) in exceeded {
            let event = BudgetExceeded { limit, used, allowed, action };
            events.push(EventBody::BudgetExceeded(event));
        }
        self.act(action, events)
    }

    fn act(&self, action: OnExceed, mut events: Vec<EventBody>) -> Decision {
        let decision = match action {
            OnExceed::DenyCall => Decision::NOTHING,
            OnExceed::Pause => match self.status {
                Status::Paused { reason: PauseReason::Operator | PauseReason::Budget, .. }
                | Status::Completed { .. }
                | Status::Failed { .. }
                | Status::Cancelled { .. } => Decision::NOTHING,
                Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => {
                    let paused = RunPaused::new(PauseReason::Budget, None);
                    Decision::record(vec![EventBody::RunPaused(paused)]).and(Effect::FreezeAgent)
                }
            },
            OnExceed::Cancel => {
                let cause = CancelCause::Budget;
                let cancel = Cancel { cause, by: None, grace: CANCEL_GRACE };
                // A run that is over needs no end.
                self.cancel(&cancel).unwrap_or_default()
            }
        };
        events.extend(decision.events);
        Decision { events, effects: decision.effects }
    }
}
