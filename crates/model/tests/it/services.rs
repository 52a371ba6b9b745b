//! Services: their restart policies, and their wakes.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::event::{
    AgentUsage, ChildUsage, EventBody, PauseReason, ServiceRestart, WakeEnded, WakeFired,
    WakeReason,
};
use errand_model::run::{
    AttemptOutcome, CRASH_LIMIT, Command, EndWake, FireWake, Lose, Pause, Resume, Run, Status,
    TokenUsage,
};
use errand_model::{RunId, Timestamp};

use crate::table::{cancel, end, failure, start, up};
use crate::world::Journaled;

/// A service of that policy whose first attempt runs.
fn running(restart: ServiceRestart) -> Journaled {
    let mut service = Journaled::service(restart);
    service.command(&start(1)).unwrap();
    service.command(&up(1)).unwrap();
    service
}

fn names(events: &[EventBody]) -> Vec<&str> {
    events.iter().map(EventBody::type_name).collect()
}

fn lose(epoch: u64) -> Command {
    Lose { epoch }.into()
}

/// Returns the delay before the next attempt; `None` without one.
fn delay(service: &Journaled) -> Option<Duration> {
    let Status::Pending { not_before, .. } = service.run.status else { return None };
    Some(not_before.since(service.now))
}

#[test]
fn a_service_whose_supervisor_died_comes_back_unless_its_policy_is_no() {
    for policy in [ServiceRestart::Always, ServiceRestart::OnFailure] {
        let mut service = running(policy);
        let events = service.command(&lose(2)).unwrap();
        assert_eq!(names(&events), ["attempt.failed", "run.requeued"], "{policy:?}");
        assert_eq!(delay(&service), Some(Duration::ZERO));
        let EventBody::AttemptStarted(started) = &service.command(&start(3)).unwrap()[0] else {
            panic!("an attempt begins");
        };
        assert_eq!(format!("{:?}", started.reason), "Recovery");
    }
    let mut service = running(ServiceRestart::No);
    let events = service.command(&lose(2)).unwrap();
    assert_eq!(names(&events), ["attempt.stopped", "run.cancelled"]);
}

#[test]
fn a_service_that_was_being_stopped_never_comes_back() {
    for policy in ServiceRestart::ALL {
        let mut service = running(policy);
        service.command(&cancel(10)).unwrap();
        service.command(&lose(2)).unwrap();
        assert_eq!(service.run.status.name(), "cancelled", "{policy:?}");
    }
}

#[test]
fn a_first_attempt_that_cannot_begin_is_the_end_of_every_service() {
    for policy in ServiceRestart::ALL {
        let mut service = Journaled::service(policy);
        service.command(&start(1)).unwrap();
        service.command(&end(1, AttemptOutcome::Failed(failure("listen_address_in_use")))).unwrap();
        assert_eq!(service.run.status.name(), "failed", "{policy:?}");
    }
}

#[test]
fn a_crash_loop_slows_down_and_ends_where_the_policy_is_on_failure() {
    let crash = |policy, times: u32| {
        let mut service = running(policy);
        let mut delays = Vec::new();
        for number in 1..=times {
            service.command(&lose(u64::from(number) * 2)).unwrap();
            let Some(delay) = delay(&service) else { break };
            delays.push(delay.as_secs());
            service.now = service.now.plus(delay);
            service.command(&start(u64::from(number) * 2 + 1)).unwrap();
            service.command(&up(number + 1)).unwrap();
        }
        (service, delays)
    };
    let (service, delays) = crash(ServiceRestart::OnFailure, CRASH_LIMIT + 2);
    assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(service.run.status.name(), "failed");
    let (service, delays) = crash(ServiceRestart::Always, CRASH_LIMIT + 2);
    assert_eq!(delays.last(), Some(&60));
    assert_eq!(service.run.status.name(), "running");
}

#[test]
fn an_attempt_that_lived_for_long_is_no_part_of_a_crash_loop() {
    let mut service = running(ServiceRestart::OnFailure);
    service.command(&lose(2)).unwrap();
    service.command(&start(3)).unwrap();
    service.command(&up(2)).unwrap();
    service.now = service.now.plus(Duration::from_secs(3600));
    service.command(&lose(4)).unwrap();
    assert_eq!(delay(&service), Some(Duration::from_secs(1)), "the one before it crashed");
    service.now = service.now.plus(Duration::from_secs(1));
    service.command(&start(5)).unwrap();
    service.command(&up(3)).unwrap();
    service.command(&lose(6)).unwrap();
    assert_eq!(delay(&service), Some(Duration::ZERO), "the one before it did not");
}

#[test]
fn a_service_that_a_signal_ended_rests_until_the_next_boot_where_the_policy_is_on_failure() {
    let mut service = running(ServiceRestart::OnFailure);
    service.command(&end(1, AttemptOutcome::Drained)).unwrap();
    assert_eq!(service.run.status.name(), "pending");
    assert_eq!(service.run.rests_until_boot().map(|last| last.pid), Some(100));
    service.command(&start(2)).unwrap();
    assert_eq!(service.run.rests_until_boot(), None);

    let mut service = running(ServiceRestart::Always);
    service.command(&end(1, AttemptOutcome::Drained)).unwrap();
    assert_eq!((service.run.status.name(), service.run.rests_until_boot()), ("pending", None));

    let mut service = running(ServiceRestart::No);
    service.command(&end(1, AttemptOutcome::Drained)).unwrap();
    assert_eq!(service.run.status.name(), "cancelled");
}

#[test]
fn a_held_service_stays_held_while_no_supervisor_is_there() {
    for lost in [end(1, AttemptOutcome::Drained), lose(2)] {
        let mut service = running(ServiceRestart::OnFailure);
        let held = Pause { reason: PauseReason::Operator, by: None };
        service.command(&held.into()).unwrap();
        service.command(&lost).unwrap();
        assert!(service.run.is_at_rest(), "{:?}", service.run.status);
        service.command(&Resume { by: None }.into()).unwrap();
        assert_eq!(service.run.status.name(), "pending");
    }
}

fn wake(number: u64) -> RunId {
    RunId::new(Timestamp::from_millis(2_000_000), number)
}

fn fired(number: u64, reason: WakeReason, source: Option<String>) -> WakeFired {
    let (slot_ms, by) = (None, None);
    WakeFired { reason, run_id: wake(number), source, slot_ms, by, is_followed: true }
}

fn ended(number: u64, input_tokens: u64) -> WakeEnded {
    let tokens = TokenUsage { input_tokens, ..TokenUsage::default() };
    let used = AgentUsage { runs: 1, tokens, model_calls: 1, ..AgentUsage::default() };
    WakeEnded {
        run_id: wake(number),
        status: "completed".to_owned(),
        usage: ChildUsage { by_agent: BTreeMap::from([("echo".to_owned(), used)]) },
    }
}

fn under_way(run: &Run) -> Vec<(String, u32)> {
    run.service.as_ref().unwrap().under_way.clone().into_iter().collect()
}

#[test]
fn a_service_used_what_its_wakes_used_and_each_of_them_counts_once() {
    let mut service = running(ServiceRestart::OnFailure);
    for number in [1, 2] {
        let fire =
            FireWake { attempt: 1, fired: fired(number, WakeReason::Manual, None), takes_up: None };
        service.command(&fire.into()).unwrap();
        let end = EndWake { attempt: 1, ended: ended(number, number * 10) };
        service.command(&end.clone().into()).unwrap();
        assert_eq!(service.command(&end.into()).unwrap(), [], "the end is recorded once");
    }
    let run = &service.run;
    assert_eq!((run.usage.input_tokens, run.counters.model_calls), (30, 2));
    assert_eq!(run.service.as_ref().unwrap().usage["echo"].runs, 2);
    assert_eq!(under_way(run), []);
}

#[test]
fn an_interrupted_wake_is_taken_up_once_and_counts_how_often() {
    let mut service = running(ServiceRestart::OnFailure);
    let fire = |number, reason, source: Option<u64>| {
        let takes_up = source.map(|number| ended(number, 0));
        let source = source.map(|number| wake(number).to_string());
        FireWake { attempt: 1, fired: fired(number, reason, source), takes_up }
    };
    service.command(&fire(1, WakeReason::Schedule, None).into()).unwrap();
    assert_eq!(under_way(&service.run), [(wake(1).to_string(), 0)]);
    service.command(&fire(2, WakeReason::Recovery, Some(1)).into()).unwrap();
    assert_eq!(under_way(&service.run), [(wake(2).to_string(), 1)]);
    let again = service.command(&fire(3, WakeReason::Recovery, Some(1)).into()).unwrap();
    assert_eq!(again, [], "it is taken up already");
    service.command(&fire(4, WakeReason::Recovery, Some(2)).into()).unwrap();
    assert_eq!(under_way(&service.run), [(wake(4).to_string(), 2)]);
    assert_eq!(service.run, Run::fold(&service.events).unwrap());
}
