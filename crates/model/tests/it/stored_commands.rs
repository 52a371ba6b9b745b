//! JSON of commands as registries hold it: each form that was ever written is read, and is written
//! again as it was.

use std::time::Duration;

use errand_model::budget::LimitName;
use errand_model::event::{ApprovalVerdict, CancelCause, PauseReason};
use errand_model::run::{
    CallerCommand, Cancel, DecideApproval, Pause, ProvideInput, Raise, Restart, Resume, WakeService,
};
use errand_model::{Digest, Payload};

/// A command as errand 0.1 and all later versions store it, and the command.
#[track_caller]
fn check(stored: &str, command: impl Into<CallerCommand>) {
    let command = command.into();
    assert_eq!(serde_json::from_str::<CallerCommand>(stored).unwrap(), command);
    assert_eq!(serde_json::to_string(&command).unwrap(), stored);
}

fn me() -> Option<String> {
    Some("me".to_owned())
}

#[test]
fn stored_cancels_and_restarts_are_read_and_written_as_ever() {
    check(
        r#"{"type":"cancel","cause":"stopped","by":"me","grace_period_ms":10000}"#,
        Cancel { cause: CancelCause::Stopped, by: me(), grace: Duration::from_secs(10) },
    );
    check(
        r#"{"type":"cancel","cause":"parent","by":null,"grace_period_ms":0}"#,
        Cancel { cause: CancelCause::Parent, by: None, grace: Duration::ZERO },
    );
    check(
        r#"{"type":"restart","by":null,"grace_period_ms":250}"#,
        Restart { by: None, grace: Duration::from_millis(250) },
    );
}

#[test]
fn stored_pauses_and_resumes_are_read_and_written_as_ever() {
    check(r#"{"type":"pause","by":"me"}"#, Pause::by_operator(me()));
    check(r#"{"type":"pause","by":null}"#, Pause { reason: PauseReason::Operator, by: None });
    check(r#"{"type":"resume","by":"me"}"#, Resume { by: me() });
    check(r#"{"type":"resume","by":null}"#, Resume { by: None });
}

#[test]
fn stored_decisions_are_read_and_written_as_ever() {
    let decide = DecideApproval {
        approval_id: Some("apr_1".to_owned()),
        decision: ApprovalVerdict::Reject,
        by: "me".to_owned(),
        comment: None,
        digest: None,
        decision_id: Some("dec_1".to_owned()),
    };
    check(
        r#"{"type":"decide","approval_id":"apr_1","verdict":"reject","by":"me","comment":null,"decision_id":"dec_1"}"#,
        decide.clone(),
    );
    // Since the digest is stored with the decision, its holder checks it, too.
    let digest = Digest::of(b"x");
    let stored = format!(
        r#"{{"type":"decide","approval_id":"apr_1","verdict":"approve","by":"me","comment":"go","digest":"{digest}","decision_id":"dec_1"}}"#
    );
    let (decision, comment) = (ApprovalVerdict::Approve, Some("go".to_owned()));
    check(&stored, DecideApproval { decision, comment, digest: Some(digest), ..decide });
    check(
        r#"{"type":"provide","input_id":"inp_1","answer":{"json":{"a":1}},"by":"me","decision_id":"dec_1"}"#,
        ProvideInput {
            input_id: "inp_1".to_owned(),
            answer: Payload::Json(serde_json::json!({ "a": 1 })),
            by: "me".to_owned(),
            decision_id: Some("dec_1".to_owned()),
        },
    );
}

#[test]
fn stored_raises_and_wakes_are_read_and_written_as_ever() {
    check(
        r#"{"type":"raise","limits":[["tokens_per_run",400000]],"by":"me"}"#,
        Raise { limits: vec![(LimitName::TokensPerRun, 400_000)], by: "me".to_owned() },
    );
    check(
        r#"{"type":"wake","input":null}"#,
        WakeService { input: None, by: None, wake_run_id: None },
    );
    check(
        r#"{"type":"wake","input":{"text":"x"},"by":"me","wake_run_id":"01jz0000000000000000"}"#,
        WakeService {
            input: Some(Payload::Text("x".to_owned())),
            by: me(),
            wake_run_id: Some("01jz0000000000000000".parse().unwrap()),
        },
    );
}
