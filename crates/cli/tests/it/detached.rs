//! Runs in the background.

use errand_testkit::{LIMIT, TestAgent, is_alive, wait_for, wait_until};

use crate::support::{
    all, event_types, finish, nobody_left, pid, record, sandbox, sleeper, start, start_ready,
    wait_for_record,
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
    let listed = all(&sandbox);
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

#[test]
fn a_helper_shows_neither_secrets_of_its_caller_nor_marks_of_an_outer_run() {
    let sandbox = sandbox();
    let inner = sandbox.agent(&sleeper());
    let script = format!("errand run -d {} > \"$HOME/inner\"", inner.display());
    let outer = sandbox.agent(&TestAgent::shell(&script).spec("secrets: [CALLERS_KEY]"));
    let outer = sandbox.errand(["run", "-d"]).arg(&outer).env("CALLERS_KEY", "hush-hush").run();
    assert_eq!(finish(&sandbox, &outer.ok().stdout_line())["status"], "completed");

    let inner = std::fs::read_to_string(sandbox.root().join("home/inner")).unwrap();
    let inner = inner.trim();
    let record =
        wait_for_record(&sandbox, inner, "it outlives the outer run", |it| it["pid"].is_u64());
    assert_eq!(record["status"], "running");
    let shown = |name: &str| {
        let path = format!("/proc/{}/{name}", pid(&record["pid"]));
        String::from_utf8(std::fs::read(path).unwrap()).unwrap()
    };
    let environment = shown("environ");
    assert!(environment.contains(&format!("ERRAND_HELPER={inner}\0")), "{environment:?}");
    for hidden in ["hush-hush", "ERRAND_RUN_ID", "ERRAND_TOKEN", "ERRAND_ATTEMPT"] {
        assert!(!environment.contains(hidden), "{hidden}: {environment:?}");
    }
    let command_line = shown("cmdline");
    let expected = format!("errand internal run-record {inner}");
    assert!(expected.starts_with(command_line.trim_end_matches('\0')), "{command_line:?}");
    assert!(!command_line.trim_end_matches('\0').is_empty());
    assert_eq!(shown("comm"), "errand-helper\n");
}

#[test]
fn a_launcher_that_is_interrupted_leaves_a_whole_run_or_none() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    for looks in 0..12 {
        let launcher = sandbox.errand(["run", "-d"]).arg(&agent).spawn();
        // Each look takes a moment longer, so the interrupt comes at another point of the start.
        for _ in 0..looks {
            drop(sandbox.processes());
        }
        launcher.interrupt();
        drop(launcher.wait());
    }
    nobody_left(&sandbox);
    for record in all(&sandbox) {
        assert_eq!(record["status"], "completed", "{record:#}");
        drop(sandbox.errand(["verify", record["run_id"].as_str().unwrap()]).run().ok());
    }
    assert_eq!(finish(&sandbox, &start(&sandbox, &agent, &[]))["status"], "completed");
}

#[test]
fn a_reader_that_is_stuck_or_gone_holds_up_no_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let program = env!("CARGO_BIN_EXE_errand");
    let stuck = "mkfifo fifo; exec 3<>fifo; head -c 65536 /dev/zero >&3\n\
         \"$0\" run -d \"$1\" >&3 &\n\
         echo started; wait";
    let launching = sandbox.tool("sh", ["-c", stuck, program]).arg(&agent).spawn();
    launching.wait_for_stdout("started");
    wait_until(
        "the run is over",
        LIMIT,
        || matches!(&all(&sandbox)[..], [only] if only["status"] == "completed"),
    );
    for gone in ["\"$0\" run -d \"$1\" >&-", "\"$0\" run -d \"$1\" | true"] {
        drop(sandbox.tool("sh", ["-c", gone, program]).arg(&agent).run().ok());
    }
    wait_until("all three runs are over", LIMIT, || {
        let all = all(&sandbox);
        all.len() == 3 && all.iter().all(|record| record["status"] == "completed")
    });
}

#[test]
fn the_record_file_soon_shows_that_the_agent_runs() {
    let sandbox = sandbox();
    let run_id = start(&sandbox, &sandbox.agent(&sleeper()), &[]);
    let path = sandbox.registry().join(format!("runs/{run_id}.json"));
    let record = wait_for("the record file shows the attempt", LIMIT, || {
        let record: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).ok()?).expect("a whole record");
        (record["attempts"][0]["status"] == "running").then_some(record)
    });
    assert_eq!((&record["run_id"], &record["status"]), (&run_id.into(), &"running".into()));
}
