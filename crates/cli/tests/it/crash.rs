//! Records after a crash: correct whatever process was killed.

use errand_testkit::{LIMIT, processes_of_run, wait_until};
use rustix::process::Signal;

use crate::support::{all, assert_over, kill, record, sandbox, sleeper, start_ready};

#[test]
fn ps_reconciles_a_run_whose_helper_was_killed() {
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
fn wait_returns_after_the_helper_of_its_run_was_killed() {
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
    let agent = sandbox.agent(&errand_testkit::TestAgent::shell("true"));
    let words = ["serve".as_ref(), "-d".as_ref(), agent.as_os_str()];
    let words = sandbox.errand(words).args(["--restart", "no", "--schedule", "0 0 0 1 1 *"]);
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

#[test]
fn processes_that_outlive_a_killed_helper_are_ended_by_the_next_command() {
    let sandbox = sandbox();
    let script =
        "(setsid sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done' &)\nsleep 600\n";
    let agent = sandbox.agent(&errand_testkit::TestAgent::shell(script));
    let run_id = start_ready(&sandbox, &agent);
    kill(&record(&sandbox, &run_id)["pid"]);
    drop(sandbox.errand(["ps"]).run().ok());
    assert_over(&sandbox, &run_id);
    assert_eq!(record(&sandbox, &run_id)["last_error"]["code"], "helper_died");
}

#[test]
fn concurrent_commands_agree_on_the_end_of_a_run_whose_helper_was_killed() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    kill(&record(&sandbox, &run_id)["pid"]);
    let lookers: Vec<_> = (0..12)
        .map(|number| match number % 3 {
            0 => sandbox.errand(["ps", "-a"]).spawn(),
            1 => sandbox.errand(["inspect-run", &run_id]).spawn(),
            _ => sandbox.errand(["stop", &run_id]).spawn(),
        })
        .collect();
    for looker in lookers {
        drop(looker.wait().ok());
    }
    assert_over(&sandbox, &run_id);
}

#[test]
fn the_wakes_of_a_killed_service_end() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&errand_testkit::TestAgent::shell("echo begun\nsleep 600\n"));
    let service =
        crate::support::serve(&sandbox, &agent, &["--restart", "no", "--interval-ms", "20"]);
    let wake = errand_testkit::wait_for("a wake has begun", LIMIT, || {
        let wake = crate::support::wakes(&sandbox, &service).pop()?["run_id"].as_str()?.to_owned();
        crate::support::log(&sandbox, &wake).contains("begun").then_some(wake)
    });
    kill(&record(&sandbox, &service)["pid"]);
    drop(sandbox.errand(["ps", "--wakes"]).run().ok());
    assert_over(&sandbox, &wake);
    assert_over(&sandbox, &service);
    assert_eq!(record(&sandbox, &wake)["status"], "failed");
    drop(sandbox.errand(["rm", &service]).run().ok());
}

#[test]
fn a_run_that_waits_for_a_retry_continues_after_its_helper_was_killed() {
    let sandbox = sandbox();
    let script = "echo \"attempt $ERRAND_ATTEMPT\"\nif [ \"$ERRAND_ATTEMPT\" = 1 ]; then echo ready; sleep 600; fi\n";
    let agent = errand_testkit::TestAgent::shell(script).spec(
        "retry_policy: { max_retries: 2, backoff: fixed, initial_delay: 10ms, max_delay: 10ms }",
    );
    let agent = sandbox.agent(&agent);
    let run_id = start_ready(&sandbox, &agent);
    kill(&record(&sandbox, &run_id)["pid"]);
    drop(sandbox.errand(["wait", &run_id]).run().ok());
    let record = record(&sandbox, &run_id);
    assert_eq!((&record["status"], &record["attempt"]), (&"completed".into(), &2.into()));
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_stop_that_a_killed_helper_never_read_is_applied() {
    use crate::support::signal;
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    let helper = record(&sandbox, &run_id)["pid"].clone();
    signal(&helper, Signal::STOP);
    let stopping = sandbox.errand(["stop", &run_id]).spawn();
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1])\n\
                  print(db.execute('select count(*) from requests').fetchone()[0])\n";
    let database = sandbox.registry().join("registry.db");
    wait_until("the request is there", LIMIT, || {
        let asked = sandbox.tool("python3", ["-S", "-c", script]).arg(&database).run().ok();
        asked.stdout_line() == "1"
    });
    kill(&helper);
    drop(stopping.wait().ok());
    assert_eq!(record(&sandbox, &run_id)["status"], "cancelled");
    assert_over(&sandbox, &run_id);
}
