//! Views of coordinated runs: graph, messages, trace, records, usage.

use errand_model::Timestamp;
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{
    DocumentChange, DocumentKind, DocumentStore as _, DocumentWrite, Expect, Registry,
};
use errand_testkit::{ErrandServer, LIMIT, Sandbox, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::support::{all, finish, nobody_left, record, sandbox, start, wait_for_record};

/// Writes the folder of a coordinator; returns its path.
pub(crate) fn coordinator(sandbox: &Sandbox, name: &str, coordinator: &str) -> std::path::PathBuf {
    let yaml = format!(
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {name}, version: 1.0.0 }}\n\
         spec:\n  coordinator: {coordinator}\n"
    );
    sandbox.write(format!("{name}/agent.yaml"), yaml).parent().unwrap().to_owned()
}

/// Returns an agent with a step and a call that has a cost.
fn thinker(name: &str) -> TestAgent {
    let script = "errand agent step think -- true\n\
        errand agent emit model.called '{\"provider\": \"openai\", \"model\": \"gpt-4o-mini\", \
          \"input_tokens\": 1000, \"output_tokens\": 200}'\n\
        errand agent output '{\"done\": true}'\n";
    TestAgent::shell(script).named(name)
}

/// Runs two agents in a row and a nested pair beside the second one, which a third joins.
pub(crate) fn report(sandbox: &Sandbox) -> String {
    for name in ["researcher", "analyst", "writer"] {
        drop(sandbox.agent(&thinker(name)));
    }
    let pair = "{ type: fan_out, agents: [../analyst, { agent: ../writer, name: second }] }";
    drop(coordinator(sandbox, "pair", pair));
    let graph = "{ type: workflow, start: researcher, max_messages: 20, graph: { \
        researcher: { agent: ../researcher, outputs_to: [pair, writer] }, \
        pair: { agent: ../pair, outputs_to: [writer] }, \
        writer: { agent: ../writer, join: all, outputs_to: [__end__] } } }";
    let folder = coordinator(sandbox, "report", graph);
    let run_id = start(sandbox, &folder, &["--job", "{\"topic\": \"tides\"}", "--name", "report"]);
    assert_eq!(finish(sandbox, &run_id)["status"], "completed");
    run_id
}

/// Collects the names of all spans below one that are of `kind`, with their depth.
fn spans(span: &Value, kind: &str, depth: usize, found: &mut Vec<(usize, String)>) {
    for child in span["children"].as_array().into_iter().flatten() {
        if child["kind"] == kind {
            found.push((depth, child["name"].as_str().unwrap().to_owned()));
        }
        spans(child, kind, depth + 1, found);
    }
}

#[test]
fn a_coordinated_run_is_a_graph_a_list_of_messages_a_tree_and_a_record() {
    let sandbox = sandbox();
    drop(report(&sandbox));
    let text = |words: &[&str]| sandbox.errand(words).run().ok().stdout();
    let drawn = text(&["graph", "report", "--width", "80"]);
    assert!(drawn.contains("__start__  researcher"), "{drawn}");
    assert!(drawn.contains("✓  pair        pair@1.0.0"), "{drawn}");
    assert!(text(&["graph", "report", "--format", "mermaid"]).starts_with("flowchart TD\n"));
    assert!(text(&["graph", "report", "--format", "dot"]).starts_with("digraph "));
    drop(sandbox.errand(["graph", "report", "-o", "report.svg"]).run().ok());
    assert!(sandbox.read("report.svg").starts_with("<svg "));
    let graph = sandbox.errand(["graph", "report", "--json"]).run().ok().json();
    assert_eq!((&graph["pattern"], &graph["messages"]), (&json!("workflow"), &json!(5)));
    assert_eq!(graph["usage"]["input_tokens"], 4_000);

    let messages = sandbox.errand(["messages", "report", "--json"]).run().ok().json_lines();
    let told: Vec<String> = messages
        .iter()
        .map(|it| {
            let (from, to) = (it["from"].as_str().unwrap(), it["to"].as_str().unwrap());
            format!("{} {from} {to} {}", it["type"].as_str().unwrap(), it["delivered_to"])
        })
        .collect();
    let expected = [
        "TASK __start__ researcher \"researcher#1\"",
        "RESULT researcher pair \"pair#1\"",
        "RESULT researcher writer \"writer#1\"",
        "RESULT pair writer \"writer#1\"",
        "RESULT writer __end__ null",
    ];
    assert_eq!(told, expected);
    assert_eq!(messages[0]["payload"], json!({ "topic": "tides" }));
    assert_eq!(text(&["messages", "report", "--type", "task"]).lines().count(), 1);
    assert_eq!(text(&["messages", "-f", "report", "--json"]).lines().count(), 5);

    let trace = sandbox.errand(["trace", "report", "--json"]).run().ok().json();
    let mut found = Vec::new();
    spans(&trace["run"], "child_run", 0, &mut found);
    let names: Vec<(usize, &str)> = found.iter().map(|(at, name)| (*at, name.as_str())).collect();
    let expected =
        [(0, "researcher#1"), (0, "pair#1"), (1, "analyst#1"), (1, "second#1"), (0, "writer#1")];
    assert_eq!(names, expected);
    assert_eq!(trace["run"]["usage"]["input_tokens"], 4_000, "each call once");
    let mut steps = Vec::new();
    spans(&trace["run"], "step", 0, &mut steps);
    assert_eq!(steps.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2, 2, 1]);
    let flat = sandbox.errand(["trace", "report", "--json", "--depth", "0"]).run().ok().json();
    found.clear();
    spans(&flat["run"], "child_run", 0, &mut found);
    assert_eq!(found.len(), 3);
}

#[test]
fn records_of_a_coordinated_run_have_steps_and_usage_by_agent() {
    let sandbox = sandbox();
    let run_id = report(&sandbox);
    let record = record(&sandbox, &run_id);
    let children = json!({
        "started": 3, "live": 0, "waiting": 0, "completed": 3, "failed": 0, "cancelled": 0,
        "total": null,
    });
    assert_eq!(record["coordinator"]["children"], children);
    assert_eq!(
        (&record["coordinator"]["type"], &record["coordinator"]["messages"]),
        (&json!("workflow"), &json!(5))
    );
    let by_agent = record["usage"]["by_agent"].as_array().unwrap();
    let runs: Vec<(&str, u64)> = by_agent
        .iter()
        .map(|it| (it["key"].as_str().unwrap(), it["runs"].as_u64().unwrap()))
        .collect();
    for expected in [("researcher", 1), ("pair", 1), ("analyst", 1), ("writer", 2)] {
        assert!(runs.contains(&expected), "{runs:?}");
    }
    let tokens: u64 = by_agent.iter().map(|it| it["input_tokens"].as_u64().unwrap()).sum();
    assert_eq!((tokens, &record["usage"]["input_tokens"]), (4_000, &json!(4_000)));
    let nested = all(&sandbox).into_iter().find(|run| run["member"]["depth"] == 2).unwrap();
    assert_eq!(
        nested["member"]["name"].as_str().map(|name| ["analyst", "second"].contains(&name)),
        Some(true)
    );
    let listed = sandbox.errand(["ps", "-a", "--filter", "parent=report"]).run().ok().stdout();
    assert!(listed.contains(&format!("pair#1 of {run_id}")), "{listed}");
}

#[test]
fn usage_counts_the_calls_of_children_once() {
    let sandbox = sandbox();
    drop(report(&sandbox));
    let usage = sandbox.errand(["usage", "--by", "agent", "--json"]).run().ok().json();
    assert_eq!(usage["total"]["input_tokens"], 4_000);
    assert_eq!(usage["total"]["model_calls"], 4);
    let rows = usage["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["key"] != "report" && row["key"] != "pair"), "{rows:?}");
    let worked: u64 = rows.iter().map(|row| row["wall_time_ms"].as_u64().unwrap()).sum();
    assert_eq!(usage["total"]["wall_time_ms"], worked);
}

#[test]
fn a_coordinated_run_is_shown_the_same_over_a_server() {
    let sandbox = sandbox();
    let run_id = report(&sandbox);
    let server = ErrandServer::start(&sandbox, &[]);
    let lines = "graph RUN|graph RUN --json|graph RUN --format svg|graph RUN --format dot\
        |messages RUN|messages RUN --json --type result|messages -f RUN|trace RUN\
        |trace RUN --json --depth 1|trace RUN --limit 2|ps -aq --filter parent=report";
    for line in lines.split('|') {
        let line = line.replace("RUN", &run_id);
        let words: Vec<&str> = line.split_whitespace().collect();
        let near = sandbox.errand(&words).run().ok().stdout();
        let far = sandbox.errand(["--server", &server.url()]).args(&words).run().ok().stdout();
        assert_eq!(near, far, "{line}");
    }
    let svg = server.get(&format!("/v1/runs/{run_id}/graph?format=svg"));
    assert_eq!(svg.header("content-type"), Some("image/svg+xml"));
    let page = server.get(&format!("/v1/runs/{run_id}/messages?limit=2")).json();
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
    let after = page["next_after"].as_u64().unwrap();
    let rest = server.get(&format!("/v1/runs/{run_id}/messages?after={after}")).json();
    assert_eq!(rest["messages"].as_array().unwrap().len(), 3);
    assert_eq!((&rest["next_after"], &rest["is_over"]), (&Value::Null, &json!(true)));
    let child = all(&sandbox).into_iter().find(|run| run["member"]["name"] == "writer").unwrap();
    let child = child["run_id"].as_str().unwrap();
    drop(sandbox.errand(["graph", child]).run().refuses(125, "error[run_not_coordinated]"));
    let refused = server.get(&format!("/v1/runs/{child}/graph"));
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("run_not_coordinated")));
}

#[test]
fn the_only_open_question_of_children_is_decided_on_their_coordinator() {
    let sandbox = sandbox();
    let asker =
        TestAgent::shell("errand agent approve --action publish --target web --park || exit $?")
            .named("asker");
    drop(sandbox.agent(&asker));
    let pair = "{ type: fan_out, agents: [{ agent: ../asker, name: one }, { agent: ../asker, name: two }] }";
    let run_id = start(&sandbox, &coordinator(&sandbox, "pair", pair), &[]);
    let waits = |count: u64| {
        wait_for_record(&sandbox, &run_id, "its children wait", |record| {
            record["coordinator"]["children"]["waiting"] == count && record["status"] == "paused"
        })
    };
    drop(waits(2));
    let listed = sandbox.errand(["approvals", "ls", "--json"]).run().ok().json();
    let asked = listed["approvals"].as_array().unwrap();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|it| it["parent_run_id"] == *run_id), "{asked:?}");
    let told = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(told.contains("0/2 children, 2 waiting"), "{told}");
    let refused = sandbox.errand(["approve", &run_id]).run();
    let refused = refused.refuses(125, "error[question_ambiguous]").stderr();
    for one in asked {
        assert!(refused.contains(one["run_id"].as_str().unwrap()), "{refused}");
    }
    // One of two by its id on the coordinator; the other is the only one then.
    let id = asked[0]["approval_id"].as_str().unwrap();
    let child = asked[0]["run_id"].as_str().unwrap();
    drop(sandbox.errand(["approve", child, "--approval", id]).run().ok());
    wait_until("one is left", LIMIT, || {
        let open = sandbox.errand(["approvals", "ls", "--json"]).run().ok().json();
        open["approvals"].as_array().unwrap().len() == 1
    });
    let decided = sandbox.errand(["approve", &run_id, "--json"]).run().ok().json();
    assert_eq!(decided["run_id"], asked[1]["run_id"]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
}

/// Leaves the last commit of a coordinator for the next process that looks.
fn leave_end(sandbox: &Sandbox, run_id: &str) {
    let registry = Registry::at(sandbox.path(".errand"));
    let store = Sqlite::open(&registry, Options::EXISTING).unwrap();
    let ended = DocumentWrite {
        kind: DocumentKind::Turn,
        namespace: None,
        key: format!("{run_id}/ended"),
        expect: Expect::Absent,
        change: DocumentChange::Put {
            body: json!({ "what": "look" }),
            due_at: Some(Timestamp::from_millis(0)),
        },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.write_documents(vec![ended])).unwrap();
}

#[test]
fn files_of_a_coordinator_whose_writer_was_killed_are_completed() {
    let sandbox = sandbox();
    let run_id = report(&sandbox);
    // They write the files of the run, and mark that as done.
    nobody_left(&sandbox);
    let files =
        [".events.jsonl", ".json"].map(|end| sandbox.path(format!(".errand/runs/{run_id}{end}")));
    let [events, record] = &files;
    let whole = files.each_ref().map(|path| std::fs::read_to_string(path).unwrap());
    // As after a crash between the last commit and these two writes.
    let lines: Vec<&str> = whole[0].split_inclusive('\n').collect();
    let behind = lines.len() - 3;
    std::fs::write(events, lines[..behind].concat()).unwrap();
    let last: Value = serde_json::from_str(lines[behind - 1]).unwrap();
    let mut old: Value = serde_json::from_str(&whole[1]).unwrap();
    old["_journal"] = json!({ "seq": last["seq"], "hash": last["hash"] });
    old["status"] = json!("running");
    std::fs::write(record, old.to_string()).unwrap();
    drop(sandbox.errand(["verify", &run_id]).run().ok());
    leave_end(&sandbox, &run_id);
    let worker = sandbox.errand(["worker", "--slots", "1"]).spawn();
    wait_until("the files are made good", LIMIT, || {
        let now = files.each_ref().map(|path| std::fs::read_to_string(path).unwrap());
        let told: Value = serde_json::from_str(&now[1]).unwrap_or_default();
        now[0] == whole[0] && told["status"] == "completed"
    });
    worker.terminate();
    drop(worker.wait());
    drop(sandbox.errand(["verify", &run_id]).run().ok());

    // Only the file of events: lines were removed.
    std::fs::write(events, lines[..behind].concat()).unwrap();
    let found = sandbox.errand(["verify", &run_id]).run();
    assert!(found.refuses(125, "journal_broken").stderr().contains("removed"));
}

#[test]
fn a_coordinator_is_removed_with_its_children_also_by_force() {
    let sandbox = sandbox();
    let run_id = report(&sandbox);
    let runs = || std::fs::read_dir(sandbox.path(".errand/runs")).unwrap().count();
    assert!(runs() > 4);
    drop(sandbox.errand(["rm", "--force", &run_id]).run().ok());
    assert_eq!(sandbox.errand(["ps", "-a", "--json"]).run().ok().stdout().trim(), "[]");
    assert_eq!(runs(), 0);
}
