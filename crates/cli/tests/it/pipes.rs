//! Agents that create pipes where errand and git expect files.

use errand_testkit::TestAgent;

use crate::support::{finish, sandbox, start};

/// Returns an agent that creates pipes where errand and git expect files.
fn trap() -> TestAgent {
    TestAgent::shell("rm -rf .git \"$ERRAND_OUTPUT\"; mkfifo .git other; echo ready\n")
}

#[test]
fn a_pipe_in_a_workspace_keeps_neither_a_removal_nor_a_copy_waiting() {
    let sandbox = sandbox();
    let run_id = start(&sandbox, &sandbox.agent(&trap()), &[]);
    finish(&sandbox, &run_id);
    drop(sandbox.errand(["rm", &run_id]).run().ok());
    let failing = TestAgent::shell("mkfifo pipe .git; exit 3\n").named("failing");
    let run_id = start(&sandbox, &sandbox.agent(&failing), &[]);
    finish(&sandbox, &run_id);
    drop(sandbox.errand(["retry", &run_id]).run());
    drop(sandbox.errand(["rm", &run_id]).run().ok());
}

#[test]
fn a_git_repository_that_hangs_does_not_keep_a_second_attempt_from_its_worktree() {
    let sandbox = sandbox();
    for words in [&["init", "-q"][..], &["commit", "-q", "--allow-empty", "-m", "x"]] {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        drop(sandbox.tool("git", identity).args(words).run().ok());
    }
    let script = "[ \"$ERRAND_ATTEMPT\" = 2 ] && exit 0\nrm .git; mkfifo .git\nexit 1\n";
    let spec = "workspace: { mode: worktree }\nretry_policy: { max_retries: 1, backoff: none }";
    let agent = sandbox.agent(&TestAgent::shell(script).spec(spec));
    drop(sandbox.errand(["run"]).arg(&agent).run().ok());
}
