//! Many at once on one registry.

use std::thread;

use errand_testkit::Agent;

use crate::support::{all, assert_over, sandbox, start};

#[test]
fn a_hundred_detached_runs_at_once_all_end_right() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&Agent::shell("cat > \"$ERRAND_OUTPUT\""));
    let mut ids: Vec<String> = thread::scope(|scope| {
        let (sandbox, agent) = (&sandbox, &agent);
        let starters: Vec<_> = (0..10)
            .map(|tens| {
                scope.spawn(move || {
                    let start = |ones: u32| {
                        start(sandbox, agent, &["--job", &(tens * 10 + ones).to_string()])
                    };
                    (0..10).map(start).collect::<Vec<_>>()
                })
            })
            .collect();
        starters.into_iter().flat_map(|starter| starter.join().unwrap()).collect()
    });
    drop(sandbox.errand(["wait"]).args(&ids).run().ok());
    let runs = all(&sandbox);
    assert_eq!(runs.len(), 100);
    assert!(runs.iter().all(|run| run["status"] == "completed"));
    let mut outputs: Vec<u64> = runs.iter().map(|run| run["output"].as_u64().unwrap()).collect();
    outputs.sort_unstable();
    assert!(outputs.into_iter().eq(0..100), "each run has its own output");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    for run_id in ids.iter().step_by(10) {
        assert_over(&sandbox, run_id);
    }
}

#[test]
fn fifty_runs_that_record_steps_disturb_nobody_who_lists_them() {
    let sandbox = sandbox();
    let script = "i=0; while [ $i -lt 5 ]; do errand agent step \"s$i\" -- true; i=$((i+1)); done";
    let agent = sandbox.agent(&Agent::shell(script));
    let ids: Vec<String> = (0..50).map(|_| start(&sandbox, &agent, &[])).collect();
    let waiting = sandbox.errand(["wait"]).args(&ids).spawn();
    let mut waiting = waiting;
    while waiting.is_running() {
        let listed = sandbox.errand(["ps"]).run().ok();
        assert_eq!(listed.stderr(), "", "nobody who looks hears of a busy registry");
    }
    drop(waiting.wait().ok());
    assert!(all(&sandbox).iter().all(|run| run["counters"]["steps"] == 5));
}

#[test]
fn the_same_key_is_one_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&Agent::shell("true"));
    let key = ["--idempotency-key", "release-7"];
    let ids: Vec<String> = thread::scope(|scope| {
        let (sandbox, agent) = (&sandbox, &agent);
        let starters: Vec<_> =
            (0..8).map(|_| scope.spawn(move || start(sandbox, agent, &key))).collect();
        starters.into_iter().map(|starter| starter.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(all(&sandbox).len(), 1);
}
