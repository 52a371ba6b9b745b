//! Which slots are due.

use errand_model::Timestamp;
use errand_model::event::{Missed, Overlap, ScheduleSource, ScheduleSpec};
use errand_model::run::SessionSchedule;
use errand_model::schedule::{Due, ParsedSchedule, merge, schedule_id};

fn schedule(expr: &str, missed: Missed) -> SessionSchedule {
    let mut spec = ScheduleSpec {
        id: String::new(),
        schedule_expr: expr.to_owned(),
        timezone: "UTC".to_owned(),
        payload: None,
        missed,
        overlap: Overlap::Skip,
        source: ScheduleSource::Flag,
        settled_until: None,
    };
    spec.id = schedule_id(&spec);
    SessionSchedule { spec, last_slot_at: None, last_fired_at: None }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn due(missed: Missed, last: Option<i64>, now: i64) -> Due {
    let mut schedule = schedule("*/10 * * * * *", missed);
    schedule.last_slot_at = last.map(at);
    ParsedSchedule::of(&schedule.spec).unwrap().due(&schedule, at(1_000), at(now))
}

#[test]
fn a_slot_is_due_once_it_came_and_never_again() {
    assert_eq!(due(Missed::FireOnce, None, 1_009), Due::default());
    assert_eq!(due(Missed::FireOnce, None, 1_010), Due { fire: vec![at(1_010)], skipped: None });
    assert_eq!(due(Missed::FireOnce, Some(1_010), 1_011), Due::default());
}

#[test]
fn missed_slots_follow_the_policy() {
    let skipped = Some((2, at(1_020)));
    assert_eq!(due(Missed::FireOnce, None, 1_038), Due { fire: vec![at(1_030)], skipped });
    assert_eq!(due(Missed::Skip, None, 1_038), Due { fire: vec![], skipped: Some((3, at(1_030))) });
    assert_eq!(due(Missed::Skip, None, 1_031), Due { fire: vec![at(1_030)], skipped });
    let all = vec![at(1_010), at(1_020), at(1_030)];
    assert_eq!(due(Missed::FireAll, None, 1_038), Due { fire: all, skipped: None });
}

#[test]
fn a_year_of_missed_slots_is_one_wake_for_the_latest() {
    let due = due(Missed::FireOnce, None, 1_000 + 366 * 86_400);
    assert_eq!(due.fire, vec![at(1_000 + 366 * 86_400)]);
    assert!(due.skipped.is_some_and(|(slots, _)| slots >= 10_000));
}

#[test]
fn equal_schedules_merge() {
    let one = schedule("0 0 * * * *", Missed::FireOnce).spec;
    let mut file = one.clone();
    file.source = ScheduleSource::AgentFile;
    let other = schedule("0 5 * * * *", Missed::FireOnce).spec;
    assert_eq!(merge([one.clone(), file, other.clone()]), vec![one, other]);
}
