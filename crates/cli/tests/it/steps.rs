//! Durable steps and the other calls of an agent, from a shell.

use errand_testkit::{LIMIT, TestAgent, wait_until};
use serde_json::json;

use crate::support::{
    GATE, all, assert_over, event_types, finish, log, open_gate, record, run, sandbox, start,
};

/// Returns how often a step of this key was really executed.
fn executions(sandbox: &errand_testkit::Sandbox, key: &str) -> usize {
    let path = sandbox.root().join("home").join(key);
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn the_next_attempt_gets_completed_steps_from_the_record() {
    let sandbox = sandbox();
    let script = format!(
        "errand agent step one -- sh -c 'echo x >> \"$HOME/one\"; printf \"a\\0b\\n\"; echo note >&2' > out\n\
         errand agent checkpoint \"{{\\\"attempt\\\": $ERRAND_ATTEMPT}}\"\n\
         echo \"attempt $ERRAND_ATTEMPT\"\n{GATE}\
         errand agent step two -- sh -c 'echo x >> \"$HOME/two\"'\n\
         od -An -c out; errand agent checkpoint --get\n"
    );
    let agent = sandbox.agent(&TestAgent::shell(&script));
    let run_id = start(&sandbox, &agent, &[]);
    wait_until("attempt 1 is half way", LIMIT, || log(&sandbox, &run_id).contains("attempt 1"));
    drop(sandbox.errand(["restart", &run_id]).run().ok());
    wait_until("attempt 2 is half way", LIMIT, || log(&sandbox, &run_id).contains("attempt 2"));
    open_gate(&sandbox);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(record["attempt"], 2);
    assert_eq!((executions(&sandbox, "one"), executions(&sandbox, "two")), (1, 1));
    let log = log(&sandbox, &run_id);
    assert!(log.contains("a  \\0   b  \\n"), "the recorded output is the bytes it was: {log}");
    assert!(log.contains("{\"attempt\":2}"), "{log}");
    let types = event_types(&sandbox, &run_id);
    assert_eq!(types.iter().filter(|kind| *kind == "step.completed").count(), 2);
    assert_over(&sandbox, &run_id);
}

#[test]
fn the_next_attempt_starts_from_the_last_checkpoint() {
    let sandbox = sandbox();
    let script = format!(
        "errand agent checkpoint --get\n\
         if [ \"$ERRAND_ATTEMPT\" = 1 ]; then errand agent checkpoint '{{\"done\": [1, 2]}}'; echo saved; {GATE}fi\n"
    );
    let agent = sandbox.agent(&TestAgent::shell(&script));
    let run_id = start(&sandbox, &agent, &[]);
    wait_until("it is saved", LIMIT, || log(&sandbox, &run_id).contains("saved"));
    drop(sandbox.errand(["restart", &run_id]).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let log = log(&sandbox, &run_id);
    assert_eq!(log.lines().collect::<Vec<_>>(), ["null", "saved", "{\"done\":[1,2]}"]);
}

#[test]
fn a_step_that_failed_is_carried_out_again() {
    let sandbox = sandbox();
    let script = "errand agent step flaky -- sh -c 'echo x >> \"$HOME/flaky\"; test $(wc -l < \"$HOME/flaky\") = 2' || echo \"failed with $?\"\n\
                  errand agent step flaky -- sh -c 'echo x >> \"$HOME/flaky\"; test $(wc -l < \"$HOME/flaky\") = 2'\n\
                  errand agent step absent -- no-such-program || echo \"absent $?\"\n\
                  errand agent step forbidden -- /etc/passwd || echo \"forbidden $?\"\n\
                  errand agent step signalled -- sh -c 'kill -KILL $$' || echo \"signalled $?\"\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let output = run(&sandbox, &agent, &[]).run().ok().stdout();
    let expected = ["failed with 1", "absent 127", "forbidden 126", "signalled 137"];
    assert_eq!(output.lines().collect::<Vec<_>>(), expected);
    assert_eq!(executions(&sandbox, "flaky"), 2);
}

#[test]
fn a_step_over_its_time_limit_ends_with_all_its_processes() {
    let sandbox = sandbox();
    let script = "errand agent step slow --timeout 200ms -- sh -c 'sleep 600 & sleep 600' || echo \"ended $?\"\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let output = run(&sandbox, &agent, &[]).run().ok();
    assert!(output.stdout().contains("ended 124"), "{}", output.describe());
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    let events = sandbox.errand(["events", &run_id, "--json"]).run().ok().json_lines();
    let failed = events.iter().find(|event| event["type"] == "step.failed").unwrap();
    assert_eq!(failed["data"]["error"]["code"], "timeout_step", "{failed:#}");
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_timed_out_run_names_the_step_in_its_record() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("errand agent step fetch-all -- sleep 600\n")
        .spec("timeouts: { run: 3s }");
    let agent = sandbox.agent(&agent);
    drop(run(&sandbox, &agent, &[]).run().exits(124));
    let record = all(&sandbox).remove(0);
    assert_eq!(record["last_error"]["code"], "timeout_run");
    assert_eq!(record["last_error"]["step"], "fetch-all", "{record:#}");
    assert_over(&sandbox, record["run_id"].as_str().unwrap());
}

#[test]
fn a_step_limit_of_the_agent_file_applies() {
    let sandbox = sandbox();
    let agent =
        TestAgent::shell("errand agent step slow -- sleep 600\n").spec("timeouts: { step: 300ms }");
    let agent = sandbox.agent(&agent);
    drop(run(&sandbox, &agent, &[]).run().exits(124));
    let record = all(&sandbox).remove(0);
    let run_id = record["run_id"].as_str().unwrap();
    let events = sandbox.errand(["events", run_id, "--json"]).run().ok().json_lines();
    let failed = events.iter().find(|event| event["type"] == "step.failed").unwrap();
    assert_eq!(failed["data"]["key"], "slow");
    assert_eq!(failed["data"]["error"]["code"], "timeout_step", "{failed:#}");
    assert_over(&sandbox, run_id);
}

#[test]
fn outputs_artifacts_and_events_are_in_the_record() {
    let sandbox = sandbox();
    let script = "printf 'a report\\n' > report.md\n\
                  errand agent artifact report.md --name 'final report.md'\n\
                  errand agent emit model.called '{\"provider\":\"openai\",\"model\":\"m\",\"input_tokens\":120,\"output_tokens\":30}'\n\
                  printf '{\"percent\": 50}' | errand agent emit progress.reported -\n\
                  errand agent output '{\"verdict\": \"good\"}'\necho noise\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let output = run(&sandbox, &agent, &[]).run().ok();
    let record = all(&sandbox).remove(0);
    let run_id = record["run_id"].as_str().unwrap();
    let address = format!("artifact://{run_id}/final%20report.md");
    let line = output.stdout().lines().next().unwrap().to_owned();
    assert!(line.starts_with(&format!("artifact://{run_id}/final")), "{line} {address}");
    assert_eq!(record["output"], json!({ "verdict": "good" }));
    assert_eq!(record["artifacts"][0]["name"], "final report.md");
    assert_eq!(record["artifacts"][0]["size_bytes"], 9, "{record:#}");
    assert_eq!(record["usage"]["input_tokens"], 120);
    assert_eq!(record["usage"]["output_tokens"], 30);
    assert_eq!(record["counters"]["model_calls"], 1);
    let types = event_types(&sandbox, run_id);
    assert!(types.iter().any(|kind| kind == "progress.reported"), "{types:?}");
    assert!(types.iter().any(|kind| kind == "artifact.created"), "{types:?}");
}

#[test]
fn a_session_is_remembered_by_the_next_run() {
    let sandbox = sandbox();
    let script = "errand agent session get\nerrand agent session put '{\"turns\": 1}'\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let first = run(&sandbox, &agent, &["--session", "chat"]).run().ok().stdout();
    let second = run(&sandbox, &agent, &["--session", "chat"]).run().ok().stdout();
    let other = run(&sandbox, &agent, &["--session", "other"]).run().ok().stdout();
    let firsts = [&first, &second, &other].map(|text| text.lines().next().unwrap());
    assert_eq!(firsts, ["null", "{\"turns\":1}", "null"]);
}

#[test]
fn agent_calls_outside_of_a_run_are_refused() {
    let sandbox = sandbox();
    for words in [
        &["agent", "step", "one", "--", "true"][..],
        &["agent", "output", "1"],
        &["agent", "checkpoint", "--get"],
    ] {
        let refused = sandbox.errand(words).run();
        assert!(refused.stderr().contains("ERRAND_API"), "{}", refused.describe());
        assert_ne!(refused.code, Some(0));
    }
    assert!(!sandbox.registry().exists());
}

#[test]
fn a_token_is_good_for_its_attempt_only() {
    let sandbox = sandbox();
    let script = format!(
        "if [ \"$ERRAND_ATTEMPT\" = 1 ]; then echo \"$ERRAND_TOKEN\" > \"$HOME/token\"; echo kept; {GATE}fi\n\
         ERRAND_TOKEN=$(cat \"$HOME/token\") errand agent output 1 || echo \"refused $?\"\n"
    );
    let agent = sandbox.agent(&TestAgent::shell(&script));
    let run_id = start(&sandbox, &agent, &[]);
    wait_until("it is kept", LIMIT, || log(&sandbox, &run_id).contains("kept"));
    drop(sandbox.errand(["restart", &run_id]).run().ok());
    finish(&sandbox, &run_id);
    assert!(log(&sandbox, &run_id).contains("refused 125"), "{}", log(&sandbox, &run_id));
    assert_ne!(record(&sandbox, &run_id)["output"], 1);
}
