//! A server that removes runs which ended long ago.

use errand_testkit::postgres::Database;
use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Sandbox, TestAgent, wait_for, wait_until};
use serde_json::{Value, json};

use crate::support::{GATE, open_gate, sandbox, sleeper};

fn start(server: &ErrandServer, agent: &str) -> String {
    let record = server.post("/v1/runs", &json!({ "agent": agent })).expect(202).json();
    record["run_id"].as_str().unwrap().to_owned()
}

fn record(server: &ErrandServer, run_id: &str) -> Option<Value> {
    let answer = server.get(&format!("/v1/runs/{run_id}"));
    (answer.status != 404).then(|| answer.expect(200).json())
}

fn wait_for_status(server: &ErrandServer, run_id: &str, status: &str) {
    wait_until(&format!("the run is {status}"), LIMIT, || {
        record(server, run_id).is_none_or(|record| record["status"] == status)
    });
}

fn wait_until_gone(server: &ErrandServer, run_id: &str) {
    wait_until("the run is forgotten", LIMIT, || record(server, run_id).is_none());
}

fn push(sandbox: &Sandbox, server: &ErrandServer) {
    let dying = "retry_policy: { max_retries: 1, backoff: none }";
    for agent in [
        TestAgent::shell("echo done\n").named("quick"),
        TestAgent::shell(&format!("{GATE}echo done\n")).named("gated"),
        TestAgent::shell("exit 4\n").named("dying").spec(dying),
        sleeper(),
    ] {
        drop(server.push(&sandbox.agent(&agent)).expect(201));
    }
    let yaml = "apiVersion: errand.dev/v1\nkind: Agent\n\
                metadata: { name: team, version: 1.0.0 }\n\
                spec: { coordinator: { type: chain, agents: [quick, gated] } }\n";
    let file = sandbox.write("team/agent.yaml", yaml);
    drop(server.push(file.parent().unwrap()).expect(201));
}

/// Returns the steps of a coordinator.
fn steps(server: &ErrandServer, run_id: &str) -> Vec<String> {
    let listed = server.get(&format!("/v1/runs?parent_run_id={run_id}")).expect(200).json();
    let runs = listed["runs"].as_array().unwrap();
    runs.iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn retention_removes_old_runs_and_keeps_live_and_needed_ones() {
    check(&sandbox(), &[]);
}

#[test]
fn retention_removes_old_runs_on_postgresql() {
    let sandbox = sandbox();
    let database = Database::prepared("machines", |url| {
        drop(sandbox.errand(["migrate", "--database", url]).run().ok());
    });
    check(&sandbox, &["--database", &database.url()]);
}

fn check(sandbox: &Sandbox, database: &[&str]) {
    let keep = ErrandServer::start(sandbox, database);
    push(sandbox, &keep);
    let old = start(&keep, "quick");
    wait_for_status(&keep, &old, "completed");
    drop(keep);

    let retention: Vec<&str> = database.iter().copied().chain(["--retention", "2s"]).collect();
    let server = ErrandServer::start(sandbox, &retention);
    let shown = sandbox.errand(["config", "show", "--retention", "2s"]).run().ok().stdout();
    assert!(shown.contains("retention"), "{shown}");
    let (living, dead) = (start(&server, "sleeper"), start(&server, "dying"));
    let team = start(&server, "team");
    wait_for_status(&server, &dead, "failed");
    let step = wait_for("the first step of the team is over", LIMIT, || {
        steps(&server, &team)
            .into_iter()
            .find(|step| record(&server, step).is_some_and(|step| step["status"] == "completed"))
    });
    // Begun after all others were over: once it is gone, the others have been checked.
    let late = start(&server, "quick");
    wait_until_gone(&server, &old);
    wait_until_gone(&server, &late);
    assert_eq!(record(&server, &living).unwrap()["status"], "running");
    assert_eq!(record(&server, &dead).unwrap()["status"], "failed", "a dead letter is kept");
    assert!(record(&server, &step).is_some(), "a step is kept for as long as its coordinator");
    assert_eq!(record(&server, &team).unwrap()["status"], "running");

    open_gate(sandbox);
    wait_for_status(&server, &team, "completed");
    wait_until_gone(&server, &team);
    wait_until_gone(&server, &step);
    assert!(record(&server, &dead).is_some());
    let discard = HttpRequest::post(&format!("/v1/dead-letters/{dead}/discard"), "{}")
        .header("Content-Type", "application/json");
    drop(server.send(&discard).expect(204));
    wait_until_gone(&server, &dead);
    assert_eq!(record(&server, &living).unwrap()["status"], "running");

    // The audit log tells each page of them. The steps may go by themselves, or with their
    // coordinator.
    let entries = wait_for("what was removed is in the audit log", LIMIT, || {
        let entries = pruned(&server);
        let runs = entries.iter().map(|entry| entry["detail"]["runs"].as_u64().unwrap());
        (runs.sum::<u64>() >= 4).then_some(entries)
    });
    assert!(entries.iter().all(|entry| entry["by"]["name"] == "retention"), "{entries:#?}");
}

/// Returns the audit entries of runs removed for their age.
fn pruned(server: &ErrandServer) -> Vec<Value> {
    let audited = server.get("/v1/audit?limit=500").expect(200).json();
    let entries = audited["entries"].as_array().unwrap().iter();
    entries.filter(|entry| entry["action"] == "runs.pruned").cloned().collect()
}
