//! Killing things at random moments, many times over.

use std::time::Duration;

use errand_testkit::{Agent, LIMIT, Sandbox, processes_of_run, wait_until};

use crate::support::{assert_over, record, sandbox, start};

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Helper,
    Agent,
    Both,
}

/// Moments after the start at which something is killed: from at once to after the end.
const MOMENTS: u64 = 22;

/// A different order of moments each time the test runs would hide what fails: this one is fixed.
fn moment(round: u64) -> Duration {
    Duration::from_millis(round * 7 % 150)
}

fn kill_during(sandbox: &Sandbox, agent: &std::path::Path, victim: Victim, round: u64) -> String {
    let run_id = start(sandbox, agent, &[]);
    let helper = record(sandbox, &run_id)["pid"].as_u64();
    std::thread::sleep(moment(round));
    let agents = processes_of_run(&run_id);
    let is_helper = |pid: u32| Some(u64::from(pid)) == helper;
    if matches!(victim, Victim::Agent | Victim::Both) {
        agents
            .iter()
            .filter(|process| !is_helper(process.pid))
            .for_each(errand_testkit::Process::kill);
    }
    if matches!(victim, Victim::Helper | Victim::Both) {
        let helpers = errand_testkit::processes_with(sandbox.root());
        helpers
            .iter()
            .filter(|process| is_helper(process.pid))
            .for_each(errand_testkit::Process::kill);
    }
    run_id
}

fn check(victim: Victim) {
    let sandbox = sandbox();
    let script = "errand agent step one -- sleep 0.02\n(setsid sleep 0.05 &)\n\
                  errand agent step two -- sleep 0.02\necho done\n";
    let agent = sandbox.agent(&Agent::shell(script));
    for round in 0..MOMENTS {
        let run_id = kill_during(&sandbox, &agent, victim, round);
        drop(sandbox.errand(["wait", &run_id]).run());
        wait_until("nothing of the run lives", LIMIT, || processes_of_run(&run_id).is_empty());
        assert_over(&sandbox, &run_id);
    }
}

#[test]
fn stress_kill_the_helper_at_any_moment() {
    check(Victim::Helper);
}

#[test]
fn stress_kill_the_agent_at_any_moment() {
    check(Victim::Agent);
}

#[test]
fn stress_kill_both_at_any_moment() {
    check(Victim::Both);
}

#[test]
fn stress_two_hundred_runs_of_which_every_third_is_killed() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&Agent::shell("errand agent step one -- sleep 0.01\n"));
    let ids: Vec<String> = (0..200)
        .map(|round| match round % 3 {
            0 => kill_during(&sandbox, &agent, Victim::Helper, round),
            1 => kill_during(&sandbox, &agent, Victim::Both, round),
            _ => start(&sandbox, &agent, &[]),
        })
        .collect();
    drop(sandbox.errand(["wait"]).args(&ids).limit(LIMIT * 4).run());
    for run_id in &ids {
        wait_until("nothing of the run lives", LIMIT, || processes_of_run(run_id).is_empty());
        assert_over(&sandbox, run_id);
    }
}
