//! Inventories over HTTP: pinned by attempts, read by run.

use errand_testkit::TestAgent;
use serde_json::{Value, json};

use crate::support::TestGateway;

/// Returns an agent with a skill.
fn reviewer(script: &str) -> TestAgent {
    let model = "model: { provider: openai, name: gpt-4o-mini }";
    let agent = TestAgent::shell(script).named("reviewer").spec(model).spec("skills: [style]");
    agent.file("skills/style.md", "be kind")
}

/// Runs the agent to its end; returns the record.
fn ran(server: &TestGateway) -> Value {
    let run = server.post("/v1/runs/wait", &json!({ "agent": "reviewer" })).expect(200).json();
    assert_eq!(run["status"], "completed", "{run:#}");
    run
}

#[test]
fn each_attempt_has_its_own_pin() {
    let retry = "retry_policy: { max_retries: 1, backoff: none }";
    let server = TestGateway::serving(&reviewer("test \"$ERRAND_ATTEMPT\" = 2").spec(retry));
    let run = ran(&server);
    let run_id = run["run_id"].as_str().unwrap();
    let events = server.get(&format!("/v1/runs/{run_id}/events")).expect(200).json();
    let events = events["events"].as_array().unwrap();
    assert_eq!(events.iter().filter(|event| event["type"] == "bom.pinned").count(), 2);
    let bom = format!("/v1/runs/{run_id}/bom");
    let second = server.get(&format!("{bom}?attempt=2")).expect(200).json();
    assert_eq!(second, server.get(&bom).expect(200).json());
    let third = server.get(&format!("{bom}?attempt=3")).expect(404).json();
    assert_eq!(third["code"], "bom_not_found");
}

#[test]
fn a_missing_or_changed_inventory_is_reported_with_its_digest() {
    let server = TestGateway::serving(&reviewer("true"));
    let run = ran(&server);
    let bom = format!("/v1/runs/{}/bom", run["run_id"].as_str().unwrap());
    let digest = &run["bom"]["digest"].as_str().unwrap()["sha256:".len()..];
    let blob = server.registry().join("blobs").join(&digest[..2]).join(&digest[2..]);
    std::fs::write(&blob, "{}").unwrap();
    assert_eq!(server.get(&bom).json()["code"], "record_damaged");
    std::fs::remove_file(&blob).unwrap();
    let missing = server.get(&bom).expect(404).json();
    assert_eq!(missing["code"], "bom_not_found");
    assert!(missing.to_string().contains(digest), "{missing}");
    // The next run of the same agent stores it again.
    assert_eq!(ran(&server)["bom"]["generation"], 1);
    assert_eq!(server.get(&bom).expect(200).json()["version"], 1);
}
