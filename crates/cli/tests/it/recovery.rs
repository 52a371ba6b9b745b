//! Crashes between the terminal snapshot and the registry: the snapshot counts.

use std::path::PathBuf;

use errand_testkit::{LIMIT, RunningProgram, Sandbox, TestAgent, wait_until};

use crate::support::{GATE, assert_over, kill, open_gate, record, sandbox, start};

/// Holds the registry's write lock until it is dropped.
fn lock(sandbox: &Sandbox) -> RunningProgram {
    let script = "import sqlite3, sys, time\n\
                  db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n\
                  db.execute('BEGIN IMMEDIATE')\n\
                  print('locked', flush=True)\n\
                  time.sleep(600)\n";
    let database = sandbox.registry().join("registry.db");
    let locked = sandbox.tool("python3", ["-S", "-c", script]).arg(database).spawn();
    locked.wait_for_stdout("locked");
    locked
}

fn final_file(sandbox: &Sandbox, run_id: &str) -> PathBuf {
    sandbox.registry().join(format!("runs/{run_id}.final.json"))
}

/// Makes a run whose snapshot is written and whose end the registry does not know; its helper is
/// dead.
fn between(sandbox: &Sandbox) -> String {
    let script = format!("echo ready\n{GATE}echo '{{\"n\": 7}}' > \"$ERRAND_OUTPUT\"\n");
    let agent = sandbox.agent(&TestAgent::shell(&script));
    let run_id = crate::support::start_ready(sandbox, &agent);
    let helper = record(sandbox, &run_id)["pid"].clone();
    let locked = lock(sandbox);
    open_gate(sandbox);
    let path = final_file(sandbox, &run_id);
    wait_until("the snapshot is written", LIMIT, || path.exists());
    kill(&helper);
    drop(locked);
    run_id
}

#[test]
fn a_snapshot_that_was_written_before_the_registry_is_recovered() {
    let sandbox = sandbox();
    let run_id = between(&sandbox);
    let record = record(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(record["output"], serde_json::json!({ "n": 7 }));
    assert_eq!(record["exit_code"], 0);
    drop(sandbox.errand(["wait", &run_id]).run().ok());
    assert_over(&sandbox, &run_id);
    drop(sandbox.errand(["registry", "check"]).run().ok());
}

#[test]
fn a_snapshot_is_recovered_by_a_rebuild_too() {
    let sandbox = sandbox();
    let run_id = between(&sandbox);
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(sandbox.registry().join(name)));
    }
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    assert_eq!(record(&sandbox, &run_id)["status"], "completed");
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_damaged_or_foreign_snapshot_is_ignored() {
    let contents: [fn(&Sandbox) -> Vec<u8>; 4] = [
        |_| b"".to_vec(),
        |_| b"{\"schema\": 1".to_vec(),
        |_| b"\x00\xff".to_vec(),
        |sandbox| {
            let agent = sandbox.agent(&TestAgent::shell("true").named("other"));
            let other = start(sandbox, &agent, &[]);
            drop(sandbox.errand(["wait", &other]).run().ok());
            std::fs::read(final_file(sandbox, &other)).unwrap()
        },
    ];
    for content in contents {
        let sandbox = sandbox();
        let run_id = between(&sandbox);
        let path = final_file(&sandbox, &run_id);
        std::fs::write(&path, content(&sandbox)).unwrap();
        let record = record(&sandbox, &run_id);
        assert_eq!(record["status"], "failed", "{record:#}");
        assert_eq!(record["last_error"]["code"], "helper_died");
        assert_over(&sandbox, &run_id);
    }
}

#[test]
fn a_temporarily_busy_registry_delays_the_end_and_loses_nothing() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell(&format!("echo ready\n{GATE}echo done")));
    let run_id = crate::support::start_ready(&sandbox, &agent);
    let locked = lock(&sandbox);
    open_gate(&sandbox);
    wait_until("the snapshot is written", LIMIT, || final_file(&sandbox, &run_id).exists());
    drop(locked);
    drop(sandbox.errand(["wait", &run_id]).run().ok());
    assert_over(&sandbox, &run_id);
}
