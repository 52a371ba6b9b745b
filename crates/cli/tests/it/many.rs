//! Concurrent commands and runs on one registry.

use std::thread;

use errand_testkit::{LIMIT, TestAgent};

use crate::support::{all, assert_over, nobody_left, sandbox, start};

#[test]
fn a_hundred_detached_runs_at_once_all_end_right() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("cat > \"$ERRAND_OUTPUT\""));
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
    drop(sandbox.errand(["wait"]).args(&ids).limit(LIMIT * 3).run().ok());
    let runs = all(&sandbox);
    assert_eq!(runs.len(), 100);
    assert!(runs.iter().all(|run| run["status"] == "completed"));
    let mut outputs: Vec<u64> = runs.iter().map(|run| run["output"].as_u64().unwrap()).collect();
    outputs.sort_unstable();
    assert!(outputs.into_iter().eq(0..100), "each run has its own output");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    for run_id in &ids {
        drop(sandbox.errand(["verify", run_id]).run().ok());
    }
    for run_id in ids.iter().step_by(10) {
        assert_over(&sandbox, run_id);
    }
    drop(sandbox.errand(["registry", "check"]).run().ok());
    nobody_left(&sandbox);
}

#[test]
fn listing_works_while_fifty_runs_record_steps() {
    let sandbox = sandbox();
    let script = "i=0; while [ $i -lt 5 ]; do errand agent step \"s$i\" -- true; i=$((i+1)); done";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let ids: Vec<String> = (0..50).map(|_| start(&sandbox, &agent, &[])).collect();
    let waiting = sandbox.errand(["wait"]).args(&ids).limit(LIMIT * 3).spawn();
    let mut waiting = waiting;
    while waiting.is_running() {
        let listed = sandbox.errand(["ps"]).run().ok();
        assert_eq!(listed.stderr(), "", "nobody who looks hears of a busy registry");
    }
    drop(waiting.wait().ok());
    assert!(all(&sandbox).iter().all(|run| run["counters"]["steps"] == 5));
}

#[test]
fn concurrent_runs_with_one_idempotency_key_are_one_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
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

#[test]
fn an_equal_run_stands_in_with_dedup() {
    let sandbox = sandbox();
    let script = "test \"$(cat)\" != fail";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let dedup = |payload: &str, more: &[&str]| {
        let words = [&["--job", payload, "--dedup"], more].concat();
        let run_id = start(&sandbox, &agent, &words);
        drop(sandbox.errand(["wait", &run_id]).run());
        run_id
    };
    let first = dedup("one", &[]);
    assert_eq!(dedup("one", &[]), first, "a completed run stands in for an equal one");
    assert_ne!(dedup("two", &[]), first);
    let forced = dedup("one", &["--force"]);
    assert_ne!(forced, first);
    let failed = dedup("fail", &[]);
    assert_ne!(dedup("fail", &[]), failed, "one that failed does not");
    // In the foreground the equal run is reported.
    let shown = crate::support::run(&sandbox, &agent, &["--job", "one", "--dedup", "--json"]);
    let shown = shown.run().ok().json();
    assert!([first, forced].iter().any(|id| shown["run_id"] == id.as_str()), "{shown:#}");
}

#[test]
fn an_idempotency_key_with_another_request_is_refused() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let key = ["--idempotency-key", "release-7"];
    start(&sandbox, &agent, &key);
    let other = [&key[..], &["--job", "other"]].concat();
    let refused = crate::support::command(&sandbox, &["run", "-d"], &agent, &other).run();
    drop(refused.refuses(125, "idempotency_conflict"));
    assert_eq!(all(&sandbox).len(), 1);
}

#[test]
fn commands_work_while_the_first_run_creates_the_registry() {
    for _ in 0..10 {
        let sandbox = sandbox();
        let agent = sandbox.agent(&TestAgent::shell("true"));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| start(&sandbox, &agent, &[]));
                scope.spawn(|| {
                    for _ in 0..5 {
                        drop(sandbox.errand(["ps", "-a"]).run().ok());
                    }
                });
            }
        });
        assert_eq!(all(&sandbox).len(), 4);
    }
}
