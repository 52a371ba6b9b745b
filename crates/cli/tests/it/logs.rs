//! Logs of runs.

use errand_testkit::TestAgent;

use crate::support::{finish, sandbox, sleeper, start, start_ready};

#[test]
fn logs_shows_the_log_of_the_named_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("cat; echo problem >&2"));
    let one = start(&sandbox, &agent, &["--job", "one"]);
    let two = start(&sandbox, &agent, &["--job", "two"]);
    for (run_id, expected) in [(one, "one\n"), (two, "two\n")] {
        finish(&sandbox, &run_id);
        let shown = sandbox.errand(["logs", &run_id]).run().ok();
        assert_eq!((shown.stdout().as_str(), shown.stderr().as_str()), (expected, "problem\n"));
    }
}

#[test]
fn following_misses_nothing_and_ends_with_the_run() {
    let sandbox = sandbox();
    let script =
        "i=0; while [ $i -lt 2000 ]; do echo \"line $i\"; i=$((i+1)); done; sleep 0.2; echo last";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let run_id = start(&sandbox, &agent, &[]);
    let followed = sandbox.errand(["logs", "-f", &run_id]).run().ok().stdout();
    let printed: Vec<&str> = followed.lines().filter(|line| line.contains("line ")).collect();
    assert_eq!(printed.len(), 2000);
    assert!(followed.contains("last"));
    let later = sandbox.errand(["logs", &run_id]).run().ok().stdout();
    assert_eq!(followed, later, "followed or read later, a log is the same");
}

#[test]
fn logs_with_tail_shows_the_last_lines() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo one; echo two; echo three"));
    let run_id = start(&sandbox, &agent, &[]);
    finish(&sandbox, &run_id);
    let tail = sandbox.errand(["logs", "--tail", "2", &run_id]).run().ok();
    let shown = tail.stdout() + &tail.stderr();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains("three"), "{shown}");
}

#[test]
fn interrupting_logs_with_follow_leaves_the_run_live() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    let follower = sandbox.errand(["logs", "-f", &run_id]).spawn();
    follower.wait_for_stdout("ready");
    follower.interrupt();
    drop(follower.wait());
    assert_eq!(crate::support::record(&sandbox, &run_id)["status"], "running");
}

#[test]
fn a_secret_is_in_no_file() {
    let mut sandbox = sandbox();
    let secret = "swordfish-4711-swordfish";
    sandbox.set_env("PASSPHRASE", secret);
    let script = "printf '%s' 'swordfish-4711'; printf '%s\\n' '-swordfish'; echo \"$PASSPHRASE\" >&2\n\
                  printf '{\"it\": \"%s\"}' \"$PASSPHRASE\" > \"$ERRAND_OUTPUT\"\n\
                  errand agent emit note.taken \"{\\\"it\\\": \\\"$PASSPHRASE\\\"}\"\n";
    let agent = TestAgent::shell(script).spec("secrets: [PASSPHRASE]");
    let run_id = start(&sandbox, &sandbox.agent(&agent), &[]);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    assert!(!record.to_string().contains(secret), "{record:#}");

    let found = sandbox.tool("grep", ["-rla", "--exclude=agent.sh", secret, ".errand"]).run();
    assert_eq!(found.stdout(), "", "no file of the registry holds the secret");
}
