//! Graph of a plan for routing: a workflow as it is, a chain as the equivalent workflow.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::plan::{Chain, END, Edge, Join, NEXT, Node, PREV, Pattern, Plan, SELF, Workflow};

/// The graph of a plan.
pub(super) struct Graph<'a> {
    pub(super) start: &'a str,
    pub(super) max_messages: u32,
    nodes: BTreeMap<&'a str, GraphPosition<'a>>,
}

/// A node.
pub(super) struct GraphPosition<'a> {
    /// Edges for its outputs.
    pub(super) edges: Vec<Edge>,
    /// In a chain: the one before.
    before: Option<&'a str>,
    pub(super) join: Join,
    pub(super) max_runs: Option<u32>,
    pub(super) input: Option<&'a Value>,
    is_link: bool,
}

impl<'a> Graph<'a> {
    /// The graph of a plan; `None`: a fan-out has none.
    pub(super) fn of(plan: &'a Plan) -> Option<Self> {
        match &plan.pattern {
            Pattern::Chain(chain) => Some(Self::of_chain(chain)),
            Pattern::Workflow(workflow) => Some(Self::of_workflow(workflow)),
            Pattern::FanOut(_) => None,
        }
    }

    fn of_chain(chain: &'a Chain) -> Self {
        let mut nodes = BTreeMap::new();
        let mut before = None;
        for (at, link) in chain.links.iter().enumerate() {
            let next = chain.links.get(at + 1).map_or(END, |link| link.name.as_str());
            let edges = vec![Edge { to: next.to_owned(), when: None }];
            let (join, max_runs, input) = (Join::Any, None, link.input.as_ref());
            let spot = GraphPosition { edges, before, join, max_runs, input, is_link: true };
            nodes.insert(link.name.as_str(), spot);
            before = Some(link.name.as_str());
        }
        // The straight way through is never too long.
        let straight = u32::try_from(chain.links.len()).unwrap_or(u32::MAX).saturating_add(1);
        let start = chain.links.first().map_or("", |link| link.name.as_str());
        Self { start, max_messages: chain.max_messages.max(straight), nodes }
    }

    fn of_workflow(workflow: &'a Workflow) -> Self {
        let spot = |node: &'a Node| GraphPosition {
            edges: node.outputs_to.clone(),
            before: None,
            join: node.join,
            max_runs: node.max_runs,
            input: node.input.as_ref(),
            is_link: false,
        };
        let nodes = workflow.nodes.iter().map(|(name, node)| (name.as_str(), spot(node)));
        Self { start: &workflow.start, max_messages: workflow.max_messages, nodes: nodes.collect() }
    }

    pub(super) fn spot(&self, name: &str) -> Option<&GraphPosition<'a>> {
        self.nodes.get(name)
    }

    /// Returns the agent that `__prev__` names: the one before in a chain, else the sender of the
    /// message.
    pub(super) fn previous<'b>(&self, name: &str, wrote: Option<&'b str>) -> Option<&'b str>
    where
        'a: 'b,
    {
        match self.spot(name) {
            Some(spot) if spot.is_link => spot.before,
            Some(_) | None => wrote.filter(|wrote| self.nodes.contains_key(wrote)),
        }
    }

    /// Returns the target of an agent's edge; `None`: no target.
    pub(super) fn target(&self, to: &str, name: &str, previous: Option<&str>) -> Option<String> {
        match to {
            END => Some(END.to_owned()),
            SELF => Some(name.to_owned()),
            PREV => previous.map(str::to_owned),
            NEXT => None,
            _ => self.nodes.contains_key(to).then(|| to.to_owned()),
        }
    }

    /// Returns true if an agent may send messages to another one directly.
    pub(super) fn may_write(&self, name: &str, to: &str, previous: Option<&str>) -> bool {
        let Some(spot) = self.spot(name) else { return false };
        to == name
            || previous == Some(to)
            || spot.before == Some(to)
            || spot.edges.iter().any(|edge| {
                self.target(&edge.to, name, previous).is_some_and(|target| target == to)
            })
    }

    /// Nodes that have an edge to that one, itself not counted.
    pub(super) fn upstream(&self, name: &str) -> BTreeSet<&'a str> {
        let has_edge = |spot: &GraphPosition<'_>| spot.edges.iter().any(|edge| edge.to == name);
        let up = self.nodes.iter().filter(|(from, spot)| **from != name && has_edge(spot));
        up.map(|(from, _)| *from).collect()
    }
}
