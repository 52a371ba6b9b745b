//! Drafts: additions to a journal are what a fold of the journal gives.

use errand_model::draft::{AdoptError, DraftError, JournalDraft, Position};
use errand_model::event::{EventBody, RunKind, StepStarted};
use errand_model::run::{AttemptOutcome, AttemptReport, Command, Lose, Run};
use errand_model::step::Steps;
use errand_model::{Hash, Head, RunId, Timestamp};

use crate::table::{end, start, up};
use crate::world::created;

fn draft() -> (JournalDraft, Timestamp) {
    let now = Timestamp::from_millis(1_000_000);
    (JournalDraft::create(RunId::new(now, 7), created(RunKind::Job, 0), now), now)
}

fn begin_step(key: &str) -> Command {
    let key = key.to_owned();
    let allowance = std::collections::BTreeMap::new();
    let step = EventBody::StepStarted(StepStarted {
        key,
        kind: None,
        fingerprint: None,
        detail: None,
        run_id: None,
        allowance,
    });
    AttemptReport { attempt: 1, events: vec![step] }.into()
}

#[test]
fn additions_fold_to_the_run_and_the_steps_of_the_draft() {
    let (mut draft, now) = draft();
    for command in [start(1), up(1), begin_step("fetch"), begin_step("fetch")] {
        draft.command(&command, now).unwrap();
    }
    let added = draft.added();
    let attempts: Vec<u32> = added.events.iter().map(|event| event.attempt).collect();
    assert_eq!(attempts.first(), Some(&0));
    assert!(attempts.iter().skip(1).all(|attempt| *attempt == 1), "{attempts:?}");
    assert_eq!(&Run::fold(&added.events).unwrap(), draft.run());
    let begun: Vec<u32> = added.steps.iter().map(|step| step.begun).collect();
    assert_eq!(begun, [1, 2], "one state of the step for each event");
    assert_eq!(&Steps::fold(&added.events).unwrap(), draft.steps());
    assert_eq!(draft.head().seq, u64::try_from(added.events.len()).unwrap());
}

#[test]
fn a_refused_command_adds_nothing() {
    let (mut draft, now) = draft();
    let before = draft.clone();
    let refused = draft.command(&Lose { epoch: 0 }.into(), now);
    assert!(matches!(refused, Err(DraftError::Rejected(_))), "{refused:?}");
    assert_eq!((draft.added(), draft.position()), (before.added(), before.position()));
}

#[test]
fn a_step_is_no_transition_of_the_run_and_an_attempt_is_one() {
    let (mut draft, now) = draft();
    assert!(draft.take().is_transition, "run.created");
    draft.command(&start(1), now).unwrap();
    draft.command(&up(1), now).unwrap();
    assert!(draft.take().is_transition);
    draft.command(&begin_step("fetch"), now).unwrap();
    assert!(!draft.take().is_transition);
}

#[test]
fn additions_that_could_not_be_committed_come_before_later_ones() {
    let (mut draft, now) = draft();
    draft.command(&start(1), now).unwrap();
    let mut taken = draft.clone().take();
    draft.take();
    draft.command(&up(1), now).unwrap();
    taken.events.retain(|event| event.seq > 1);
    draft.put_back(taken);
    let numbers: Vec<u64> = draft.added().events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (2..=draft.head().seq).collect::<Vec<_>>());
    assert!(draft.added().is_transition);
    assert_eq!(draft.added().before.head, Head::EMPTY);
}

#[test]
fn sealed_events_are_adopted_only_where_they_follow() {
    let (mut live, now) = draft();
    live.command(&start(1), now).unwrap();
    live.command(&up(1), now).unwrap();
    live.take();
    let stored = JournalDraft::new(live.run().clone(), live.head(), live.steps().clone());
    let before = Position { head: live.head(), attempt: 1, epoch: 1 };
    assert_eq!(stored.position(), before);
    live.command(&end(1, AttemptOutcome::Exited { output: None }), now).unwrap();

    let mut recovered = stored.clone();
    for event in &live.added().events {
        recovered.adopt(event).unwrap();
    }
    assert_eq!(recovered.run(), live.run());
    assert_eq!((recovered.head(), recovered.added()), (live.head(), live.added()));
    assert_eq!(recovered.added().before, before, "also after the run has ended");

    let elsewhere = Head { seq: before.head.seq, hash: Hash::ZERO };
    let mut other = JournalDraft::without_steps(stored.run().clone(), elsewhere);
    let refused = other.adopt(&live.added().events[0]);
    assert!(matches!(refused, Err(AdoptError::Broken(_))), "{refused:?}");
    assert_eq!((other.head(), other.added().events.len()), (elsewhere, 0));
}
