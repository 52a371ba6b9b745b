//! Invariants of every journal that commands can produce.

use std::collections::BTreeSet;
use std::time::Duration;

use errand_model::event::{AttemptReason, EventBody, PauseReason, RunKind, StepStarted};
use errand_model::run::{
    AttemptOutcome, AttemptReport, Command, Expire, Lose, Pause, Resume, Run, Status,
};
use errand_model::step::{StepState, Steps};
use errand_model::{Event, EventContext, Head};
use proptest::prelude::*;

use crate::table::{
    ask, ask_input, await_secrets, cancel, decide, end, failure, leave, provide, restart, start, up,
};
use crate::world::Journaled;

fn any_command() -> impl Strategy<Value = Command> {
    let attempt = 1_u32..5;
    let epoch = 0_u64..12;
    prop_oneof![
        4 => epoch.clone().prop_map(start),
        4 => attempt.clone().prop_map(up),
        2 => attempt.clone().prop_map(|n| end(n, AttemptOutcome::Exited { output: None })),
        3 => attempt.clone().prop_map(|n| end(n, AttemptOutcome::Failed(failure("exit_nonzero")))),
        1 => attempt.clone().prop_map(|n| end(n, AttemptOutcome::Failed(failure("output_invalid")))),
        1 => attempt.clone().prop_map(|n| end(n, AttemptOutcome::Drained)),
        1 => (0_u64..20).prop_map(cancel),
        2 => Just(restart()),
        2 => epoch.prop_map(|epoch| Lose { epoch }.into()),
        1 => Just(Pause { reason: PauseReason::Operator, by: None }.into()),
        2 => Just(Resume { by: None }.into()),
        1 => Just(await_secrets()),
        3 => (attempt.clone(), "[ab]", any::<bool>()).prop_map(|(n, what, park)| ask(n, &what, park)),
        2 => (attempt.clone(), "[q]", any::<bool>()).prop_map(|(n, what, park)| ask_input(n, &what, park)),
        3 => "[abz]".prop_map(|what| decide(&what)),
        2 => "[qz]".prop_map(|what| provide(&what)),
        1 => Just(Expire {}.into()),
        2 => attempt.clone().prop_map(leave),
        3 => (attempt, "[abc]").prop_map(|(attempt, key)| {
            let step = StepStarted { key, kind: None, fingerprint: None, detail: None, run_id: None, allowance: std::collections::BTreeMap::new() };
            AttemptReport { attempt, events: vec![EventBody::StepStarted(step)] }.into()
        }),
    ]
}

fn any_kind() -> impl Strategy<Value = RunKind> {
    prop_oneof![Just(RunKind::Job), Just(RunKind::Heartbeat), Just(RunKind::Service)]
}

fn any_history() -> impl Strategy<Value = (Journaled, Vec<(usize, Run)>)> {
    (any_kind(), 0_u32..4, proptest::collection::vec(any_command(), 0..60)).prop_map(
        |(kind, retries, commands)| {
            let mut journaled = Journaled::new(kind, retries);
            let mut lives = vec![(journaled.events.len(), journaled.run.clone())];
            for command in commands {
                // A refused command changes nothing; that is checked by the fold below.
                if journaled.command(&command).is_ok() {
                    lives.push((journaled.events.len(), journaled.run.clone()));
                }
            }
            (journaled, lives)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_legal_history_folds_to_the_state_that_lived((journaled, _) in any_history()) {
        prop_assert_eq!(Run::fold(&journaled.events).unwrap(), journaled.run);
    }

    #[test]
    fn a_crash_after_any_event_loses_nothing((journaled, lives) in any_history()) {
        let written: Vec<Event> = journaled.events.iter()
            .map(|event| Event::from_json_line(&event.to_json_line()).unwrap())
            .collect();
        // Inside a commit the fold is on its way; it must get there from wherever it stands.
        for upto in 1..=written.len() {
            let mut resumed = Run::fold(&written[..upto]).unwrap();
            for event in &written[upto..] {
                let context = EventContext { at: event.at, attempt: event.attempt };
                resumed.apply(context, &event.body().unwrap()).unwrap();
            }
            prop_assert_eq!(&resumed, &journaled.run);
        }
        // After each commit it is exactly the state that lived.
        for (upto, lived) in &lives {
            prop_assert_eq!(&Run::fold(&written[..*upto]).unwrap(), lived);
        }
    }

    #[test]
    fn nothing_follows_a_terminal_event((journaled, _) in any_history(), command in any_command()) {
        let mut ended = journaled.clone();
        if ended.run.status.is_terminal() {
            prop_assert!(ended.command(&command).is_err());
            for event in &journaled.events {
                let body = event.body().unwrap();
                let context = EventContext { at: event.at, attempt: event.attempt };
                prop_assert!(ended.run.clone().apply(context, &body).is_err());
            }
        }
    }

    #[test]
    fn leases_only_grow_and_an_old_one_is_refused((journaled, _) in any_history(), epoch in 0_u64..12) {
        let mut last = 0;
        for attempt in &journaled.run.attempts {
            prop_assert!(attempt.epoch > last);
            last = attempt.epoch;
        }
        if epoch <= journaled.run.epoch {
            prop_assert!(journaled.clone().command(&start(epoch)).is_err());
            let lose = Lose { epoch }.into();
            let mut journaled = journaled;
            prop_assert!(journaled.command(&lose).is_err());
        }
    }

    #[test]
    fn a_cancelled_run_has_no_live_attempt_and_at_most_one_attempt_lives((_, lives) in any_history()) {
        for (_, run) in &lives {
            let live = run.attempts.iter().filter(|attempt| attempt.state.is_live()).count();
            prop_assert!(live <= 1);
            prop_assert!(!run.status.is_terminal() || live == 0);
        }
    }

    #[test]
    fn any_change_to_a_journal_is_found(
        (journaled, _) in any_history(), place in any::<prop::sample::Index>(), kind in 0..4,
    ) {
        let mut events = journaled.events.clone();
        let place = place.index(events.len());
        match kind {
            0 => events[place].at = events[place].at.plus(Duration::from_millis(1)),
            1 => events[place].attempt += 1,
            2 if place + 1 < events.len() => events.swap(place, place + 1),
            3 if place + 1 < events.len() => { events.remove(place); }
            _ => events[place].data.push(' '),
        }
        let mut head = Head::EMPTY;
        prop_assert!(events.iter().try_for_each(|event| head.verify(event)).is_err());
        let mut head = Head::EMPTY;
        prop_assert!(journaled.events.iter().try_for_each(|event| head.verify(event)).is_ok());
        prop_assert_eq!(head, journaled.head);
    }

    #[test]
    fn steps_fold((journaled, _) in any_history()) {
        let begun = journaled.events.iter().filter(|event| event.kind == "step.started").count();
        let steps = Steps::fold(&journaled.events).unwrap();
        prop_assert_eq!(usize::try_from(steps.iter().map(|step| step.begun).sum::<u32>()).unwrap(), begun);
        let unfinished = steps.iter().filter(|step| step.state == StepState::Started);
        prop_assert!(steps.unfinished().eq(unfinished));
        prop_assert_eq!(Steps::from_stored(steps.iter().cloned()), steps);
    }

    #[test]
    fn every_question_is_answered_at_most_once((journaled, _) in any_history()) {
        let mut answered = BTreeSet::new();
        for event in &journaled.events {
            let id = match event.kind.as_str() {
                "approval.decided" => "approval_id",
                "input.provided" | "input.expired" => "input_id",
                _ => continue,
            };
            let id = event.body().unwrap().data()[id].to_string();
            prop_assert!(answered.insert(id));
        }
    }

    #[test]
    fn a_run_that_waits_for_an_answer_has_an_open_question((_, lives) in any_history()) {
        for (_, run) in &lives {
            let open = run.open_approvals().count() + run.open_inputs().count();
            if let Status::Paused { reason: PauseReason::Approval | PauseReason::Input, .. } = run.status {
                prop_assert!(open > 0);
            }
        }
    }

    #[test]
    fn when_the_last_question_is_answered_a_parked_run_goes_on(held in any::<bool>(), more in any::<bool>()) {
        let mut parked = Journaled::new(RunKind::Job, 0);
        let mut commands = vec![start(1), up(1), ask(1, "a", true)];
        if more { commands.push(ask_input(1, "q", true)); }
        commands.push(leave(1));
        if held { commands.push(Pause { reason: PauseReason::Operator, by: None }.into()); }
        for command in &commands { parked.command(command).unwrap(); }
        prop_assert!(parked.run.is_at_rest());
        prop_assert!(parked.command(&start(2)).is_err());
        parked.command(&decide("a")).unwrap();
        if more {
            prop_assert!(parked.run.is_at_rest());
            parked.command(&provide("q")).unwrap();
        }
        if held {
            prop_assert!(parked.run.is_at_rest());
            parked.command(&Resume { by: None }.into()).unwrap();
        }
        prop_assert!(!parked.run.is_at_rest());
        let began = parked.command(&start(2)).unwrap();
        let EventBody::AttemptStarted(began) = &began[0] else { panic!("no attempt") };
        prop_assert_eq!(began.reason, AttemptReason::Resume);
    }
}
