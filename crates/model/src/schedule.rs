//! Due slots: the one place that decides when a schedule or a heartbeat fires.
//!
//! Services and the schedules of servers both ask it which slots are due ([`ParsedSchedule::due`]),
//! and then step by step what to do with them ([`DueSlots::next_step`]): missed slots and overlap
//! are policies of the schedule. Pure: the same schedule at the same moment gives the same slots,
//! so a process that was killed between deciding and recording decides the same again.

use std::collections::VecDeque;

use thiserror::Error;

use crate::cron::{CronError, CronExpr, TimeZone, time_zone};
use crate::event::{MissedPolicy, OverlapPolicy, ScheduleSpec};
use crate::{Digest, Timestamp};

/// The most slots that `missed: fire_all` fires after a pause.
pub const MISSED_LIMIT: usize = 100;
/// The most passed slots that are counted one by one; with more, the count says at least so many.
pub const COUNT_LIMIT: usize = 10_000;
/// A slot this much in the past was missed; less is the ordinary lateness of a busy machine.
pub const LATE_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// A schedule whose expression and time zone were understood, with its policies.
#[derive(Debug)]
pub struct ParsedSchedule {
    expr: CronExpr,
    zone: TimeZone,
    missed: MissedPolicy,
    overlap: OverlapPolicy,
}

/// Due slots of a schedule or a heartbeat that are neither fired nor skipped yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueSlots {
    missed: Option<SkippedSlots>,
    /// Oldest first.
    left: VecDeque<Timestamp>,
    overlap: OverlapPolicy,
}

/// The next step to be taken with due slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotStep {
    /// Fire this slot.
    Fire(Timestamp),
    /// Record that these slots are not fired.
    Skip(SkippedSlots),
    /// Come back when the run that was fired before is over: the slots stay due.
    Wait,
}

/// Slots that are not fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedSlots {
    /// Number of slots.
    pub slots: u64,
    /// The latest of them.
    pub latest: Timestamp,
    /// Reason.
    pub reason: SkipReason,
}

/// Reason for which slots are not fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// They passed while nothing could fire them.
    Missed,
    /// The run that was fired before is not over.
    Overlap,
}

impl ParsedSchedule {
    /// Understands a schedule.
    ///
    /// # Errors
    ///
    /// [`InvalidSchedule`] if the expression or the time zone is none.
    pub fn parse(
        expr: &str,
        timezone: &str,
        (missed, overlap): (MissedPolicy, OverlapPolicy),
    ) -> Result<Self, InvalidSchedule> {
        let zone = time_zone(timezone)
            .ok_or_else(|| InvalidSchedule::TimeZone { name: timezone.to_owned() })?;
        Ok(Self { expr: CronExpr::parse(expr)?, zone, missed, overlap })
    }

    /// Understands a schedule of a service.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn of(spec: &ScheduleSpec) -> Result<Self, InvalidSchedule> {
        Self::parse(&spec.schedule_expr, &spec.timezone, (spec.missed, spec.overlap))
    }

    /// The first slot after `after`; `None` if there is none any more.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.expr.next_after(after, self.zone)
    }

    /// Returns the slots due at `now`: those after `settled_until`, up to which all slots were
    /// fired or skipped, or passed before the schedule was in force.
    pub fn due(&self, settled_until: Timestamp, now: Timestamp) -> DueSlots {
        let mut passed = Vec::new();
        let mut last = settled_until;
        while let Some(slot) = self.next_after(last).filter(|slot| *slot <= now) {
            passed.push(slot);
            last = slot;
            if passed.len() >= COUNT_LIMIT {
                passed.extend(self.latest_until(now).filter(|slot| *slot > last));
                break;
            }
        }
        self.split(&passed, now)
    }

    /// Splits passed slots into those that are fired and those that were missed.
    fn split(&self, passed: &[Timestamp], now: Timestamp) -> DueSlots {
        let Some(latest) = passed.last() else { return DueSlots::default() };
        let is_late = now.since(*latest) > LATE_AFTER;
        let fire_from = match self.missed {
            MissedPolicy::Skip if is_late => passed.len(),
            MissedPolicy::Skip | MissedPolicy::FireOnce => passed.len() - 1,
            MissedPolicy::FireAll => passed.len().saturating_sub(MISSED_LIMIT),
        };
        let (missed, left) = passed.split_at(fire_from);
        let missed = missed.last().map(|latest| SkippedSlots {
            slots: u64::try_from(missed.len()).unwrap_or(u64::MAX),
            latest: *latest,
            reason: SkipReason::Missed,
        });
        DueSlots { missed, left: left.to_vec().into(), overlap: self.overlap }
    }

    /// The latest slot that is not after `now`, looked for ever further back.
    fn latest_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut back_ms = 1_000;
        let mut slot = None;
        while slot.is_none() && back_ms <= now.as_millis() {
            let from = Timestamp::from_millis(now.as_millis() - back_ms);
            slot = self.next_after(from).filter(|slot| *slot <= now);
            back_ms *= 2;
        }
        while let Some(later) = slot.and_then(|slot| self.next_after(slot)).filter(|s| *s <= now) {
            slot = Some(later);
        }
        slot
    }
}

impl DueSlots {
    /// Returns the slot of a heartbeat at `now`. Beats that passed are not made up for, and a beat
    /// that comes while the one before it still runs is skipped.
    pub fn of_heartbeat(due_at: Timestamp, now: Timestamp) -> Self {
        let left = (due_at <= now).then_some(now).into_iter().collect();
        Self { missed: None, left, overlap: OverlapPolicy::Skip }
    }

    /// Returns the next step, and takes its slots away; `None` if no slot is left. `is_busy` tells
    /// that the run that was fired before is not over.
    pub fn next_step(&mut self, is_busy: bool) -> Option<SlotStep> {
        let may_fire = match self.overlap {
            OverlapPolicy::Queue if is_busy && !self.left.is_empty() => {
                return Some(SlotStep::Wait);
            }
            OverlapPolicy::Skip => !is_busy,
            OverlapPolicy::Queue | OverlapPolicy::Allow => true,
        };
        if let Some(missed) = self.missed.take() {
            return Some(SlotStep::Skip(missed));
        }
        let slot = self.left.pop_front()?;
        Some(if may_fire {
            SlotStep::Fire(slot)
        } else {
            let reason = SkipReason::Overlap;
            SlotStep::Skip(SkippedSlots { slots: 1, latest: slot, reason })
        })
    }
}

/// A schedule that cannot be understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidSchedule {
    /// The expression is none.
    #[error(transparent)]
    Expression(#[from] CronError),
    /// The time zone is not one that IANA knows.
    #[error("{name:?} is not a time zone (an IANA name such as Europe/Zurich, or UTC)")]
    TimeZone {
        /// Name as given.
        name: String,
    },
}

/// The stable name of a schedule: equal for equal expression, time zone and payload.
pub fn schedule_id(spec: &ScheduleSpec) -> String {
    let payload = serde_json::to_value(&spec.payload).unwrap_or_default();
    let text = format!(
        "{}\n{}\n{}",
        spec.schedule_expr,
        spec.timezone,
        crate::canonical::to_string(&payload)
    );
    Digest::of(text.as_bytes()).hex()[..12].to_owned()
}

/// Puts schedules from several places together: no two alike, the first kept.
pub fn merge(schedules: impl IntoIterator<Item = ScheduleSpec>) -> Vec<ScheduleSpec> {
    let mut merged: Vec<ScheduleSpec> = Vec::new();
    for schedule in schedules {
        if !merged.iter().any(|known| known.id == schedule.id) {
            merged.push(schedule);
        }
    }
    merged
}
