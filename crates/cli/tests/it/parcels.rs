//! Parcels: a run executes the files that were there at its admission.

use errand_testkit::{LIMIT, TestAgent, wait_until};

use crate::support::{GATE, finish, log, open_gate, record, run, sandbox, start};

#[test]
fn a_run_keeps_its_parcel_when_the_folder_changes() {
    let sandbox = sandbox();
    let script = format!("echo \"ready $ERRAND_ATTEMPT\"\n{GATE}cat \"$ERRAND_AGENT_DIR/text\"");
    let agent = TestAgent::shell(&script).file("text", "as it was\n");
    let path = sandbox.agent(&agent);
    let run_id = start(&sandbox, &path, &[]);
    wait_until("it is ready", LIMIT, || log(&sandbox, &run_id).contains("ready 1"));
    let digest = record(&sandbox, &run_id)["parcel_digest"].clone();

    sandbox.agent(&agent.file("text", "changed\n"));
    drop(sandbox.errand(["restart", &run_id]).run().ok());
    wait_until("attempt 2 is ready", LIMIT, || log(&sandbox, &run_id).contains("ready 2"));
    open_gate(&sandbox);
    assert_eq!(finish(&sandbox, &run_id)["parcel_digest"], digest);
    assert!(log(&sandbox, &run_id).contains("as it was"));

    // A restart of a finished run is a new run of the pinned parcel; a new run uses the changed
    // folder.
    let again = sandbox.errand(["restart", &run_id]).run().ok().stdout_line();
    let repeated = finish(&sandbox, &again);
    assert_eq!(repeated["parcel_digest"], digest);
    assert_eq!(repeated["origin_run_id"], run_id.as_str());
    assert!(log(&sandbox, &again).contains("as it was"));
    assert!(run(&sandbox, &path, &[]).run().ok().stdout().contains("changed"));
}

#[test]
fn a_digest_depends_on_content_and_not_on_place_or_time() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("true")
        .file("data/one", "1")
        .file("ignored.tmp", "x")
        .file(".errandignore", "*.tmp\n");
    let digest =
        |folder: &std::path::Path| sandbox.errand(["build"]).arg(folder).run().ok().stdout_line();
    let here = digest(&sandbox.agent(&agent));
    let there = agent.write_below(&sandbox.path("elsewhere"));
    std::fs::write(there.join("ignored.tmp"), "y").unwrap();
    assert_eq!(digest(&there), here);
    std::fs::write(there.join("data/one"), "2").unwrap();
    assert_ne!(digest(&there), here);
}

#[test]
fn a_link_that_leaves_the_folder_is_refused_and_nothing_is_created() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    std::os::unix::fs::symlink("/etc/passwd", agent.join("users")).unwrap();
    let refused = sandbox.errand(["run"]).arg(&agent).run();
    assert!(refused.stderr().contains("users"), "{}", refused.describe());
    drop(refused.exits(2));
    assert!(!sandbox.registry().exists(), "a refusal creates nothing");
}

#[test]
fn files_of_an_agent_stay_in_its_workspace() {
    let sandbox = sandbox();
    let script = "echo mine > made; test \"$PWD\" = \"$ERRAND_WORKSPACE\"; ! test -w \"$ERRAND_AGENT_DIR\" || true";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let run_id = start(&sandbox, &agent, &[]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let made = sandbox.registry().join(format!("workspaces/{run_id}/made"));
    assert_eq!(std::fs::read_to_string(made).unwrap(), "mine\n");
}

#[test]
fn a_build_lists_packed_files_and_a_run_does_not() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("true")
        .file("data/large", "x".repeat(3_000))
        .file("secret.txt", "x")
        .file(".gitignore", "secret.txt\n")
        .file("node_modules/a/index.js", "x");
    let agent = sandbox.agent(&agent);
    let built = sandbox.errand(["build"]).arg(&agent).run().ok();
    assert!(built.stderr().starts_with("packed 4 files, 3."), "{}", built.stderr());
    assert!(built.stderr().contains("the largest is data/large (2.9 KiB)"), "{}", built.stderr());
    assert!(built.stderr().contains("left out: node_modules/, secret.txt"), "{}", built.stderr());
    let listed = sandbox.errand(["build", "--list"]).arg(&agent).run().ok().stdout();
    assert!(listed.contains("2.9 KiB  data/large"), "{listed}");
    assert_eq!(run(&sandbox, &agent, &[]).run().ok().stderr(), "");
}

#[test]
fn an_environment_file_reaches_neither_a_parcel_nor_an_export() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true").file(".env", "SECRET=abc\n"));
    let refused = sandbox.errand(["run"]).arg(&agent).run().refuses(2, "parcel_credentials");
    assert!(refused.stderr().contains("!/.env in .errandignore"), "{}", refused.stderr());
    assert!(!sandbox.registry().exists(), "a refusal creates nothing");
    std::fs::write(agent.join(".gitignore"), ".env\n").unwrap();
    drop(sandbox.errand(["run"]).arg(&agent).run().ok());
    drop(sandbox.tool("grep", ["-r", "SECRET=abc", ".errand"]).run().exits(1));
}
