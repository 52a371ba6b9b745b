//! Slots that are due, and what becomes of them.

use errand_model::Timestamp;
use errand_model::event::{MissedPolicy, OverlapPolicy, ScheduleSource, ScheduleSpec};
use errand_model::schedule::{
    DueSlots, ParsedSchedule, SkipReason, SkippedSlots, SlotStep, merge, schedule_id,
};

fn schedule(expr: &str, missed: MissedPolicy) -> ScheduleSpec {
    let mut spec = ScheduleSpec {
        id: String::new(),
        schedule_expr: expr.to_owned(),
        timezone: "UTC".to_owned(),
        payload: None,
        missed,
        overlap: OverlapPolicy::Skip,
        source: ScheduleSource::Flag,
        settled_until: None,
    };
    spec.id = schedule_id(&spec);
    spec
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Due slots of a schedule that fires every ten seconds.
fn due(policies: (MissedPolicy, OverlapPolicy), settled_until: i64, now: i64) -> DueSlots {
    let parsed = ParsedSchedule::parse("*/10 * * * * *", "UTC", policies).unwrap();
    parsed.due(at(settled_until), at(now))
}

/// Steps that are taken while no earlier run is left.
fn idle(mut due: DueSlots) -> Vec<SlotStep> {
    std::iter::from_fn(|| due.next_step(false)).collect()
}

fn fire(slot: i64) -> SlotStep {
    SlotStep::Fire(at(slot))
}

fn skip(slots: u64, latest: i64, reason: SkipReason) -> SlotStep {
    SlotStep::Skip(SkippedSlots { slots, latest: at(latest), reason })
}

#[test]
fn a_slot_is_due_once_it_came_and_never_again() {
    let policies = (MissedPolicy::FireOnce, OverlapPolicy::Skip);
    assert_eq!(due(policies, 1_000, 1_009), DueSlots::default());
    assert_eq!(idle(due(policies, 1_000, 1_010)), [fire(1_010)]);
    assert_eq!(due(policies, 1_010, 1_011), DueSlots::default());
}

#[test]
fn missed_slots_follow_the_policy() {
    let steps = |missed, now| idle(due((missed, OverlapPolicy::Skip), 1_000, now));
    let two_missed = skip(2, 1_020, SkipReason::Missed);
    assert_eq!(steps(MissedPolicy::FireOnce, 1_038), [two_missed, fire(1_030)]);
    assert_eq!(steps(MissedPolicy::Skip, 1_038), [skip(3, 1_030, SkipReason::Missed)]);
    assert_eq!(steps(MissedPolicy::Skip, 1_031), [two_missed, fire(1_030)]);
    assert_eq!(steps(MissedPolicy::FireAll, 1_038), [fire(1_010), fire(1_020), fire(1_030)]);
}

#[test]
fn a_year_of_missed_slots_is_one_run_for_the_latest() {
    let steps =
        idle(due((MissedPolicy::FireOnce, OverlapPolicy::Skip), 1_000, 1_000 + 366 * 86_400));
    let [SlotStep::Skip(skipped), last] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(*last, fire(1_000 + 366 * 86_400));
    assert!(skipped.slots >= 10_000);
}

#[test]
fn a_slot_during_the_run_before_it_is_skipped_or_waits_or_fires_by_policy() {
    let slots = |overlap| due((MissedPolicy::FireAll, overlap), 1_000, 1_020);
    let mut skips = slots(OverlapPolicy::Skip);
    assert_eq!(skips.next_step(false), Some(fire(1_010)));
    assert_eq!(skips.next_step(true), Some(skip(1, 1_020, SkipReason::Overlap)));
    assert_eq!(skips.next_step(true), None);
    let mut queues = slots(OverlapPolicy::Queue);
    assert_eq!(queues.next_step(true), Some(SlotStep::Wait));
    assert_eq!(queues.next_step(false), Some(fire(1_010)));
    assert_eq!(queues.next_step(true), Some(SlotStep::Wait), "the second slot waits as well");
    assert_eq!(queues.next_step(false), Some(fire(1_020)));
    assert_eq!(queues.next_step(true), None, "without a slot there is nothing to wait for");
    let mut allows = slots(OverlapPolicy::Allow);
    assert_eq!(allows.next_step(true), Some(fire(1_010)));
    assert_eq!(allows.next_step(true), Some(fire(1_020)));
}

#[test]
fn a_heartbeat_is_one_slot_for_all_beats_that_passed() {
    assert_eq!(DueSlots::of_heartbeat(at(10), at(9)), DueSlots::default());
    assert_eq!(idle(DueSlots::of_heartbeat(at(10), at(95))), [fire(95)]);
    let mut busy = DueSlots::of_heartbeat(at(10), at(11));
    assert_eq!(busy.next_step(true), Some(skip(1, 11, SkipReason::Overlap)));
}

#[test]
fn equal_schedules_merge() {
    let one = schedule("0 0 * * * *", MissedPolicy::FireOnce);
    let mut file = one.clone();
    file.source = ScheduleSource::AgentFile;
    let other = schedule("0 5 * * * *", MissedPolicy::FireOnce);
    assert_eq!(merge([one.clone(), file, other.clone()]), vec![one, other]);
}
