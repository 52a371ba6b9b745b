//! Sessions: state, history and tool results that outlive runs.

use std::path::Path;

use errand_testkit::{LIMIT, Sandbox, TestAgent, processes_of_run, wait_until};
use serde_json::{Value, json};

use crate::support::{all, assert_over, finish, ready, record, run, sandbox, start};

const IN_TALK: [&str; 2] = ["--session", "talk"];

fn in_talk(sandbox: &Sandbox, agent: &Path, more: &[&str]) -> errand_testkit::ProgramOutput {
    run(sandbox, agent, &[&IN_TALK[..], more].concat()).run()
}

fn shown(sandbox: &Sandbox, session: &str) -> Value {
    sandbox.errand(["sessions", "show", session, "--json"]).run().ok().json()
}

/// Returns role, content and run of each message.
fn messages(session: &Value) -> Vec<(String, Value, String)> {
    let messages = session["messages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    messages.iter().map(|m| (text(&m["role"]), m["content"].clone(), text(&m["run_id"]))).collect()
}

fn newest(sandbox: &Sandbox) -> String {
    all(sandbox)[0]["run_id"].as_str().unwrap().to_owned()
}

fn of_type(sandbox: &Sandbox, run_id: &str, kind: &str) -> Vec<Value> {
    let events = sandbox.errand(["events", run_id, "--json"]).run().ok().json_lines();
    events.into_iter().filter(|event| event["type"] == kind).map(|e| e["data"].clone()).collect()
}

#[test]
fn errand_adds_no_messages_for_failed_runs_or_agents_that_append_their_own() {
    let sandbox = sandbox();
    let failing = sandbox.agent(&TestAgent::shell("cat; exit 3").named("failing"));
    drop(in_talk(&sandbox, &failing, &["--job", "lost"]).exits(3));
    let script = "errand agent session append system 'be brief'\n\
                  echo '{\"tool\": [1]}' | errand agent session append tool - --json\n\
                  printf 'not \"json\"' | errand agent session append assistant -\n\
                  cat > /dev/null; echo done";
    let speaking = sandbox.agent(&TestAgent::shell(script));
    drop(in_talk(&sandbox, &speaking, &["--job", "unheard"]).ok());
    let run_id = newest(&sandbox);
    let expect = [
        ("system", json!("be brief")),
        ("tool", json!({ "tool": [1] })),
        ("assistant", json!("not \"json\"")),
    ];
    let expect = expect.map(|(role, content)| (role.to_owned(), content, run_id.clone()));
    assert_eq!(messages(&shown(&sandbox, "talk")), expect);
}

#[test]
fn a_later_run_of_the_session_reads_state_and_history() {
    let sandbox = sandbox();
    let script = "errand agent checkin > checkin.json\n\
                  errand agent session messages\n\
                  errand agent session messages --last 1 --json\n\
                  errand agent session put \"{\\\"runs\\\": [\\\"$ERRAND_RUN_ID\\\"]}\" > /dev/null\n\
                  cp checkin.json \"$HOME/$ERRAND_RUN_ID\"\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    drop(in_talk(&sandbox, &agent, &["--job", "one"]).ok());
    let first = newest(&sandbox);
    let output = in_talk(&sandbox, &agent, &["--job", "two"]).ok().stdout();
    let second = newest(&sandbox);
    let heard: Value = serde_json::from_str(output.lines().next().unwrap()).unwrap();
    assert_eq!((&heard["content"], &heard["run_id"]), (&json!("one"), &json!(first)));
    assert!(output.contains("\"total\": 2"), "{output}");
    let loaded = &of_type(&sandbox, &second, "session.loaded")[0];
    assert_eq!((&loaded["revision"], &loaded["messages"]), (&json!(1), &json!(2)));
    assert_eq!(loaded["state"], json!({ "json": { "runs": [first] } }));
    let updated = &of_type(&sandbox, &second, "session.updated")[0];
    assert_eq!(updated["revision"], 2);
    let checkin = std::fs::read(sandbox.root().join("home").join(&second)).unwrap();
    let checkin: Value = serde_json::from_slice(&checkin).unwrap();
    assert_eq!(checkin["session_messages"], 2);
    let file = record(&sandbox, &second)["session_file"].as_str().unwrap().to_owned();
    let file: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(file, json!({ "session_id": "talk", "revision": 2, "state": { "runs": [second] } }));
    assert_eq!(shown(&sandbox, "talk")["state"], file["state"]);
    assert_over(&sandbox, &second);
}

#[test]
fn a_tools_result_is_kept_for_the_session_by_tool_and_input_until_it_expires() {
    let sandbox = sandbox();
    let put = "errand agent session cache put weather '{\"city\": \"Köln\", \"days\": 3}' '{\"sky\": \"grey\"}'\n\
               errand agent session cache put brief 1 '\"gone\"' --ttl 1ms\n\
               errand agent session cache put void null '[]' --ttl 1h\n";
    let putting = sandbox.agent(&TestAgent::shell(put).named("putting"));
    drop(in_talk(&sandbox, &putting, &[]).ok());
    let get = "errand agent session cache get weather '{\"days\": 3.0, \"city\": \"Köln\"}'\n\
               errand agent session cache get void\n\
               for miss in 'weather {\"city\":\"Bonn\"}' 'brief 1' 'news null'; do\n\
               \x20 errand agent session cache get $miss && exit 9\n\
               \x20 [ $? = 1 ] && echo \"no $miss\"\n\
               done; true";
    let getting = sandbox.agent(&TestAgent::shell(get).named("getting"));
    let output = in_talk(&sandbox, &getting, &[]).ok().stdout();
    let expect =
        "{\"sky\":\"grey\"}\n[]\nno weather {\"city\":\"Bonn\"}\nno brief 1\nno news null\n";
    assert_eq!(output, expect);
    let results = shown(&sandbox, "talk")["results"].clone();
    assert_eq!(results.as_array().unwrap().len(), 2, "{results:#}");
    let elsewhere = run(&sandbox, &getting, &["--session", "other"]).run();
    drop(elsewhere.exits(1));
}

/// Makes a session in which a run completed, and another one is still running and has written bad
/// state.
fn spoilt(sandbox: &Sandbox) -> (String, String) {
    let good = "errand agent session put '{\"good\": true}'\n\
                errand agent session append user hello\n\
                errand agent session cache put search 1 '\"right\"'\n";
    let bad = "errand agent session put '{\"good\": false}'\n\
               errand agent session append user nonsense\n\
               errand agent session cache put search 1 '\"wrong\"'\n\
               errand agent session cache put search 2 '\"wrong\"'\n\
               errand agent session put '{\"good\": \"no\"}'\n\
               echo ready; exec sleep 600";
    let good = sandbox.agent(&TestAgent::shell(good).named("good"));
    let bad = sandbox.agent(&TestAgent::shell(bad).named("bad"));
    drop(in_talk(sandbox, &good, &[]).ok());
    let good = newest(sandbox);
    let bad = start(sandbox, &bad, &IN_TALK);
    ready(sandbox, &bad);
    (good, bad)
}

const LOOK: &str = "errand agent session get\n\
                    errand agent session messages --json | grep -c content\n\
                    errand agent session cache get search 1\n\
                    errand agent session cache get search 2 || echo nothing\n";

#[test]
fn a_rollback_undoes_what_the_superseded_run_did_in_the_session() {
    let sandbox = sandbox();
    let (good, bad) = spoilt(&sandbox);
    let looking = sandbox.agent(&TestAgent::shell(LOOK).named("looking"));
    let output = in_talk(&sandbox, &looking, &["--on-busy", "rollback"]).ok().stdout();
    assert_eq!(output, "{\"good\":true}\n1\n\"right\"\nnothing\n");
    let looked = newest(&sandbox);
    assert_eq!(record(&sandbox, &bad)["last_error"]["code"], "superseded");
    assert_over(&sandbox, &bad);
    let undone = of_type(&sandbox, &looked, "session.rolled_back");
    assert_eq!(undone, [json!({ "session_id": "talk", "run_ids": [bad] })]);
    let updated = of_type(&sandbox, &looked, "session.updated");
    assert_eq!(updated[0]["state"], json!({ "json": { "good": true } }));
    let session = shown(&sandbox, "talk");
    assert!(messages(&session).iter().all(|(_, _, run)| *run != bad), "{session:#}");
    let runs = session["runs"].as_array().unwrap();
    let undone: Vec<_> = runs.iter().filter(|run| run["rolled_back"] == true).collect();
    assert_eq!(undone.len(), 1);
    assert_eq!(undone[0]["run_id"], bad.as_str());
    assert!(messages(&session).iter().any(|(_, _, run)| *run == good));
}

#[test]
fn an_interrupt_leaves_what_the_superseded_run_did() {
    let sandbox = sandbox();
    let (_, bad) = spoilt(&sandbox);
    let looking = sandbox.agent(&TestAgent::shell(LOOK).named("looking"));
    let output = in_talk(&sandbox, &looking, &["--on-busy", "interrupt"]).ok().stdout();
    assert_eq!(output, "{\"good\":\"no\"}\n2\n\"wrong\"\n\"wrong\"\n");
    assert_over(&sandbox, &bad);
}

#[test]
fn the_same_session_is_there_after_a_rebuild() {
    let sandbox = sandbox();
    let (_, bad) = spoilt(&sandbox);
    let last = "errand agent session put \"\\\"$(head -c 40000 /dev/zero | tr '\\0' x)\\\"\"\n\
                errand agent session append user \"$(head -c 40000 /dev/zero | tr '\\0' y)\"";
    let last = sandbox.agent(&TestAgent::shell(last).named("last"));
    drop(in_talk(&sandbox, &last, &["--on-busy", "rollback"]).ok());
    assert_over(&sandbox, &bad);
    let plain = sandbox.agent(&TestAgent::shell("cat").named("plain"));
    drop(in_talk(&sandbox, &plain, &["--job", "and so on"]).ok());
    let before = shown(&sandbox, "talk");
    assert_eq!(before["state"].as_str().unwrap().len(), 40_000);
    crate::support::nobody_left(&sandbox);
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(sandbox.registry().join(name)));
    }
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    assert_eq!(shown(&sandbox, "talk"), before);
}

#[test]
fn sessions_are_listed_removed_and_pruned() {
    let sandbox = sandbox();
    let none = sandbox.errand(["sessions", "ls", "--json"]).run().ok().json();
    assert_eq!(none, json!({ "schema": 1, "sessions": [] }));
    let agent = sandbox.agent(&TestAgent::shell("cat"));
    for name in ["one", "two", "two", "three"] {
        drop(run(&sandbox, &agent, &["--session", name, "--job", "x"]).run().ok());
    }
    let listed = sandbox.errand(["sessions", "ls", "--json"]).run().ok().json();
    let names = |listed: &Value| {
        let sessions = listed["sessions"].as_array().unwrap();
        let pair =
            |s: &Value| (s["session_id"].as_str().unwrap().to_owned(), s["messages"].as_u64());
        sessions.iter().map(pair).collect::<Vec<_>>()
    };
    let expect = [("three", 2), ("two", 4), ("one", 2)];
    assert_eq!(names(&listed), expect.map(|(name, count)| (name.to_owned(), Some(count))));
    let table = sandbox.errand(["sessions", "ls"]).run().ok().stdout();
    assert!(table.starts_with("SESSION") && table.lines().count() == 4, "{table}");

    let holder = sandbox.agent(&TestAgent::shell("echo ready; exec sleep 600").named("holder"));
    let live = start(&sandbox, &holder, &["--session", "one"]);
    ready(&sandbox, &live);
    let refused = sandbox.errand(["sessions", "rm", "one"]).run().refuses(125, "session_busy");
    assert!(refused.stderr().contains(&live), "{}", refused.describe());
    drop(sandbox.errand(["sessions", "rm", "two", "none"]).run().refuses(125, "session_not_found"));
    drop(sandbox.errand(["sessions", "show", "none"]).run().refuses(125, "session_not_found"));
    assert_eq!(sandbox.errand(["sessions", "rm", "two"]).run().ok().stdout(), "two\n");
    let old = sandbox.errand(["sessions", "prune", "--older-than", "1d"]).run().ok();
    assert_eq!(old.stdout(), "", "nothing is that old");
    let would = sandbox.errand(["sessions", "prune", "--dry-run"]).run().ok().stdout();
    assert_eq!(would, "three\n", "one is in use");
    // A conversation is only removed on explicit request.
    drop(sandbox.errand(["sessions", "prune"]).run().refuses(2, "--older-than"));
    let gone = sandbox.errand(["sessions", "prune", "--all"]).run().ok().stdout();
    assert_eq!(gone, "three\n");
    let left = sandbox.errand(["sessions", "ls", "-q"]).run().ok().stdout();
    assert_eq!(left, "one\n");

    drop(sandbox.errand(["stop", &live]).run().ok());
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    let left = sandbox.errand(["sessions", "ls", "-q"]).run().ok().stdout();
    assert_eq!(left, "one\n", "what was removed stays removed");
    assert_eq!(all(&sandbox).len(), 5, "runs stay");
}

#[test]
fn a_session_that_a_dead_run_had_can_be_removed() {
    let sandbox = sandbox();
    let holder = sandbox.agent(&TestAgent::shell("echo ready; exec sleep 600"));
    let live = start(&sandbox, &holder, &IN_TALK);
    ready(&sandbox, &live);
    crate::support::kill(&record(&sandbox, &live)["pid"]);
    wait_until("nothing of it lives", LIMIT, || processes_of_run(&live).is_empty());
    drop(sandbox.errand(["sessions", "rm", "talk"]).run().ok());
    assert_eq!(finish(&sandbox, &live)["status"], "failed");
}

#[test]
fn invalid_session_names_and_on_busy_without_a_session_are_refused() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let long = "x".repeat(129);
    for name in ["", " talk", "talk\n", "a\u{7}b", long.as_str()] {
        let refused = run(&sandbox, &agent, &["--session", name]).run();
        drop(refused.refuses(2, "name_invalid"));
    }
    drop(run(&sandbox, &agent, &["--on-busy", "reject"]).run().exits(2));
    drop(run(&sandbox, &agent, &["--session", "talk", "--on-busy", "wait"]).run().exits(2));
    drop(run(&sandbox, &agent, &["--queue-timeout", "0s"]).run().exits(2));
    assert!(!sandbox.registry().exists(), "nothing was created");
    let good = "ein Gespräch/../über \"alles\" %20";
    drop(run(&sandbox, &agent, &["--session", good]).run().ok());
    assert_eq!(sandbox.errand(["sessions", "ls", "-q"]).run().ok().stdout_line(), good);
}

#[test]
fn session_calls_without_a_session_are_refused() {
    let sandbox = sandbox();
    let script = "for call in 'messages' 'append user x' 'cache get t' 'cache put t 1 2'; do\n\
                  errand agent session $call 2>&1 | grep -o session_missing\n\
                  done";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let output = run(&sandbox, &agent, &[]).run().ok().stdout();
    assert_eq!(output, "session_missing\n".repeat(4));
}
