use errand_model::event::{AgentRef, Event};
use errand_model::plan::Plan;
use errand_model::run::Status;
use errand_model::{Hash, RunId, Timestamp};
use serde_json::{Value, json};

use super::*;

fn agent(name: &str) -> Value {
    let digest = format!("sha256:{}", "0".repeat(64));
    json!({ "name": name, "version": "1.0.0", "digest": digest, "path": format!("/a/{name}") })
}

/// A coordinated run, as far as a graph reads its journal.
struct World {
    plan: Plan,
    events: Vec<Event>,
}

impl World {
    fn new(agents: &[&str], pattern: &Value) -> Self {
        let agents: Value = agents
            .iter()
            .map(|name| ((*name).to_owned(), agent(name)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let plan = json!({ "agents": agents, "pattern": pattern });
        Self { plan: serde_json::from_value(plan).unwrap(), events: Vec::new() }
    }

    fn run_id() -> RunId {
        "01m7yb33v7t9zye2je2t".parse().unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "data is written where it is handed over")]
    fn add(&mut self, at_ms: i64, kind: &str, data: Value) {
        self.events.push(Event {
            run_id: Self::run_id(),
            seq: self.events.len() as u64 + 1,
            at: Timestamp::from_millis(at_ms),
            attempt: 1,
            kind: kind.to_owned(),
            data: data.to_string(),
            hash: Hash::from_bytes([0; 32]),
        });
    }

    fn sent(&mut self, at_ms: i64, kind: &str, from: &str, to: &str) {
        let id = format!("m{}", self.events.len());
        let message =
            json!({ "id": id, "from": from, "to": to, "type": kind, "payload": { "text": "x" } });
        self.add(at_ms, "message.sent", message);
    }

    fn started(&mut self, at_ms: i64, key: &str) {
        let step = json!({
            "key": key, "kind": "agent", "fingerprint": null, "run_id": "01m7yb33v7t9zye2je2v",
        });
        self.add(at_ms, "step.started", step);
    }

    fn completed(&mut self, at_ms: i64, key: &str) {
        let used = json!({ "by_agent": { "any@1.0.0": {
            "runs": 1, "input_tokens": 1_000, "output_tokens": 200, "cached_tokens": 0,
            "reasoning_tokens": 0, "cost_micro_usd": 1_500, "unpriced_calls": 0,
            "model_calls": 1, "tool_calls": 0, "wall_ms": 10,
        } } });
        let step = json!({
            "key": key, "output": null, "stderr": null, "duration_ms": 1, "usage": used,
        });
        self.add(at_ms, "step.completed", step);
    }

    fn failed(&mut self, at_ms: i64, key: &str, code: &str) {
        let error = json!({ "code": code, "message": "no", "step": null, "retryable": null });
        let step = json!({ "key": key, "error": error, "exit_code": null, "duration_ms": 1 });
        self.add(at_ms, "step.failed", step);
    }

    fn graph(&self, status: &Status, now: i64) -> Graph {
        let of: AgentRef = serde_json::from_value(agent("report")).unwrap();
        let mut builder = GraphBuilder::new(&of, &self.plan);
        self.events.iter().for_each(|event| builder.push(event));
        let created_at = Timestamp::from_millis(0);
        builder.finish((&Self::run_id(), created_at), status, Timestamp::from_millis(now))
    }
}

fn done(at: i64) -> Status {
    Status::Completed { at: Timestamp::from_millis(at), exit_code: Some(0) }
}

/// The flow of the guide: findings, a report, a draft that is sent back once.
fn report() -> World {
    let nodes = json!({
        "researcher": { "outputs_to": [{ "to": "analyst" }, { "to": "writer" }] },
        "analyst": { "outputs_to": [{ "to": "writer" }] },
        "writer": { "outputs_to": [
            { "to": "analyst", "when": { "type": "VALIDATION" } },
            { "to": "writer", "when": { "type": "CONTROL" } },
            { "to": "__end__" },
        ] },
        "editor": { "outputs_to": [{ "to": "__end__" }] },
    });
    let pattern =
        json!({ "type": "workflow", "start": "researcher", "max_messages": 100, "nodes": nodes });
    let mut world = World::new(&["researcher", "analyst", "writer", "editor"], &pattern);
    world.sent(10, "TASK", "__start__", "researcher");
    world.started(10, "researcher#1");
    world.completed(1_200, "researcher#1");
    world.sent(1_200, "RESULT", "researcher", "analyst");
    world.sent(1_200, "RESULT", "researcher", "writer");
    world.started(1_200, "analyst#1");
    world.started(1_200, "writer#1");
    world.completed(2_000, "analyst#1");
    world.sent(2_000, "RESULT", "analyst", "writer");
    world.sent(2_500, "VALIDATION", "writer", "analyst");
    world.started(2_500, "analyst#2");
    world.completed(3_000, "analyst#2");
    world.sent(3_000, "RESULT", "analyst", "writer");
    world.completed(4_000, "writer#1");
    world.sent(4_000, "RESULT", "writer", "__end__");
    world
}

fn told(graph: &Graph) -> String {
    let node = |node: &GraphNode| {
        format!(
            "{} {} runs={} live={} ok={} failed={} cancelled={} ms={} tokens={}\n",
            node.name,
            node.status.word(),
            node.runs,
            node.live,
            node.completed,
            node.failed,
            node.cancelled,
            node.duration_ms,
            node.usage.tokens(),
        )
    };
    let edge = |edge: &GraphEdge| {
        format!("{} -> {}: {} ({})\n", edge.from, edge.to, edge.label(), edge.count)
    };
    graph.nodes.iter().map(node).chain(graph.edges.iter().map(edge)).collect()
}

#[test]
fn a_workflow_has_its_agents_by_when_they_began_and_each_edge_with_its_count() {
    insta::assert_snapshot!(told(&report().graph(&done(4_000), 9_000)), @r"
    __start__ idle runs=0 live=0 ok=0 failed=0 cancelled=0 ms=0 tokens=0
    researcher completed runs=1 live=0 ok=1 failed=0 cancelled=0 ms=1190 tokens=1200
    analyst completed runs=2 live=0 ok=2 failed=0 cancelled=0 ms=1300 tokens=2400
    writer completed runs=1 live=0 ok=1 failed=0 cancelled=0 ms=2800 tokens=1200
    editor idle runs=0 live=0 ok=0 failed=0 cancelled=0 ms=0 tokens=0
    __end__ idle runs=0 live=0 ok=0 failed=0 cancelled=0 ms=0 tokens=0
    __start__ -> researcher: TASK (1)
    researcher -> analyst: RESULT (1)
    researcher -> writer: RESULT (1)
    analyst -> writer: RESULT ×2 (2)
    writer -> analyst: VALIDATION (1)
    writer -> __end__: RESULT (1)
    editor -> __end__: RESULT (0)
    writer -> writer: CONTROL (0)
    ");
}

#[test]
fn a_fan_out_has_no_messages_and_its_runs_are_its_edges() {
    let pattern = json!({
        "type": "fan_out", "members": ["es", "fr", "de"], "aggregation": "merge_all",
    });
    let mut world = World::new(&["es", "fr", "de"], &pattern);
    for key in ["es#1", "fr#1", "de#1"] {
        world.started(5, key);
    }
    world.completed(100, "fr#1");
    world.failed(200, "es#1", "exit_nonzero");
    world.started(200, "fr#2");
    world.add(210, "child.waiting", json!({ "key": "de#1", "reason": "approval" }));
    let running = Status::Running { since: Timestamp::from_millis(1) };
    insta::assert_snapshot!(told(&world.graph(&running, 300)), @r"
    __start__ idle runs=0 live=0 ok=0 failed=0 cancelled=0 ms=0 tokens=0
    es failed runs=1 live=0 ok=0 failed=1 cancelled=0 ms=195 tokens=0
    fr running runs=2 live=1 ok=1 failed=0 cancelled=0 ms=195 tokens=1200
    de waiting runs=1 live=1 ok=0 failed=0 cancelled=0 ms=295 tokens=0
    __end__ idle runs=0 live=0 ok=0 failed=0 cancelled=0 ms=0 tokens=0
    __start__ -> es: TASK (1)
    __start__ -> fr: TASK ×2 (2)
    __start__ -> de: TASK (1)
    fr -> __end__: RESULT (1)
    es -> __end__: ERROR (1)
    de -> __end__: RESULT (0)
    ");
}

#[test]
fn dot_and_mermaid_quote_whatever_stands_in_a_name() {
    let mut world = report();
    world.sent(3_500, "ERROR", "a \"quoted\"\\<b>&#;\n", "writer");
    let graph = world.graph(&done(4_000), 9_000);
    insta::assert_snapshot!("dot", dot(&graph));
    insta::assert_snapshot!("mermaid", mermaid(&graph));
}

/// Returns true if every opened tag is closed, in order, and no text has a bare `<` or `&`.
fn is_well_formed(svg: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find(['<', '&']) {
        let (_, tail) = rest.split_at(at);
        if let Some(entity) = tail.strip_prefix('&') {
            let known = ["amp;", "lt;", "gt;", "quot;"];
            if !known.iter().any(|known| entity.starts_with(known)) {
                return false;
            }
            rest = entity;
            continue;
        }
        let Some((tag, after)) = tail[1..].split_once('>') else { return false };
        if tag.contains('<') || tag.matches('"').count() % 2 != 0 {
            return false;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap_or_default());
        }
        rest = after;
    }
    open.is_empty()
}

#[test]
fn a_picture_is_well_formed_whatever_it_shows() {
    let mut world = report();
    let long = "a-name-that-is-much-longer-than-anybody-would-write-it";
    for name in [long, "<script>alert(1)</script>", "\u{1}\u{fffe}&amp;", "名前"] {
        world.sent(3_500, "ERROR", "writer", name);
        world.sent(3_600, "RESULT", name, name);
    }
    let svg = svg(&world.graph(&done(4_000), 9_000));
    assert!(is_well_formed(&svg), "{svg}");
    assert!(!svg.contains("<script"), "{svg}");
    insta::assert_snapshot!("svg", svg);
}

#[test]
fn boxes_and_labels_of_a_picture_do_not_lie_on_each_other() {
    let names: Vec<String> = (0..14).map(|number| format!("agent-{number}")).collect();
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    // Pseudo-random, the same each time.
    let mut seed = 7_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..20 {
        let pattern =
            json!({ "type": "workflow", "start": "agent-0", "max_messages": 9, "nodes": {} });
        let mut world = World::new(&list, &pattern);
        for at in 0..30 {
            world.sent(at, "RESULT", list[next(14)], list[next(14)]);
        }
        let graph = world.graph(&done(40), 40);
        let placed = place::place(&graph, 0);
        let boxes: Vec<_> = placed
            .boxes
            .iter()
            .map(|it| {
                (
                    it.x - it.width / 2,
                    it.y - it.height / 2,
                    it.x + it.width / 2,
                    it.y + it.height / 2,
                )
            })
            .collect();
        let labels = placed.lines.iter().map(|line| {
            let half = line.label.iter().map(|it| place::width(it)).max().unwrap_or(0) / 2;
            let (x, y) = line.label_at;
            (x - half, y - 8, x + half, y + 8)
        });
        let all: Vec<_> = boxes.into_iter().chain(labels).collect();
        for (place, one) in all.iter().enumerate() {
            assert!(one.0 >= 0 && one.1 >= 0 && one.2 <= placed.width && one.3 <= placed.height);
            for other in &all[place + 1..] {
                let is_apart =
                    one.2 <= other.0 || other.2 <= one.0 || one.3 <= other.1 || other.3 <= one.1;
                assert!(is_apart, "{one:?} lies on {other:?}");
            }
        }
    }
}
