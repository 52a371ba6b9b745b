//! Due slots of a schedule, and the time of the next look.
//!
//! Pure: the same schedule at the same moment gives the same plan, so a service that was killed
//! between deciding and recording decides the same again.

use thiserror::Error;

use crate::cron::{CronError, CronExpr, TimeZone, time_zone};
use crate::event::{Missed, Overlap, ScheduleSpec};
use crate::run::SessionSchedule;
use crate::{Digest, Timestamp};

/// The most slots that `missed: fire_all` fires after a pause.
pub const MISSED_LIMIT: usize = 100;
/// The most passed slots that are counted one by one; with more, the count says at least so many.
pub const COUNT_LIMIT: usize = 10_000;
/// A slot this much in the past was missed; less is the ordinary lateness of a busy machine.
pub const LATE_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// A schedule whose expression and time zone were understood.
#[derive(Debug)]
pub struct ParsedSchedule {
    expr: CronExpr,
    zone: TimeZone,
}

/// Work of one schedule at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Slots to fire, oldest first.
    pub fire: Vec<Timestamp>,
    /// Number of passed slots that are not fired, and the latest of them.
    pub skipped: Option<(u64, Timestamp)>,
}

impl ParsedSchedule {
    /// Understands a schedule.
    ///
    /// # Errors
    ///
    /// [`InvalidSchedule`] if the expression or the time zone is none.
    pub fn of(spec: &ScheduleSpec) -> Result<Self, InvalidSchedule> {
        let zone = time_zone(&spec.timezone)
            .ok_or_else(|| InvalidSchedule::TimeZone { name: spec.timezone.clone() })?;
        Ok(Self { expr: CronExpr::parse(&spec.schedule_expr)?, zone })
    }

    /// The first slot after `after`; `None` if there is none any more.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.expr.next_after(after, self.zone)
    }

    /// The next slot of `schedule` that is neither fired nor skipped; `since` is when it came into
    /// force.
    pub fn next_slot(&self, schedule: &SessionSchedule, since: Timestamp) -> Option<Timestamp> {
        self.next_after(schedule.last_slot_at.unwrap_or(since))
    }

    /// Returns the work due at `now`, for a schedule in force since `since`.
    pub fn due(&self, schedule: &SessionSchedule, since: Timestamp, now: Timestamp) -> Due {
        let mut passed = Vec::new();
        let mut last = schedule.last_slot_at.unwrap_or(since);
        while let Some(slot) = self.next_after(last).filter(|slot| *slot <= now) {
            passed.push(slot);
            last = slot;
            if passed.len() >= COUNT_LIMIT {
                passed.extend(self.latest_until(now).filter(|slot| *slot > last));
                break;
            }
        }
        split(&passed, schedule.spec.missed, now)
    }
}

impl ParsedSchedule {
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

/// Splits passed slots into those that are fired and those that are skipped.
fn split(passed: &[Timestamp], missed: Missed, now: Timestamp) -> Due {
    let Some(latest) = passed.last() else { return Due::default() };
    let is_late = now.since(*latest) > LATE_AFTER;
    let fire_from = match missed {
        Missed::Skip if is_late => passed.len(),
        Missed::Skip | Missed::FireOnce => passed.len() - 1,
        Missed::FireAll => passed.len().saturating_sub(MISSED_LIMIT),
    };
    let (skip, fire) = passed.split_at(fire_from);
    let skipped = skip.last().map(|slot| (u64::try_from(skip.len()).unwrap_or(u64::MAX), *slot));
    Due { fire: fire.to_vec(), skipped }
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

/// Returns true if a slot that comes while a wake of its schedule still runs is fired at once.
pub const fn may_overlap(overlap: Overlap, busy: bool) -> bool {
    match overlap {
        Overlap::Allow => true,
        Overlap::Skip | Overlap::Queue => !busy,
    }
}
