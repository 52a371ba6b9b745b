//! `errand agent …`, called by real small agents.

use errand_testkit::{LIMIT, ProgramOutput, Sandbox, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::support::sandbox;

/// Runs a shell script as an agent; a failing command does not end it.
fn run(sandbox: &Sandbox, script: &str) -> ProgramOutput {
    let agent = sandbox.agent(&TestAgent::shell(&format!("set +e\n{script}\n")));
    sandbox.errand(["run"]).arg(agent).run()
}

/// Returns the record of the only run.
fn record(sandbox: &Sandbox) -> Value {
    let all = sandbox.errand(["ps", "-a", "--json"]).run().ok().json();
    let id = all[0]["run_id"].as_str().unwrap().to_owned();
    sandbox.errand(["inspect-run"]).arg(id).run().ok().json()
}

/// Returns the data of the only run's events of one type.
fn events(sandbox: &Sandbox, kind: &str) -> Vec<Value> {
    let id = record(sandbox)["run_id"].as_str().unwrap().to_owned();
    let lines = sandbox.errand(["events", "--json"]).arg(id).run().ok().json_lines();
    lines.into_iter().filter(|e| e["type"] == kind).map(|e| e["data"].clone()).collect()
}

#[test]
fn a_step_is_run_once_and_shown_from_the_record_byte_for_byte() {
    let sandbox = sandbox();
    let command = r"sh -c 'echo run >>count; printf \\377out; printf err >&2'";
    let script = format!(
        "errand agent step one -- {command} >out1 2>err1\n\
         errand agent step one -- {command} >out2 2>err2; echo rc=$?\n\
         cmp out1 out2 && cmp err1 err2 && wc -l <count; od -An -c out2; cat err2"
    );
    let output = run(&sandbox, &script).ok();
    assert_eq!(output.stdout(), "rc=0\n1\n 377   o   u   t\nerr");
}

#[test]
fn a_failing_step_ends_with_the_code_of_its_command_and_is_run_again() {
    let sandbox = sandbox();
    let script = "
        errand agent step a -- sh -c 'echo shown; echo why >&2; exit 3'; echo $?
        errand agent step a -- echo again; echo $?
        errand agent step b -- no-such-program; echo $?
        touch file; errand agent step c -- ./file; echo $?
        errand agent step d -- sh -c 'kill -9 $$'; echo $?";
    let output = run(&sandbox, script).ok();
    assert_eq!(output.stdout(), "shown\n3\nagain\n0\n127\n126\n137\n");
    let failed: Vec<_> = events(&sandbox, "step.failed")
        .into_iter()
        .map(|step| (step["key"].clone(), step["error"]["code"].clone(), step["exit_code"].clone()))
        .collect();
    let expected = [
        (json!("a"), json!("exit_nonzero"), json!(3)),
        (json!("b"), json!("command_not_found"), json!(127)),
        (json!("c"), json!("command_not_executable"), json!(126)),
        (json!("d"), json!("killed_by_signal"), Value::Null),
    ];
    assert_eq!(failed, expected);
    let message = events(&sandbox, "step.failed")[0]["error"]["message"].clone();
    assert_eq!(message, "the command exited with code 3: why");
}

#[test]
fn a_step_that_takes_too_long_is_ended_with_its_whole_group() {
    let sandbox = sandbox();
    let script = "
        errand agent step slow --timeout 2s -- sh -c 'sleep 300 & echo $! >pid; sleep 300'
        echo $?
        errand agent step stubborn --timeout 200ms -- sh -c 'trap \"\" TERM; sleep 300'; echo $?
        process=/proc/$(cat pid); tries=0
        while grep -q '^State:[[:space:]]*[^ZX[:space:]]' $process/status && [ $tries -lt 100 ]; do
            tries=$((tries + 1)); sleep 0.1
        done 2>/dev/null
        [ $tries -lt 100 ] && echo gone";
    let output = run(&sandbox, script).ok();
    assert_eq!(output.stdout(), "124\n124\ngone\n");
    let codes: Vec<_> =
        events(&sandbox, "step.failed").iter().map(|step| step["error"]["code"].clone()).collect();
    assert_eq!(codes, ["timeout_step", "timeout_step"]);
}

#[test]
fn the_agent_file_limits_steps_without_a_timeout_of_their_own() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("errand agent step slow -- sleep 300 || echo $?");
    let agent = sandbox.agent(&agent.spec("timeouts: { step: 200ms }"));
    let output = sandbox.errand(["run"]).arg(agent).run().ok();
    assert_eq!(output.stdout(), "124\n");
}

#[test]
fn a_signal_reaches_the_command_of_a_step() {
    let sandbox = sandbox();
    let script = "
        errand agent step s -- sh -c 'trap \"echo caught; exit 9\" TERM; : >ready
            while :; do sleep 0.05; done' &
        until [ -e ready ]; do sleep 0.05; done
        kill -TERM $!
        wait $!; echo $?";
    assert_eq!(run(&sandbox, script).ok().stdout(), "caught\n9\n");
}

#[test]
fn a_background_process_of_a_step_is_not_waited_for() {
    let sandbox = sandbox();
    let script = "errand agent step bg -- sh -c 'sleep 300 & echo started'; echo $?";
    assert_eq!(run(&sandbox, script).ok().stdout(), "started\n0\n");
}

#[test]
fn a_step_reads_what_its_caller_gives_it() {
    let sandbox = sandbox();
    let script = "echo given | errand agent step in -- cat";
    assert_eq!(run(&sandbox, script).ok().stdout(), "given\n");
}

#[test]
fn only_the_beginning_of_a_very_long_step_output_is_recorded_with_a_note() {
    let sandbox = sandbox();
    let script = "
        errand agent step big -- sh -c 'yes 0123456 | head -c 12000000' 2>note1 | wc -c
        errand agent step big -- sh -c 'yes 0123456 | head -c 12000000' 2>note2 | wc -c
        cmp note1 note2 && cat note2";
    let output = run(&sandbox, script).ok();
    let note = "errand: only the first 8 MiB of stdout are recorded for later attempts\n";
    assert_eq!(output.stdout(), format!("12000000\n8388608\n{note}"));
}

#[test]
fn another_attempt_gets_completed_steps_from_the_record() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell(
        "errand agent step paid -- sh -c 'echo paid >>receipts; wc -l <receipts'
         errand agent checkpoint --get
         if [ \"$ERRAND_ATTEMPT\" = 1 ]; then
             errand agent checkpoint '{\"page\": 7}'; : >ready; sleep 300
         fi",
    ));
    let id = sandbox.errand(["run", "-d"]).arg(agent).run().ok().stdout_line();
    let ready = sandbox.registry().join("workspaces").join(&id).join("ready");
    wait_until("the first attempt is under way", LIMIT, || ready.exists());
    drop(sandbox.errand(["restart", "--grace-period-ms", "100"]).arg(&id).run().ok());
    drop(sandbox.errand(["wait"]).arg(&id).run().ok());
    let logs = sandbox.errand(["logs"]).arg(&id).run().ok().stdout();
    let lines: Vec<_> = logs.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines.contains(&"{\"page\":7}"), "{logs}");
    assert_eq!(lines.iter().filter(|line| **line == "1").count(), 2, "{logs}");
    drop(sandbox.errand(["verify"]).arg(&id).run().ok());
}

#[test]
fn events_outputs_and_artifacts_of_an_agent_are_in_the_record() {
    let sandbox = sandbox();
    let script = r#"
        errand agent checkpoint --get
        errand agent checkpoint '{"page": 7}'
        echo '[1, 2]' >state.json; errand agent checkpoint @state.json
        errand agent checkpoint --get
        errand agent emit model.called '{"model": "m", "input_tokens": 120, "output_tokens": 30}'
        echo '{"name": "t"}' | errand agent emit tool.called -
        errand agent output 'plain text'
        errand agent output '{"n": 1}'
        mkdir d; echo report >d/r.md
        errand agent artifact d/r.md; errand agent artifact d/r.md --name out/r.md"#;
    let output = run(&sandbox, script).ok();
    let record = record(&sandbox);
    let id = record["run_id"].as_str().unwrap();
    assert_eq!(
        output.stdout(),
        format!("null\n[1,2]\nartifact://{id}/r.md\nartifact://{id}/out/r.md\n")
    );
    assert_eq!(record["output"], json!({"n": 1}));
    assert_eq!(record["usage"]["input_tokens"], 120);
    assert_eq!(record["counters"]["model_calls"], 1);
    assert_eq!(record["counters"]["tool_calls"], 1);
    let names: Vec<_> =
        record["artifacts"].as_array().unwrap().iter().map(|a| a["name"].clone()).collect();
    assert_eq!(names, ["out/r.md", "r.md"]);
    assert_eq!(record["artifacts"][1]["media_type"], "text/markdown");
}

#[test]
fn a_session_outlives_its_runs() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell(
        "errand agent session get
         errand agent session put \"{\\\"runs\\\": \\\"$ERRAND_RUN_ID\\\"}\"
         errand agent session put --revision 0 '{}' || echo $?",
    ));
    let ask = || sandbox.errand(["run", "--session", "talk"]).arg(&agent).run().ok().stdout();
    assert_eq!(ask(), "null\n1\n125\n");
    let second = ask();
    assert!(second.starts_with("{\"runs\":\"") && second.ends_with("\"}\n2\n125\n"), "{second}");
    let without = run(&sandbox, "errand agent session get; echo $?").ok();
    assert_eq!(without.stdout(), "125\n");
    assert!(without.stderr().contains("session_missing"), "{}", without.stderr());
}

#[test]
fn bad_reports_are_refused_and_leave_nothing() {
    let sandbox = sandbox();
    let script = "
        errand agent emit run.completed '{}'; echo $?
        errand agent emit nonsense '{}'; echo $?
        errand agent emit tool.called '{bad'; echo $?
        errand agent emit tool.called '[1]'; echo $?
        errand agent checkpoint @no-such-file; echo $?
        errand agent artifact no-such-file; echo $?
        errand agent artifact /; echo $?
        errand agent artifact agent.sh --name ../../x; echo $?
        errand agent step '' -- true; echo $?
        errand agent step s --timeout 30 -- true; echo $?
        errand agent step s; echo $?";
    let output = run(&sandbox, script).ok();
    assert_eq!(output.stdout(), "2\n2\n2\n2\n2\n125\n2\n2\n2\n2\n2\n");
    for kind in ["tool.called", "checkpoint.saved", "artifact.created", "step.started"] {
        assert_eq!(events(&sandbox, kind), [json!(null); 0], "{kind}");
    }
}

#[test]
fn agent_commands_outside_of_a_run_are_refused() {
    let sandbox = sandbox();
    for arguments in [
        &["agent", "checkin"][..],
        &["agent", "step", "k", "--", "touch", "done"],
        &["agent", "output", "x"],
    ] {
        let complaint = "not inside a run: ERRAND_API is not set";
        drop(sandbox.errand(arguments).run().refuses(125, complaint));
    }
    let gone = sandbox.errand(["agent", "checkin"]);
    let gone = gone.env("ERRAND_API", "unix:///no/such.sock").env("ERRAND_TOKEN", "t");
    drop(gone.run().refuses(125, "cannot be reached"));
    assert!(!sandbox.path("done").exists() && !sandbox.registry().exists());
}
