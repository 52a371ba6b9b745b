//! Sessions of runs over HTTP: turns, limits of waiting, recorded messages.

use errand_testkit::{LIMIT, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::support::{TestGateway, sleeper};

/// Starts a run in the session `talk`; returns its id.
fn in_talk(server: &TestGateway, agent: &str, more: &Value) -> String {
    let mut body = json!({ "agent": agent, "session_id": "talk" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.create_run(&body)
}

/// Returns a gateway with a worker, an agent `quick`, and a run that has the session `talk`.
fn held() -> (TestGateway, String) {
    let server = TestGateway::serving(&sleeper());
    let server = server.having(&TestAgent::shell("true").named("quick"));
    let holder = in_talk(&server, "sleeper", &json!({}));
    wait_until("the session is held", LIMIT, || server.status(&holder) == "running");
    (server, holder)
}

#[test]
fn other_sessions_and_runs_without_one_do_not_wait() {
    let (server, holder) = held();
    for body in [json!({ "agent": "quick", "session_id": "other" }), json!({ "agent": "quick" })] {
        let run = server.post("/v1/runs/wait", &body).expect(200).json();
        assert_eq!(run["status"], "completed", "{run:#}");
    }
    assert_eq!(server.status(&holder), "running");
}

#[test]
fn a_run_that_waits_for_its_turn_can_be_cancelled() {
    let (server, holder) = held();
    let second = in_talk(&server, "quick", &json!({}));
    let third = in_talk(&server, "quick", &json!({}));
    let cancel =
        |run_id: &str| server.post(&format!("/v1/runs/{run_id}/cancel?wait=true"), &json!({}));
    assert_eq!(cancel(&second).expect(200).json()["status"], "cancelled");
    assert_eq!(server.status(&third), "pending");
    assert_eq!(cancel(&holder).expect(200).json()["status"], "cancelled");
    let over = server.get(&format!("/v1/runs/{third}/wait")).expect(200).json();
    assert_eq!(over["status"], "completed", "{over:#}");
}

#[test]
fn a_run_that_could_not_begin_in_time_is_cancelled() {
    let (server, _holder) = held();
    let hasty = TestAgent::shell("true").named("hasty").spec("timeouts: { queue: 300ms }");
    let server = server.having(&hasty);
    let by_request = in_talk(&server, "quick", &json!({ "timeouts": { "queue": "300ms" } }));
    let by_file = in_talk(&server, "hasty", &json!({}));
    for run_id in [by_request, by_file] {
        let run = server.get(&format!("/v1/runs/{run_id}/wait")).expect(200).json();
        assert_eq!(run["status"], "cancelled", "{run:#}");
        assert_eq!(run["last_error"]["code"], "timeout_queue");
        let events = server.get(&format!("/v1/runs/{run_id}/events")).expect(200).json();
        let mut events = events["events"].as_array().unwrap().iter();
        let cancelled = events.find(|event| event["type"] == "run.cancelled").unwrap();
        assert_eq!(cancelled["data"]["cause"], "queue_timeout");
    }
}

#[test]
fn input_and_output_of_a_plain_agent_are_recorded_as_messages() {
    let server = TestGateway::serving(&TestAgent::shell("echo \"you said $(cat)\"").named("plain"));
    let run = |input: &Value| {
        let body = json!({ "agent": "plain", "session_id": "talk", "input": input });
        let run = server.post("/v1/runs/wait", &body).expect(200).json();
        run["run_id"].as_str().unwrap().to_owned()
    };
    let first = run(&json!("hello"));
    let second = run(&json!({ "n": 1 }));
    let history = server.get("/v1/sessions/talk/history").expect(200).json();
    let said: Vec<_> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| json!([message["role"], message["content"], message["run_id"]]))
        .collect();
    let expected = [
        json!(["user", "hello", first]),
        json!(["assistant", "you said hello\n", first]),
        json!(["user", { "n": 1 }, second]),
        json!(["assistant", "you said {\"n\":1}\n", second]),
    ];
    assert_eq!(said, expected, "{history:#}");
    let events = server.get(&format!("/v1/runs/{first}/events")).expect(200).json();
    let types: Vec<_> =
        events["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    let end = ["session.appended", "attempt.exited", "run.completed"];
    assert_eq!(types[types.len() - 3..], end, "in the commit that completes it");
}
