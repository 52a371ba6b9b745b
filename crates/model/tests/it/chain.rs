//! Steps: what is done stays done.

use std::time::Duration;

use errand_model::event::{EventBody, StepInherited, StepStarted};
use errand_model::step::{Begin, Inherited, StepRefused, Steps, begin, complete};
use errand_model::{Digest, Payload, Timestamp};

const SAME: Inherited = Inherited::FromSameAgent;

#[test]
fn a_completed_step_is_served_and_never_begun_again() {
    let now = Timestamp::from_millis(1_000);
    let started = StepStarted {
        key: "fetch".to_owned(),
        kind: None,
        fingerprint: None,
        detail: None,
        run_id: None,
        allowance: std::collections::BTreeMap::new(),
    };
    let mut steps = Steps::default();
    let Ok(Begin::Run(event)) = begin(None, started.clone(), SAME) else {
        panic!("a new step runs")
    };
    steps.apply(now, 1, &event);
    // The attempt dies; the next one begins the step again.
    let Ok(Begin::Run(event)) = begin(steps.get("fetch"), started.clone(), SAME) else {
        panic!("an unfinished step runs again")
    };
    steps.apply(now, 2, &event);
    let output = Some(Payload::Text("42".to_owned()));
    let later = now.plus(Duration::from_millis(5));
    let done = complete(steps.get("fetch"), "fetch", output.clone(), None, later).unwrap().unwrap();
    assert!(matches!(&done, EventBody::StepCompleted(d) if d.duration == Duration::from_millis(5)));
    steps.apply(later, 2, &done);
    let Ok(Begin::Done(result)) = begin(steps.get("fetch"), started, SAME) else {
        panic!("it is done")
    };
    assert_eq!(result.output, output);
    assert_eq!(complete(steps.get("fetch"), "fetch", output, None, later), Ok(None));
    let other = complete(steps.get("fetch"), "fetch", None, None, later);
    assert_eq!(other, Err(StepRefused::AlreadyCompleted { key: "fetch".to_owned() }));
}

#[test]
fn a_step_of_another_agent_is_kept_if_it_does_the_same_and_done_anew_if_not() {
    let step = |command: &str| StepStarted {
        key: "fetch".to_owned(),
        kind: None,
        fingerprint: Some(Digest::of(command.as_bytes())),
        detail: None,
        run_id: None,
        allowance: std::collections::BTreeMap::new(),
    };
    let inherited = StepInherited {
        key: "fetch".to_owned(),
        kind: None,
        fingerprint: Some(Digest::of(b"curl")),
        detail: None,
        output: None,
        stderr: None,
        duration: Duration::ZERO,
    };
    let mut steps = Steps::default();
    steps.apply(Timestamp::from_millis(1), 0, &EventBody::StepInherited(inherited));
    let other = Inherited::FromOtherAgent;
    assert!(matches!(begin(steps.get("fetch"), step("curl"), other), Ok(Begin::Done(_))));
    let changed = begin(steps.get("fetch"), step("wget"), SAME);
    assert!(matches!(changed, Err(StepRefused::Changed { .. })));
    let Ok(Begin::Run(anew)) = begin(steps.get("fetch"), step("wget"), other) else {
        panic!("it does something else now")
    };
    steps.apply(Timestamp::from_millis(2), 1, &anew);
    let done = complete(steps.get("fetch"), "fetch", None, None, Timestamp::from_millis(3));
    steps.apply(Timestamp::from_millis(3), 1, &done.unwrap().unwrap());
    // From here on it is a step of this run like any other.
    assert!(matches!(begin(steps.get("fetch"), step("wget"), other), Ok(Begin::Done(_))));
    let again = begin(steps.get("fetch"), step("curl"), other);
    assert!(matches!(again, Err(StepRefused::Changed { .. })));
}
