//! Messages between agents survive a loss of the registry: all of them are in journals.

use errand_store::sqlite::{Options, Sqlite};
use errand_store::{
    DocumentKind, DocumentOrder, DocumentQuery, DocumentStore as _, Namespaces, Registry,
};
use errand_testkit::{LIMIT, Sandbox, TestAgent, processes_of_run, wait_for, wait_until};
use serde_json::{Value, json};

use crate::coordinators::{answers, coordinator};
use crate::support::{GATE, all, event_types, finish, open_gate, sandbox, signal, start};

/// Starts a workflow of `a`, which runs `script`, and `b`.
fn pair(sandbox: &Sandbox, script: &str, b: &TestAgent) -> String {
    sandbox.agent(&TestAgent::shell(script).named("a"));
    sandbox.agent(b);
    let graph = "{ type: workflow, start: a, max_messages: 20, graph: { \
        a: { agent: ../a, outputs_to: [b] }, b: { agent: ../b, outputs_to: [__end__] } } }";
    start(sandbox, &coordinator(sandbox, "pair", graph, ""), &[])
}

/// Returns a line of shell that sends `n` to `b`.
fn say(n: u32) -> String {
    format!("errand agent message send --to b --type TASK '{{\"n\": {n}}}' >/dev/null || exit 9\n")
}

fn child(sandbox: &Sandbox, name: &str) -> Option<Value> {
    all(sandbox).into_iter().find(|run| run["member"]["name"] == name)
}

fn id(run: &Value) -> &str {
    run["run_id"].as_str().unwrap()
}

/// Removes the events of a run from the first on for which `is_late` is true, as if all processes
/// had stopped before it.
fn cut(sandbox: &Sandbox, run_id: &str, is_late: impl Fn(&Value) -> bool) {
    let path = sandbox.registry().join(format!("runs/{run_id}.events.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap();
    let is_kept = |line: &&str| !is_late(&serde_json::from_str(line).unwrap());
    let kept: String = text.split_inclusive('\n').take_while(is_kept).collect();
    assert!(kept.len() < text.len(), "nothing is late in {text}");
    std::fs::write(path, kept).unwrap();
}

/// Removes all files of a run, as if it had not begun.
fn forget(sandbox: &Sandbox, run_id: &str) {
    for entry in std::fs::read_dir(sandbox.registry().join("runs")).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_string_lossy().starts_with(run_id) {
            continue;
        }
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.unwrap();
    }
}

/// Rebuilds the registry from the files of runs alone.
fn rebuild(sandbox: &Sandbox) {
    for suffix in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(sandbox.registry().join(format!("registry.db{suffix}"))));
    }
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
}

/// Returns the keys of messages that no agent received.
fn unread(sandbox: &Sandbox) -> Vec<String> {
    let store = Sqlite::open(&Registry::at(sandbox.registry()), Options::EXISTING).unwrap();
    let query = DocumentQuery {
        kind: DocumentKind::Inbox,
        namespaces: Namespaces::All,
        prefix: String::new(),
        order: DocumentOrder::Ascending,
        after: None,
        limit: 100,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let documents = runtime.block_on(store.documents(&query)).unwrap();
    documents.into_iter().map(|document| document.key).collect()
}

#[test]
fn a_message_sent_before_the_registry_was_lost_is_delivered() {
    let sandbox = sandbox();
    let run_id = pair(&sandbox, &format!("{}echo 2\n", say(1)), &answers("b", "given"));
    let undisturbed = finish(&sandbox, &run_id);
    assert_eq!(undisturbed["output"], json!({ "n": 1 }), "{undisturbed:#}");
    wait_until("nothing lives", LIMIT, || processes_of_run(&run_id).is_empty());
    // As if the coordinator had not processed the first message yet.
    let (a, b) = (child(&sandbox, "a").unwrap(), child(&sandbox, "b").unwrap());
    cut(&sandbox, &run_id, |event| event["type"] == "message.sent" && event["data"]["from"] == "a");
    forget(&sandbox, id(&b));
    rebuild(&sandbox);
    let ended = finish(&sandbox, &run_id);
    assert_eq!((&ended["status"], &ended["output"]), (&json!("completed"), &json!({ "n": 1 })));
    assert_eq!(child(&sandbox, "a").unwrap()["run_id"], a["run_id"], "it is not run again");
    assert_eq!(all(&sandbox).len(), 3);
}

#[test]
fn an_unreceived_message_is_delivered_again_after_the_registry_was_lost() {
    let sandbox = sandbox();
    let b = "errand agent message next > \"$HOME/second\" || exit 9\n";
    let b = format!("{b}{GATE}cat \"$HOME/second\"\n");
    let a = format!("{}{}", say(1), say(2));
    let run_id = pair(&sandbox, &a, &TestAgent::shell(&b).named("b"));
    let b = wait_for("it has the second message", LIMIT, || {
        let b = child(&sandbox, "b")?;
        event_types(&sandbox, id(&b)).iter().any(|kind| kind == "message.received").then_some(b)
    });
    signal(&b["pid"], rustix::process::Signal::KILL);
    wait_until("nothing lives", LIMIT, || processes_of_run(&run_id).is_empty());
    // As if the message had been delivered but not received.
    cut(&sandbox, id(&b), |event| event["type"] == "message.received");
    rebuild(&sandbox);
    open_gate(&sandbox);
    let ended = finish(&sandbox, &run_id);
    assert_eq!(ended["status"], "completed", "{ended:#}");
    let output = &ended["output"];
    assert_eq!((&output["message_type"], &output["payload"]), (&json!("TASK"), &json!({ "n": 2 })));
    let received = event_types(&sandbox, id(&b));
    assert_eq!(received.iter().filter(|kind| *kind == "message.received").count(), 1);
    assert_eq!(all(&sandbox).len(), 3);
    assert_eq!(unread(&sandbox), Vec::<String>::new());
}

#[test]
fn the_document_of_a_message_that_was_never_received_is_removed() {
    let sandbox = sandbox();
    let asks = "errand agent message next --timeout 0s || true\ntouch \"$HOME/asked\"\n";
    let b = TestAgent::shell(&format!("{asks}{GATE}echo 3\n")).named("b");
    let waits = "while [ ! -e \"$HOME/asked\" ]; do sleep 0.01; done\n";
    let run_id = pair(&sandbox, &format!("{}{waits}{}", say(1), say(2)), &b);
    wait_until("a message waits for it", LIMIT, || unread(&sandbox).len() == 1);
    open_gate(&sandbox);
    assert_eq!(finish(&sandbox, &run_id)["output"], 3);
    assert_eq!(unread(&sandbox), Vec::<String>::new());
}
