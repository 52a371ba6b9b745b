//! Kills of processes at many moments.
//!
//! The moments are spread over the life of a run and the same each time: a random choice would hide
//! failures.

use std::path::Path;
use std::thread;
use std::time::Duration;

use errand_testkit::{
    LIMIT, Process, Sandbox, TestAgent, processes_of_run, processes_with, wait_until,
};

use crate::support::{all, assert_over, sandbox, start};

/// Process to be killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Helper,
    Agent,
    Both,
    Nobody,
}

/// Concurrent runs.
const AT_ONCE: u64 = 4;

/// Returns the time of a round's kill: from at once to after the end.
fn moment(round: u64) -> Duration {
    Duration::from_millis(round * 7 % 150)
}

fn kill_during(sandbox: &Sandbox, agent: &Path, victim: Victim, round: u64) -> String {
    let run_id = start(sandbox, agent, &[]);
    thread::sleep(moment(round));
    if matches!(victim, Victim::Agent | Victim::Both) {
        processes_of_run(&run_id).iter().for_each(Process::kill);
    }
    if matches!(victim, Victim::Helper | Victim::Both) {
        processes_with(format!("ERRAND_HELPER={run_id}")).iter().for_each(Process::kill);
    }
    run_id
}

/// Starts a run in each round, kills its victim, and checks the result.
fn check(rounds: u64, victim: impl Fn(u64) -> Victim + Sync) {
    let sandbox = sandbox();
    let script = "errand agent step one -- sleep 0.02\n(setsid sleep 0.05 &)\n\
                  errand agent step two -- sleep 0.02\necho done\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let ids: Vec<String> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..AT_ONCE)
            .map(|lane| {
                let (sandbox, agent, victim) = (&sandbox, &agent, &victim);
                scope.spawn(move || {
                    let rounds = (lane..rounds).step_by(usize::try_from(AT_ONCE).unwrap());
                    let kill = |round| kill_during(sandbox, agent, victim(round), round);
                    rounds.map(kill).collect::<Vec<_>>()
                })
            })
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    drop(sandbox.errand(["wait"]).args(&ids).limit(LIMIT * 4).run());
    for run_id in &ids {
        wait_until("nothing of the run lives", LIMIT, || processes_of_run(run_id).is_empty());
        assert_over(&sandbox, run_id);
    }
    wait_until("no helper is left", LIMIT, || sandbox.processes().is_empty());
    let before = all(&sandbox);
    assert_eq!(before.len(), ids.len());
    // The files alone give the same, although their last lines may be missing: the terminal
    // snapshot has those.
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(sandbox.registry().join(name)));
    }
    drop(sandbox.errand(["registry", "rebuild"]).run());
    assert_eq!(all(&sandbox), before);
    drop(sandbox.errand(["registry", "check", "--repair"]).run());
    drop(sandbox.errand(["registry", "check"]).run().ok());
}

#[test]
fn stress_kill_the_helper_at_twenty_moments() {
    check(20, |_| Victim::Helper);
}

#[test]
fn stress_kill_the_agent_at_twenty_moments() {
    check(20, |_| Victim::Agent);
}

#[test]
fn stress_kill_both_at_twenty_moments() {
    check(20, |_| Victim::Both);
}

#[test]
fn stress_two_hundred_runs_with_anything_killed_at_any_moment() {
    check(200, |round| match round % 4 {
        0 => Victim::Helper,
        1 => Victim::Agent,
        2 => Victim::Both,
        _ => Victim::Nobody,
    });
}

#[test]
fn stress_kill_the_launcher_of_a_background_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo done"));
    for round in 0..40 {
        let launcher = sandbox.errand(["run", "-d"]).arg(&agent).spawn();
        thread::sleep(Duration::from_millis(round));
        launcher.kill();
        drop(launcher.wait());
    }
    let ids: Vec<String> =
        all(&sandbox).iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect();
    for run_id in &ids {
        drop(sandbox.errand(["wait", run_id]).run());
        wait_until("nothing of the run lives", LIMIT, || processes_of_run(run_id).is_empty());
        assert_over(&sandbox, run_id);
    }
    wait_until("no helper is left", LIMIT, || sandbox.processes().is_empty());
    let statuses: Vec<_> = all(&sandbox)
        .iter()
        .map(|run| (run["status"].clone(), run["last_error"]["code"].clone()))
        .collect();
    for (status, code) in statuses {
        assert!(status == "completed" || code == "launcher_died", "{status} {code}");
    }
}

#[test]
fn stress_orders_of_all_kinds_at_once() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("errand agent step one -- true\nsleep 0.1\n"));
    let ids: Vec<String> = (0..12).map(|_| start(&sandbox, &agent, &[])).collect();
    thread::scope(|scope| {
        for words in [&["stop"][..], &["restart"], &["stop", "--force"], &["restart", "--force"]] {
            let (sandbox, ids) = (&sandbox, &ids);
            scope.spawn(move || {
                for run_id in ids {
                    // The winner is not defined, but no command may hang or crash.
                    let ordered = sandbox.errand(words).arg(run_id).run();
                    assert!(ordered.code.is_some(), "{}", ordered.describe());
                }
            });
        }
    });
    for run in all(&sandbox) {
        let run_id = run["run_id"].as_str().unwrap();
        drop(sandbox.errand(["wait", run_id]).run());
        assert_over(&sandbox, run_id);
    }
    wait_until("no helper is left", LIMIT, || sandbox.processes().is_empty());
}
