//! Webhooks in and out, and schedules, through a server process.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use errand_testkit::{
    ErrandServer, HttpRequest, LIMIT, Reaction, ReceivedRequest, Receiver, Sandbox, TestAgent,
    wait_until,
};
use serde_json::{Value, json};

use crate::support::{all, sandbox, start};

/// Returns a sandbox with an agent whose output is its input, and the agent's folder.
fn world() -> (Sandbox, PathBuf) {
    let sandbox = sandbox();
    let echo = sandbox.agent(&TestAgent::shell("cat > \"$ERRAND_OUTPUT\"\n").named("echo"));
    (sandbox, echo)
}

/// Starts a server that has the agent.
fn server(sandbox: &Sandbox, agent: &Path) -> ErrandServer {
    let server = ErrandServer::start(sandbox, &[]);
    assert!(matches!(server.push(agent).status, 200 | 201));
    server
}

fn body(report: &ReceivedRequest) -> Value {
    serde_json::from_slice(&report.body).unwrap()
}

#[test]
fn a_server_that_is_killed_before_a_report_is_delivered_delivers_it_afterwards() {
    let (sandbox, agents) = world();
    let receiver = Receiver::start();
    receiver.react([Reaction::HangUp]);
    let first = server(&sandbox, &agents);
    let wanted = json!({ "agent": "echo", "input": 1, "callback_url": receiver.url("/") });
    drop(first.post("/v1/runs", &wanted).expect(202));
    let lost = receiver.wait_for(1).remove(0);
    first.process().kill();
    drop(first.into_process().wait());
    let second = server(&sandbox, &agents);
    let again = receiver.wait_for(2).remove(1);
    assert_eq!(again.header("webhook-id"), lost.header("webhook-id"));
    assert_eq!(again.body, lost.body);
    drop(second);
}

#[test]
fn a_run_of_the_command_line_is_reported_by_the_server_that_comes_later() {
    let (sandbox, agents) = world();
    let receiver = Receiver::start();
    let failing = sandbox.agent(&TestAgent::shell("exit 3\n").named("failing"));
    let run_id = start(&sandbox, &failing, &["--callback-url", &receiver.url("/")]);
    drop(sandbox.errand(["wait", &run_id]).run());
    let listed = sandbox.errand(["callbacks", "ls", "--json"]).run().ok().json();
    assert_eq!(listed["callbacks"][0]["state"], "waiting");
    let server = server(&sandbox, &agents);
    let said = body(&receiver.wait_for(1)[0]);
    assert_eq!((&said["type"], &said["data"]["exit_code"]), (&json!("run.failed"), &json!(3)));
    drop(server);
    let words = ["run", "echo", "--callback-url", "ftp://example.com"];
    drop(sandbox.errand(words).run().refuses(2, "neither http nor https"));
}

#[test]
fn two_servers_on_one_registry_fire_each_slot_of_a_schedule_once() {
    let (sandbox, agents) = world();
    let (one, two) = (server(&sandbox, &agents), server(&sandbox, &agents));
    let never = ["schedules", "add", "never", "--agent", "echo", "--cron", "0 0 30 2 *"];
    drop(sandbox.errand(never).run().refuses(2, "no date ever matches"));
    let wanted = ["--agent", "echo", "--cron", "@every 1s", "--input", "7", "--overlap", "allow"];
    drop(sandbox.errand(["schedules", "add", "pulse"]).args(wanted).run().ok());
    wait_until("four slots fired", LIMIT, || all(&sandbox).len() >= 4);
    drop(sandbox.errand(["schedules", "pause", "pulse"]).run().ok());
    let runs = all(&sandbox);
    let slots: Vec<i64> =
        runs.iter().map(|run| run["trigger"]["payload"]["slot_ms"].as_i64().unwrap()).collect();
    let distinct: BTreeSet<i64> = slots.iter().copied().collect();
    assert_eq!(distinct.len(), slots.len(), "{slots:?}");
    assert!(runs.iter().all(|run| run["trigger"]["type"] == "schedule"));
    assert!(runs.iter().all(|run| run["trigger"]["source"] == "pulse"));
    let shown = one.get("/v1/schedules/pulse").expect(200).json();
    assert_eq!((&shown["enabled"], &shown["next_fires_ms"]), (&json!(false), &json!([])));
    let fired = two.send(&HttpRequest::new("POST", "/v1/schedules/pulse/fire")).expect(202).json();
    assert!(all(&sandbox).iter().any(|run| run["run_id"] == fired["run_id"]));
}
