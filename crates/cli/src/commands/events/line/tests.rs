use errand_model::event::EventBody;
use errand_model::{Hash, Timestamp};
use serde_json::json;

use super::*;

fn line(attempt: u32, kind: &str, data: &Value) -> String {
    of(&Event {
        run_id: "01m7yb33v7t9zye2je2t".parse().unwrap(),
        seq: 12,
        at: Timestamp::from_millis(1_800_000_000_000),
        attempt,
        kind: kind.to_owned(),
        data: data.to_string(),
        hash: Hash::from_bytes([0; 32]),
    })
}

#[test]
fn every_type_that_errand_writes_has_its_telling_members() {
    for name in EventBody::TYPE_NAMES {
        assert!(TELLING.iter().any(|(known, _)| known == name), "{name} is not in the table");
    }
    let mut names: Vec<_> = TELLING.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TELLING.len(), "each once");
}

#[test]
fn lines_tell_what_matters() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let error = json!({ "code": "exit_nonzero", "message": "exit code 3", "step": "build" });
    let lines = [
        line(
            0,
            "run.created",
            &json!({
                "agent": { "name": "review", "version": "1.2.0" }, "kind": "job", "name": null,
                "trigger": { "type": "webhook", "source": "github" }, "input": { "text": "a\nb" },
            }),
        ),
        line(0, "run.started", &json!({})),
        line(
            0,
            "run.requeued",
            &json!({ "reason": "retry", "not_before_ms": 1_800_000_001_500_u64 }),
        ),
        line(
            1,
            "attempt.failed",
            &json!({ "error": error, "exit_code": 3, "usage": { "wall_ms": 1_372 } }),
        ),
        line(
            1,
            "step.completed",
            &json!({ "key": "build", "duration_ms": 90, "output": { "blob": { "digest": digest, "size_bytes": 70_000 } } }),
        ),
        line(1, "step.failed", &json!({ "key": "build", "error": error, "duration_ms": 61_000 })),
        line(
            12,
            "model.called",
            &json!({ "provider": "openai", "model": "gpt-4o-mini", "input_tokens": 120, "output_tokens": 30, "cost_micro_usd": 2_500_001 }),
        ),
        line(1, "tool.called", &json!({ "unknown": [1, 2], "success": true })),
        line(
            1,
            "approval.requested",
            &json!({ "approval_id": "apr_1", "action": "deploy", "target": "prod", "digest": digest, "deadline_ms": 1_800_000_060_000_u64, "default": "reject" }),
        ),
        line(
            1,
            "wake.fired",
            &json!({ "reason": "schedule", "run_id": "01m7yb33v7t9zye2je2t", "slot_ms": 1_800_000_000_000_u64 }),
        ),
        line(1, "bom.pinned", &json!({ "generation": 4, "digest": digest })),
        line(
            1,
            "bom.pinned",
            &json!({ "generation": 4, "digest": digest, "image": { "reference": "agent:1", "digest": "agent@sha256:aa", "id": "sha256:bb" } }),
        ),
        line(1, "progress.reported", &json!({ "percent": 50, "note": "half\u{1b}[2J" })),
        line(1, "future.happened", &json!({ "a": { "b": 1 }, "c": null, "d": "" })),
        line(1, "output.delta", &json!({ "text": "x".repeat(500) })),
    ];
    insta::assert_snapshot!("lines", lines.join("\n"));
}
