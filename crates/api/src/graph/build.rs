//! From a plan and a journal to a graph.

use std::collections::{BTreeMap, HashMap};

use errand_model::error_code::ErrorCode;
use errand_model::event::{
    AgentRef, ChildUsage, ChildWaiting, CoordinationEvent, Event, MessageSent, StepCompleted,
    StepEvent, StepFailed, StepStarted, WorkEvent,
};
use errand_model::plan::{COORDINATOR, END, Pattern, Plan, SELF, START};
use errand_model::run::Status;
use errand_model::{RunId, Timestamp};

use super::{EdgeType, GRAPH_SCHEMA, Graph, GraphEdge, GraphNode, NodeKind, NodeStatus};
use crate::trace::TraceUsage;

/// Takes in events in their order, from the first on.
#[derive(Debug)]
pub struct GraphBuilder {
    nodes: Vec<GraphNode>,
    places: HashMap<String, usize>,
    edges: BTreeMap<(usize, usize, EdgeType), Taken>,
    /// Steps that are under way: where, since when, and whether they wait for a person.
    live: BTreeMap<String, Live>,
    /// Edges of the plan.
    planned: Vec<(String, String, EdgeType)>,
    agent: String,
    pattern: &'static str,
    /// True if the journal has no messages: all members get the input, all give an output.
    is_fan_out: bool,
    messages: u64,
}

#[derive(Debug)]
struct Taken {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Debug)]
struct Live {
    node: usize,
    since: Timestamp,
    waits: bool,
}

impl GraphBuilder {
    /// The graph of a run of that agent with that plan, without any message yet.
    pub fn new(agent: &AgentRef, plan: &Plan) -> Self {
        let mut builder = Self {
            nodes: Vec::new(),
            places: HashMap::new(),
            edges: BTreeMap::new(),
            live: BTreeMap::new(),
            planned: planned(plan),
            agent: format!("{}@{}", agent.name, agent.version),
            pattern: plan.pattern.word(),
            is_fan_out: matches!(plan.pattern, Pattern::FanOut(_)),
            messages: 0,
        };
        builder.node(START);
        for name in names(plan) {
            let place = builder.node(&name);
            let agent = plan.agents.get(&name);
            if let (Some(node), Some(agent)) = (builder.nodes.get_mut(place), agent) {
                node.agent = Some(format!("{}@{}", agent.name, agent.version));
            }
        }
        builder.node(END);
        builder
    }

    /// Takes in the next event. One that says nothing of agents and messages changes nothing.
    pub fn push(&mut self, event: &Event) {
        let is_meant = ["message.sent", "step.", "child."];
        if !is_meant.iter().any(|meant| event.kind.starts_with(meant)) {
            return;
        }
        let Ok(body) = event.body() else { return };
        let at = event.at;
        let Some(event) = body.work() else { return };
        match event {
            WorkEvent::Step(StepEvent::Started(step)) => self.started(step, at),
            WorkEvent::Step(StepEvent::Completed(step)) => self.completed(step, at),
            WorkEvent::Step(StepEvent::Failed(step)) => self.failed(step, at),
            WorkEvent::Step(
                StepEvent::CheckpointSaved(_)
                | StepEvent::Inherited(_)
                | StepEvent::CheckpointInherited(_),
            ) => {}
            WorkEvent::Coordination(event) => self.coordinated(event, at),
        }
    }

    fn coordinated(&mut self, event: CoordinationEvent<'_>, at: Timestamp) {
        match event {
            CoordinationEvent::MessageSent(message) => self.sent(message, at),
            CoordinationEvent::ChildWaiting(ChildWaiting { key, reason }) => {
                if let Some(live) = self.live.get_mut(key) {
                    live.waits = reason.is_some();
                }
            }
            CoordinationEvent::Began(_)
            | CoordinationEvent::Settled(_)
            | CoordinationEvent::MessageDelivered(_)
            | CoordinationEvent::MessageReceived(_)
            | CoordinationEvent::ChildListening(_)
            | CoordinationEvent::HandoffRequested(_) => {}
        }
    }

    /// The graph of a run that stands as `status` says at `now`.
    pub fn finish(
        mut self,
        (run_id, created_at): (&RunId, Timestamp),
        status: &Status,
        now: Timestamp,
    ) -> Graph {
        let end = status.ended_at().unwrap_or(now);
        for live in std::mem::take(&mut self.live).into_values() {
            let Some(node) = self.nodes.get_mut(live.node) else { continue };
            node.duration_ms = node.duration_ms.saturating_add(millis(live.since, end));
            // It was let go with the run, if the run is over.
            node.live += 1;
            node.status = if live.waits && (node.live == 1 || node.status == NodeStatus::Waiting) {
                NodeStatus::Waiting
            } else {
                NodeStatus::Running
            };
            node.ended_at_ms = None;
        }
        let mut usage = TraceUsage::default();
        self.nodes.iter().for_each(|node| usage.add(&node.usage));
        let edges = self.all_edges();
        let mut nodes = self.nodes;
        // Agents by when they began; those that did not, as the plan has them.
        nodes.sort_by_key(|node| {
            (node.kind, node.started_at_ms.unwrap_or(Timestamp::from_millis(i64::MAX)))
        });
        Graph {
            schema: GRAPH_SCHEMA,
            run_id: run_id.clone(),
            agent: self.agent,
            pattern: self.pattern.to_owned(),
            status: status.name().to_owned(),
            is_live: !status.is_terminal(),
            created_at_ms: created_at,
            ended_at_ms: end.max(created_at),
            messages: self.messages,
            usage,
            nodes,
            edges,
        }
    }

    fn all_edges(&mut self) -> Vec<GraphEdge> {
        let name = |place: usize| self.nodes.get(place).map(|node| node.name.clone());
        let mut edges: Vec<GraphEdge> = Vec::new();
        for ((from, to, kind), taken) in &self.edges {
            let (Some(from), Some(to)) = (name(*from), name(*to)) else { continue };
            edges.push(GraphEdge {
                from,
                to,
                kind: *kind,
                count: taken.count,
                first_at_ms: Some(taken.first),
                last_at_ms: Some(taken.last),
            });
        }
        edges.sort_by_key(|edge| edge.first_at_ms);
        for (from, to, kind) in std::mem::take(&mut self.planned) {
            let is_there = edges.iter().any(|edge| edge.from == from && edge.to == to);
            if !is_there && self.places.contains_key(&to) {
                let (first_at_ms, last_at_ms) = (None, None);
                edges.push(GraphEdge { from, to, kind, count: 0, first_at_ms, last_at_ms });
            }
        }
        edges
    }

    fn sent(&mut self, message: &MessageSent, at: Timestamp) {
        let (from, to) = (self.node(&message.from), self.node(&message.to));
        self.take((from, to, message.kind.into()), at);
    }

    fn started(&mut self, step: &StepStarted, at: Timestamp) {
        // A step of the coordination that is no run says nothing of agents.
        let Some(run_id) = &step.run_id else { return };
        let place = self.node(name_of(&step.key));
        let is_first = self
            .live
            .insert(step.key.clone(), Live { node: place, since: at, waits: false })
            .is_none();
        if let Some(node) = self.nodes.get_mut(place) {
            node.runs += 1;
            node.last_run_id = Some(run_id.clone());
            node.started_at_ms.get_or_insert(at);
        }
        if self.is_fan_out && is_first {
            let start = self.node(START);
            self.take((start, place, EdgeType::Task), at);
        }
    }

    fn completed(&mut self, step: &StepCompleted, at: Timestamp) {
        let Some(place) = self.ended(&step.key, step.usage.as_ref(), at) else { return };
        if let Some(node) = self.nodes.get_mut(place) {
            node.completed += 1;
            node.status = NodeStatus::Completed;
        }
        if self.is_fan_out {
            let end = self.node(END);
            self.take((place, end, EdgeType::Result), at);
        }
    }

    fn failed(&mut self, step: &StepFailed, at: Timestamp) {
        let Some(place) = self.ended(&step.key, step.usage.as_ref(), at) else { return };
        if step.error.code == ErrorCode::HandedOver {
            // Another run is in its place: nothing failed.
            self.note((place, place, EdgeType::Handoff), at);
            return;
        }
        let is_cancelled = step.error.code == ErrorCode::ChildCancelled;
        if let Some(node) = self.nodes.get_mut(place) {
            if is_cancelled {
                node.cancelled += 1;
                node.status = NodeStatus::Cancelled;
            } else {
                node.failed += 1;
                node.status = NodeStatus::Failed;
            }
        }
        if self.is_fan_out && !is_cancelled {
            let end = self.node(END);
            self.take((place, end, EdgeType::Error), at);
        }
    }

    /// A step that is a run is over. Returns whose.
    fn ended(&mut self, key: &str, used: Option<&ChildUsage>, at: Timestamp) -> Option<usize> {
        let live = self.live.remove(key)?;
        let node = self.nodes.get_mut(live.node)?;
        node.duration_ms = node.duration_ms.saturating_add(millis(live.since, at));
        node.ended_at_ms = Some(at);
        if let Some(used) = used {
            node.usage.add(&TraceUsage::of_child(used));
        }
        Some(live.node)
    }

    fn take(&mut self, edge: (usize, usize, EdgeType), at: Timestamp) {
        self.messages += 1;
        self.note(edge, at);
    }

    fn note(&mut self, edge: (usize, usize, EdgeType), at: Timestamp) {
        let taken = self.edges.entry(edge).or_insert(Taken { count: 0, first: at, last: at });
        taken.count += 1;
        taken.last = at;
    }

    /// The node of that name, which is there afterwards.
    fn node(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let kind = match name {
            START => NodeKind::Start,
            END => NodeKind::End,
            COORDINATOR => NodeKind::Coordinator,
            _ => NodeKind::Agent,
        };
        self.nodes.push(empty(name, kind));
        self.places.insert(name.to_owned(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }
}

/// A node of which nothing is known yet.
pub(super) fn empty(name: &str, kind: NodeKind) -> GraphNode {
    GraphNode {
        name: name.to_owned(),
        kind,
        agent: None,
        status: NodeStatus::Idle,
        runs: 0,
        live: 0,
        completed: 0,
        failed: 0,
        cancelled: 0,
        last_run_id: None,
        started_at_ms: None,
        ended_at_ms: None,
        duration_ms: 0,
        usage: TraceUsage::default(),
    }
}

/// A step's key is `<name>#<n>`.
pub(crate) fn name_of(key: &str) -> &str {
    key.rsplit_once('#').map_or(key, |(name, _)| name)
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
}

/// The names of a plan in the order in which people read it.
fn names(plan: &Plan) -> Vec<String> {
    match &plan.pattern {
        Pattern::Chain(chain) => chain.links.iter().map(|link| link.name.clone()).collect(),
        Pattern::FanOut(fan_out) => fan_out.members.clone(),
        Pattern::Workflow(workflow) => {
            let start = std::iter::once(workflow.start.clone());
            let others = workflow.nodes.keys().filter(|name| **name != workflow.start).cloned();
            start.chain(others).collect()
        }
    }
}

/// The edges of a plan.
fn planned(plan: &Plan) -> Vec<(String, String, EdgeType)> {
    let mut edges = Vec::new();
    let mut add = |from: &str, to: &str, kind| edges.push((from.to_owned(), to.to_owned(), kind));
    match &plan.pattern {
        Pattern::Chain(chain) => {
            let names = chain.links.iter().map(|link| link.name.as_str());
            let stations: Vec<&str> = std::iter::once(START).chain(names).chain([END]).collect();
            for pair in stations.windows(2) {
                if let [from, to] = pair {
                    add(from, to, if *from == START { EdgeType::Task } else { EdgeType::Result });
                }
            }
        }
        Pattern::FanOut(fan_out) => {
            for name in &fan_out.members {
                add(START, name, EdgeType::Task);
                add(name, END, EdgeType::Result);
            }
        }
        Pattern::Workflow(workflow) => {
            add(START, &workflow.start, EdgeType::Task);
            for (name, node) in &workflow.nodes {
                for edge in &node.outputs_to {
                    let kind = edge.when.as_ref().and_then(|when| when.kind);
                    let to = if edge.to == SELF { name } else { &edge.to };
                    add(name, to, kind.map_or(EdgeType::Result, EdgeType::from));
                }
            }
        }
    }
    edges
}
