//! Runs that were handed over from one agent to another.

use std::collections::BTreeMap;

use errand_model::Timestamp;
use errand_model::run::{Run, Status};

use super::build::empty;
use super::{EdgeType, GRAPH_SCHEMA, Graph, GraphEdge, GraphNode, NodeKind, NodeStatus};
use crate::trace::TraceUsage;

/// The graph of `runs`, each of which was handed over to the next one, seen from the one at place
/// `of`. `None` if there are not at least two, or none is at that place.
pub fn of_handoffs(runs: &[Run], of: usize, now: Timestamp) -> Option<Graph> {
    let (run, first, last) = (runs.get(of)?, runs.first()?, runs.last()?);
    if runs.len() < 2 {
        return None;
    }
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut nodes: Vec<GraphNode> = Vec::new();
    let mut edges: Vec<GraphEdge> = Vec::new();
    let mut usage = TraceUsage::default();
    for run in runs {
        let times = seen.entry(run.spec.agent.name.as_str()).or_default();
        *times += 1;
        let name = match times {
            1 => run.spec.agent.name.clone(),
            again => format!("{}#{again}", run.spec.agent.name),
        };
        let node = node(&name, run, now);
        usage.add(&node.usage);
        if let Some(before) = nodes.last() {
            edges.push(GraphEdge {
                from: before.name.clone(),
                to: name,
                kind: EdgeType::Handoff,
                count: 1,
                first_at_ms: Some(run.created_at),
                last_at_ms: Some(run.created_at),
            });
        }
        nodes.push(node);
    }
    Some(Graph {
        schema: GRAPH_SCHEMA,
        run_id: run.id.clone(),
        agent: format!("{}@{}", run.spec.agent.name, run.spec.agent.version),
        pattern: "handoff".to_owned(),
        status: run.status.name().to_owned(),
        is_live: runs.iter().any(|run| !run.status.is_terminal()),
        created_at_ms: first.created_at,
        ended_at_ms: last.status.ended_at().unwrap_or(now),
        messages: u64::try_from(edges.len()).unwrap_or(u64::MAX),
        usage,
        nodes,
        edges,
    })
}

fn node(name: &str, run: &Run, now: Timestamp) -> GraphNode {
    let ended = run.status.ended_at();
    let took = ended.unwrap_or(now).since(run.created_at);
    let mut node = empty(name, NodeKind::Agent);
    node.agent = Some(format!("{}@{}", run.spec.agent.name, run.spec.agent.version));
    node.runs = 1;
    node.last_run_id = Some(run.id.clone());
    node.started_at_ms = Some(run.created_at);
    node.ended_at_ms = ended;
    node.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    node.usage = TraceUsage::of_run(run);
    let (status, count) = match &run.status {
        Status::Pending { .. } | Status::Running { .. } => (NodeStatus::Running, &mut node.live),
        Status::Paused { .. } => (NodeStatus::Waiting, &mut node.live),
        Status::Completed { .. } => (NodeStatus::Completed, &mut node.completed),
        Status::Failed { .. } => (NodeStatus::Failed, &mut node.failed),
        Status::Cancelled { .. } => (NodeStatus::Cancelled, &mut node.cancelled),
    };
    *count = 1;
    node.status = status;
    node
}
