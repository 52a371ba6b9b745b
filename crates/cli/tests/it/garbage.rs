//! Space freed by removal of runs, and reported by `errand registry du`.

use std::path::Path;

use errand_testkit::{Sandbox, TestAgent};

use crate::support::{finish, nobody_left, sandbox, start};

/// Returns an agent whose artifact has `kib` KiB.
fn agent(sandbox: &Sandbox, kib: u32) -> std::path::PathBuf {
    let script = format!("head -c {kib}k /dev/zero > z && errand agent artifact z");
    sandbox.agent(&TestAgent::shell(&script))
}

/// Returns the bytes of all files below a folder of the registry, locks aside.
fn bytes(sandbox: &Sandbox, folder: &str) -> u64 {
    fn of(path: &Path) -> u64 {
        let Ok(entries) = std::fs::read_dir(path) else { return 0 };
        let size = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        };
        entries.flatten().map(size).sum()
    }
    of(&sandbox.registry().join(folder))
}

fn done(sandbox: &Sandbox, agent: &Path) -> String {
    let run_id = start(sandbox, agent, &[]);
    assert_eq!(finish(sandbox, &run_id)["status"], "completed");
    run_id
}

#[test]
fn removing_the_last_run_that_names_an_artifact_frees_it_and_the_agent() {
    let sandbox = sandbox();
    let agent = agent(&sandbox, 300);
    let ids = [done(&sandbox, &agent), done(&sandbox, &agent)];
    nobody_left(&sandbox);
    let kept = bytes(&sandbox, "blobs");
    assert!((300 * 1024..400 * 1024).contains(&kept), "{kept}: once");
    drop(sandbox.errand(["rm", &ids[0]]).run().ok());
    assert_eq!(bytes(&sandbox, "blobs"), kept, "the other run names it");
    assert_eq!(sandbox.errand(["artifacts", &ids[1], "z"]).run().ok().stdout().len(), 300 * 1024);
    drop(sandbox.errand(["prune"]).run().ok());
    let left = bytes(&sandbox, "blobs");
    assert!(left < 100 * 1024, "{left}: inventories stay");
    assert_eq!(bytes(&sandbox, "parcels"), 0);
}

#[test]
fn gc_frees_a_built_agent_that_never_ran_after_the_grace_period() {
    let sandbox = sandbox();
    let agent = agent(&sandbox, 1);
    drop(sandbox.errand(["build"]).arg(&agent).run().ok());
    // A run that stays.
    let kept = done(&sandbox, &sandbox.agent(&TestAgent::shell("echo other")));
    nobody_left(&sandbox);
    let told = sandbox.errand(["registry", "gc", "--json"]).run().ok().json();
    assert_eq!((&told["parcels"], &told["schema"]), (&0.into(), &1.into()), "{told}");
    assert!(told["young_bytes"].as_u64().unwrap() > 0, "{told}");
    let dry = sandbox.errand(["registry", "gc", "--grace", "0s", "--dry-run", "--json"]);
    assert_eq!(dry.run().ok().json()["parcels"], 1);
    let checked = sandbox.errand(["registry", "check"]).run().ok();
    assert!(checked.stdout().contains("all is well"), "{}", checked.describe());
    let freed = sandbox.errand(["registry", "gc", "--grace", "0s", "--json"]).run().ok().json();
    assert_eq!(freed["parcels"], 1, "{freed}");
    let usage = sandbox.errand(["registry", "du", "--json"]).run().ok().json();
    assert_eq!(usage["schema"], 1);
    assert_eq!(usage["runs"][0]["run_id"], kept.as_str(), "{usage}");
    assert_eq!(usage["garbage"]["bytes"], 0, "{usage}");
    drop(sandbox.errand(["restart", &kept]).run().ok());
}

#[test]
fn gc_removes_nothing_young_while_other_processes_use_the_registry() {
    let sandbox = sandbox();
    let run_id = crate::support::start_ready(&sandbox, &sandbox.agent(&crate::support::sleeper()));
    let refused = sandbox.errand(["registry", "gc", "--grace", "0s"]).run().exits(125);
    assert!(refused.stderr().contains("error[registry_busy]"), "{}", refused.describe());
    drop(sandbox.errand(["registry", "gc"]).run().ok());
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
    nobody_left(&sandbox);
}

/// Runs fifty runs of a few contents, while others are removed, garbage is collected, and helpers
/// and collectors are killed: remaining runs are intact, and removed ones are gone.
#[test]
fn runs_removals_collections_and_kills_at_once_leave_exactly_the_named_blobs() {
    let sandbox = sandbox();
    let script = "n=$(( $$ % 4 )); head -c 50k /dev/zero | tr '\\0' $n > z\n\
                  errand agent artifact z\nseq $n 20000 > y; errand agent artifact y\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    for round in 0..5 {
        let runs: Vec<_> =
            (0..10).map(|_| sandbox.errand(["run", "-d"]).arg(&agent).spawn()).collect();
        let mut collectors = Vec::new();
        for words in [
            ["prune", "--older-than", "0s"].as_slice(),
            &["registry", "gc", "--grace", "0s"],
            &["registry", "gc"],
        ] {
            collectors.push(sandbox.errand(words).spawn());
        }
        if round % 2 == 1 {
            for process in sandbox.processes().iter().skip(round).step_by(3) {
                process.kill();
            }
        }
        for running in runs.into_iter().chain(collectors) {
            drop(running.wait());
        }
    }
    for run_id in sandbox.errand(["ps", "-a", "-q"]).run().ok().stdout().lines() {
        drop(sandbox.errand(["wait", run_id]).run());
    }
    nobody_left(&sandbox);
    let verified = sandbox.errand(["verify", "--all"]).run().ok();
    assert!(!verified.stdout().is_empty());
    drop(sandbox.errand(["registry", "gc", "--grace", "0s"]).run().ok());
    drop(sandbox.errand(["verify", "--all"]).run().ok());
    let usage = sandbox.errand(["registry", "du", "--json"]).run().ok().json();
    let unnamed = |kind: &&serde_json::Value| kind["kind"] == "blobs_unnamed";
    assert_eq!(usage["kinds"].as_array().unwrap().iter().find(unnamed), None, "{usage}");
    let pruned = sandbox.errand(["prune"]).run().ok().stdout();
    let left = || sandbox.errand(["ps", "-a"]).run().stdout();
    assert_eq!(bytes(&sandbox, "parcels"), 0, "pruned {pruned}, left {}", left());
}
