//! Whatever is killed, the record is right afterwards.

use errand_testkit::{LIMIT, processes_of_run, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{all, assert_over, record, sandbox, sleeper, start_ready};

fn kill(pid: &serde_json::Value) {
    let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn ps_sees_to_a_run_whose_helper_was_killed() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    kill(&record(&sandbox, &run_id)["pid"]);
    wait_until("the agent is dead with its helper", LIMIT, || processes_of_run(&run_id).is_empty());

    let runs = all(&sandbox);
    assert_eq!(runs[0]["status"], "failed");
    assert_eq!(runs[0]["last_error"]["code"], "helper_died");
    assert_over(&sandbox, &run_id);
    assert_ne!(sandbox.errand(["wait", &run_id]).run().code, Some(0));
}

#[test]
fn a_waiter_hears_of_it_too() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    let helper = record(&sandbox, &run_id)["pid"].clone();
    let waiter = sandbox.errand(["wait", &run_id]).spawn();
    let follower = sandbox.errand(["logs", "-f", &run_id]).spawn();
    follower.wait_for_stdout("ready");
    kill(&helper);
    assert_ne!(waiter.wait().code, Some(0));
    drop(follower.wait());
    assert_over(&sandbox, &run_id);
}

#[test]
fn an_agent_that_was_killed_is_a_failed_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    kill(&record(&sandbox, &run_id)["attempts"][0]["pid"]);
    drop(sandbox.errand(["wait", &run_id]).run().exits(137));
    let record = record(&sandbox, &run_id);
    assert_eq!(record["status"], "failed");
    assert_eq!(record["signal"], 9);
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_service_whose_helper_was_killed_is_stopped_and_can_be_restarted() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&errand_testkit::Agent::shell("true"));
    let words = ["serve".as_ref(), "-d".as_ref(), agent.as_os_str()];
    let words = sandbox.errand(words).args(["--schedule", "0 0 0 1 1 *"]);
    let run_id = words.run().ok().stdout_line();
    let running =
        crate::support::wait_for_record(&sandbox, &run_id, "the service runs", |record| {
            record["status"] == "running"
        });
    kill(&running["pid"]);
    wait_until("ps knows", LIMIT, || {
        let status = record(&sandbox, &run_id)["process_status"].clone();
        status == "stopped" || status == "failed"
    });
    let again = sandbox.errand(["restart", &run_id]).run().ok().stdout_line();
    let record = crate::support::wait_for_record(&sandbox, &again, "it runs again", |record| {
        record["status"] == "running"
    });
    assert_eq!(record["operation"]["schedules"][0]["schedule_expr"], "0 0 0 1 1 *");
    drop(sandbox.errand(["stop", "--force", &again]).run().ok());
}
