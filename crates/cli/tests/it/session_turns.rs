//! Turns of a session: its runs go one at a time, in order, even if processes are killed.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use errand_testkit::{LIMIT, Sandbox, TestAgent, processes_of_run, wait_until};
use serde_json::Value;

use crate::support::{
    GATE, all, assert_over, finish, kill, open_gate, ready, record, run, sandbox, sleeper, start,
    start_ready, wait_for_record,
};

const IN_TALK: [&str; 2] = ["--session", "talk"];

/// Returns an agent that notes its beginning and end, and fails if another one is running.
fn exclusive() -> TestAgent {
    TestAgent::shell(
        "mkdir \"$HOME/alone\"\n\
         echo \"begin $ERRAND_RUN_ID $(date +%s%N)\" >> \"$HOME/times\"\n\
         sleep 0.02\n\
         echo \"end $ERRAND_RUN_ID $(date +%s%N)\" >> \"$HOME/times\"\n\
         rmdir \"$HOME/alone\"\n",
    )
    .named("exclusive")
}

/// Returns an agent that stays until the gate opens.
fn gated() -> TestAgent {
    TestAgent::shell(&format!("echo ready\n{GATE}")).named("gated")
}

fn in_talk(sandbox: &Sandbox, agent: &Path, more: &[&str]) -> String {
    start(sandbox, agent, &[&IN_TALK[..], more].concat())
}

/// Starts an agent and waits until it prints `ready`.
fn hold(sandbox: &Sandbox, agent: &Path) -> String {
    let run_id = in_talk(sandbox, agent, &[]);
    ready(sandbox, &run_id);
    run_id
}

/// Starts a run behind another one, and waits until it waits for its turn.
fn wait_behind(sandbox: &Sandbox, agent: &Path, more: &[&str]) -> String {
    let run_id = in_talk(sandbox, agent, more);
    let behind = |record: &Value| record["waits_behind"].is_string() && record["pid"].is_u64();
    wait_for_record(sandbox, &run_id, "it waits for its turn", behind);
    let says = || lifecycle(sandbox, &run_id).contains("waits for its turn");
    wait_until("its log says so", LIMIT, says);
    run_id
}

/// Returns the log's file, with the lines about the run's lifecycle.
fn lifecycle(sandbox: &Sandbox, run_id: &str) -> String {
    let path = sandbox.registry().join(format!("runs/{run_id}.log"));
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Returns the ids of all runs in the order of their admission.
fn admitted(sandbox: &Sandbox) -> Vec<String> {
    let script = "import sqlite3, sys\n\
        for (id,) in sqlite3.connect(sys.argv[1]).execute('select run_id from runs order by run'): print(id)";
    let database = sandbox.registry().join("registry.db");
    let listed = sandbox.tool("python3", ["-S", "-c", script]).arg(database).run().ok();
    listed.stdout().lines().map(str::to_owned).collect()
}

/// Returns the ids that exclusive agents noted, in the order of their beginnings.
fn begun(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.root().join("home/times")).unwrap_or_default();
    let mut order = Vec::new();
    let mut last = 0;
    for pair in text.lines().collect::<Vec<_>>().chunks(2) {
        let words: Vec<Vec<&str>> = pair.iter().map(|line| line.split(' ').collect()).collect();
        assert_eq!((words[0][0], words[1][0]), ("begin", "end"), "one at a time: {text}");
        assert_eq!(words[0][1], words[1][1], "one at a time: {text}");
        let at = |index: usize| words[index][2].parse::<u128>().unwrap();
        assert!(last <= at(0) && at(0) <= at(1), "no two overlap: {text}");
        last = at(1);
        order.push(words[0][1].to_owned());
    }
    order
}

#[test]
fn twenty_runs_that_are_started_at_once_go_one_at_a_time_in_order() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&exclusive());
    let ids: Vec<String> = thread::scope(|scope| {
        let (sandbox, agent) = (&sandbox, &agent);
        let starters: Vec<_> =
            (0..20).map(|_| scope.spawn(move || in_talk(sandbox, agent, &[]))).collect();
        starters.into_iter().map(|starter| starter.join().unwrap()).collect()
    });
    drop(sandbox.errand(["wait"]).args(&ids).run().ok());
    assert_eq!(begun(&sandbox), admitted(&sandbox));
    assert_eq!(begun(&sandbox).len(), 20);
    assert_over(&sandbox, &ids[0]);
    drop(sandbox.errand(["registry", "check"]).run().ok());
}

#[test]
fn a_run_that_waits_for_its_turn_is_listed_and_has_no_agent_process() {
    let sandbox = sandbox();
    let (holder, quick) = (sandbox.agent(&gated()), sandbox.agent(&TestAgent::shell("true")));
    let first = hold(&sandbox, &holder);
    let second = wait_behind(&sandbox, &quick, &[]);
    let third = wait_behind(&sandbox, &quick, &[]);
    for waiting in [&second, &third] {
        let seen = record(&sandbox, waiting);
        assert_eq!((&seen["status"], &seen["attempt"]), (&"pending".into(), &0.into()));
        assert_eq!(seen["waits_behind"], first.as_str());
        assert_eq!(processes_of_run(waiting), []);
        let told = lifecycle(&sandbox, waiting);
        assert!(told.contains(&format!("behind run {first}")), "{told}");
    }
    let listed = sandbox.errand(["ps"]).run().ok().stdout();
    assert_eq!(
        listed.matches(&format!("waits for its turn behind {first}")).count(),
        2,
        "{listed}"
    );
    open_gate(&sandbox);
    for run_id in [&first, &second, &third] {
        assert_eq!(finish(&sandbox, run_id)["status"], "completed");
    }
    assert!(record(&sandbox, &third)["waits_behind"].is_null());
}

#[test]
fn a_foreground_run_notes_the_run_that_has_the_turn_and_can_be_interrupted() {
    let sandbox = sandbox();
    let (holder, quick) = (sandbox.agent(&gated()), sandbox.agent(&TestAgent::shell("echo went")));
    let first = hold(&sandbox, &holder);
    let impatient = run(&sandbox, &quick, &IN_TALK).spawn();
    impatient.wait_for_stderr(&format!("behind run {first}"));
    impatient.interrupt();
    drop(impatient.wait().exits(130));
    assert_eq!(all(&sandbox)[0]["status"], "cancelled");
    let patient = run(&sandbox, &quick, &IN_TALK).spawn();
    patient.wait_for_stderr(&format!("behind run {first}"));
    open_gate(&sandbox);
    assert_eq!(patient.wait().ok().stdout(), "went\n");
}

#[test]
fn the_turn_of_a_killed_helper_goes_to_the_next() {
    let sandbox = sandbox();
    let (holder, quick) = (sandbox.agent(&sleeper()), sandbox.agent(&TestAgent::shell("true")));
    let first = hold(&sandbox, &holder);
    let second = wait_behind(&sandbox, &quick, &[]);
    let third = wait_behind(&sandbox, &quick, &[]);
    kill(&record(&sandbox, &first)["pid"]);
    // Only the waiting runs reconcile it.
    drop(sandbox.errand(["wait", &second, &third]).run().ok());
    assert_eq!(record(&sandbox, &first)["last_error"]["code"], "helper_died");
    assert_over(&sandbox, &first);
}

#[test]
fn a_run_whose_helper_was_killed_while_waiting_for_its_turn_still_runs() {
    let sandbox = sandbox();
    let (holder, agent) = (sandbox.agent(&gated()), sandbox.agent(&exclusive()));
    let first = hold(&sandbox, &holder);
    let second = wait_behind(&sandbox, &agent, &[]);
    let third = wait_behind(&sandbox, &agent, &[]);
    let killed = record(&sandbox, &second)["pid"].clone();
    kill(&killed);
    let has_another = |record: &Value| record["pid"].is_u64() && record["pid"] != killed;
    wait_for_record(&sandbox, &second, "another helper waits in its place", has_another);
    open_gate(&sandbox);
    for run_id in [&first, &second, &third] {
        assert_eq!(finish(&sandbox, run_id)["status"], "completed");
    }
    assert_eq!(begun(&sandbox), [second, third]);
}

#[test]
fn a_foreground_run_killed_while_waiting_for_its_turn_blocks_no_other() {
    let sandbox = sandbox();
    let (holder, quick) = (sandbox.agent(&gated()), sandbox.agent(&TestAgent::shell("true")));
    hold(&sandbox, &holder);
    let killed = run(&sandbox, &quick, &IN_TALK).spawn();
    killed.wait_for_stderr("waits for its turn");
    killed.kill();
    drop(killed.wait());
    let last = in_talk(&sandbox, &quick, &[]);
    open_gate(&sandbox);
    assert_eq!(finish(&sandbox, &last)["status"], "completed");
    assert_eq!(all(&sandbox)[1]["status"], "failed");
}

#[test]
fn a_run_with_on_busy_reject_is_refused_and_not_created() {
    let sandbox = sandbox();
    let (holder, quick) = (sandbox.agent(&sleeper()), sandbox.agent(&TestAgent::shell("true")));
    let first = hold(&sandbox, &holder);
    let reject = [&IN_TALK[..], &["--on-busy", "reject"]].concat();
    for detached in [&[][..], &["-d"]] {
        let words = [&reject[..], detached].concat();
        let refused = run(&sandbox, &quick, &words).run().refuses(125, "session_busy");
        assert!(refused.stderr().contains(&first), "{}", refused.describe());
    }
    assert_eq!(all(&sandbox).len(), 1);
    // A run without a supervisor has no turn.
    kill(&record(&sandbox, &first)["pid"]);
    wait_until("nothing of it lives", LIMIT, || processes_of_run(&first).is_empty());
    drop(run(&sandbox, &quick, &reject).run().ok());
    assert_eq!(all(&sandbox).len(), 2);
}

#[test]
fn an_interrupting_run_cancels_all_before_it() {
    let sandbox = sandbox();
    let (holder, quick) =
        (sandbox.agent(&sleeper()), sandbox.agent(&TestAgent::shell("echo went")));
    let first = hold(&sandbox, &holder);
    let second = wait_behind(&sandbox, &quick, &[]);
    let third = run(&sandbox, &quick, &[&IN_TALK[..], &["--on-busy", "interrupt"]].concat()).run();
    assert_eq!(third.ok().stdout(), "went\n");
    let newest = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    for superseded in [&first, &second] {
        let record = record(&sandbox, superseded);
        assert_eq!(record["status"], "cancelled");
        assert_eq!(record["last_error"]["code"], "superseded");
        assert!(record["last_error"]["message"].as_str().unwrap().contains(&newest));
        assert_over(&sandbox, superseded);
    }
    assert_eq!(record(&sandbox, &second)["attempt"], 0);
    let listed = sandbox.errand(["ps", "-a"]).run().ok().stdout();
    assert_eq!(listed.matches("superseded").count(), 2, "{listed}");
}

#[test]
fn the_time_of_a_run_does_not_begin_while_it_waits() {
    let sandbox = sandbox();
    let (holder, quick) = (sandbox.agent(&gated()), sandbox.agent(&TestAgent::shell("true")));
    hold(&sandbox, &holder);
    let second = wait_behind(&sandbox, &quick, &["--timeout", "3s"]);
    let begun = Instant::now();
    wait_until("its limit is long over", LIMIT, || begun.elapsed() > Duration::from_secs(3));
    assert_eq!(record(&sandbox, &second)["status"], "pending");
    open_gate(&sandbox);
    assert_eq!(finish(&sandbox, &second)["status"], "completed");
}

#[test]
fn a_retried_run_keeps_its_turn() {
    let sandbox = sandbox();
    let retry = "retry_policy: { max_retries: 1, backoff: fixed, initial_delay: 300ms }";
    let flaky =
        TestAgent::shell("echo $ERRAND_ATTEMPT >> \"$HOME/order\"; [ $ERRAND_ATTEMPT = 2 ]")
            .named("flaky")
            .spec(retry);
    let flaky = sandbox.agent(&flaky);
    let next = sandbox.agent(&TestAgent::shell("echo next >> \"$HOME/order\""));
    let first = in_talk(&sandbox, &flaky, &[]);
    let second = in_talk(&sandbox, &next, &[]);
    drop(sandbox.errand(["wait", &first, &second]).run().ok());
    let order = std::fs::read_to_string(sandbox.root().join("home/order")).unwrap();
    assert_eq!(order, "1\n2\nnext\n");
}

#[test]
fn the_wakes_of_a_service_take_no_turns() {
    let sandbox = sandbox();
    let holder = sandbox.agent(&sleeper());
    let first = start_ready(&sandbox, &holder);
    assert!(record(&sandbox, &first)["session_id"].is_null());
    let service = sandbox.agent(&TestAgent::shell("true").named("service"));
    let words = ["serve".as_ref(), "-d".as_ref(), service.as_os_str()];
    let more = ["--session", "talk", "--schedule", "* * * * * *"];
    let service = sandbox.errand(words).args(more).run().ok().stdout_line();
    hold(&sandbox, &holder);
    wait_until("a wake is done while another run has the turn", LIMIT, || {
        let wakes = crate::support::wakes(&sandbox, &service);
        wakes.iter().any(|wake| wake["status"] == "completed")
    });
}

#[test]
fn an_agent_cannot_wait_for_its_own_turn_to_end() {
    let sandbox = sandbox();
    let quick = sandbox.agent(&TestAgent::shell("echo went").named("quick"));
    let quick = quick.to_str().unwrap();
    let script = format!(
        "for more in '' '--on-busy interrupt' '--on-busy rollback -d'; do\n\
         \x20 errand run {quick} --session talk $more 2>&1 | grep -o session_busy\n\
         done\n\
         errand run {quick} --session other\n\
         errand run -d {quick} --session talk > \"$HOME/left\""
    );
    let agent = sandbox.agent(&TestAgent::shell(&script));
    let output = run(&sandbox, &agent, &IN_TALK).run().ok().stdout();
    assert_eq!(output, "session_busy\nsession_busy\nsession_busy\nwent\n");
    let left = std::fs::read_to_string(sandbox.root().join("home/left")).unwrap();
    assert_eq!(finish(&sandbox, left.trim())["status"], "completed");
}
