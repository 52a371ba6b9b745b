//! Runs whose tasks wait at a dispatcher for a slot.

use errand_testkit::{LIMIT, wait_until};

use crate::dispatched::World;
use crate::support::event_types;

const WAITING: &str = "echo up; until [ -e go ]; do sleep 0.1; done";

/// Starts a run, and waits until it is shown as waiting for its dispatcher.
fn queued(it: &World, more: &str) -> String {
    let run_id = it.run(&it.agent("echo once", more));
    wait_until("the run waits for its dispatcher", LIMIT, || {
        it.record(&run_id)["attempts"][0]["waits_for"]["reason"] == "TaskQueued"
    });
    run_id
}

#[test]
fn a_run_whose_task_waits_at_its_dispatcher_has_not_begun() {
    let Some(it) = World::with_slots(1) else { return };
    let first = it.run(&it.agent(WAITING, ""));
    wait_until("the first task runs", LIMIT, || it.log(&first).contains("up"));

    let second = queued(&it, "  timeouts: { run: 5s }\n");
    let record = it.record(&second);
    assert_eq!(record["status"], "pending", "{record}");
    assert!(record["started_at_ms"].is_null(), "{record}");
    let ps = it.sender.errand(["ps"]).run().ok().stdout();
    assert!(ps.contains("TaskQueued"), "{ps}");

    let late = it.run(&it.agent("echo never", "  timeouts: { queue: 1s }\n"));
    let record = it.wait(&late, "cancelled");
    assert_eq!(record["last_error"]["code"], "timeout_queue", "{record}");
    assert!(it.tasks().contains(&"CANCELLED".to_owned()), "{:?}", it.tasks());

    let stopped = queued(&it, "");
    let _stopped = it.sender.errand(["stop", &stopped]).run().ok();
    it.wait(&stopped, "cancelled");

    it.let_go();
    it.wait(&first, "completed");
    let record = it.wait(&second, "completed");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 1, "{record}");
    assert!(!event_types(&it.sender, &second).contains(&"run.failed".to_owned()));
    let budgeted = ["run", "--json", "--budget", "tool_calls_per_run=1"];
    let refused = it.sender.errand(budgeted).arg(it.agent("true", "")).run();
    assert!(refused.stdout().contains("a budget at a dispatcher"), "{}", refused.describe());
}
