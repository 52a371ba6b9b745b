//! Events of a run in its session; a run that waited for its turn loses nothing.

use std::sync::Arc;

use errand_model::event::{
    EventBody, OnBusy, ProcessUsage, Replay, ReplayPolicy, RunCreated, RunKind, SessionAppended,
    SessionMessage,
};
use errand_model::run::{
    AttemptOutcome, AttemptReport, AttemptUp, Effect, EndAttempt, Lose, MESSAGE_LIMIT_BYTES,
    StartAttempt,
};
use errand_model::{Blob, Digest, Encoding, Payload};

use crate::world::{Journaled, process};

fn text(text: &str) -> Payload {
    Payload::Text(text.to_owned())
}

/// The specification of a run, to be changed.
fn spec(of: &mut Journaled) -> &mut RunCreated {
    Arc::make_mut(&mut of.run.spec)
}

/// A run of a session whose attempt is under way.
fn running(change: impl FnOnce(&mut Journaled)) -> Journaled {
    let mut run = Journaled::new(RunKind::Job, 0);
    spec(&mut run).session_id = Some("talk".to_owned());
    change(&mut run);
    let (supervisor, host) = (process(7), "here".to_owned());
    let start = StartAttempt { epoch: 1, supervisor, host, worker: None };
    run.command(&start.into()).unwrap();
    let up = AttemptUp { attempt: 1, locator: None, memory_enforced_by: None, setup: None };
    run.command(&up.into()).unwrap();
    run
}

fn end(run: &mut Journaled, output: Option<Payload>) -> Vec<EventBody> {
    let end = EndAttempt {
        task: None,
        attempt: 1,
        outcome: AttemptOutcome::Exited { output },
        exit_code: Some(0),
        signal: None,
        usage: ProcessUsage::default(),
    };
    run.command(&end.into()).unwrap()
}

/// Roles and contents of what was appended, if something was.
fn said(events: &[EventBody]) -> Vec<(String, Payload)> {
    let messages = events.iter().filter_map(|event| {
        let EventBody::SessionAppended(appended) = event else { return None };
        Some(appended.messages.clone())
    });
    messages.flatten().map(|message| (message.role, message.content)).collect()
}

#[test]
fn what_a_run_was_given_and_gave_becomes_its_messages() {
    let check = |change: fn(&mut Journaled), output: Option<Payload>, expect: &[_]| {
        assert_eq!(said(&end(&mut running(change), output)), expect);
    };
    let both = [("user".to_owned(), text("hello")), ("assistant".to_owned(), text("bye"))];
    check(|_| {}, Some(text("bye")), &both);
    check(|_| {}, None, &both[..1]);
    check(|run| spec(run).input = None, Some(text("bye")), &both[1..]);
    check(|run| spec(run).input = None, None, &[]);
    check(|run| spec(run).session_id = None, Some(text("bye")), &[]);
    let repeat = |run: &mut Journaled| {
        let (of, policy) = (run.run.id.clone(), ReplayPolicy::Strict);
        spec(run).replay = Some(Replay { of, policy });
    };
    check(repeat, Some(text("bye")), &[]);
}

#[test]
fn an_agent_that_speaks_for_itself_is_not_spoken_for() {
    let mut run = running(|_| {});
    let message = SessionMessage { role: "tool".to_owned(), content: text("x") };
    let appended = SessionAppended { session_id: "talk".to_owned(), messages: vec![message] };
    let report = AttemptReport { attempt: 1, events: vec![EventBody::SessionAppended(appended)] };
    run.command(&report.into()).unwrap();
    assert_eq!(said(&end(&mut run, Some(text("bye")))), []);
}

#[test]
fn a_long_output_is_named_and_not_repeated() {
    let blob = |size_bytes| {
        Payload::Blob(Blob { digest: Digest::of(b"x"), size_bytes, encoding: Encoding::Text })
    };
    let of = |size_bytes| said(&end(&mut running(|_| {}), Some(blob(size_bytes)))).remove(1).1;
    assert_eq!(of(MESSAGE_LIMIT_BYTES), blob(MESSAGE_LIMIT_BYTES));
    let Payload::Text(instead) = of(MESSAGE_LIMIT_BYTES + 1) else { panic!("it is too long") };
    assert!(instead.starts_with("1048577 bytes: the output of run "), "{instead}");
}

#[test]
fn a_run_whose_helper_died_while_it_waited_for_its_turn_gets_another() {
    let lost = |turn, detached, epoch| {
        let mut run = Journaled::new(RunKind::Job, 0).run;
        let spec = Arc::make_mut(&mut run.spec);
        (spec.session_turn, spec.detached) = (turn, detached);
        let decision = run.decide(&Lose { epoch }.into(), run.created_at).unwrap();
        let goes_on = matches!(decision.effects[..], [Effect::Dispatch { .. }]);
        assert_eq!(goes_on, decision.events.is_empty());
        goes_on
    };
    assert!(lost(Some(OnBusy::Enqueue), true, 2));
    assert!(!lost(Some(OnBusy::Enqueue), true, 1), "no helper ever had it");
    assert!(!lost(Some(OnBusy::Enqueue), false, 2), "its terminal is gone");
    assert!(!lost(None, true, 2));
}
