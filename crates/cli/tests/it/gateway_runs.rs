//! Runs over HTTP, with a real server and a real worker.

use std::time::{Duration, Instant};

use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Sandbox, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::support::{sandbox, sleeper};

/// Starts a server, and pushes an agent to it.
fn serving(sandbox: &Sandbox, agent: &TestAgent) -> ErrandServer {
    let server = ErrandServer::start(sandbox, &[]);
    let pushed = server.push(&sandbox.agent(agent)).expect(201).json();
    assert_eq!(pushed["outcome"], "created");
    server
}

fn status(server: &ErrandServer, run_id: &str) -> Value {
    server.get(&format!("/v1/runs/{run_id}")).expect(200).json()["status"].clone()
}

/// Starts a run of `agent`; returns its id.
fn create(server: &ErrandServer, body: &Value) -> String {
    let record = server.post("/v1/runs", body).expect(202).json();
    record["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_failed_run_is_retried_forked_and_replayed_as_a_new_run() {
    let sandbox = sandbox();
    let script = "errand agent step one -- sh -c 'echo 1'\n\
                  errand agent step two -- sh -c '[ -e ../../../go ]'\n";
    let server = serving(&sandbox, &TestAgent::shell(script).named("steps"));
    let failed = server.post("/v1/runs/wait", &json!({ "agent": "steps" })).expect(200).json();
    assert_eq!(failed["status"], "failed");
    let run_id = failed["run_id"].as_str().unwrap();
    let steps = server.get(&format!("/v1/runs/{run_id}/steps")).expect(200).json();
    assert_eq!(steps["steps"][0]["status"], "completed");
    assert_eq!(steps["steps"][1]["status"], "failed");
    let over = |answer: errand_testkit::Response| {
        let record = answer.expect(202).json();
        let new = record["run_id"].as_str().unwrap().to_owned();
        assert_ne!(new, run_id);
        server.get(&format!("/v1/runs/{new}/wait")).expect(200).json()
    };
    let post = |verb: &str, body: Value| server.post(&format!("/v1/runs/{run_id}/{verb}"), &body);
    for again in [
        over(post("retry", json!({}))),
        over(post("fork", json!({ "from_step": "two" }))),
        over(post("replay", json!({ "policy": "live" }))),
        over(post("restart", json!({}))),
    ] {
        assert_eq!((&again["origin_run_id"], &again["status"]), (&json!(run_id), &json!("failed")));
    }
    let story = post("replay", json!({})).expect(200).json();
    assert_eq!(story["policy"], "inspect");
    assert_eq!(
        post("fork", json!({ "from_step": "x" })).expect(404).json()["code"],
        "step_not_found"
    );
    let trace = server.get(&format!("/v1/runs/{run_id}/trace")).expect(200).json();
    assert_eq!(trace["run_id"], run_id);
    let verified = server.get(&format!("/v1/runs/{run_id}/verify")).expect(200).json();
    assert_eq!((&verified["unbroken"], &verified["sealed"]), (&json!(true), &json!(true)));
    let exported = server.get(&format!("/v1/runs/{run_id}/export")).expect(200);
    assert_eq!(exported.header("content-type"), Some("application/x-tar"));
    assert!(exported.body.contains("events.jsonl"));
    let gone = HttpRequest::new("DELETE", &format!("/v1/runs/{run_id}"));
    drop(server.send(&gone).expect(204));
    assert_eq!(server.send(&gone).expect(404).json()["code"], "run_not_found");
}

#[test]
fn a_server_that_shuts_down_answers_waiting_clients() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &sleeper());
    let run_id = create(&server, &json!({ "agent": "sleeper" }));
    let address = server.address().to_owned();
    let target = format!("/v1/runs/{run_id}/wait");
    let waiting = std::thread::spawn(move || HttpRequest::new("GET", &target).send(&address));
    wait_until("the run is under way", LIMIT, || status(&server, &run_id) == "running");
    let running = server.into_process();
    running.terminate();
    let began = Instant::now();
    let told = waiting.join().unwrap();
    assert_eq!(told.expect(503).json()["code"], "shutting_down");
    drop(running.wait());
    assert!(began.elapsed() < Duration::from_secs(25));
}
