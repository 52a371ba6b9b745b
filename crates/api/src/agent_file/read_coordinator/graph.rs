//! Checks of the whole graph: nodes that are never reached, and cycles that never end.

use std::collections::{BTreeMap, BTreeSet};

use errand_model::plan::{END, PREV, SELF, Workflow};

use super::super::at::{At, field_of};
use super::super::reader::Reader;
use super::super::yaml::Entry;

/// Targets of messages from each node, `__self__` and `__prev__` resolved.
type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Properties of a graph beside its nodes.
pub(super) struct Knowledge<'a> {
    /// True if the workflow's `start` is the one in the file.
    pub(super) is_start_known: bool,
    /// Nodes with edges that could not be read: they may lead anywhere.
    pub(super) open: BTreeSet<&'a str>,
    /// True if the file bounds the number of messages.
    pub(super) has_max: bool,
}

/// Reports nodes that no message reaches, nodes from which none reaches `__end__`, and loops
/// without a bound, as far as that is known.
pub(super) fn check<'a>(
    reader: &mut Reader,
    at: &At<'a>,
    workflow: &'a Workflow,
    known: &Knowledge<'a>,
) {
    let entries = reader.entries(at).unwrap_or_default();
    let edges = edges(workflow);
    let reached = match known.is_start_known {
        true => reachable(&workflow.start, &edges),
        false => edges.keys().copied().collect(),
    };
    let mut to_end = reversed(&edges);
    to_end.entry(END).or_default().extend(known.open.iter().copied());
    let ending = reachable(END, &to_end);
    let does_end = !known.is_start_known || ending.contains(workflow.start.as_str());
    if !does_end {
        let hint = "write outputs_to: [__end__] on the node whose output is the result";
        reader.report_hint(at, "no path leads from the start to __end__", hint);
    }
    for entry in entries {
        let name = entry.key.as_str();
        let mut report = |message: &str, hint: String| {
            let path = field_of(at, entry).path;
            reader.report_at(entry.key_place, &path, message, Some(hint));
        };
        if !reached.contains(name) {
            let hint = format!("name it in another node's outputs_to, or write start: {name}");
            report(&format!("no message reaches {name:?}"), hint);
        } else if !ending.contains(name) && does_end {
            let hint = "write outputs_to: [__end__], another node, or __prev__ if it answers \
                        whoever writes to it";
            report(&format!("no path leads from {name:?} to __end__"), hint.to_owned());
        }
    }
    if !known.has_max {
        loops(reader, at, (workflow, &edges), entries);
    }
}

fn edges(workflow: &Workflow) -> Edges<'_> {
    let mut edges: Edges<'_> = BTreeMap::new();
    let mut answering = Vec::new();
    for (name, node) in &workflow.nodes {
        let targets = edges.entry(name.as_str()).or_default();
        for edge in &node.outputs_to {
            match edge.to.as_str() {
                SELF => drop(targets.insert(name)),
                PREV => answering.push(name.as_str()),
                // `__next__` is the other edges of the node.
                errand_model::plan::NEXT => {}
                to => drop(targets.insert(to)),
            }
        }
    }
    for name in answering {
        let writes = |(_, targets): &(&&str, &BTreeSet<&str>)| targets.contains(name);
        let writers: Vec<&str> = edges.iter().filter(writes).map(|(writer, _)| *writer).collect();
        edges.entry(name).or_default().extend(writers);
    }
    edges
}

fn reversed<'a>(edges: &Edges<'a>) -> Edges<'a> {
    let mut reversed: Edges<'a> = BTreeMap::new();
    for (from, targets) in edges {
        for to in targets {
            reversed.entry(to).or_default().insert(from);
        }
    }
    reversed
}

/// Returns the nodes that can be reached from `start`, itself included.
fn reachable<'a>(start: &'a str, edges: &Edges<'a>) -> BTreeSet<&'a str> {
    let (mut reached, mut left) = (BTreeSet::from([start]), vec![start]);
    while let Some(name) = left.pop() {
        for to in edges.get(name).into_iter().flatten() {
            if reached.insert(to) {
                left.push(to);
            }
        }
    }
    reached
}

/// Reports each loop of nodes none of which has a bound, at the first of its nodes in the file.
fn loops(
    reader: &mut Reader,
    at: &At<'_>,
    (workflow, edges): (&Workflow, &Edges<'_>),
    entries: &[Entry],
) {
    let is_bounded =
        |name: &str| workflow.nodes.get(name).is_none_or(|node| node.max_runs.is_some());
    let mut unbounded = edges.clone();
    unbounded.retain(|name, _| !is_bounded(name));
    for targets in unbounded.values_mut() {
        targets.retain(|to| !is_bounded(to));
    }
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for entry in entries {
        let name = entry.key.as_str();
        if told.contains(name) {
            continue;
        }
        let Some(way) = way_back(name, &unbounded) else { continue };
        // Whatever is in the same knot is told of once.
        let ahead = reachable(name, &unbounded);
        let back = reachable(name, &reversed(&unbounded));
        told.extend(ahead.intersection(&back));
        let message = format!("the loop {} has no bound", way.join(" -> "));
        let hint = "write max_messages beside graph, or max_runs on one of these nodes";
        let path = field_of(at, entry).path;
        reader.report_at(entry.key_place, &path, message, Some(hint.to_owned()));
    }
}

/// A shortest way from a node back to itself, with it at both ends.
fn way_back<'a>(name: &'a str, edges: &Edges<'a>) -> Option<Vec<&'a str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut left = std::collections::VecDeque::from([name]);
    while let Some(from) = left.pop_front() {
        for to in edges.get(from).into_iter().flatten() {
            if *to == name {
                let mut way = vec![name, from];
                while let Some(previous) = before.get(way[way.len() - 1]) {
                    way.push(previous);
                }
                if from == name {
                    way.truncate(2);
                }
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(to) {
                before.insert(to, from);
                left.push_back(to);
            }
        }
    }
    None
}
