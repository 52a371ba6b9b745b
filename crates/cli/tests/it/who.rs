//! Actors of commands: always known, and recorded.

use errand_testkit::{ErrandServer, HttpRequest, Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::access::{ALL, key};
use crate::support::{record, sandbox, sleeper, start_ready, wait_for_record};

/// Returns the actors in the events of that type.
fn by(sandbox: &Sandbox, run_id: &str, kind: &str) -> Vec<Value> {
    let events = sandbox.errand(["events", run_id, "--json"]).run().ok().json_lines();
    let of_kind = events.iter().filter(|event| event["type"] == kind);
    of_kind.map(|event| event["data"]["by"].clone()).collect()
}

#[test]
fn actions_on_a_run_record_the_user_also_without_the_user_variable() {
    let sandbox = sandbox();
    let me = sandbox.tool("id", ["-un"]).run().ok().stdout_line();
    let command = |words: &[&str]| {
        // There is no `$USER` in a sandbox.
        drop(sandbox.errand(words).run().ok());
    };
    let agent = sleeper().spec("budgets: { tokens_per_run: 10 }");
    let run_id = start_ready(&sandbox, &sandbox.agent(&agent));
    command(&["pause", &run_id]);
    command(&["resume", "--raise", "tokens_per_run=20", &run_id]);
    command(&["stop", "--force", &run_id]);
    let kinds =
        ["run.created", "run.paused", "run.resumed", "budget.raised", "run.cancel_requested"];
    for kind in kinds {
        assert_eq!(by(&sandbox, &run_id, kind), [json!(me)], "{kind}");
    }
    command(&["rm", &run_id]);
    let audit = sandbox.errand(["audit", "ls", "--json"]).run().ok().json();
    let removed = audit["entries"].as_array().unwrap().iter().find(|it| it["object"] == run_id);
    let removed = removed.unwrap_or_else(|| panic!("no entry: {audit:#}"));
    assert_eq!((&removed["action"], &removed["by"]["name"]), (&json!("run.removed"), &json!(me)));
}

#[test]
fn a_server_records_the_name_of_the_key_and_of_the_worker() {
    let sandbox = sandbox();
    let secret = key(&sandbox, "ci", ALL, &[]);
    let public = secret.split('_').nth(1).unwrap().to_owned();
    let server = ErrandServer::start(&sandbox, &["--slots", "1"]);
    let send = |request: HttpRequest| {
        let request = request.header("Authorization", &format!("Bearer {secret}"));
        server.send(&request)
    };
    let json_to = |target: &str, body: &Value| {
        HttpRequest::post(target, body.to_string()).header("Content-Type", "application/json")
    };
    let folder = sandbox.agent(&sleeper());
    drop(send(ErrandServer::push_request(&folder, "")).expect(201));
    let made = send(json_to("/v1/runs", &json!({ "agent": "sleeper" }))).expect(202).json();
    let run_id = made["run_id"].as_str().unwrap();
    let running = |record: &Value| record["status"] == "running";
    let record = wait_for_record(&sandbox, run_id, "it runs", running);
    let attempt = &record["attempts"][0];
    assert!(attempt["worker"].as_str().is_some_and(|it| !it.is_empty()), "{attempt:#}");
    assert!(attempt["host"].as_str().is_some_and(|it| !it.is_empty()), "{attempt:#}");
    let who = json!(format!("ci (key:{public})"));
    assert_eq!(record["by"], who);
    drop(send(json_to(&format!("/v1/runs/{run_id}/cancel?wait=true"), &json!({}))).expect(200));
    assert_eq!(by(&sandbox, run_id, "run.cancel_requested"), [who]);
    let started = sandbox.errand(["events", run_id, "--json"]).run().ok().json_lines();
    let started = started.iter().find(|it| it["type"] == "attempt.started").unwrap();
    assert_eq!(started["data"]["worker"], attempt["worker"]);
}

#[test]
fn an_attempt_of_a_process_of_its_own_names_no_worker() {
    let sandbox = sandbox();
    drop(crate::support::run(&sandbox, &sandbox.agent(&TestAgent::shell("true")), &[]).run().ok());
    let run = crate::support::all(&sandbox).remove(0);
    let attempt = record(&sandbox, run["run_id"].as_str().unwrap())["attempts"][0].clone();
    assert_eq!(attempt["worker"], Value::Null);
    assert_ne!(attempt["host"], "");
}
