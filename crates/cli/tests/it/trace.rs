//! Traces of runs.

use errand_testkit::{LIMIT, TestAgent, wait_until};
use serde_json::Value;

use crate::support::{finish, ready, record, sandbox, start};

/// Collects all spans below one, with the names of their parents.
fn paths(span: &Value, above: &str, found: &mut Vec<String>) {
    for child in span["children"].as_array().into_iter().flatten() {
        let path = format!(
            "{above}/{} {}",
            child["kind"].as_str().unwrap(),
            child["name"].as_str().unwrap()
        );
        found.push(path.clone());
        paths(child, &path, found);
    }
}

#[test]
fn a_trace_has_attempts_steps_calls_and_waits() {
    let sandbox = sandbox();
    let script = "errand agent step fetch -- true\n\
        errand agent step plan -- errand agent emit model.called \
          '{\"provider\":\"openai\",\"model\":\"m\",\"input_tokens\":120,\"output_tokens\":30}'\n\
        errand agent emit tool.called '{\"name\":\"grep\",\"duration_ms\":3}'\n\
        errand agent step deploy -- sh -c 'test \"$ERRAND_ATTEMPT\" = 2'\n";
    let agent = TestAgent::shell(script).spec(
        "retry_policy: { max_retries: 1, backoff: fixed, initial_delay: 50ms, max_delay: 50ms }",
    );
    let run_id = start(&sandbox, &sandbox.agent(&agent), &[]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let trace = sandbox.errand(["trace", &run_id, "--json"]).run().ok().json();
    assert_eq!(trace["schema"], 1);
    let mut found = Vec::new();
    paths(&trace["run"], "", &mut found);
    let expected = [
        "/wait pending",
        "/attempt attempt 1",
        "/attempt attempt 1/step fetch",
        "/attempt attempt 1/step plan",
        "/attempt attempt 1/step plan/model_call openai/m",
        "/attempt attempt 1/tool_call grep",
        "/attempt attempt 1/step deploy",
        "/wait back-off",
        "/attempt attempt 2",
        "/attempt attempt 2/tool_call grep",
        "/attempt attempt 2/step deploy",
    ];
    assert_eq!(found, expected);
    assert_eq!(trace["run"]["usage"]["input_tokens"], 120);
    assert_eq!(trace["summary"]["most_tokens"]["name"], "step plan");
    assert_eq!(trace["summary"]["most_tokens"]["percent"], 100);

    let drawn = sandbox.errand(["trace", &run_id, "--width", "80"]).run().ok().stdout();
    for expected in
        ["✗ attempt 1", "✗ deploy", "back-off", "deploy (try 2)", "most tokens: step plan 100 %"]
    {
        assert!(drawn.contains(expected), "{expected} is not in\n{drawn}");
    }
    assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
    let short = sandbox.errand(["trace", &run_id, "-n", "3"]).run().ok().stdout();
    assert!(short.contains(" more"), "{short}");
    drop(sandbox.errand(["trace", &run_id, "--width", "5"]).run().exits(2));
}

#[test]
fn a_live_run_is_traced_while_it_lives() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("errand agent step one -- true; echo ready; exec sleep 600");
    let run_id = start(&sandbox, &sandbox.agent(&agent), &[]);
    ready(&sandbox, &run_id);
    let drawn = sandbox.errand(["trace", &run_id]).run().ok().stdout();
    assert!(drawn.contains("one") && drawn.contains("━>"), "{drawn}");
    let trace = sandbox.errand(["trace", &run_id, "--json"]).run().ok().json();
    assert_eq!(trace["is_live"], true);
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
    let drawn = sandbox.errand(["trace", &run_id]).run().ok().stdout();
    assert!(drawn.contains("■ attempt 1"), "{drawn}");
}

#[test]
fn the_time_of_people_has_bars_of_its_own() {
    let sandbox = sandbox();
    let script = "errand agent step build -- true\n\
        errand agent approve --action deploy --target prod\n\
        errand agent step deploy -- true\n";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script)), &[]);
    wait_until("it is asked", LIMIT, || record(&sandbox, &run_id)["status"] == "paused");
    let drawn = sandbox.errand(["trace", &run_id]).run().ok().stdout();
    assert!(drawn.contains("approval: deploy prod ") && drawn.contains("░>"), "{drawn}");
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let trace = sandbox.errand(["trace", &run_id, "--json"]).run().ok().json();
    let mut found = Vec::new();
    paths(&trace["run"], "", &mut found);
    let expected = [
        "/wait pending",
        "/attempt attempt 1",
        "/attempt attempt 1/step build",
        "/attempt attempt 1/step deploy",
        "/wait approval: deploy prod",
    ];
    assert_eq!(found, expected);
    assert_eq!(trace["run"]["children"][2]["outcome"], "ok");
}
