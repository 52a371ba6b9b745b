//! Services woken by people, and the output and usage of their wakes.

use errand_testkit::{ErrandServer, LIMIT, Sandbox, TestAgent, wait_for, wait_until};
use serde_json::{Value, json};

use crate::support::{
    GATE, command, event_types, finish, kill, log, open_gate, record, sandbox, serve, start, wakes,
};

const NEVER_NOW: [&str; 2] = ["--schedule", "0 0 0 1 1 *"];

/// Returns a file that an agent wrote.
fn home(sandbox: &Sandbox, name: &str) -> String {
    std::fs::read_to_string(sandbox.root().join("home").join(name)).unwrap()
}

#[test]
fn a_service_is_woken_by_hand_and_the_wake_is_a_run_of_its_own() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("cat; exit 3"));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    let wake = sandbox.errand(["wake", &service, "{\"n\":1}", "--by", "ada"]).run().ok();
    let wake = wake.stdout_line();
    let ended = finish(&sandbox, &wake);
    assert_eq!(ended["parent_run_id"], service.as_str());
    assert_eq!((&ended["input"], &ended["exit_code"]), (&json!({ "n": 1 }), &3.into()));
    assert_eq!(
        (&ended["trigger"]["type"], &ended["trigger"]["source"]),
        (&"manual".into(), &"ada".into())
    );
    let events = sandbox.errand(["events", &service, "--json"]).run().ok().json_lines();
    let fired = events.iter().find(|event| event["type"] == "wake.fired").unwrap();
    assert_eq!(fired["data"]["reason"], "manual");
    assert_eq!(fired["data"]["by"], "ada");
    assert_eq!(fired["data"]["run_id"], wake.as_str());

    let waited = sandbox.errand(["wake", &service, "--wait"]).run();
    let woken = waited.exits(3).stdout_line();
    assert_eq!(record(&sandbox, &woken)["kind"], "heartbeat", "it was given nothing");
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn only_services_that_run_are_woken() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let job = start(&sandbox, &agent, &[]);
    drop(finish(&sandbox, &job));
    let refused = sandbox.errand(["wake", &job]).run();
    assert!(refused.stderr().contains("wake_refused"), "{}", refused.describe());
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    drop(sandbox.errand(["pause", &service]).run().ok());
    let refused = sandbox.errand(["wake", &service]).run();
    assert!(refused.stderr().contains("is paused: `errand resume`"), "{}", refused.describe());
    drop(sandbox.errand(["stop", &service]).run().ok());
    let refused = sandbox.errand(["wake", &service]).run();
    assert!(refused.stderr().contains("run_not_live"), "{}", refused.describe());
    assert_eq!(wakes(&sandbox, &service).len(), 0);
}

#[test]
fn an_acknowledged_wake_runs_although_the_helper_is_killed() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("cat > \"$HOME/seen\"; echo done"));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    let helper = record(&sandbox, &service)["pid"].clone();
    let wake = sandbox.errand(["wake", &service, "hello"]).run().ok().stdout_line();
    kill(&helper);
    let last = wait_for("the wake is done", LIMIT, || {
        let last = wakes(&sandbox, &service).pop()?;
        (last["status"] == "completed").then_some(last)
    });
    assert!(last["run_id"] == wake.as_str() || last["origin_run_id"] == wake.as_str());
    assert_eq!(home(&sandbox, "seen"), "hello");
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn a_service_of_a_server_is_woken_over_it() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("cat"));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    let server = ErrandServer::start(&sandbox, &[]);
    let path = format!("/v1/runs/{service}/wake");
    let answer = server.post(&path, &json!({ "input": { "n": 2 } }));
    assert_eq!(answer.status, 202, "{}", answer.body);
    let wake = answer.json();
    assert_eq!(wake["parent_run_id"], service.as_str());
    assert_eq!(finish(&sandbox, wake["run_id"].as_str().unwrap())["output"], json!({ "n": 2 }));
    let over = sandbox.errand(["--server", &server.url(), "wake", &service, "x", "--wait"]).run();
    drop(over.ok());
    let kind = json!({ "agent": "a", "kind": "service" });
    let refused = server.post("/v1/runs", &kind);
    assert!(refused.body.contains("errand serve -d AGENT"), "{}", refused.body);
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn the_log_of_a_service_has_what_its_wakes_print() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("cat; echo; echo oops >&2").named("talker"));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    let following = sandbox.errand(["logs", "-f", &service]).spawn();
    let woken: Vec<String> = ["one", "two"]
        .iter()
        .map(|said| sandbox.errand(["wake", &service, said, "--wait"]).run().ok().stdout_line())
        .collect();
    let shown = sandbox.errand(["logs", &service]).run().ok();
    for (wake, said) in woken.iter().zip(["one", "two"]) {
        let label = format!("manual {}", &wake[14..]);
        assert!(shown.stdout().contains(&format!("{label} | {said}")), "{}", shown.describe());
        assert!(shown.stderr().contains(&format!("{label} | oops")), "{}", shown.describe());
        assert!(shown.stderr().contains(&format!("woken by manual: run {wake}")));
    }
    let own = sandbox.errand(["logs", "--own", &service]).run().ok();
    assert!(own.stdout().is_empty() && own.stderr().contains("woken by manual"));
    drop(sandbox.errand(["stop", &service]).run().ok());
    let followed = following.wait().ok();
    assert!(followed.stdout().contains("| two"), "{}", followed.describe());

    let server = ErrandServer::start(&sandbox, &[]);
    let there = sandbox.errand(["--server", &server.url(), "logs", &service]).run().ok();
    assert_eq!(there.stdout(), shown.stdout());
}

#[test]
fn a_service_in_the_foreground_shows_what_its_wakes_print() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo beat"));
    let serving = command(&sandbox, &["serve"], &agent, &["--interval-ms", "50"]).spawn();
    wait_until("two wakes are over", LIMIT, || {
        let all = crate::support::all(&sandbox);
        all.iter().filter(|run| run["status"] == "completed").count() >= 2
    });
    serving.interrupt();
    let shown = serving.wait().exits(130);
    assert!(shown.stdout().contains(" | beat\n"), "{}", shown.describe());
    assert!(shown.stdout().starts_with("heartbeat "), "{}", shown.describe());
}

#[test]
fn the_usage_of_a_service_includes_its_wakes() {
    let sandbox = sandbox();
    let script = "cat > /dev/null\nerrand agent emit model.called \
                  '{\"provider\":\"p\",\"model\":\"m\",\"input_tokens\":10,\"output_tokens\":5}'\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    for _ in 0..2 {
        drop(sandbox.errand(["wake", &service, "--wait"]).run().ok());
    }
    wait_until("both ends are recorded", LIMIT, || {
        let types = event_types(&sandbox, &service);
        types.iter().filter(|kind| *kind == "wake.ended").count() == 2
    });
    let usage = record(&sandbox, &service)["usage"].clone();
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&20.into(), &10.into()));
    let all = sandbox.errand(["usage", "--json"]).run().ok().json();
    assert!(all.to_string().contains("\"input_tokens\":20"), "counted once: {all:#}");
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn a_woken_agent_gets_its_trigger() {
    let sandbox = sandbox();
    let agent =
        sandbox.agent(&TestAgent::shell("cat > /dev/null\nerrand agent brief > \"$HOME/brief\""));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    drop(sandbox.errand(["wake", &service, "--by", "ada", "--wait"]).run().ok());
    let brief: Value = serde_json::from_str(&home(&sandbox, "brief")).unwrap();
    assert_eq!(brief["run"]["trigger"]["type"], "manual", "{brief:#}");
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn a_running_wake_ends_before_its_stopped_service() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell(&format!("echo begun\n{GATE}echo finished\n")));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    let wake = sandbox.errand(["wake", &service]).run().ok().stdout_line();
    wait_until("the wake has begun", LIMIT, || log(&sandbox, &wake).contains("begun"));
    let stopping = sandbox.errand(["stop", &service]).spawn();
    open_gate(&sandbox);
    drop(stopping.wait().ok());
    assert_eq!(record(&sandbox, &wake)["status"], "completed");
}
