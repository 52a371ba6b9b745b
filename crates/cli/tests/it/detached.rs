//! Runs in the background.

use errand_testkit::{TestAgent, is_alive};

use crate::support::{
    event_types, finish, record, sandbox, sleeper, start, start_ready, wait_for_record,
};

#[test]
fn a_detached_run_returns_at_once_with_a_record() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start(&sandbox, &agent, &[]);

    let record = wait_for_record(&sandbox, &run_id, "the agent is up", |record| {
        record["status"] == "running"
    });
    assert_eq!(record["schema"], 1);
    assert_eq!(record["run_id"], run_id.as_str());
    assert_eq!(record["kind"], "job");
    assert_eq!(record["process_status"], "running");
    assert_eq!(record["detached"], true);
    assert_eq!(record["agent"]["name"], "sleeper");
    let detached = sandbox.errand(["run", "-d", "--json"]).arg(&agent).run().ok().json();
    let listed = crate::support::all(&sandbox);
    for shown in [&record, &detached, &listed[0], &listed[1]] {
        let names: Vec<_> = shown.as_object().unwrap().keys().collect();
        assert_eq!(names, record.as_object().unwrap().keys().collect::<Vec<_>>());
        assert!(names.iter().all(|name| !name.starts_with('_')), "one shape everywhere: {names:?}");
    }
    let helper = u32::try_from(record["pid"].as_u64().unwrap()).unwrap();
    assert!(is_alive(helper));
    assert!(sandbox.registry().join(format!("runs/{run_id}.json")).is_file());
}

#[test]
fn a_helper_writes_the_final_status_on_success() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo '{\"n\": 3}' > \"$ERRAND_OUTPUT\""));
    let run_id = start(&sandbox, &agent, &[]);
    sandbox.errand(["wait", &run_id]).run().ok().stdout_line().eq("0").then_some(()).unwrap();

    let record = record(&sandbox, &run_id);
    assert_eq!(record["status"], "completed");
    assert_eq!(record["process_status"], "exited");
    assert_eq!(record["exit_code"], 0);
    assert_eq!(record["output"], serde_json::json!({ "n": 3 }));
    assert!(record["stopped_at_ms"].as_i64() >= record["started_at_ms"].as_i64());
    assert!(sandbox.registry().join(format!("runs/{run_id}.final.json")).is_file());
    let types = event_types(&sandbox, &run_id);
    assert_eq!(types.first().unwrap(), "run.created");
    assert_eq!(types.last().unwrap(), "run.completed");
}

#[test]
fn a_helper_writes_the_final_status_on_failure() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo trouble >&2; exit 3"));
    let run_id = start(&sandbox, &agent, &[]);
    assert_eq!(sandbox.errand(["wait", &run_id]).run().exits(3).stdout(), "3\n");

    let record = record(&sandbox, &run_id);
    assert_eq!(record["status"], "failed");
    assert_eq!(record["exit_code"], 3);
    assert_eq!(record["last_error"]["code"], "exit_nonzero");
    assert_eq!(record["attempts"][0]["status"], "failed");
    assert!(record["attempts"][0]["usage"]["wall_ms"].is_u64(), "{record:#}");
}

#[test]
fn a_signal_that_ended_the_agent_is_recorded() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("kill -SEGV $$; sleep 600"));
    let record = finish(&sandbox, &start(&sandbox, &agent, &[]));
    assert_eq!(record["status"], "failed");
    assert_eq!(record["signal"], 11);
    assert_eq!(record["last_error"]["code"], "killed_by_signal");
}

#[test]
fn a_detached_run_without_its_program_fails_at_once() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::command("[no-such-program]"));
    let refused = sandbox.errand(["run".as_ref(), "-d".as_ref(), agent.as_os_str()]).run();
    assert!(refused.exits(127).stderr().contains("no-such-program"));
}

#[test]
fn a_run_keeps_its_parcel_when_the_folder_is_gone() {
    let sandbox = sandbox();
    let script = "while [ ! -e \"$HOME/go\" ]; do sleep 0.01; done; cat \"$ERRAND_AGENT_DIR/text\"";
    let agent = sandbox.agent(&TestAgent::shell(script).file("text", "as it was\n"));
    let run_id = start(&sandbox, &agent, &[]);
    std::fs::remove_dir_all(&agent).unwrap();
    std::fs::write(sandbox.root().join("home/go"), "").unwrap();
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    assert!(crate::support::log(&sandbox, &run_id).contains("as it was"));

    // A restart of a finished run is a new run of the same parcel.
    let again = sandbox.errand(["restart", &run_id]).run().ok().stdout_line();
    let record = finish(&sandbox, &again);
    assert_eq!(record["status"], "completed");
    assert_eq!(record["origin_run_id"], run_id.as_str());
}

#[test]
fn any_unique_part_of_an_id_names_a_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    assert_eq!(record(&sandbox, &run_id[12..])["run_id"], run_id.as_str());
    drop(sandbox.errand(["inspect-run", "no-such-run"]).run().refuses(125, "run_not_found"));
}
