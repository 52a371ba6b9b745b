use errand_api::trace::{Nested, TraceBuilder};
use errand_model::event::{CancelCause, Event, Failure};
use errand_model::run::Status;
use errand_model::{Hash, RunId, Timestamp};
use serde_json::{Value, json};

use super::*;

/// Journal with the members that a trace reads.
struct Journal {
    run_id: RunId,
    events: Vec<Event>,
}

impl Journal {
    fn new() -> Self {
        let run_id = "01m7yb33v7t9zye2je2t".parse().unwrap();
        let mut journal = Self { run_id, events: Vec::new() };
        journal.add(0, 0, "run.created", json!({}));
        journal
    }

    #[expect(clippy::needless_pass_by_value, reason = "data is written where it is handed over")]
    fn add(&mut self, at_ms: i64, attempt: u32, kind: &str, data: Value) {
        self.events.push(Event {
            run_id: self.run_id.clone(),
            seq: self.events.len() as u64 + 1,
            at: Timestamp::from_millis(at_ms),
            attempt,
            kind: kind.to_owned(),
            data: data.to_string(),
            hash: Hash::from_bytes([0; 32]),
        });
    }

    fn step(&mut self, (from, to): (i64, i64), attempt: u32, key: &str) {
        self.add(from, attempt, "step.started", json!({ "key": key }));
        self.add(to, attempt, "step.completed", json!({ "key": key, "duration_ms": to - from }));
    }

    fn trace(&self, status: &Status, now: i64) -> Trace {
        let mut events: Vec<_> = self.events.iter().collect();
        events.sort_by_key(|event| event.at);
        let mut builder = TraceBuilder::new("review@1.2.0", Timestamp::from_millis(0));
        events.into_iter().for_each(|event| builder.push(event));
        builder.finish(&self.run_id, status, Timestamp::from_millis(now))
    }
}

fn completed(at_ms: i64) -> Status {
    Status::Completed { at: Timestamp::from_millis(at_ms), exit_code: Some(0) }
}

fn failure(message: &str) -> Value {
    json!({ "code": "exit_nonzero", "message": message, "step": null })
}

/// Returns a trace of two attempts: parallel steps with calls, a failed one, a back-off, an
/// approval.
fn eventful() -> Trace {
    let mut journal = Journal::new();
    journal.add(2_000, 1, "attempt.started", json!({ "number": 1, "reason": "initial" }));
    journal.step((3_000, 13_000), 1, "fetch");
    journal.step((13_000, 43_000), 1, "build");
    journal.step((13_000, 33_000), 1, "lint: ルール");
    let model = json!({
        "provider": "openai", "model": "gpt-4o-mini", "duration_ms": 9_000, "step": "fetch",
        "input_tokens": 12_000, "output_tokens": 345, "cost_micro_usd": 2_345,
    });
    journal.add(12_500, 1, "model.called", model);
    journal.add(30_000, 1, "tool.called", json!({ "name": "grep", "duration_ms": 4_000 }));
    journal.add(43_000, 1, "step.started", json!({ "key": "deploy" }));
    let failed = json!({ "key": "deploy", "error": failure("no route to host") });
    journal.add(48_000, 1, "step.failed", failed);
    journal.add(48_500, 1, "attempt.failed", json!({ "error": failure("exit code 3") }));
    journal.add(48_500, 1, "run.requeued", json!({ "reason": "retry" }));
    journal.add(58_500, 2, "attempt.started", json!({ "number": 2, "reason": "retry" }));
    let asked = json!({ "approval_id": "apr_1", "action": "deploy", "target": "prod" });
    journal.add(60_000, 2, "approval.requested", asked);
    journal.add(60_000, 2, "run.paused", json!({ "reason": "approval" }));
    let decided = json!({ "approval_id": "apr_1", "decision": "approve", "decided_by": "ana" });
    journal.add(85_000, 2, "approval.decided", decided);
    journal.add(85_000, 2, "run.resumed", json!({}));
    journal.step((85_000, 99_000), 2, "deploy");
    journal.add(100_000, 2, "attempt.exited", json!({}));
    journal.add(100_000, 0, "run.completed", json!({}));
    journal.trace(&completed(100_000), 500_000)
}

#[test]
fn bars_show_what_was_sequential_parallel_and_waited_for() {
    insta::assert_snapshot!("eventful", draw(&eventful(), 100));
}

#[test]
fn a_narrow_terminal_loses_numbers_before_bars() {
    insta::assert_snapshot!("narrow", draw(&eventful(), 48));
    let trace = eventful();
    for width in 20..160 {
        let drawn = draw(&trace, width);
        let widest = drawn.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
        assert!(widest <= width, "{width}: {widest}\n{drawn}");
    }
}

#[test]
fn a_live_run_is_drawn_up_to_now() {
    let mut journal = Journal::new();
    journal.add(100, 1, "attempt.started", json!({ "number": 1, "reason": "initial" }));
    journal.step((100, 400), 1, "one");
    journal.add(400, 1, "step.started", json!({ "key": "two" }));
    let running = Status::Running { since: Timestamp::from_millis(100) };
    insta::assert_snapshot!("live", draw(&journal.trace(&running, 1_000), 70));
}

#[test]
fn a_run_that_never_began_is_all_waiting() {
    let mut journal = Journal::new();
    journal.add(5_000, 0, "run.cancelled", json!({}));
    let status = Status::Cancelled {
        at: Timestamp::from_millis(5_000),
        cause: CancelCause::QueueTimeout,
        exit_code: None,
        signal: None,
    };
    insta::assert_snapshot!("never_began", draw(&journal.trace(&status, 9_000), 70));
}

#[test]
fn a_step_that_a_gateway_made_is_shown_as_its_call() {
    let mut journal = Journal::new();
    journal.add(10, 1, "attempt.started", json!({ "number": 1, "reason": "initial" }));
    let keys = ["openai_chat/0123456789abcdef01234567/1", "mine/1"];
    for (from, key) in [(100, keys[0]), (500, keys[1])] {
        let called =
            json!({ "provider": "openai", "model": "gpt-5", "duration_ms": 90, "step": key });
        journal.add(from + 95, 1, "model.called", called);
        journal.step((from, from + 100), 1, key);
    }
    let drawn = draw(&journal.trace(&completed(1_000), 1_000), 70);
    let labels: Vec<&str> =
        drawn.lines().filter_map(|line| line.split_once("─ ").map(|(_, label)| label)).collect();
    let begins = |label: &str| labels.iter().filter(|line| line.starts_with(label)).count();
    assert_eq!(begins("model openai/gp"), 2, "{drawn}");
    assert_eq!((begins("openai_chat/"), begins("mine/1")), (0, 1), "{drawn}");
}

#[test]
fn calls_that_failed_or_go_on_are_shown_by_their_models() {
    let key = |number: u8| format!("openai_chat/0123456789abcdef0123456{number}/1");
    let requested = |step: String| json!({ "provider": "openai", "model": "fast", "method": "POST", "path": "/v1/x", "step": step });
    let mut journal = Journal::new();
    journal.add(10, 1, "attempt.started", json!({ "number": 1, "reason": "initial" }));
    journal.add(100, 1, "step.started", json!({ "key": key(1), "kind": "model" }));
    journal.add(100, 1, "model.requested", requested(key(1)));
    let error = json!({ "code": "model_failed", "message": "status 500", "step": null });
    journal.add(200, 1, "step.failed", json!({ "key": key(1), "error": error }));
    journal.add(300, 1, "step.started", json!({ "key": key(2), "kind": "model" }));
    journal.add(300, 1, "model.requested", requested(key(2)));
    let tried = json!({
        "provider": "openai", "model": "gpt-5", "cause": "timeout", "error": "no answer in 30 s",
        "duration_ms": 200, "step": key(2),
    });
    journal.add(500, 1, "model.try_failed", tried);
    let called = json!({
        "provider": "openai", "model": "llama", "asked_model": "fast", "duration_ms": 200,
        "input_tokens": 10, "step": key(2),
    });
    journal.add(700, 1, "model.called", called);
    journal.add(700, 1, "step.completed", json!({ "key": key(2) }));
    let tool = "tool/files_read/0123456789abcdef01234567/1";
    journal.add(710, 1, "step.started", json!({ "key": tool, "kind": "tool", "detail": "x {}" }));
    journal.add(720, 1, "step.completed", json!({ "key": tool }));
    let files = json!({
        "provider": "openai", "method": "GET", "path": "/v1/files", "step": "opaque/0123456789abcdef01234567/1"
    });
    let opaque = json!({ "key": files["step"], "kind": "model" });
    journal.add(800, 1, "step.started", opaque);
    journal.add(800, 1, "model.requested", files);
    let running = Status::Running { since: Timestamp::from_millis(10) };
    insta::assert_snapshot!("model_calls", draw(&journal.trace(&running, 1_000), 90));
}

#[test]
fn parked_attempts_leave_the_wait_beside_them() {
    let mut journal = Journal::new();
    journal.add(10, 1, "attempt.started", json!({ "number": 1, "reason": "initial" }));
    let asked = json!({ "input_id": "inp_1", "prompt": "Which branch?" });
    journal.add(1_000, 1, "input.requested", asked);
    journal.add(1_000, 1, "run.paused", json!({ "reason": "input" }));
    journal.add(1_200, 1, "attempt.stopped", json!({ "reason": "park" }));
    journal.add(9_000, 1, "input.provided", json!({ "input_id": "inp_1", "provided_by": "bo" }));
    journal.add(9_000, 0, "run.requeued", json!({ "reason": "resume" }));
    journal.add(9_100, 2, "attempt.started", json!({ "number": 2, "reason": "resume" }));
    journal.add(9_500, 2, "run.paused", json!({ "reason": "operator" }));
    journal.add(9_800, 2, "run.resumed", json!({}));
    let error = Failure {
        code: "exit_nonzero".into(),
        message: "the agent exited with code 1".to_owned(),
        step: None,
        retryable: None,
        stderr_tail: None,
    };
    let data = json!({ "error": failure(&error.message) });
    journal.add(10_000, 2, "attempt.failed", data.clone());
    journal.add(10_000, 0, "run.failed", data);
    let at = Timestamp::from_millis(10_000);
    let status = Status::Failed { at, error, exit_code: Some(1), signal: None };
    insta::assert_snapshot!("parked", draw(&journal.trace(&status, 10_000), 90));
}

#[test]
fn a_hold_ends_in_the_wait_for_an_answer_that_is_open() {
    let mut journal = Journal::new();
    journal.add(10, 1, "attempt.started", json!({ "number": 1, "reason": "initial" }));
    let asked = json!({ "approval_id": "apr_1", "action": "deploy", "target": "prod" });
    journal.add(1_000, 1, "approval.requested", asked.clone());
    journal.add(1_000, 1, "run.paused", json!({ "reason": "approval" }));
    journal.add(2_000, 1, "run.paused", json!({ "reason": "operator" }));
    journal.add(4_000, 1, "run.paused", json!({ "reason": "approval" }));
    journal.add(4_500, 1, "approval.requested", asked);
    let decided = json!({ "approval_id": "apr_1", "decision": "reject", "decided_by": "bo" });
    journal.add(6_000, 1, "approval.decided", decided);
    journal.add(6_000, 1, "run.resumed", json!({}));
    journal.add(10_000, 1, "attempt.exited", json!({}));
    journal.add(10_000, 0, "run.completed", json!({}));
    insta::assert_snapshot!("held", draw(&journal.trace(&completed(10_000), 10_000), 90));
}

#[test]
fn ten_thousand_steps_fit_on_a_screen() {
    let mut journal = Journal::new();
    journal.add(10, 1, "attempt.started", json!({ "number": 1, "reason": "initial" }));
    for number in 0..10_000 {
        let from = 100 + number * 10;
        let to = if number % 2_500 == 7 { from + 5_000 } else { from + 9 };
        let key = format!("step {number}");
        journal.add(from, 1, "step.started", json!({ "key": key }));
        if number == 4_321 {
            let data = json!({ "key": key, "error": failure("once") });
            journal.add(to, 1, "step.failed", data);
        } else {
            journal.add(to, 1, "step.completed", json!({ "key": key }));
        }
    }
    journal.add(110_000, 1, "attempt.exited", json!({}));
    journal.add(110_000, 0, "run.completed", json!({}));
    let trace = journal.trace(&completed(110_000), 110_000);
    assert_eq!(draw(&trace, 100).lines().count(), 10_007, "all of them, if asked");
    insta::assert_snapshot!("ten_thousand", draw(&trace.shortened(8), 100));
}

#[test]
fn names_from_outside_cannot_write_to_the_terminal() {
    let mut journal = Journal::new();
    journal.add(10, 1, "attempt.started", json!({ "number": 1 }));
    journal.step((20, 90), 1, "a\u{1b}[2Jb\nc");
    let drawn = draw(&journal.trace(&completed(100), 100), 100);
    assert!(drawn.contains("\\u{1b}[2Jb\\nc"), "{drawn}");
}

#[test]
fn a_trace_is_drawn_even_if_the_clock_jumps_back() {
    let mut journal = Journal::new();
    journal.add(5_000, 1, "attempt.started", json!({ "number": 1 }));
    journal.add(9_000, 1, "step.started", json!({ "key": "a" }));
    journal.add(100, 1, "step.completed", json!({ "key": "a", "duration_ms": 0 }));
    let mut builder = TraceBuilder::new("a@1", Timestamp::from_millis(8_000));
    journal.events.iter().for_each(|event| builder.push(event));
    let trace = builder.finish(&journal.run_id, &completed(200), Timestamp::from_millis(0));
    assert!(draw(&trace, 80).contains("attempt 1"));
}

/// Returns a trace of a coordinator with two parallel children and one after them, which has steps.
fn coordinated() -> Trace {
    let child = |number: u8| format!("01m7yb33v7t9zye2je0{number}");
    let mut journal = Journal::new();
    journal.add(500, 1, "attempt.started", json!({ "number": 1, "reason": "initial" }));
    for (at, key, number) in [(500, "spanish#1", 1), (500, "french#1", 2), (9_000, "editor#1", 3)] {
        let detail = format!("{}@1.0.0", key.trim_end_matches("#1"));
        let step = json!({ "key": key, "detail": detail, "run_id": child(number) });
        journal.add(at, 1, "step.started", step);
    }
    let used = json!({ "by_agent": { "spanish": {
        "runs": 1, "input_tokens": 900, "output_tokens": 100, "cached_tokens": 0,
        "reasoning_tokens": 0, "cost_micro_usd": 2_000, "unpriced_calls": 0, "model_calls": 1,
    } } });
    let done = json!({ "key": "spanish#1", "duration_ms": 8_500, "usage": used });
    journal.add(9_000, 1, "step.completed", done);
    let failed = json!({ "key": "french#1", "error": failure("no dictionary") });
    journal.add(5_000, 1, "step.failed", failed);
    let running = Status::Running { since: Timestamp::from_millis(500) };
    let mut builder =
        TraceBuilder::new("translate@1.0.0", Timestamp::from_millis(0)).of_coordinator();
    let mut events: Vec<_> = journal.events.iter().collect();
    events.sort_by_key(|event| event.at);
    events.into_iter().for_each(|event| builder.push(event));
    builder.finish(&journal.run_id, &running, Timestamp::from_millis(12_000))
}

/// Returns the trace of the last child of [`coordinated`].
fn editor() -> Trace {
    let mut journal = Journal::new();
    journal.add(9_100, 1, "attempt.started", json!({ "number": 1, "reason": "initial" }));
    journal.step((9_200, 10_000), 1, "read");
    let called = json!({
        "provider": "openai", "model": "gpt-4o-mini", "duration_ms": 700, "step": "write",
        "input_tokens": 400, "output_tokens": 50, "cost_micro_usd": 700,
    });
    journal.add(10_000, 1, "step.started", json!({ "key": "write" }));
    journal.add(11_000, 1, "model.called", called);
    let running = Status::Running { since: Timestamp::from_millis(9_100) };
    let mut builder = TraceBuilder::new("editor@1.0.0", Timestamp::from_millis(9_000));
    journal.events.iter().filter(|it| it.seq > 1).for_each(|event| builder.push(event));
    builder.finish(&journal.run_id, &running, Timestamp::from_millis(12_000))
}

#[test]
fn children_of_a_coordinator_are_parallel_bars_with_their_steps_below() {
    let mut nested = Nested::new(coordinated(), 50);
    let mut asked = Vec::new();
    while let Some((place, run_id)) = nested.next_run() {
        if run_id.as_str().ends_with('3') {
            nested.put(place, editor());
        }
        asked.push(run_id.to_string());
    }
    // Live and failed children are opened first, the longest before the others.
    let asked: Vec<&str> = asked.iter().map(|run_id| &run_id[18..]).collect();
    assert_eq!(asked, ["02", "03", "01"]);
    assert!(!nested.descend());
    let trace = nested.finish();
    assert_eq!(trace.run.usage.tokens(), 1_450, "of all children, each once");
    insta::assert_snapshot!("coordinated", draw(&trace, 100));
}

#[test]
fn children_without_room_are_counted_and_not_read() {
    let mut nested = Nested::new(coordinated(), 2);
    assert!(nested.next_run().is_none());
    insta::assert_snapshot!("coordinated_short", draw(&nested.finish(), 80));
}
