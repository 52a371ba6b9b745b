//! Registries of other users, and permissions of one's own.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use errand_testkit::{LIMIT, Sandbox, TestAgent, wait_until};

use crate::support::{finish, kill, record, sandbox, start, start_ready};

/// A user without any process.
const NOBODY: u32 = 65_534;

fn is_root(sandbox: &Sandbox) -> bool {
    fs::metadata(sandbox.repo()).unwrap().uid() == 0
}

fn each(folder: &Path, see: &mut dyn FnMut(&Path, &fs::Metadata)) {
    see(folder, &fs::symlink_metadata(folder).unwrap());
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let found = entry.metadata().unwrap();
        if found.is_dir() {
            each(&entry.path(), see);
        } else {
            see(&entry.path(), &found);
        }
    }
}

/// Makes a run that any reconciling process would attempt again: its helper is dead. The second
/// attempt leaves a mark.
fn abandoned(sandbox: &Sandbox) -> String {
    let mark = sandbox.path("executed");
    let script = format!(
        "echo ready\n[ \"$ERRAND_ATTEMPT\" = 1 ] && exec sleep 600\necho 1 > {}\n",
        mark.display()
    );
    let agent = TestAgent::shell(&script).spec("retry_policy: { max_retries: 3, backoff: none }");
    let run_id = start_ready(sandbox, &sandbox.agent(&agent));
    kill(&record(sandbox, &run_id)["pid"]);
    run_id
}

fn is_executed(sandbox: &Sandbox) -> bool {
    sandbox.path("executed").exists()
}

#[test]
fn a_registry_of_another_user_is_refused_and_executes_nothing() {
    let sandbox = sandbox();
    if !is_root(&sandbox) {
        return;
    }
    let run_id = abandoned(&sandbox);
    each(&sandbox.registry(), &mut |path, _| chown(path, Some(NOBODY), None).unwrap());
    let below = sandbox.path("a/b");
    fs::create_dir_all(&below).unwrap();
    for words in [
        &["ps"][..],
        &["ps", "-a"],
        &["logs", &run_id],
        &["wait", &run_id],
        &["stop", &run_id],
        &["inspect-run", &run_id],
        &["prune"],
        &["up", "--listen", "127.0.0.1:0"],
        &["worker"],
        &["secret", "ls"],
        &["registry", "check"],
        &["validate", "."],
    ] {
        let refused = sandbox.errand(words).run().refuses(125, "registry_foreign");
        assert!(refused.stderr().contains("uid 65534"), "{}", refused.stderr());
        drop(sandbox.errand(words).current_dir(&below).run().refuses(125, "registry_foreign"));
    }
    assert!(!is_executed(&sandbox));

    // Named with `--root` it is only read.
    let root = sandbox.registry();
    let named = |words: &[&str]| sandbox.errand(words).arg("--root").arg(&root).run();
    let shown = named(&["ps"]).ok();
    assert!(shown.stdout().contains("running"), "{}", shown.describe());
    assert!(shown.stderr().contains("only read"), "{}", shown.describe());
    drop(named(&["stop", &run_id]).refuses(125, "registry_read_only"));
    drop(named(&["registry", "check"]).refuses(125, "registry_foreign"));
    drop(named(&["up", "--listen", "127.0.0.1:0"]).refuses(125, "registry_foreign"));
    let by_variable = sandbox.errand(["ps"]).env("ERRAND_ROOT", &root).run().ok();
    assert!(by_variable.stdout().contains("running"), "{}", by_variable.describe());
    assert!(!is_executed(&sandbox));

    // A trusted one is used like one's own.
    drop(sandbox.errand(["registry", "trust", "."]).run().ok());
    drop(sandbox.errand(["ps"]).run().ok());
    wait_until("the trusted run goes on", LIMIT, || is_executed(&sandbox));
    drop(sandbox.errand(["registry", "trust", ".", "--remove"]).run().ok());
    drop(sandbox.errand(["ps"]).run().refuses(125, "registry_foreign"));
    let by_variable = sandbox.errand(["ps"]).env("ERRAND_SAFE_REGISTRIES", sandbox.repo()).run();
    drop(by_variable.ok());
    each(&root, &mut |path, _| chown(path, Some(0), None).unwrap());
}

#[test]
fn a_registry_is_refused_for_its_folder_its_database_and_its_permissions() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    finish(&sandbox, &start(&sandbox, &agent, &[]));
    let root = sandbox.registry();
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
        let refused = sandbox.errand(["ps"]).run().refuses(125, "registry_foreign");
        assert!(refused.stderr().contains("chmod"), "{}", refused.stderr());
    }
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    drop(sandbox.errand(["ps"]).run().ok());
    if !is_root(&sandbox) {
        return;
    }
    for path in [root.join("registry.db"), root.join("runs"), sandbox.repo()] {
        chown(&path, Some(NOBODY), None).unwrap();
        drop(sandbox.errand(["ps"]).run().refuses(125, "registry_foreign"));
        chown(&path, Some(0), None).unwrap();
    }
    // No registry is created in a folder whose owner could replace it.
    let other = sandbox.path("other");
    fs::create_dir_all(other.join(".git")).unwrap();
    chown(&other, Some(NOBODY), None).unwrap();
    let run =
        |more: &[&str]| sandbox.errand(["run"]).arg(&agent).args(more).current_dir(&other).run();
    drop(run(&[]).refuses(125, "registry_foreign"));
    assert!(!other.join(".errand").exists());
    drop(run(&["--root", "mine"]).ok());
}

#[test]
fn all_files_of_a_registry_are_private_under_any_umask() {
    let sandbox = sandbox();
    let script = "cat > /dev/null; echo text > file; errand agent artifact file\n\
                  errand agent step one -- echo done\necho more > \"$ERRAND_STATE_DIR/kept\"\n\
                  echo '{\"n\": 1}' > \"$ERRAND_OUTPUT\"\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let line = format!(
        "umask 000; '{}' run {} --job '{{\"a\": 1}}' --session s",
        env!("CARGO_BIN_EXE_errand"),
        agent.display()
    );
    drop(sandbox.tool("sh", ["-c", &line]).run().ok());
    drop(sandbox.errand(["registry", "check"]).run().ok());
    let root = sandbox.registry();
    let mut open = Vec::new();
    each(&root, &mut |path, found| {
        let inside = |folder: &str| {
            path.strip_prefix(root.join(folder)).is_ok_and(|rest| rest.components().count() > 1)
        };
        // Files of the agent have the modes that the agent chose, in a private folder.
        let is_agents = inside("workspaces") || inside("state");
        if found.mode() & 0o077 != 0 && !is_agents && !found.is_symlink() {
            open.push(format!("{:o} {}", found.mode(), path.display()));
        }
    });
    assert_eq!(open, Vec::<String>::new());
}

#[test]
fn a_registry_readable_by_others_is_made_private_at_its_next_use() {
    let sandbox = sandbox();
    finish(&sandbox, &start(&sandbox, &sandbox.agent(&TestAgent::shell("true")), &[]));
    let root = sandbox.registry();
    each(&root, &mut |path, found| {
        let mode = if found.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    });
    drop(sandbox.errand(["ps"]).run().ok());
    let mode = |name: &str| fs::metadata(root.join(name)).unwrap().mode() & 0o777;
    assert_eq!([mode(""), mode("runs"), mode("registry.db")], [0o700, 0o700, 0o600]);
}
