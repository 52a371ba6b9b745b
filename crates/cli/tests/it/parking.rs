//! Parked runs, which wait for a person without a process.

use std::time::{Duration, Instant};

use errand_testkit::{LIMIT, Sandbox, TestAgent, processes_of_run, wait_until};
use serde_json::json;

use crate::people::{every, open, paused, refused};
use crate::support::{
    assert_over, event_types, finish, kill, log, nobody_left, record, sandbox, start,
    wait_for_record,
};

/// Returns an agent that counts a side effect, asks, and causes another one when it may.
fn parker(more: &str) -> TestAgent {
    TestAgent::shell(&format!(
        "errand agent step before -- sh -c 'echo before >> \"$HOME/effects\"'\n\
         errand agent approve --action deploy --target production --park {more} > d.json || {{\n\
           code=$?; [ $code = 1 ] || exit $code; echo rejected; exit 0\n\
         }}\n\
         errand agent step after -- sh -c 'echo after >> \"$HOME/effects\"'\ncat d.json\n"
    ))
}

fn effects(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.root().join("home/effects")).unwrap_or_default()
}

/// Starts the agent and waits until it is parked: no process of the run is alive, no helper either.
fn park(sandbox: &Sandbox, agent: &std::path::Path) -> String {
    let run_id = start(sandbox, agent, &[]);
    let parked = wait_for_record(sandbox, &run_id, "the run is parked", |record| {
        record["status"] == "paused" && record["pid"].is_null()
    });
    assert_eq!(parked["attempts"][0]["status"], "stopped", "{parked:#}");
    assert_eq!(processes_of_run(&run_id), []);
    nobody_left(sandbox);
    run_id
}

#[test]
fn a_parked_run_has_no_process_and_continues_when_it_is_approved() {
    let sandbox = sandbox();
    let run_id = park(&sandbox, &sandbox.agent(&parker("")));
    assert_eq!(open(&sandbox)["approvals"][0]["park"], true);
    let ps = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(ps.contains("paused, waits for approval of deploy"), "{ps}");
    let still = sandbox.errand(["wait", &run_id, "--timeout-ms", "50"]).run().exits(124);
    refused(&still, "wait_timed_out");
    assert_eq!(processes_of_run(&run_id), [], "looking at it starts nothing");

    drop(sandbox.errand(["approve", &run_id, "--comment", "yes"]).run().ok());
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(record["attempts"][1]["reason"], "resume");
    assert_eq!(effects(&sandbox), "before\nafter\n");
    assert!(log(&sandbox, &run_id).contains("\"comment\":\"yes\""));
    refused(&sandbox.errand(["reject", &run_id]).run().exits(125), "run_not_live");
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_parked_run_continues_when_it_is_rejected() {
    let sandbox = sandbox();
    let run_id = park(&sandbox, &sandbox.agent(&parker("")));
    drop(sandbox.errand(["reject", &run_id]).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    assert!(log(&sandbox, &run_id).contains("rejected"));
    assert_eq!(effects(&sandbox), "before\n");
}

#[test]
fn an_answer_starts_the_next_attempt() {
    let sandbox = sandbox();
    let script = "errand agent input --prompt 'Name?' --schema '{\"type\":\"string\"}' --park\n";
    let run_id = park(&sandbox, &sandbox.agent(&TestAgent::shell(script)));
    let before = event_types(&sandbox, &run_id);
    refused(&sandbox.errand(["input", &run_id, "7"]).run().exits(2), "answer_invalid");
    assert_eq!(event_types(&sandbox, &run_id), before);
    assert_eq!(processes_of_run(&run_id), []);
    drop(sandbox.errand(["input", &run_id, "\"ada\""]).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    assert!(log(&sandbox, &run_id).contains("\"ada\""));
}

#[test]
fn one_of_many_concurrent_decisions_about_a_parked_run_wins() {
    let sandbox = sandbox();
    let run_id = park(&sandbox, &sandbox.agent(&parker("")));
    let deciders: Vec<_> = (0..6)
        .map(|number| ["approve", "reject"][number % 2])
        .map(|verb| sandbox.errand([verb, &run_id]).spawn())
        .collect();
    let outputs: Vec<_> = deciders.into_iter().map(errand_testkit::RunningProgram::wait).collect();
    let won = outputs.iter().filter(|output| output.code == Some(0)).count();
    assert_eq!(won, 1, "{outputs:#?}");
    for output in outputs.iter().filter(|output| output.code != Some(0)) {
        let stderr = output.stderr();
        let is_told =
            stderr.contains("error[question_decided]") || stderr.contains("error[run_not_live]");
        assert!(is_told, "{}", output.describe());
    }
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let types = event_types(&sandbox, &run_id);
    assert_eq!(types.iter().filter(|kind| *kind == "approval.decided").count(), 1);
    assert_eq!(record(&sandbox, &run_id)["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn the_next_command_applies_the_deadline_of_a_parked_run() {
    let looks: [&[&str]; 3] = [&["ps"], &["approvals", "ls"], &["wait"]];
    for look in looks {
        let sandbox = sandbox();
        let agent = sandbox.agent(&parker("--timeout 300ms --default approve"));
        let run_id = start(&sandbox, &agent, &[]);
        let asked = Instant::now();
        // Wait until the deadline has passed: no event tells of it.
        wait_until("the deadline passed", LIMIT, || asked.elapsed() > Duration::from_millis(600));
        let words = if look == ["wait"] { vec!["wait", &run_id] } else { look.to_vec() };
        drop(sandbox.errand(words).run().ok());
        let record = finish(&sandbox, &run_id);
        assert_eq!(record["status"], "completed", "{look:?}: {record:#}");
        assert_eq!(record["approvals"][0]["by_deadline"], true);
        assert_eq!(effects(&sandbox), "before\nafter\n");
    }
}

#[test]
fn the_deadline_of_a_parked_run_may_cancel_it() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&parker("--timeout 100ms --default cancel"));
    let run_id = start(&sandbox, &agent, &[]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "cancelled");
    assert_eq!(open(&sandbox)["approvals"], json!([]));
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_question_outlives_the_helper_that_waited_for_its_answer() {
    let sandbox = sandbox();
    let script = "errand agent step once -- sh -c 'echo once >> \"$HOME/effects\"'\n\
                  errand agent approve --action deploy --target production\n";
    let retry = "retry_policy: { max_retries: 1, backoff: none }";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script).spec(retry)), &[]);
    let waiting = paused(&sandbox, &run_id);
    let helper = waiting["pid"].clone();
    kill(&helper);
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(every(&sandbox)["approvals"].as_array().unwrap().len(), 1, "it is one question");
    assert_eq!(effects(&sandbox), "once\n");
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_parked_run_can_be_stopped_and_removed() {
    let sandbox = sandbox();
    let run_id = park(&sandbox, &sandbox.agent(&parker("")));
    drop(sandbox.errand(["stop", &run_id]).run().ok());
    assert_eq!(record(&sandbox, &run_id)["status"], "cancelled");
    assert_eq!(open(&sandbox)["approvals"], json!([]));
    assert_over(&sandbox, &run_id);
    drop(sandbox.errand(["rm", &run_id]).run().ok());
    assert_eq!(every(&sandbox)["approvals"], json!([]));
}

#[test]
fn a_foreground_run_that_parks_exits_with_75() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&parker(""));
    let output = crate::support::run(&sandbox, &agent, &[]).run().exits(75);
    assert!(output.stderr().contains("errand approve"), "{}", output.describe());
    let run_id = crate::support::all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(processes_of_run(&run_id), []);
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
}

#[test]
fn an_exit_with_75_without_a_question_is_a_failure() {
    let sandbox = sandbox();
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell("exit 75")), &[]);
    let record = finish(&sandbox, &run_id);
    assert_eq!((&record["status"], &record["exit_code"]), (&json!("failed"), &json!(75)));
}

#[test]
fn a_rebuilt_registry_knows_its_questions() {
    let sandbox = sandbox();
    let run_id = park(&sandbox, &sandbox.agent(&parker("--summary s")));
    let before = every(&sandbox);
    nobody_left(&sandbox);
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(sandbox.registry().join(name)));
    }
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    assert_eq!(every(&sandbox), before);
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
}

#[test]
fn three_hundred_parked_runs_continue_after_their_decisions() {
    const RUNS: usize = 300;
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell(
        "errand agent approve --action deploy --target production --park || exit $?\n",
    ));
    let mut ids = Vec::new();
    while ids.len() < RUNS {
        let words = ["run".as_ref(), "-d".as_ref(), agent.as_os_str()];
        let batch: Vec<_> = (0..6).map(|_| sandbox.errand(words).spawn()).collect();
        ids.extend(batch.into_iter().map(|started| started.wait().ok().stdout_line()));
    }
    for run_id in &ids {
        wait_for_record(&sandbox, run_id, "the run is parked", |record| {
            record["status"] == "paused" && record["pid"].is_null()
        });
    }
    nobody_left(&sandbox);
    let listed = open(&sandbox);
    assert_eq!(listed["approvals"].as_array().unwrap().len(), ids.len());
    let asked: Vec<_> = listed["approvals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["requested_at_ms"].as_u64())
        .collect();
    assert!(asked.is_sorted(), "the longest waiting first");
    let one = &ids[RUNS / 2];
    drop(sandbox.errand(["approve", one]).run().ok());
    assert_eq!(finish(&sandbox, one)["status"], "completed");
    assert_eq!(open(&sandbox)["approvals"].as_array().unwrap().len(), ids.len() - 1);
    nobody_left(&sandbox);
}
