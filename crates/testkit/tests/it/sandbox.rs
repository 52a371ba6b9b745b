//! Commands, limits and processes that are left behind.

use std::time::Duration;

use errand_testkit::{LIMIT, Sandbox, is_alive, processes_of_run, wait_for, wait_until};

fn sandbox() -> Sandbox {
    Sandbox::new("/bin/sh")
}

#[test]
fn a_command_sees_only_the_sandbox() {
    let sandbox = sandbox();
    let output = sandbox.errand(["-c", "echo \"$HOME\"; pwd; echo \"${CARGO:-unset}\""]).run().ok();
    let root = sandbox.root();
    let expected = format!("{}/home\n{}/repo\nunset\n", root.display(), root.display());
    assert_eq!(output.stdout(), expected);
}

#[test]
fn a_command_gets_its_input_and_its_variables() {
    let sandbox = sandbox();
    let command = sandbox.errand(["-c", "cat; echo \"$COLOUR\"; exit 3"]);
    let output = command.stdin("in\n").env("COLOUR", "blue").run().exits(3);
    assert_eq!(output.stdout(), "in\nblue\n");
}

#[test]
#[should_panic(expected = "took longer than")]
fn a_command_that_takes_too_long_is_killed() {
    let sandbox = sandbox();
    let limit = Duration::from_millis(50);
    drop(sandbox.errand(["-c", "sleep 60"]).limit(limit).run());
}

#[test]
#[should_panic(expected = "lets go of its stdout")]
fn a_descendant_that_keeps_the_streams_open_is_reported() {
    let sandbox = sandbox();
    drop(sandbox.errand(["-c", "sleep 60 & exit 0"]).run());
}

#[test]
fn a_detached_process_is_found_and_killed() {
    let sandbox = sandbox();
    let script =
        "ERRAND_RUN_ID=some-run setsid sh -c 'cd /; sleep 60' >/dev/null 2>&1 </dev/null &";
    drop(sandbox.errand(["-c", script]).run().ok());
    let found = wait_for("the process is there", LIMIT, || {
        processes_of_run("some-run").into_iter().find(|process| process.command_line == "sleep 60")
    });
    assert!(processes_of_run("some-ru").is_empty(), "half an id is no id");
    assert!(is_alive(found.pid));
    drop(sandbox);
    wait_until("the process is gone", LIMIT, || !is_alive(found.pid));
}

#[test]
fn a_running_command_can_be_watched_and_interrupted() {
    let sandbox = sandbox();
    let script = "trap 'echo stopped; exit 7' INT; echo ready; while :; do sleep 0.01; done";
    let running = sandbox.errand(["-c", script]).spawn();
    running.wait_for_stdout("ready");
    running.interrupt();
    assert_eq!(running.wait().exits(7).stdout(), "ready\nstopped\n");
}

#[test]
fn a_repository_has_history() {
    let sandbox = sandbox();
    sandbox.git_init();
    sandbox.write("folder/file.txt", "text\n");
    sandbox.commit_all("first");
    assert_eq!(sandbox.git(["log", "--format=%s"]), "first\n");
}
