//! Files that are not what they were.

use errand_testkit::{Agent, Sandbox};

use crate::support::{all, finish, record, sandbox, start};

/// Three finished runs; returns their ids, oldest first.
fn three(sandbox: &Sandbox) -> Vec<String> {
    let agent = sandbox.agent(&Agent::shell("echo \"$ERRAND_RUN_ID\""));
    let ids: Vec<String> = (0..3).map(|_| start(sandbox, &agent, &[])).collect();
    for run_id in &ids {
        assert_eq!(finish(sandbox, run_id)["status"], "completed");
    }
    ids
}

/// What `ps -a` shows, without what depends on when it is looked at.
fn listing(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    all(sandbox)
}

#[test]
fn a_lost_database_is_rebuilt_with_the_same_runs() {
    let sandbox = sandbox();
    let ids = three(&sandbox);
    let before = listing(&sandbox);
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(sandbox.registry().join(name)));
    }
    let lost = sandbox.errand(["ps", "-a"]).run();
    assert!(lost.stderr().contains("errand registry rebuild"), "{}", lost.describe());
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    assert_eq!(listing(&sandbox), before);
    drop(sandbox.errand(["verify", &ids[0]]).run().ok());
}

#[test]
fn a_damaged_database_is_rebuilt_too() {
    let sandbox = sandbox();
    three(&sandbox);
    let before = listing(&sandbox);
    for name in ["registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(sandbox.registry().join(name)));
    }
    std::fs::write(sandbox.registry().join("registry.db"), "this is no database").unwrap();
    let damaged = sandbox.errand(["ps"]).run();
    assert!(damaged.stderr().contains("registry_damaged"), "{}", damaged.describe());
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    assert_eq!(listing(&sandbox), before);
}

#[test]
fn damage_to_the_files_of_one_run_leaves_the_others_alone() {
    let contents: [&[u8]; 4] = [b"", b"{\"schema\": 1, \"run_id\":", b"\x00\xff\xfe", b"[1, 2]"];
    for content in contents {
        let sandbox = sandbox();
        let ids = three(&sandbox);
        for suffix in ["json", "final.json", "events.jsonl"] {
            let path = sandbox.registry().join(format!("runs/{}.{suffix}", ids[1]));
            std::fs::write(path, content).unwrap();
        }
        assert!(all(&sandbox).len() >= 2);
        for run_id in [&ids[0], &ids[2]] {
            assert_eq!(record(&sandbox, run_id)["status"], "completed");
            drop(sandbox.errand(["logs", run_id]).run().ok());
        }
        drop(sandbox.errand(["inspect-run", &ids[1]]).run());
        drop(sandbox.errand(["rm", "--force", &ids[1]]).run().ok());
        assert_eq!(all(&sandbox).len(), 2);
    }
}

#[test]
fn a_changed_journal_is_noticed() {
    let sandbox = sandbox();
    let ids = three(&sandbox);
    let archive = sandbox.path("run.errand");
    drop(sandbox.errand(["export", &ids[0], "-o"]).arg(&archive).run().ok());
    drop(sandbox.errand(["verify"]).arg(&archive).run().ok());
    let mut bytes = std::fs::read(&archive).unwrap();
    let at = bytes.windows(11).position(|window| window == b"run.created").unwrap();
    bytes[at + 4] = b'C';
    std::fs::write(&archive, bytes).unwrap();
    assert_ne!(sandbox.errand(["verify"]).arg(&archive).run().code, Some(0));
}
