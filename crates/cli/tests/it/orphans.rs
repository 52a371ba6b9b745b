//! Runs whose helper was killed, on a registry with a server and no other commands.

use errand_testkit::{ErrandServer, HttpRequest, LIMIT, TestAgent, wait_until};
use serde_json::Value;

use crate::support::{kill, ready, record, sandbox, sleeper, start, start_ready};

/// Returns the run as the server lists it.
fn listed(server: &ErrandServer, run_id: &str) -> Value {
    let page = server.get("/v1/runs").expect(200).json();
    let runs = page["runs"].as_array().unwrap();
    runs.iter().find(|run| run["run_id"] == run_id).unwrap().clone()
}

#[test]
fn a_server_ends_a_run_whose_helper_was_killed() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    // One run begins before the server, another later.
    let mut runs = vec![start_ready(&sandbox, &agent)];
    let server = ErrandServer::start(&sandbox, &[]);
    runs.push(start_ready(&sandbox, &agent));
    for run_id in runs {
        let request = HttpRequest::new("GET", &format!("/v1/runs/{run_id}/events"))
            .header("Accept", "text/event-stream");
        let events = std::thread::scope(|scope| {
            let stream = scope.spawn(|| server.send(&request).body);
            kill(&record(&sandbox, &run_id)["pid"]);
            wait_until("the list says that it failed", LIMIT, || {
                listed(&server, &run_id)["status"] == "failed"
            });
            stream.join().unwrap()
        });
        assert!(events.contains("event: end"), "{events}");
        assert_eq!(listed(&server, &run_id)["last_error"]["code"], "helper_died");
    }
}

#[test]
fn a_server_starts_another_attempt_of_a_run_whose_helper_was_killed() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let agent = sleeper().spec("retry_policy: { max_retries: 1, backoff: none }");
    let run_id = start_ready(&sandbox, &sandbox.agent(&agent));
    kill(&record(&sandbox, &run_id)["pid"]);
    wait_until("the second attempt runs", LIMIT, || {
        let run = listed(&server, &run_id);
        run["attempt"] == 2 && run["status"] == "running"
    });
    ready(&sandbox, &run_id);
    // The helper of that attempt is watched, too.
    kill(&record(&sandbox, &run_id)["pid"]);
    wait_until("it failed", LIMIT, || listed(&server, &run_id)["status"] == "failed");
}

#[test]
fn a_servers_list_names_the_run_that_has_the_turn() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let agent = sandbox.agent(&TestAgent::shell("sleep 600"));
    let first = start(&sandbox, &agent, &["--session", "talk"]);
    let second = start(&sandbox, &agent, &["--session", "talk"]);
    assert_eq!(listed(&server, &second)["waits_behind"], *first);
    let ps = sandbox.errand(["--server", &server.url(), "ps"]).run().ok().stdout();
    assert!(ps.contains(&format!("waits for its turn behind {first}")), "{ps}");
}
