//! Coordinated runs without a server: one process for a whole family.

use std::path::{Path, PathBuf};

use errand_testkit::{LIMIT, Sandbox, TestAgent, processes_of_run, wait_for, wait_until};
use serde_json::{Value, json};

use crate::support::{
    GATE, all, assert_over, event_types, finish, kill, nobody_left, open_gate, record, sandbox,
    start, wait_for_record,
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
fn names_of_agents_with_underscores_are_names_of_members_and_folders() {
    let sandbox = sandbox();
    let names = ["spanish_translator", "french_translator", "german_translator"];
    for name in names {
        sandbox.agent(&answers(name, &format!("given + ' ({})'", &name[..2])));
    }
    let definition = "{ type: fan_out, agents: [../spanish_translator, ../french_translator, \
                      ../german_translator], aggregation: merge_all }";
    let fan_out = coordinator(&sandbox, "all_translators", definition, "");
    let merged = output(&sandbox, &fan_out, &json!("hello"));
    let expected = json!({
        "spanish_translator": "hello (sp)",
        "french_translator": "hello (fr)",
        "german_translator": "hello (ge)",
    });
    assert_eq!(merged, expected);
    let one = sandbox.errand(["ps", "-a", "--json", "--filter", "agent=spanish_translator"]).run();
    let one = one.ok().json();
    assert_eq!(one.as_array().map(Vec::len), Some(1), "{one}");
}

#[test]
fn a_chain_gives_each_agent_the_output_of_the_previous_one() {
    let sandbox = sandbox();
    for (name, expression) in [("double", "given * 2"), ("add", "given + 1")] {
        sandbox.agent(&answers(name, expression));
    }
    let chain = coordinator(&sandbox, "sums", "{ type: chain, agents: [../double, ../add] }", "");
    let run = sandbox.errand(["run".as_ref(), chain.as_os_str()]).args(["--job", "20"]).run().ok();
    assert_eq!(run.stdout(), "41\n");
    let runs = all(&sandbox);
    assert_eq!(runs.len(), 3);
    let parent = runs.iter().find(|run| run["agent"]["name"] == "sums").expect("the chain");
    let id = parent["run_id"].as_str().unwrap();
    for child in runs.iter().filter(|run| run["run_id"] != parent["run_id"]) {
        assert_eq!(child["parent_run_id"], id);
        assert_eq!(child["trigger"]["type"], "upstream");
        assert_eq!(child["trigger"]["source"], id);
        assert_eq!(child["status"], "completed");
    }
    assert_over(&sandbox, id);
}

#[test]
fn a_chain_may_build_an_agents_input_from_all_earlier_outputs() {
    let sandbox = sandbox();
    sandbox.agent(&answers("split", "{'words': given.split()}"));
    sandbox.agent(&answers("tell", "given"));
    let mapped = "{ agent: ../tell, input: { first: '{{ output.words.0 }}', \
        all: 'of {{ input }}', by: '{{ from }}', none: '{{ output.x | 3 }}', \
        split: '{{ outputs.split.words }}' } }";
    let chain = format!("{{ type: chain, agents: [../split, {mapped}] }}");
    let chain = coordinator(&sandbox, "words", &chain, "");
    assert_eq!(
        output(&sandbox, &chain, &json!("a b")),
        json!({ "first": "a", "all": "of a b", "by": "split", "none": 3, "split": ["a", "b"] })
    );
}

#[test]
fn a_fan_out_gives_all_agents_the_same_input_and_merges_their_outputs() {
    let sandbox = sandbox();
    for name in ["es", "fr", "de"] {
        sandbox.agent(&answers(name, &format!("'{name}: ' + given")));
    }
    let all = coordinator(&sandbox, "all", "{ type: fan_out, agents: [../es, ../fr, ../de] }", "");
    assert_eq!(
        output(&sandbox, &all, &json!("hi")),
        json!({ "de": "de: hi", "es": "es: hi", "fr": "fr: hi" })
    );
    let parts = "{ type: fan_out, agents: [../es, ../fr], partition: items, aggregation: collect }";
    let parts = coordinator(&sandbox, "parts", parts, "");
    assert_eq!(
        output(&sandbox, &parts, &json!({ "items": ["a", "b", "c"] })),
        json!(["es: a", "fr: b", "es: c"])
    );
}

#[test]
fn a_workflow_takes_the_edges_whose_conditions_hold() {
    let sandbox = sandbox();
    sandbox.agent(&answers("judge", "{'good': given['score'] > 5, 'score': given['score']}"));
    sandbox.agent(&answers("improve", "{'score': given['score'] + 3}"));
    let graph = "\n    type: workflow\n    start: judge\n    max_messages: 20\n    graph:\n      \
        judge:\n        agent: ../judge\n        outputs_to:\n          \
        - { to: __end__, when: { payload: { good: true } } }\n          \
        - { to: improve, when: { payload: { good: false } } }\n      \
        improve: { agent: ../improve, outputs_to: [judge] }\n";
    let loops = coordinator(&sandbox, "loop", graph, "");
    assert_eq!(
        output(&sandbox, &loops, &json!({ "score": 1 })),
        json!({ "good": true, "score": 7 })
    );
    let top = all(&sandbox).into_iter().find(|run| run["agent"]["name"] == "loop").unwrap();
    let id = top["run_id"].as_str().unwrap().to_owned();
    // judge, improve, judge, improve, judge
    assert_eq!(children(&sandbox, &id).len(), 5);
    let sent = event_types(&sandbox, &id).iter().filter(|kind| *kind == "message.sent").count();
    assert_eq!(sent, 6);
}

#[test]
fn coordinators_are_agents_of_coordinators() {
    let sandbox = sandbox();
    sandbox.agent(&answers("double", "given * 2"));
    sandbox.agent(&answers("add", "given + 1"));
    coordinator(&sandbox, "inner", "{ type: chain, agents: [../double, ../add] }", "");
    let outer = coordinator(
        &sandbox,
        "outer",
        "{ type: fan_out, agents: [../inner, ../add], aggregation: collect }",
        "",
    );
    assert_eq!(output(&sandbox, &outer, &json!(5)), json!([11, 6]));
}

#[test]
fn a_failed_child_fails_its_chain_which_names_the_step() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("echo broken >&2\nexit 3\n").named("bad"));
    sandbox.agent(&answers("add", "given + 1"));
    let chain = coordinator(&sandbox, "sums", "{ type: chain, agents: [../bad, ../add] }", "");
    let run = sandbox.errand(["run".as_ref(), chain.as_os_str()]).args(["--job", "1"]).run();
    assert_ne!(run.code, Some(0));
    assert!(run.stderr().contains("bad"), "{}", run.stderr());
    let top = all(&sandbox).into_iter().find(|run| run["agent"]["name"] == "sums").unwrap();
    assert_eq!(top["status"], "failed");
    assert_eq!(top["last_error"]["code"], "child_failed");
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
fn budgets_and_time_limits_of_a_coordinator_bound_its_children() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("exec sleep 600\n").named("slow");
    sandbox.agent(&agent);
    let only = coordinator(
        &sandbox,
        "only",
        "{ type: chain, agents: [../slow] }",
        "  timeouts: { run: 4s }\n  budgets: { tokens_per_run: 500 }\n",
    );
    let id = start(&sandbox, &only, &["--label", "team=blue"]);
    let ended = finish(&sandbox, &id);
    assert_eq!(ended["status"], "failed", "{ended:#}");
    let child = &children(&sandbox, &id)[0];
    assert_eq!(child["labels"]["team"], "blue");
    let limit = &child["budgets"]["limits"][0];
    assert_eq!((&limit["limit"], &limit["allowed"]), (&json!("tokens_per_run"), &json!(500)));
    assert_ne!(child["status"], "running");
}

#[test]
fn another_attempt_of_a_coordinator_keeps_completed_steps() {
    let sandbox = sandbox();
    let script = "echo run >> \"$HOME/first\"\necho 1\n";
    sandbox.agent(&TestAgent::shell(script).named("first"));
    let script = "if [ ! -e \"$HOME/second\" ]; then touch \"$HOME/second\"; exit 1; fi\necho 2\n";
    sandbox.agent(&TestAgent::shell(script).named("second"));
    let definition = "{ type: chain, agents: [../first, ../second] }";
    let retry = "  retry_policy: { max_retries: 1, backoff: fixed, initial_delay: 10ms, \
                 max_delay: 10ms }\n";
    let again = coordinator(&sandbox, "again", definition, retry);
    assert_eq!(output(&sandbox, &again, &json!(0)), 2);
    let runs = std::fs::read_to_string(sandbox.root().join("home/first")).unwrap();
    assert_eq!(runs.lines().count(), 1, "what is done is not done again");
    let top = all(&sandbox).into_iter().find(|run| run["agent"]["name"] == "again").unwrap();
    assert_eq!(top["attempt"], 2);
}

#[test]
fn a_retry_of_a_failed_coordinator_inherits_completed_steps() {
    let sandbox = sandbox();
    let script = "echo run >> \"$HOME/first\"\necho 1\n";
    sandbox.agent(&TestAgent::shell(script).named("first"));
    let script = "test -e \"$HOME/go\"\necho 2\n";
    sandbox.agent(&TestAgent::shell(script).named("second"));
    let chain = coordinator(&sandbox, "sums", "{ type: chain, agents: [../first, ../second] }", "");
    let id = start(&sandbox, &chain, &[]);
    assert_eq!(finish(&sandbox, &id)["status"], "failed");
    open_gate(&sandbox);
    let again = sandbox.errand(["retry", "-d", &id]).run().ok().stdout_line();
    let ended = finish(&sandbox, &again);
    assert_eq!((&ended["status"], &ended["output"]), (&json!("completed"), &json!(2)), "{ended:#}");
    let runs = std::fs::read_to_string(sandbox.root().join("home/first")).unwrap();
    assert_eq!(runs.lines().count(), 1, "what is done is not done again");
}

/// Writes a coordinator over `inner`, which is over `first`, which notes that it runs, and
/// `second`, which fails unless `passes`.
fn nested(sandbox: &Sandbox, passes: &str, more: &str) -> PathBuf {
    let script = "echo run >> \"$HOME/first\"\necho 1\n";
    sandbox.agent(&TestAgent::shell(script).named("first"));
    sandbox.agent(&TestAgent::shell(&format!("{passes}echo 2\n")).named("second"));
    coordinator(sandbox, "inner", "{ type: chain, agents: [../first, ../second] }", "");
    coordinator(sandbox, "middle", "{ type: chain, agents: [../inner] }", "");
    coordinator(sandbox, "outer", "{ type: chain, agents: [../middle] }", more)
}

fn assert_first_ran_once(sandbox: &Sandbox) {
    let runs = std::fs::read_to_string(sandbox.root().join("home/first")).unwrap();
    assert_eq!(runs.lines().count(), 1, "what is done is not done again");
}

#[test]
fn a_retry_does_not_repeat_completed_steps_of_a_nested_coordinator() {
    let sandbox = sandbox();
    let outer = nested(&sandbox, "test -e \"$HOME/go\"\n", "");
    let id = start(&sandbox, &outer, &["--job", "0"]);
    assert_eq!(finish(&sandbox, &id)["status"], "failed");
    // A retry that fails, and another retry of that one.
    let again = sandbox.errand(["retry", "-d", &id]).run().ok().stdout_line();
    assert_eq!(finish(&sandbox, &again)["status"], "failed");
    open_gate(&sandbox);
    let again = sandbox.errand(["retry", "-d", &again]).run().ok().stdout_line();
    let ended = finish(&sandbox, &again);
    assert_eq!((&ended["status"], &ended["output"]), (&json!("completed"), &json!(2)), "{ended:#}");
    assert_first_ran_once(&sandbox);
    let middle = children(&sandbox, &again).remove(0);
    assert!(middle["origin_run_id"].is_string(), "{middle:#}");
}

#[test]
fn another_attempt_does_not_repeat_completed_steps_of_a_nested_coordinator() {
    let sandbox = sandbox();
    let passes = "if [ ! -e \"$HOME/second\" ]; then touch \"$HOME/second\"; exit 1; fi\n";
    let retry = "  retry_policy: { max_retries: 1, backoff: fixed, initial_delay: 10ms, \
                 max_delay: 10ms }\n";
    let outer = nested(&sandbox, passes, retry);
    assert_eq!(output(&sandbox, &outer, &json!(0)), 2);
    assert_first_ran_once(&sandbox);
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
fn the_output_of_a_coordinator_must_match_its_output_schema() {
    let sandbox = sandbox();
    sandbox.agent(&answers("add", "given + 1"));
    let says = "  output_schema: { type: integer, maximum: 5 }\n";
    let chain = coordinator(&sandbox, "sums", "{ type: chain, agents: [../add] }", says);
    assert_eq!(output(&sandbox, &chain, &json!(4)), 5);
    let run = sandbox.errand(["run".as_ref(), chain.as_os_str()]).args(["--job", "5"]).run();
    drop(run.refuses(125, "output_schema"));
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
