//! Coordinated runs without a server: one process for a whole family.

use std::path::{Path, PathBuf};

use errand_testkit::{LIMIT, Sandbox, TestAgent, processes_of_run, wait_for, wait_until};
use serde_json::{Value, json};

use crate::support::{
    GATE, all, assert_over, finish, kill, nobody_left, open_gate, record, sandbox, start,
    wait_for_record,
};

/// Returns an agent whose output is a Python expression over its input `given`.
pub(crate) fn answers(name: &str, expression: &str) -> TestAgent {
    let script = format!(
        "import json, os, sys\n\
         def document(text):\n\
         \x20   try: return json.loads(text)\n\
         \x20   except ValueError: return text or None\n\
         given = document(open(os.environ['ERRAND_INPUT']).read())\n\
         print(json.dumps({expression}))\n"
    );
    TestAgent::python(&script).named(name)
}

/// Writes a coordinator over agents beside it.
pub(crate) fn coordinator(sandbox: &Sandbox, name: &str, definition: &str, more: &str) -> PathBuf {
    let yaml = format!(
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {name}, version: 1.0.0 }}\n\
         spec:\n  coordinator: {definition}\n{more}"
    );
    let path = sandbox.write(format!("{name}/agent.yaml"), yaml);
    path.parent().map(Path::to_path_buf).expect("a folder")
}

fn output(sandbox: &Sandbox, agent: &Path, input: &Value) -> Value {
    let run = sandbox.errand(["run".as_ref(), agent.as_os_str()]);
    run.args(["--job", &input.to_string()]).run().ok().json()
}

fn children(sandbox: &Sandbox, parent: &str) -> Vec<Value> {
    all(sandbox).into_iter().filter(|run| run["parent_run_id"] == parent).collect()
}

#[test]
fn stopping_a_coordinator_ends_all_its_descendants() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("echo ready\nexec sleep 600\n").named("one"));
    sandbox.agent(&TestAgent::shell("echo ready\nexec sleep 600\n").named("two"));
    let both = coordinator(&sandbox, "both", "{ type: fan_out, agents: [../one, ../two] }", "");
    let id = start(&sandbox, &both, &[]);
    let live = wait_for("both run", LIMIT, || {
        let live = children(&sandbox, &id);
        (live.iter().filter(|run| run["status"] == "running").count() == 2).then_some(live)
    });
    drop(sandbox.errand(["stop", &id]).run().ok());
    let top = record(&sandbox, &id);
    assert_eq!(top["status"], "cancelled", "{top:#}");
    for child in live {
        let child = child["run_id"].as_str().unwrap();
        assert_eq!(record(&sandbox, child)["status"], "cancelled");
        assert_over(&sandbox, child);
    }
    assert_over(&sandbox, &id);
}

#[test]
fn a_paused_coordinator_pauses_its_children_and_resumes_them() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell(&format!("{GATE}echo 1\n")).named("one"));
    let only = coordinator(&sandbox, "only", "{ type: chain, agents: [../one] }", "");
    let id = start(&sandbox, &only, &[]);
    let child = wait_for("it runs", LIMIT, || {
        children(&sandbox, &id).into_iter().find(|run| run["status"] == "running")
    });
    let child = child["run_id"].as_str().unwrap();
    drop(sandbox.errand(["pause", &id]).run().ok());
    assert_eq!(record(&sandbox, &id)["status"], "paused");
    assert_eq!(record(&sandbox, child)["status"], "paused");
    open_gate(&sandbox);
    drop(sandbox.errand(["resume", &id]).run().ok());
    assert_eq!(finish(&sandbox, &id)["status"], "completed");
    assert_eq!(record(&sandbox, child)["status"], "completed");
}

#[test]
fn any_command_that_reads_a_coordinator_continues_it_after_its_process_was_killed() {
    let sandbox = sandbox();
    sandbox.agent(&answers("first", "given + 1"));
    sandbox.agent(&TestAgent::shell(&format!("{GATE}echo 7\n")).named("second"));
    let chain = coordinator(&sandbox, "sums", "{ type: chain, agents: [../first, ../second] }", "");
    let id = start(&sandbox, &chain, &["--job", "1"]);
    let second = wait_for("the second runs", LIMIT, || {
        children(&sandbox, &id)
            .into_iter()
            .find(|run| run["agent"]["name"] == "second" && run["status"] == "running")
    });
    kill(&second["pid"]);
    open_gate(&sandbox);
    let ended = finish(&sandbox, &id);
    assert_eq!(ended["status"], "completed", "{ended:#}");
    assert_eq!(ended["output"], 7);
    // The first does not run again, and the second is the same run as before.
    let runs = children(&sandbox, &id);
    assert_eq!(runs.len(), 2, "{runs:#?}");
    let first = runs.iter().find(|run| run["agent"]["name"] == "first").unwrap();
    assert_eq!(first["attempt"], 1);
    // The helper may be about to copy the last events into the file beside the registry.
    nobody_left(&sandbox);
    assert_over(&sandbox, &id);
}

#[test]
fn an_interrupted_coordinator_ends_all_its_descendants() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("echo ready\nexec sleep 600\n").named("one"));
    let only = coordinator(&sandbox, "only", "{ type: chain, agents: [../one] }", "");
    let running = sandbox.errand(["run".as_ref(), only.as_os_str()]).spawn();
    let child = wait_for("it runs", LIMIT, || {
        all(&sandbox)
            .into_iter()
            .find(|run| run["agent"]["name"] == "one" && run["status"] == "running")
    });
    running.interrupt();
    assert_eq!(running.wait().code, Some(130));
    let child = child["run_id"].as_str().unwrap();
    wait_for_record(&sandbox, child, "it is cancelled", |run| run["status"] == "cancelled");
    wait_until("nothing lives", LIMIT, || processes_of_run(child).is_empty());
}

#[test]
fn an_approval_in_a_child_blocks_only_the_steps_that_depend_on_it() {
    let sandbox = sandbox();
    let script = "errand agent approve --action pay --target shop --park >/dev/null\necho 1\n";
    sandbox.agent(&TestAgent::shell(script).named("asks"));
    sandbox.agent(&TestAgent::shell(&format!("{GATE}echo 2\n")).named("works"));
    let both = "{ type: fan_out, agents: [../asks, ../works], aggregation: collect }";
    let both = coordinator(&sandbox, "both", both, "");
    let id = start(&sandbox, &both, &[]);
    let asks = wait_for("one asks", LIMIT, || {
        children(&sandbox, &id)
            .into_iter()
            .find(|run| run["agent"]["name"] == "asks" && run["status"] == "paused")
    });
    // The other child works on meanwhile.
    assert_eq!(record(&sandbox, &id)["status"], "running");
    open_gate(&sandbox);
    // Now all remaining work waits for a person.
    wait_for_record(&sandbox, &id, "it waits too", |run| run["status"] == "paused");
    let asks = asks["run_id"].as_str().unwrap();
    drop(sandbox.errand(["approve", asks]).run().ok());
    let ended = finish(&sandbox, &id);
    assert_eq!((&ended["status"], &ended["output"]), (&json!("completed"), &json!([1, 2])));
}

#[test]
fn a_coordinator_continues_after_a_rebuild_of_the_registry() {
    let sandbox = sandbox();
    sandbox.agent(&answers("first", "given + 1"));
    sandbox.agent(&TestAgent::shell(&format!("{GATE}echo 7\n")).named("second"));
    let chain = coordinator(&sandbox, "sums", "{ type: chain, agents: [../first, ../second] }", "");
    let id = start(&sandbox, &chain, &["--job", "1"]);
    let second = wait_for("the second runs", LIMIT, || {
        children(&sandbox, &id)
            .into_iter()
            .find(|run| run["agent"]["name"] == "second" && run["status"] == "running")
    });
    kill(&second["pid"]);
    nobody_left(&sandbox);
    for suffix in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(sandbox.registry().join(format!("registry.db{suffix}"))));
    }
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    open_gate(&sandbox);
    let ended = finish(&sandbox, &id);
    assert_eq!((&ended["status"], &ended["output"]), (&json!("completed"), &json!(7)), "{ended:#}");
    assert_eq!(children(&sandbox, &id).len(), 2);
}

#[test]
fn a_foreground_coordinator_that_waits_for_a_person_continues_in_the_background() {
    let sandbox = sandbox();
    let script = "errand agent approve --action pay --target shop --park >/dev/null\necho 1\n";
    sandbox.agent(&TestAgent::shell(script).named("asks"));
    let only = coordinator(&sandbox, "only", "{ type: chain, agents: [../asks] }", "");
    let run = sandbox.errand(["run".as_ref(), only.as_os_str()]).run().exits(75);
    assert!(run.stderr().contains("errand approvals ls"), "{}", run.stderr());
    let top = || all(&sandbox).into_iter().find(|run| run["agent"]["name"] == "only").unwrap();
    wait_until("it waits in the background", LIMIT, || {
        let top = top();
        top["status"] == "paused" && top["attempts"][1]["status"] == "running"
    });
    let top = top();
    let id = top["run_id"].as_str().unwrap();
    drop(sandbox.errand(["approve", id]).run().ok());
    let ended = finish(&sandbox, id);
    assert_eq!((&ended["status"], &ended["output"]), (&json!("completed"), &json!(1)), "{ended:#}");
    let attempts = ended["attempts"].as_array().unwrap();
    let statuses: Vec<_> = attempts.iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["stopped", "exited"], "nothing was lost: {ended:#}");
}

#[test]
fn a_coordinator_is_removed_with_its_steps_and_is_not_replayed_strictly() {
    let sandbox = sandbox();
    sandbox.agent(&answers("add", "given + 1"));
    coordinator(&sandbox, "inner", "{ type: chain, agents: [../add] }", "");
    let outer = coordinator(&sandbox, "outer", "{ type: chain, agents: [../inner] }", "");
    assert_eq!(output(&sandbox, &outer, &json!(1)), 2);
    let runs = all(&sandbox);
    assert_eq!(runs.len(), 3);
    let top = runs.iter().find(|run| run["agent"]["name"] == "outer").unwrap();
    let id = top["run_id"].as_str().unwrap();
    let refused = sandbox.errand(["replay", id, "--policy", "strict"]).run();
    assert!(refused.stderr().contains("its children"), "{}", refused.stderr());
    assert_eq!(all(&sandbox).len(), 3, "nothing was started");
    drop(sandbox.errand(["rm", id]).run().ok());
    assert_eq!(all(&sandbox), Vec::<Value>::new());
}

#[test]
fn a_paused_coordinator_whose_process_died_continues_when_it_is_resumed() {
    let sandbox = sandbox();
    sandbox.agent(&answers("add", "given + 1"));
    sandbox.agent(&TestAgent::shell(&format!("{GATE}echo 1\n")).named("gate"));
    let chain = coordinator(&sandbox, "held", "{ type: chain, agents: [../gate, ../add] }", "");
    let words = ["run", "--name", "held", "--job", "1"];
    let running = sandbox.errand(words).args([chain]).spawn();
    running.wait_for_stderr("gate#1 is run");
    drop(sandbox.errand(["pause", "held"]).run().ok());
    running.wait_for_stderr("lets it go on");
    running.kill();
    drop(running.wait());
    open_gate(&sandbox);
    drop(sandbox.errand(["resume", "held"]).run().ok());
    let waited = sandbox.errand(["wait", "held"]).run().ok();
    assert_eq!(waited.stdout().trim(), "0");
}
