//! Removal of runs.

use errand_testkit::TestAgent;

use crate::support::{all, finish, sandbox, sleeper, start, start_ready};

#[test]
fn rm_refuses_a_live_run_without_force() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    drop(sandbox.errand(["rm", &run_id]).run().refuses(125, "run_live"));
    assert_eq!(crate::support::record(&sandbox, &run_id)["status"], "running");

    drop(sandbox.errand(["stop", &run_id]).run().ok());
    drop(sandbox.errand(["rm", &run_id]).run().ok());
    assert_eq!(all(&sandbox).len(), 0);
    assert_no_files_of(&sandbox, &run_id);
}

#[test]
fn rm_with_force_stops_a_live_run_first() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    drop(sandbox.errand(["rm", "--force", &run_id]).run().ok());
    assert_eq!(errand_testkit::processes_of_run(&run_id), []);
    assert_eq!(all(&sandbox).len(), 0);
    assert_no_files_of(&sandbox, &run_id);
}

#[test]
fn rm_refuses_a_short_part_of_an_id_and_removes_a_run_once() {
    let sandbox = sandbox();
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell("true")), &["--name", "x"]);
    finish(&sandbox, &run_id);
    let tail = &run_id[run_id.len() - 3..];
    drop(sandbox.errand(["inspect-run", tail]).run().ok());
    drop(sandbox.errand(["rm", tail]).run().refuses(125, "run_ambiguous"));
    let removed = sandbox.errand(["rm", "x", &run_id]).run().ok();
    assert_eq!(removed.stdout().trim_end(), run_id);
}

#[test]
fn prune_shows_first_what_it_would_remove() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let run_id = start(&sandbox, &agent, &[]);
    finish(&sandbox, &run_id);
    let plan = sandbox.errand(["prune", "--older-than", "1ms", "--dry-run"]).run().ok();
    assert!(format!("{}{}", plan.stdout(), plan.stderr()).contains(&run_id), "{}", plan.describe());
    assert_eq!(all(&sandbox).len(), 1);
    drop(sandbox.errand(["prune", "--older-than", "1ms"]).run().ok());
    assert_eq!(all(&sandbox).len(), 0);
}

fn assert_no_files_of(sandbox: &errand_testkit::Sandbox, run_id: &str) {
    let found = sandbox.tool("find", [".errand", "-name", &format!("*{run_id}*")]).run().ok();
    assert_eq!(found.stdout(), "");
}
