//! `errand pause` and `errand resume`.

use std::time::{Duration, Instant};

use errand_testkit::{LIMIT, Sandbox, TestAgent, is_alive, processes_of_run, wait_until};
use serde_json::json;

use crate::people::{paused, refused};
use crate::support::{
    GATE, assert_over, finish, log, open_gate, pid, record, sandbox, sleeper, start, start_ready,
    wait_for_record,
};

/// Returns user and system time of all processes of a run, in ticks, by process.
fn cpu(run_id: &str) -> Vec<(u32, u64)> {
    let mut found: Vec<_> = processes_of_run(run_id)
        .into_iter()
        .filter_map(|process| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let ticks = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
            Some((process.pid, ticks))
        })
        .collect();
    found.sort_unstable();
    found
}

fn has_used_more(run_id: &str, than: &[(u32, u64)]) -> bool {
    cpu(run_id).iter().any(|now| than.iter().any(|was| was.0 == now.0 && was.1 < now.1))
}

fn pause(sandbox: &Sandbox, run_id: &str) {
    assert_eq!(sandbox.errand(["pause", run_id]).run().ok().stdout_line(), run_id);
}

fn resume(sandbox: &Sandbox, run_id: &str) {
    assert_eq!(sandbox.errand(["resume", run_id]).run().ok().stdout_line(), run_id);
}

#[test]
fn a_paused_run_executes_nothing_until_it_is_resumed() {
    let sandbox = sandbox();
    // A busy leader, and a busy grandchild in a session of its own.
    let script =
        "(setsid sh -c 'echo far; while :; do :; done' &)\necho ready\nwhile :; do :; done\n";
    let run_id = start_ready(&sandbox, &sandbox.agent(&TestAgent::shell(script)));
    wait_until("both run", LIMIT, || log(&sandbox, &run_id).contains("far"));
    pause(&sandbox, &run_id);
    let frozen = record(&sandbox, &run_id);
    assert_eq!(frozen["status"], "paused");
    assert_eq!(frozen["process_status"], "running");
    let ps = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(ps.contains("paused by"), "{ps}");
    let before = cpu(&run_id);
    assert!(before.len() >= 2, "{before:?}");
    // A process that could run would have run by now: other programs have come and gone.
    for _ in 0..5 {
        pause(&sandbox, &run_id);
    }
    assert_eq!(cpu(&run_id), before);
    resume(&sandbox, &run_id);
    assert_eq!(record(&sandbox, &run_id)["status"], "running");
    wait_until("it works on", LIMIT, || has_used_more(&run_id, &before));
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_paused_service_fires_no_wakes() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo beat\n").named("beating"));
    let service = crate::support::serve(&sandbox, &agent, &["--interval-ms", "50"]);
    let wakes = || crate::support::wakes(&sandbox, &service);
    wait_until("it beats", LIMIT, || wakes().len() > 1);
    pause(&sandbox, &service);
    let is_over = |wake: &serde_json::Value| wake["status"] == "completed";
    wait_until("the wakes under way are paused or over", LIMIT, || {
        wakes().iter().all(|wake| is_over(wake) || wake["status"] == "paused")
    });
    let before = wakes().len();
    let began = Instant::now();
    // Wait for the time of many heartbeats.
    wait_until("heartbeats would be due", LIMIT, || began.elapsed() > Duration::from_millis(500));
    assert_eq!(wakes().len(), before);
    resume(&sandbox, &service);
    wait_until("it beats again", LIMIT, || wakes().len() > before + 1);
    drop(sandbox.errand(["stop", "--force", &service]).run().ok());
    assert_over(&sandbox, &service);
}

#[test]
fn a_paused_run_can_be_stopped() {
    for more in [&["--force"][..], &[]] {
        let sandbox = sandbox();
        let script = "(setsid sleep 600 &)\necho ready\nexec sleep 600\n";
        let run_id = start_ready(&sandbox, &sandbox.agent(&TestAgent::shell(script)));
        pause(&sandbox, &run_id);
        drop(sandbox.errand(["stop", &run_id]).args(more).run().ok());
        assert_eq!(record(&sandbox, &run_id)["status"], "cancelled");
        assert_over(&sandbox, &run_id);
    }
}

#[test]
fn the_time_of_a_paused_run_and_of_its_step_stands_still() {
    let sandbox = sandbox();
    let script = format!("echo ready\nerrand agent step slow --timeout 5s -- sh -c '{GATE}'\n");
    let script = script.replace("\"$HOME/go\"", "\\\"$HOME/go\\\"").replace("\\\"", "\"");
    let agent = sandbox.agent(&TestAgent::shell(&script).spec("timeouts: { run: 6s }"));
    let run_id = start_ready(&sandbox, &agent);
    wait_for_record(&sandbox, &run_id, "the step began", |_| {
        crate::support::event_types(&sandbox, &run_id).contains(&"step.started".to_owned())
    });
    pause(&sandbox, &run_id);
    let began = Instant::now();
    // Wait for longer than the limits of the step and of the run.
    wait_until("the limits passed", LIMIT, || began.elapsed() > Duration::from_millis(6_500));
    assert_eq!(record(&sandbox, &run_id)["status"], "paused");
    open_gate(&sandbox);
    resume(&sandbox, &run_id);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}\n{}", log(&sandbox, &run_id));
}

#[test]
fn a_run_that_waits_for_its_retry_is_paused_without_a_process() {
    let sandbox = sandbox();
    let script = "[ -e \"$HOME/go\" ] && exit 0\nexit 3\n";
    let retry = "retry_policy: { max_retries: 1, backoff: fixed, initial_delay: 1h }";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script).spec(retry)), &[]);
    let waiting = wait_for_record(&sandbox, &run_id, "it waits for its retry", |record| {
        record["status"] == "pending" && record["attempts"][0]["status"] == "failed"
    });
    let helper = pid(&waiting["pid"]);
    let ps = sandbox.errand(["ps"]).run().ok().stdout();
    let due = ps.lines().nth(1).and_then(|row| row.trim_end().rsplit_once(" in "));
    assert!(due.is_some_and(|(_, due)| due.ends_with("minutes")), "{ps}");
    pause(&sandbox, &run_id);
    wait_until("the helper is gone", LIMIT, || !is_alive(helper));
    assert_eq!(record(&sandbox, &run_id)["status"], "paused");
    assert_eq!(record(&sandbox, &run_id)["pid"], json!(null), "looking at it starts nothing");
    open_gate(&sandbox);
    resume(&sandbox, &run_id);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn a_pause_outlives_the_helper() {
    let sandbox = sandbox();
    let retry = "retry_policy: { max_retries: 1, backoff: none }";
    let agent = sandbox.agent(&TestAgent::shell(&format!("echo ready\n{GATE}")).spec(retry));
    let run_id = start_ready(&sandbox, &agent);
    pause(&sandbox, &run_id);
    let helper = record(&sandbox, &run_id)["pid"].clone();
    crate::support::kill(&helper);
    assert_eq!(record(&sandbox, &run_id)["status"], "paused");
    assert_eq!(processes_of_run(&run_id), [], "nothing of it runs until it is resumed");
    open_gate(&sandbox);
    resume(&sandbox, &run_id);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn a_decision_does_not_undo_a_pause() {
    let sandbox = sandbox();
    let script = "errand agent approve --action a --target b\necho went-on\n";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script)), &[]);
    paused(&sandbox, &run_id);
    pause(&sandbox, &run_id);
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    assert_eq!(record(&sandbox, &run_id)["status"], "paused");
    assert_eq!(record(&sandbox, &run_id)["approvals"][0]["status"], "approved");
    resume(&sandbox, &run_id);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    assert!(log(&sandbox, &run_id).contains("went-on"));
}

#[test]
fn a_finished_run_cannot_be_paused_and_a_running_one_cannot_be_resumed() {
    let sandbox = sandbox();
    let run_id = start_ready(&sandbox, &sandbox.agent(&sleeper()));
    let running = sandbox.errand(["resume", &run_id]).run().exits(125);
    refused(&running, "run_not_paused");
    let said = format!("run {run_id} is running: there is nothing to resume");
    assert!(running.stderr().contains(&said), "{}", running.describe());
    pause(&sandbox, &run_id);
    pause(&sandbox, &run_id);
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
    refused(&sandbox.errand(["pause", &run_id]).run().exits(125), "run_not_live");
    refused(&sandbox.errand(["resume", &run_id]).run().exits(125), "run_not_live");
    assert_over(&sandbox, &run_id);
}
