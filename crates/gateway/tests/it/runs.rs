//! Runs over HTTP, with a worker.

use errand_testkit::{HttpRequest, LIMIT, TestAgent, wait_for, wait_until};
use serde_json::{Value, json};

use crate::support::{TestGateway, json_request, sleeper};

#[test]
fn a_submitted_run_is_queued_executed_by_the_worker_and_listed() {
    let server = TestGateway::serving(&TestAgent::shell("cat").named("echo"));
    let body = json!({ "agent": "echo", "input": { "a": 1 }, "labels": { "k": "v" }, "name": "n" });
    let answer = server.post("/v1/runs", &body).expect(202);
    let record = answer.json();
    let run_id = record["run_id"].as_str().unwrap();
    assert_eq!(answer.header("location"), Some(format!("/v1/runs/{run_id}").as_str()));
    assert_eq!(record["namespace"], "default");
    assert_eq!(record["agent"]["version"], "1.0.0");
    let over = server.get(&format!("/v1/runs/{run_id}/wait")).expect(200).json();
    assert_eq!((&over["status"], &over["output"]), (&json!("completed"), &json!({ "a": 1 })));
    assert_eq!(over["labels"], json!({ "k": "v" }));
    for query in ["label=k=v", "agent=echo", "name=n", "status=completed", "kind=job"] {
        let page = server.get(&format!("/v1/runs?{query}")).expect(200).json();
        assert_eq!(page["runs"][0]["run_id"], run_id, "{query}");
    }
    for query in ["label=k=w", "agent=other", "status=failed", "live=true", "kind=service"] {
        let page = server.get(&format!("/v1/runs?{query}")).expect(200).json();
        assert_eq!(page["runs"], json!([]), "{query}");
    }
    assert_eq!(server.runs(), [run_id]);
}

#[test]
fn requests_that_arrive_together_get_a_run_or_a_refusal_each() {
    let server = TestGateway::new().having(&TestAgent::shell("true").named("known"));
    let agents = ["known", "unknown", "known", "known", "unknown"];
    let request = |agent| json_request("POST", "/v1/runs", &json!({ "agent": agent }));
    let answers = server.send_together(&agents.map(request));
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [202, 404, 202, 202, 404]);
    let records = answers.iter().filter(|answer| answer.status == 202);
    let mut runs: Vec<_> = records.map(|answer| answer.json()["run_id"].clone()).collect();
    runs.sort_by_key(Value::to_string);
    runs.dedup();
    assert_eq!(runs.len(), 3, "no run stands in for another");
}

#[test]
fn a_request_that_waits_for_a_run_returns_its_final_record() {
    let server = TestGateway::serving(&TestAgent::shell("cat").named("echo"));
    let answer = server.post("/v1/runs/wait", &json!({ "agent": "echo", "input": "hello" }));
    let answer = answer.expect(200);
    let record = answer.json();
    assert_eq!((&record["status"], &record["output"]), (&json!("completed"), &json!("hello")));
    let location = format!("/v1/runs/{}", record["run_id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(location.as_str()));
}

#[test]
fn a_wait_that_times_out_returns_202_and_the_run_continues() {
    let server = TestGateway::serving(&sleeper());
    let body = json!({ "agent": "sleeper" });
    let late = server.post("/v1/runs/wait?timeout=50ms", &body).expect(202).json();
    let run_id = late["run_id"].as_str().unwrap().to_owned();
    wait_until("the run goes on", LIMIT, || server.status(&run_id) == "running");
    assert_eq!(server.get(&format!("/v1/runs/{run_id}/wait?timeout=20ms")).status, 202);
    let cancelled = server.post(&format!("/v1/runs/{run_id}/cancel?wait=true"), &json!({}));
    assert_eq!(cancelled.expect(200).json()["status"], "cancelled");
    assert_eq!(server.get(&format!("/v1/runs/{run_id}/wait?timeout=20ms")).status, 200);
    // A second cancellation: the run is over already.
    assert_eq!(server.post(&format!("/v1/runs/{run_id}/cancel"), &json!({})).status, 200);
}

#[test]
fn a_cancellation_without_a_waiting_client_is_completed() {
    let server = TestGateway::serving(&sleeper());
    let run_id = server.create_run(&json!({ "agent": "sleeper" }));
    wait_until("the run is under way", LIMIT, || server.status(&run_id) == "running");
    let asked = HttpRequest::new("POST", &format!("/v1/runs/{run_id}/cancel"));
    drop(server.send(&asked).expect(202));
    let over = server.get(&format!("/v1/runs/{run_id}/wait")).expect(200).json();
    assert_eq!(over["status"], "cancelled");
}

#[test]
fn a_disconnected_client_cancels_its_run_only_with_on_disconnect_cancel() {
    use std::io::Write as _;

    let server = TestGateway::serving(&sleeper());
    for (on_disconnect, expected) in [("continue", "running"), ("cancel", "cancelled")] {
        let body = json!({ "agent": "sleeper", "on_disconnect": on_disconnect }).to_string();
        let request = format!(
            "POST /v1/runs/wait HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            server.address(),
            body.len()
        );
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let run_id = wait_for("the run is under way", LIMIT, || {
            let page = server.get("/v1/runs?status=running&limit=1").expect(200).json();
            page["runs"][0]["run_id"].as_str().map(str::to_owned)
        });
        drop(stream);
        if expected == "cancelled" {
            wait_until("the run is cancelled", LIMIT, || server.status(&run_id) == expected);
        } else {
            // The absence of a cancellation takes a while to see; a cancellation would be there by
            // then.
            let waited = server.get(&format!("/v1/runs/{run_id}/wait?timeout=300ms")).expect(202);
            assert_eq!(waited.json()["status"], "running");
        }
        let cancel = format!("/v1/runs/{run_id}/cancel?wait=true");
        drop(server.post(&cancel, &json!({ "force": true })).expect(200));
    }
}

#[test]
fn an_idempotency_key_gives_the_same_run_and_refuses_another_input() {
    let server = TestGateway::serving(&TestAgent::shell("cat").named("echo"));
    let send = |input: u64| {
        let body = json!({ "agent": "echo", "input": input }).to_string();
        let request = HttpRequest::post("/v1/runs", body)
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", "k1");
        server.send(&request)
    };
    let first = send(1).expect(202).json();
    let again = send(1).expect(200).json();
    assert_eq!(first["run_id"], again["run_id"]);
    let other = send(2).expect(409).json();
    assert_eq!(other["code"], "idempotency_conflict");
    assert_eq!(server.runs().len(), 1);
}

#[test]
fn a_run_is_paused_and_resumed_over_http() {
    let server = TestGateway::serving(&sleeper());
    let run_id = server.create_run(&json!({ "agent": "sleeper" }));
    wait_until("the run is under way", LIMIT, || server.status(&run_id) == "running");
    let post = |verb: &str| server.post(&format!("/v1/runs/{run_id}/{verb}"), &json!({}));
    assert_eq!(post("pause").expect(200).json()["status"], "paused");
    assert_eq!(post("resume").expect(200).json()["status"], "running");
    assert_eq!(post("resume").expect(409).json()["code"], "run_not_paused");
    let live = server.send(&HttpRequest::new("DELETE", &format!("/v1/runs/{run_id}")));
    assert_eq!(live.expect(409).json()["code"], "run_live");
    drop(server.post(&format!("/v1/runs/{run_id}/cancel?wait=true"), &json!({ "force": true })));
    assert_eq!(post("pause").expect(409).json()["code"], "run_not_live");
}

#[test]
fn a_scheduled_run_is_not_begun_before_its_time() {
    let server = TestGateway::serving(&TestAgent::shell("true").named("noop"));
    let body = json!({ "agent": "noop", "scheduled_at": "2999-01-01T00:00:00Z" });
    let run_id = server.create_run(&body);
    // Another run passes it meanwhile.
    let other = server.post("/v1/runs/wait", &json!({ "agent": "noop" })).expect(200).json();
    assert_eq!(other["status"], "completed");
    assert_eq!(server.status(&run_id), "pending");
    let cancelled = server.post(&format!("/v1/runs/{run_id}/cancel"), &json!({})).expect(200);
    assert_eq!(cancelled.json()["status"], "cancelled");
}

#[test]
fn a_pipe_in_a_workspace_does_not_stop_the_server_that_removes_the_run() {
    let script = "rm -rf .git \"$ERRAND_OUTPUT\"; mkfifo .git other; echo ready\n";
    let server = TestGateway::serving(&TestAgent::shell(script).named("trap"));
    let run = server.post("/v1/runs/wait", &json!({ "agent": "trap" })).expect(200).json();
    let target = format!("/v1/runs/{}", run["run_id"].as_str().unwrap());
    drop(server.send(&HttpRequest::new("DELETE", &target)).expect(204));
    drop(server.get("/healthz").expect(200));
}
