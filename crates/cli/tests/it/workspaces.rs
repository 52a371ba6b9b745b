//! Workspaces of agents.

use errand_testkit::TestAgent;

use crate::support::{all, run, sandbox};

#[test]
fn an_agent_may_work_where_it_was_started() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("pwd").spec("workspace: { mode: cwd }"));
    std::fs::create_dir(sandbox.path("place")).unwrap();
    let ran = run(&sandbox, &agent, &[]).current_dir("place").run().ok();
    assert_eq!(ran.stdout().trim(), sandbox.path("place").to_str().unwrap());
}

#[test]
fn a_worktree_is_the_repository_as_it_was_and_goes_with_its_run() {
    let sandbox = sandbox();
    sandbox.git_init();
    sandbox.write("text", "committed\n");
    let agent = TestAgent::shell("cat text; echo changed > text");
    let agent = sandbox.agent(&agent.spec("workspace: { mode: worktree, ref: HEAD }"));
    sandbox.commit_all("first");
    sandbox.write("text", "being edited\n");
    assert_eq!(run(&sandbox, &agent, &[]).run().ok().stdout(), "committed\n");
    assert_eq!(sandbox.read("text"), "being edited\n");
    assert_eq!(sandbox.git(["worktree", "list"]).lines().count(), 2);
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    drop(sandbox.errand(["rm", &run_id]).run().ok());
    assert_eq!(sandbox.git(["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_worktree_without_a_repository_fails_and_names_the_cause() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("true").spec("workspace: { mode: worktree, ref: HEAD }");
    let refused = run(&sandbox, &sandbox.agent(&agent), &[]).run();
    assert!(refused.stderr().contains("repository"), "{}", refused.describe());
    drop(refused.exits(125));
    crate::support::nobody_left(&sandbox);
}

#[test]
fn a_workspace_survives_attempts_and_goes_with_its_run() {
    let sandbox = sandbox();
    let script = "echo \"$ERRAND_ATTEMPT\" >> seen; cat seen; test \"$ERRAND_ATTEMPT\" = 2";
    let agent = TestAgent::shell(script).spec(
        "retry_policy: { max_retries: 1, backoff: fixed, initial_delay: 1ms, max_delay: 1ms }",
    );
    let agent = sandbox.agent(&agent);
    assert_eq!(run(&sandbox, &agent, &[]).run().ok().stdout(), "1\n1\n2\n");
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    assert!(sandbox.registry().join("workspaces").join(&run_id).is_dir());
    drop(sandbox.errand(["rm", &run_id]).run().ok());
    assert!(!sandbox.registry().join("workspaces").join(&run_id).exists());
}
