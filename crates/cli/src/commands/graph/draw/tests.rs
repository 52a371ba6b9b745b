use serde_json::{Value, json};

use super::*;

fn node(name: &str, status: &str, (runs, ms, tokens): (u64, u64, u64)) -> Value {
    let kind = match name {
        "__start__" => "start",
        "__end__" => "end",
        _ => "agent",
    };
    let done = if status == "completed" { runs } else { 0 };
    json!({
        "name": name, "kind": kind, "agent": (kind == "agent").then(|| format!("{name}@1.0.0")),
        "status": status, "runs": runs, "live": runs - done, "completed": done, "failed": 0,
        "cancelled": 0, "duration_ms": ms, "usage": {
            "model_calls": 1, "input_tokens": tokens, "output_tokens": 0,
            "cost_micro_usd": (tokens > 0).then_some(tokens * 3),
        },
    })
}

fn edge(from: &str, to: &str, kind: &str, count: u64, at: i64) -> Value {
    let at = (count > 0).then_some(at);
    json!({
        "from": from, "to": to, "type": kind, "count": count, "first_at_ms": at, "last_at_ms": at,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "data is written where it is handed over")]
fn graph(nodes: Value, edges: Value) -> Graph {
    let graph = json!({
        "schema": 1, "run_id": "01m7yb33v7t9zye2je2t", "agent": "report@1.0.0",
        "pattern": "workflow", "status": "completed", "is_live": false, "created_at_ms": 0,
        "ended_at_ms": 4_200, "messages": 8, "usage": {
            "model_calls": 4, "input_tokens": 5_300, "output_tokens": 1_000,
            "cost_micro_usd": 18_900,
        },
        "nodes": nodes, "edges": edges,
    });
    serde_json::from_value(graph).unwrap()
}

fn report() -> Graph {
    let nodes = json!([
        node("__start__", "idle", (0, 0, 0)),
        node("researcher", "completed", (1, 1_190, 1_200)),
        node("analyst", "completed", (2, 1_300, 2_400)),
        node("writer", "running", (1, 2_800, 1_200)),
        node("editor", "idle", (0, 0, 0)),
        node("__end__", "idle", (0, 0, 0)),
    ]);
    let edges = json!([
        edge("__start__", "researcher", "TASK", 1, 10),
        edge("researcher", "analyst", "RESULT", 1, 1_200),
        edge("researcher", "writer", "RESULT", 1, 1_200),
        edge("analyst", "writer", "RESULT", 2, 2_000),
        edge("writer", "analyst", "VALIDATION", 1, 2_500),
        edge("writer", "writer", "TASK", 3, 2_600),
        edge("writer", "__end__", "RESULT", 1, 4_000),
        edge("editor", "__end__", "RESULT", 0, 0),
    ]);
    graph(nodes, edges)
}

#[test]
fn a_graph_fits_into_eighty_columns() {
    let drawn = draw(&report(), 80, DrawStyle::Plain);
    let widest = drawn.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
    assert!(widest <= 80, "{widest}\n{drawn}");
    insta::assert_snapshot!("eighty", drawn);
    insta::assert_snapshot!("wide", draw(&report(), 120, DrawStyle::Plain));
}

#[test]
fn a_graph_of_many_agents_is_a_list() {
    let names: Vec<String> = (0..30).map(|number| format!("translator-{number}")).collect();
    let nodes = names.iter().map(|name| node(name, "completed", (1, 100, 0))).collect();
    let edges = names.iter().map(|name| edge("__start__", name, "TASK", 1, 5)).collect();
    let drawn = draw(&graph(Value::Array(nodes), Value::Array(edges)), 80, DrawStyle::Plain);
    insta::assert_snapshot!("list", drawn.lines().take(8).collect::<Vec<_>>().join("\n"));
}

#[test]
fn colours_are_added_and_change_nothing_else() {
    let (plain, coloured) =
        (draw(&report(), 80, DrawStyle::Plain), draw(&report(), 80, DrawStyle::Coloured));
    assert_ne!(plain, coloured);
    let mut stripped = coloured;
    for code in ["32", "31", "34", "33", "2", "0"] {
        stripped = stripped.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(stripped, plain);
}
