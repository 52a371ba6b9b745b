//! Runs repeated with an agent in which a fault was mended.

use errand_testkit::{ErrandServer, Sandbox, TestAgent};
use serde_json::json;

use crate::support::{
    assert_over, event_types, finish, record, run, sandbox, sleeper, start_ready, wait_for_record,
};

/// Returns an agent that fetches, shapes with that command, and then runs `end`.
fn post(shape: &str, end: &str) -> TestAgent {
    let script = format!(
        "errand agent step fetch -- sh -c 'echo fetch >> \"$HOME/effects\"'\n\
         errand agent step shape -- sh -c 'echo {shape} >> \"$HOME/effects\"'\n\
         {end}\n"
    );
    let policy = "retry_policy: { max_retries: 1, backoff: none }";
    TestAgent::shell(&script).named("post").spec(policy)
}

fn effects(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.root().join("home/effects")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_dead_letter_is_redriven_with_a_mended_agent_and_keeps_the_steps_that_are_the_same() {
    let sandbox = sandbox();
    let folder = sandbox.agent(&post("old", "exit 4"));
    drop(run(&sandbox, &folder, &[]).run().exits(4));
    let dead = sandbox.errand(["dlq", "ls", "-q"]).run().ok().stdout_line();
    sandbox.agent(&post("new", "echo done"));
    drop(sandbox.errand(["retry", &dead]).run().exits(4));
    assert_eq!(effects(&sandbox), ["fetch", "old"], "the recorded parcel, unless another is named");

    let path = folder.to_str().unwrap();
    let words = ["dlq", "redrive", "--again", "--with-agent", path, &dead];
    let new = sandbox.errand(words).run().ok().stdout_line();
    let done = finish(&sandbox, &new);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(effects(&sandbox), ["fetch", "old", "new"]);
    let before = record(&sandbox, &dead);
    assert_eq!(done["origin_agent"]["digest"], before["agent"]["digest"]);
    assert_ne!(done["agent"]["digest"], before["agent"]["digest"]);
    let created = &sandbox.errand(["events", &new, "--json"]).run().ok().json_lines()[0];
    assert_eq!(created["data"]["origin_agent"]["digest"], before["agent"]["digest"]);
    assert_eq!(created["data"]["agent"]["digest"], done["agent"]["digest"]);
    assert_over(&sandbox, &new);

    let again = sandbox.errand(["retry", "-d", "--agent", path, &dead]).run().ok().stdout_line();
    assert_eq!(finish(&sandbox, &again)["status"], "completed");
    drop(sandbox.errand(["retry", "--latest", &dead]).run().refuses(125, "agent_not_found"));
    drop(sandbox.errand(["retry", "--latest", "--agent", path, &dead]).run().exits(2));
}

#[test]
fn a_run_of_a_server_is_retried_with_a_registered_version() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &["--slots", "1"]);
    drop(server.push(&sandbox.agent(&post("old", "exit 4"))).expect(201));
    let failed = server.post("/v1/runs/wait", &json!({ "agent": "post" })).expect(200).json();
    let run_id = failed["run_id"].as_str().unwrap();
    let mended = sandbox.agent(&post("old", "echo done"));
    let yaml = std::fs::read_to_string(mended.join("agent.yaml")).unwrap();
    std::fs::write(mended.join("agent.yaml"), yaml.replace("1.0.0", "1.0.1")).unwrap();
    drop(server.push(&mended).expect(201));
    let path = format!("/v1/runs/{run_id}/retry");
    let both = server.post(&path, &json!({ "latest": true, "version": "1.0.1" })).expect(400);
    assert_eq!(both.json()["code"], "request_invalid");
    let unknown = server.post(&path, &json!({ "version": "9.9.9" })).expect(404).json();
    assert_eq!(unknown["code"], "agent_not_found");
    let done = |body: serde_json::Value, path: &str| {
        let new = server.post(path, &body).expect(202).json();
        let new = new["redriven_as"].as_str().or(new["run_id"].as_str()).unwrap().to_owned();
        let done = wait_for_record(&sandbox, &new, "it is over", |it| it["status"] == "completed");
        assert_eq!(done["agent"]["version"], "1.0.1", "{done:#}");
        assert_eq!(done["origin_agent"]["version"], "1.0.0");
        done
    };
    done(json!({ "latest": true }), &path);
    done(json!({ "version": "1.0.1" }), &format!("/v1/runs/{run_id}/restart"));
    let redrive = format!("/v1/dead-letters/{run_id}/redrive");
    done(json!({ "latest": true, "again": true }), &redrive);
    assert_eq!(effects(&sandbox), ["fetch", "old", "fetch", "old"], "one of them from the start");
    let words = ["--server", &server.url(), "retry", "-d", "--latest", run_id];
    let new = sandbox.errand(words).run().ok().stdout_line();
    assert_eq!(finish(&sandbox, &new)["agent"]["version"], "1.0.1");
}

#[test]
fn a_run_that_lives_is_ended_before_another_agent_takes_its_place() {
    let sandbox = sandbox();
    let old = start_ready(&sandbox, &sandbox.agent(&sleeper()));
    let other = sandbox.agent(&TestAgent::shell("echo done").named("sleeper"));
    let path = other.to_str().unwrap();
    drop(sandbox.errand(["restart", "--version", "9", &old]).run().refuses(125, "agent_not_found"));
    assert_eq!(record(&sandbox, &old)["status"], "running", "nothing is ended in vain");
    let new = sandbox.errand(["restart", "--agent", path, &old]).run().ok().stdout_line();
    assert_eq!(record(&sandbox, &old)["status"], "cancelled");
    let done = finish(&sandbox, &new);
    assert_eq!((&done["status"], &done["origin_run_id"]), (&json!("completed"), &json!(old)));
    assert!(event_types(&sandbox, &old).contains(&"run.cancel_requested".to_owned()));
}
