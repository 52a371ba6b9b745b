//! Steps: what is done stays done.

use std::time::Duration;

use errand_model::event::{EventBody, StepStarted};
use errand_model::step::{Begin, StepRefused, Steps, begin, complete};
use errand_model::{Payload, Timestamp};

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
    let Ok(Begin::Run(event)) = begin(None, started.clone()) else { panic!("a new step runs") };
    steps.apply(now, 1, &event);
    // The attempt dies; the next one begins the step again.
    let Ok(Begin::Run(event)) = begin(steps.get("fetch"), started.clone()) else {
        panic!("an unfinished step runs again")
    };
    steps.apply(now, 2, &event);
    let output = Some(Payload::Text("42".to_owned()));
    let later = now.plus(Duration::from_millis(5));
    let done = complete(steps.get("fetch"), "fetch", output.clone(), None, later).unwrap().unwrap();
    assert!(matches!(&done, EventBody::StepCompleted(d) if d.duration == Duration::from_millis(5)));
    steps.apply(later, 2, &done);
    let Ok(Begin::Done(result)) = begin(steps.get("fetch"), started) else { panic!("it is done") };
    assert_eq!(result.output, output);
    assert_eq!(complete(steps.get("fetch"), "fetch", output, None, later), Ok(None));
    let other = complete(steps.get("fetch"), "fetch", None, None, later);
    assert_eq!(other, Err(StepRefused::AlreadyCompleted { key: "fetch".to_owned() }));
}
