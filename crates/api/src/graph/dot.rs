//! A graph in the language of Graphviz.

use std::fmt::Write as _;

use super::{Graph, GraphNode, NodeKind, NodeStatus};
use crate::graph::place::facts;

/// The graph in DOT.
pub fn dot(graph: &Graph) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&graph.run_id.to_string()));
    text.push_str("  rankdir=TB;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    text.push_str("  edge [fontname=\"sans-serif\", fontsize=10];\n");
    for node in &graph.nodes {
        // A text takes everything.
        writeln!(text, "  {} [{}];", quoted(&node.name), attributes(node)).unwrap_or_default();
    }
    for edge in &graph.edges {
        let style = if edge.count == 0 { ", style=dashed, color=gray" } else { "" };
        let label = quoted(&edge.label());
        let (from, to) = (quoted(&edge.from), quoted(&edge.to));
        writeln!(text, "  {from} -> {to} [label={label}{style}];").unwrap_or_default();
    }
    text.push_str("}\n");
    text
}

fn attributes(node: &GraphNode) -> String {
    match node.kind {
        NodeKind::Start | NodeKind::End | NodeKind::Coordinator => {
            format!("label={}, shape=ellipse, style=solid", quoted(&node.name))
        }
        NodeKind::Agent => {
            let lines: Vec<String> = std::iter::once(node.name.clone())
                .chain(node.agent.clone())
                .chain(Some(facts(node)).filter(|facts| !facts.is_empty()))
                .collect();
            let color = match node.status {
                NodeStatus::Idle => "gray",
                NodeStatus::Running => "blue",
                NodeStatus::Waiting => "orange",
                NodeStatus::Completed => "darkgreen",
                NodeStatus::Failed => "red",
                NodeStatus::Cancelled => "gray40",
            };
            format!("label={}, color={color}", quoted(&lines.join("\n")))
        }
    }
}

/// A text in quotes, as DOT reads it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            other if other.is_control() => quoted.push(' '),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
