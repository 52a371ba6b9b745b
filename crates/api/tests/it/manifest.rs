//! A run as a manifest.

use errand_api::record::{Places, manifest, project};
use errand_model::event::{Event, EventBody};
use errand_model::run::Run;
use errand_model::{EventContext, Hash, Head, RunId, Timestamp};
use serde_json::{Value, json};

/// A run from its events as they are stored: attempt, type, data; a second passes between two.
fn run_of(events: &[(u32, &str, Value)]) -> (Run, Head) {
    let run_id: RunId = "01m7yb33v7t9zye2je2t".parse().unwrap();
    let mut head = Head::EMPTY;
    let mut run: Option<Run> = None;
    for (number, (attempt, kind, data)) in events.iter().enumerate() {
        let number = i64::try_from(number).unwrap();
        let at = Timestamp::from_millis(1_800_000_000_000 + number * 1_000);
        let event = Event {
            run_id: run_id.clone(),
            seq: 1,
            at,
            attempt: *attempt,
            kind: (*kind).to_owned(),
            data: data.to_string(),
            hash: Hash::from_bytes([0; 32]),
        };
        let body = event.body().unwrap();
        head.seal(&run_id, at, *attempt, &body);
        match (&mut run, body) {
            (None, EventBody::RunCreated(created)) => {
                run = Some(Run::create(run_id.clone(), at, *created));
            }
            (None, _) => panic!("a journal begins with run.created"),
            (Some(run), body) => run.apply(EventContext { at, attempt: *attempt }, &body).unwrap(),
        }
    }
    (run.unwrap(), head)
}

fn digest(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

fn created() -> Value {
    json!({
        "name": "nightly", "kind": "job",
        "agent": {
            "name": "review", "version": "1.2.0", "digest": digest("a"), "path": "/agents/review",
        },
        "trigger": { "type": "webhook", "source": "github", "payload": null },
        "labels": { "team": "platform" }, "session_id": null, "parent_run_id": null,
        "origin_run_id": null, "detached": true, "host": "here", "cwd": "/",
        "input": { "text": "{\"pr\": 7}" }, "env": { "TZ": "UTC", "KEY": "not shown" },
        "timeouts": { "run_ms": 60_000, "step_ms": null, "queue_ms": null, "approval_ms": null },
        "retry": {
            "max_retries": 1, "backoff": "fixed", "initial_delay_ms": 5, "max_delay_ms": 5,
            "retry_on": [],
        },
        "service": null, "launcher": null, "idempotency_key": null, "fingerprint": digest("b"),
        "callback_url": null,
    })
}

fn attempt(number: u32, reason: &str) -> Value {
    json!({
        "number": number, "reason": reason, "stage": "provisioning", "epoch": number,
        "supervisor": { "pid": 7, "start_ticks": 1, "boot_id": "boot" }, "host": "here",
    })
}

fn eventful() -> (Run, Head) {
    let process = json!({ "pid": 8, "start_ticks": 1, "boot_id": "boot" });
    let running = json!({ "process": process, "process_group_id": 8 });
    let usage = json!({ "wall_ms": 900, "cpu_ms": 30, "max_rss_bytes": 4_096 });
    let error = json!({ "code": "exit_nonzero", "message": "exit code 3", "step": "test" });
    let failed = json!({ "error": error, "exit_code": 3, "signal": null, "usage": usage });
    let called = json!({
        "provider": "openai", "model": "gpt-4o-mini", "input_tokens": 100, "output_tokens": 20,
        "cost_micro_usd": 1_500_000,
    });
    let artifact = json!({
        "name": "review.md", "digest": digest("c"), "size_bytes": 5, "media_type": null,
    });
    run_of(&[
        (0, "run.created", created()),
        (1, "attempt.started", attempt(1, "initial")),
        (1, "attempt.running", running.clone()),
        (1, "run.started", json!({})),
        (1, "attempt.failed", failed),
        (1, "run.requeued", json!({ "reason": "retry", "not_before_ms": 1_800_000_005_000_i64 })),
        (2, "attempt.started", attempt(2, "retry")),
        (2, "bom.pinned", json!({ "generation": 4, "digest": digest("d") })),
        (2, "attempt.running", running),
        (2, "run.started", json!({})),
        (2, "model.called", called),
        (2, "artifact.created", artifact),
        (2, "attempt.exited", json!({ "exit_code": 0, "usage": usage })),
        (2, "run.completed", json!({ "output": { "json": { "ok": true } }, "exit_code": 0 })),
    ])
}

fn manifest_of((run, head): &(Run, Head)) -> Value {
    let places = Places { log_path: "/log".to_owned(), session_file: None, supervisor: None };
    let record = project(run, *head, places);
    serde_json::to_value(manifest(run, *head, &record)).unwrap()
}

#[test]
fn a_run_that_is_over_as_a_manifest() {
    let mut document = manifest_of(&eventful());
    assert!(!document.to_string().contains("not shown"), "values of variables are left out");
    document["status"]["journal"]["hash"] = json!("<hash>");
    insta::assert_snapshot!("manifest", format!("{document:#}\n"));
}

#[test]
fn what_is_not_known_yet_is_null() {
    let status = manifest_of(&run_of(&[(0, "run.created", created())]))["status"].clone();
    assert_eq!(status["phase"], "pending");
    for name in ["started_at", "completed_at", "duration_ms", "cost_usd", "bom", "last_error"] {
        assert_eq!(status[name], Value::Null, "{name}");
    }
    assert_eq!(status["journal"]["sealed"], false);
}
