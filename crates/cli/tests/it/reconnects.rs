//! Commands over a server that dies and comes back.

use errand_testkit::{
    ErrandServer, LIMIT, RunningProgram, Sandbox, TestAgent, wait_for, wait_until,
};

use crate::support::{GATE, all, open_gate, sandbox};

const SAYS_IT: &str = "lost the connection to ";

fn server(sandbox: &Sandbox, listen: &str) -> ErrandServer {
    let words = ["up", "--slots", "0", "--listen", listen];
    ErrandServer::of(sandbox.errand(words).limit(LIMIT * 4).spawn())
}

fn there(sandbox: &Sandbox, server: &ErrandServer, words: &[&str]) -> RunningProgram {
    sandbox.errand(["--server", &server.url()]).args(words).limit(LIMIT * 4).spawn()
}

/// Returns an agent that prints lines, the last one incomplete; once the gate is open the rest of
/// it and more; and ends when it is asked to.
fn talker() -> TestAgent {
    let script = format!(
        "for n in $(seq 1 200); do echo \"line $n\"; done; printf 'line '\n{GATE}\
         for n in $(seq 201 400); do echo \"$n\"; printf 'line '; done\necho last\n\
         until [ -e \"$HOME/end\" ]; do sleep 0.05; done\n"
    );
    TestAgent::shell(&script).named("talker")
}

#[test]
fn a_follower_continues_where_it_was_after_the_server_was_killed() {
    let sandbox = sandbox();
    let first = server(&sandbox, "127.0.0.1:0");
    let worker = sandbox.errand(["worker", "--slots", "1"]).limit(LIMIT * 4).spawn();
    drop(first.push(&sandbox.agent(&talker())).expect(201));
    let shown = there(&sandbox, &first, &["run", "talker"]);
    let run_id = wait_for("the run is there", LIMIT, || {
        Some(all(&sandbox).first()?["run_id"].as_str()?.to_owned())
    });
    let waiting = there(&sandbox, &first, &["wait", &run_id]);
    let logs = there(&sandbox, &first, &["logs", "-f", &run_id]);
    let events = there(&sandbox, &first, &["events", "-f", "--json", &run_id]);
    for follower in [&shown, &logs] {
        wait_until("the first half is shown", LIMIT, || follower.stdout().ends_with("200\nline "));
    }
    let tail = there(&sandbox, &first, &["logs", "-f", "-n", "1", "--system", &run_id]);
    wait_until("the tail is shown", LIMIT, || tail.stdout().ends_with("line "));
    wait_until("events come", LIMIT, || events.stdout().contains("attempt.running"));

    let address = first.address().to_owned();
    first.into_process().kill();
    for follower in [&shown, &logs, &tail, &events, &waiting] {
        wait_until("it says that it reconnects", LIMIT, || follower.stderr().contains(SAYS_IT));
    }
    open_gate(&sandbox);
    let log = sandbox.registry().join(format!("runs/{run_id}.log"));
    wait_until("the agent goes on meanwhile", LIMIT, || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("last"))
    });
    let second = server(&sandbox, &address);
    wait_until("the second half is shown", LIMIT, || logs.stdout().contains("last"));
    // Asked to end, the server does not finish the lines it was about to send.
    let process = second.into_process();
    process.terminate();
    drop(process.wait());
    let third = server(&sandbox, &address);
    std::fs::write(sandbox.root().join("home/end"), "").unwrap();

    let lines = |from| (from..=400).map(|n| format!("line {n}\n")).collect::<String>();
    let whole = lines(1) + "line last\n";
    let shown = shown.wait().ok();
    assert_eq!(shown.stdout(), whole);
    let logs = logs.wait().ok();
    assert_eq!(logs.stdout(), whole);
    assert_eq!(logs.stderr().matches(SAYS_IT).count(), 2, "once for each time: {}", logs.stderr());
    let tail = tail.wait().ok();
    assert_eq!(tail.stdout(), lines(200) + "line last\n");
    let ended = "attempt 1 ended (exit code 0): run completed";
    assert_eq!(tail.stderr().matches(ended).count(), 1, "{}", tail.stderr());
    let events = events.wait().ok().json_lines();
    let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(events.last().unwrap()["type"], "run.completed");
    drop(waiting.wait().ok());
    drop(third);
    worker.terminate();
    drop(worker.wait());
}
