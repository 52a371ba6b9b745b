//! Damaged files of a registry.

use errand_testkit::{Sandbox, TestAgent};

use crate::support::{all, finish, nobody_left, record, sandbox, start};

/// Makes three finished runs; returns their ids, oldest first.
fn three(sandbox: &Sandbox) -> Vec<String> {
    let agent = sandbox.agent(&TestAgent::shell("echo \"$ERRAND_RUN_ID\""));
    let ids: Vec<String> = (0..3).map(|_| start(sandbox, &agent, &[])).collect();
    for run_id in &ids {
        assert_eq!(finish(sandbox, run_id)["status"], "completed");
    }
    nobody_left(sandbox);
    ids
}

/// Returns the output of `ps -a` without times that depend on the moment.
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

/// Runs Python with the registry's database as `db`, triggers disabled.
pub(crate) fn tamper(sandbox: &Sandbox, statements: &str) {
    let script = format!(
        "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n\
         for (name,) in db.execute(\"select name from sqlite_master where type = 'trigger'\").fetchall():\n\
         \x20   db.execute(f'drop trigger {{name}}')\n\
         {statements}\ndb.commit()\n"
    );
    let database = sandbox.registry().join("registry.db");
    drop(sandbox.tool("python3", ["-S", "-c", &script]).arg(database).run().ok());
}

/// Checks that the three runs are listed and two of them fully usable.
fn others_work(sandbox: &Sandbox, ids: &[String]) {
    for run_id in [&ids[0], &ids[2]] {
        assert_eq!(record(sandbox, run_id)["status"], "completed");
        drop(sandbox.errand(["logs", run_id]).run().ok());
        drop(sandbox.errand(["verify", run_id]).run().ok());
    }
    let listed = sandbox.errand(["ps", "-a", "-q"]).run().stdout();
    assert!(listed.contains(&ids[0]) && listed.contains(&ids[2]), "{listed}");
}

#[test]
fn files_of_a_run_that_are_damaged_leave_the_others_alone() {
    let newer = "{\"schema\": 999, \"run_id\": \"x\"}";
    let contents: [&[u8]; 5] =
        [b"", b"{\"schema\": 1, \"run_id\":", b"\x00\xff\xfe", b"[1, 2]", newer.as_bytes()];
    for content in contents {
        let sandbox = sandbox();
        let ids = three(&sandbox);
        for suffix in ["json", "final.json", "events.jsonl", "log"] {
            let path = sandbox.registry().join(format!("runs/{}.{suffix}", ids[1]));
            std::fs::write(path, content).unwrap();
        }
        // The registry is authoritative: the run itself is unchanged.
        assert_eq!(record(&sandbox, &ids[1])["status"], "completed");
        others_work(&sandbox, &ids);
        let checked = sandbox.errand(["registry", "check"]).run().exits(1);
        assert!(checked.stdout().contains(&ids[1]), "{}", checked.describe());
        drop(sandbox.errand(["registry", "check", "--repair"]).run());
        drop(sandbox.errand(["rm", "--force", &ids[1]]).run().ok());
        assert_eq!(all(&sandbox).len(), 2);
        drop(sandbox.errand(["registry", "check"]).run().ok());
    }
}

#[test]
fn a_rebuild_names_damaged_files_and_restores_the_other_runs() {
    let newer = "{\"schema\": 999, \"run_id\": \"x\"}";
    let contents: [&[u8]; 4] = [b"", b"{\"schema\": 1, \"run_id\":", b"\x00\xff", newer.as_bytes()];
    for content in contents {
        let sandbox = sandbox();
        let ids = three(&sandbox);
        for suffix in ["json", "events.jsonl", "final.json"] {
            let path = sandbox.registry().join(format!("runs/{}.{suffix}", ids[1]));
            std::fs::write(path, content).unwrap();
        }
        let rebuilt = sandbox.errand(["registry", "rebuild"]).run().exits(1);
        assert!(rebuilt.stdout().contains(&ids[1]), "{}", rebuilt.describe());
        others_work(&sandbox, &ids);
    }
}

#[test]
fn foreign_files_in_the_registry_are_ignored() {
    let sandbox = sandbox();
    let ids = three(&sandbox);
    let runs = sandbox.registry().join("runs");
    std::fs::write(runs.join("README.md"), "# not ours\n").unwrap();
    std::fs::write(runs.join("notes.json"), "{}").unwrap();
    std::fs::write(runs.join("01m7y00000000000zzzz.final.json"), "{\"schema\": 1}").unwrap();
    std::fs::create_dir(runs.join("folder.json")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", runs.join("01m7y00000000000yyyy.json")).unwrap();
    std::fs::write(sandbox.registry().join("stray"), "x").unwrap();
    let before = listing(&sandbox);
    assert_eq!(before.len(), 3);
    others_work(&sandbox, &ids);
    drop(sandbox.errand(["registry", "rebuild"]).run());
    assert_eq!(listing(&sandbox), before);
    assert!(std::path::Path::new("/etc/passwd").exists());
}

#[test]
fn damaged_rows_of_a_run_are_reported_and_leave_other_runs_usable() {
    let damages = [
        "db.execute(\"update events set data = '{' where run = 2\"); db.execute('delete from states where run = 2')",
        "db.execute('delete from events where run = 2 and seq = 2'); db.execute('delete from states where run = 2')",
        "db.execute(\"update events set type = 'no.such' where run = 2 and seq = 2\"); db.execute('delete from states where run = 2')",
    ];
    for damage in damages {
        let sandbox = sandbox();
        let ids = three(&sandbox);
        tamper(&sandbox, damage);
        others_work(&sandbox, &ids);
        let listed = sandbox.errand(["ps", "-a"]).run();
        assert!(listed.stderr().contains(&ids[1]), "{damage}: {}", listed.describe());
        let refused = sandbox.errand(["inspect-run", &ids[1]]).run();
        assert_eq!(refused.code, Some(125), "{damage}: {}", refused.describe());
        assert!(refused.stderr().contains(&ids[1]), "{}", refused.describe());
        let checked = sandbox.errand(["registry", "check"]).run().exits(1);
        assert!(checked.stdout().contains(&ids[1]), "{}", checked.describe());
        // The files beside the registry still have everything.
        drop(sandbox.errand(["registry", "rebuild"]).run().ok());
        assert_eq!(record(&sandbox, &ids[1])["status"], "completed");
    }
}

#[test]
fn a_changed_file_beside_a_sound_registry_is_put_aside_and_written_anew() {
    let changes: [fn(&[&str]) -> String; 4] = [
        |lines| lines.concat().replacen("test-agent", "evil-agent", 1),
        |lines| [&lines[..2], &lines[3..]].concat().concat(),
        |lines| [&lines[..1], &[lines[2], lines[1]], &lines[3..]].concat().concat(),
        |lines| lines.concat().replacen("\"seq\":2", "\"seq\":22", 1),
    ];
    let commands = [["registry", "check", "--repair"].as_slice(), &["registry", "rebuild"]];
    for (command, change) in commands.into_iter().flat_map(|it| changes.map(|change| (it, change)))
    {
        let sandbox = sandbox();
        let ids = three(&sandbox);
        let before = listing(&sandbox);
        let path = sandbox.registry().join(format!("runs/{}.events.jsonl", ids[1]));
        let whole = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        let changed = change(&lines);
        std::fs::write(&path, &changed).unwrap();
        let found = sandbox.errand(["registry", "check"]).run().exits(1);
        assert!(found.stderr().contains("registry check --repair"), "{}", found.describe());
        let mended = sandbox.errand(command).run();
        if command[1] == "check" {
            let said = mended.ok().stdout();
            assert!(said.contains("mended: ") && said.contains("1 problem mended"), "{said}");
        }
        drop(sandbox.errand(["registry", "check"]).run().ok());
        drop(sandbox.errand(["verify", &ids[1]]).run().ok());
        assert_eq!(listing(&sandbox), before);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        let aside = path.with_extension("jsonl.damaged");
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), changed);
        drop(sandbox.errand(["rm", &ids[1]]).run().ok());
        assert!(!aside.exists(), "it goes with its run");
    }
}

#[test]
fn a_rebuild_brings_keys_schedules_and_the_audit_log_over_or_warns() {
    let sandbox = sandbox();
    drop(three(&sandbox));
    let words = ["keys", "create", "--name", "me", "--scope", "admin"];
    drop(sandbox.errand(words).run().ok());
    let shown = || {
        let listed = |words: &[&str]| sandbox.errand(words).run().ok().stdout();
        (listed(&["keys", "ls"]), listed(&["audit", "ls"]))
    };
    let before = shown();
    assert!(before.0.contains("me") && before.1.contains("key"), "{before:?}");
    let rebuilt = sandbox.errand(["registry", "rebuild"]).run().ok();
    assert!(!rebuilt.stderr().contains("warning"), "{}", rebuilt.describe());
    assert_eq!(shown(), before);
    for suffix in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(sandbox.registry().join(format!("registry.db{suffix}"))));
    }
    let rebuilt = sandbox.errand(["registry", "rebuild"]).run().ok();
    assert!(rebuilt.stderr().contains("without keys is open"), "{}", rebuilt.describe());
}

#[test]
fn a_damaged_projection_is_made_anew_from_the_journal() {
    let sandbox = sandbox();
    let ids = three(&sandbox);
    let before = listing(&sandbox);
    tamper(&sandbox, "db.execute(\"update states set state = '{' where run = 2\")");
    assert_eq!(listing(&sandbox), before);
    assert_eq!(record(&sandbox, &ids[1])["status"], "completed");
}

#[test]
fn a_changed_event_breaks_the_chain_of_its_run_only() {
    let sandbox = sandbox();
    let ids = three(&sandbox);
    tamper(
        &sandbox,
        "db.execute(\"update events set data = replace(data, 'test-agent', 'evil-agent') where run = 2\")",
    );
    drop(sandbox.errand(["verify", &ids[1]]).run().refuses(125, "journal_broken"));
    drop(sandbox.errand(["verify", &ids[0]]).run().ok());
    others_work(&sandbox, &ids);
}

#[test]
fn a_registry_of_a_newer_errand_is_refused_and_left_alone() {
    let sandbox = sandbox();
    let ids = three(&sandbox);
    tamper(&sandbox, "db.execute('pragma user_version = 9999')");
    let agent = sandbox.path("test-agent");
    let agent = agent.to_str().unwrap();
    for words in
        [&["ps", "-a"][..], &["inspect-run", &ids[0]], &["run", agent], &["run", "-d", agent]]
    {
        drop(sandbox.errand(words).run().refuses(125, "registry_newer"));
    }
    tamper(&sandbox, "assert db.execute('pragma user_version').fetchone() == (9999,)");
}

#[test]
fn a_moved_registry_works_in_its_new_place() {
    let sandbox = sandbox();
    let ids = three(&sandbox);
    let before = listing(&sandbox).len();
    std::fs::create_dir(sandbox.path("moved")).unwrap();
    std::fs::rename(sandbox.registry(), sandbox.path("moved/.errand")).unwrap();
    let listed = sandbox.errand(["ps", "-a", "--json"]).current_dir("moved").run().ok().json();
    assert_eq!(listed.as_array().unwrap().len(), before);
    drop(sandbox.errand(["logs", &ids[0]]).current_dir("moved").run().ok());
    let again = sandbox.errand(["restart", &ids[0]]).current_dir("moved").run().ok().stdout_line();
    drop(sandbox.errand(["wait", &again]).current_dir("moved").run().ok());
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
