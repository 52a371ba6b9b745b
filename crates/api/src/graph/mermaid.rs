//! A graph as Mermaid draws it, in Markdown for example.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Graph, NodeKind};
use crate::graph::place::facts;

/// Classes by status, with colours that read on white and on black.
const CLASSES: &str = "  classDef idle stroke-dasharray:4 3\n  classDef running stroke:#1f6feb\n  \
    classDef waiting stroke:#bf8700\n  classDef completed stroke:#1a7f37\n  classDef failed \
    stroke:#cf222e\n  classDef cancelled stroke:#6e7781\n";

/// The graph as a Mermaid flowchart.
pub fn mermaid(graph: &Graph) -> String {
    let mut text = "flowchart TD\n".to_owned();
    let mut ids: BTreeMap<&str, String> = BTreeMap::new();
    for (place, node) in graph.nodes.iter().enumerate() {
        let id = format!("n{place}");
        let name = escaped(&node.name);
        // A text takes everything.
        let written = match node.kind {
            NodeKind::Start | NodeKind::End | NodeKind::Coordinator => {
                writeln!(text, "  {id}([\"{name}\"])")
            }
            NodeKind::Agent => {
                let more = node.agent.iter().cloned().chain([facts(node)]);
                let more: String = more
                    .filter(|line| !line.is_empty())
                    .map(|line| format!("<br/>{}", escaped(&line)))
                    .collect();
                writeln!(text, "  {id}[\"{name}{more}\"]:::{}", node.status.word())
            }
        };
        written.unwrap_or_default();
        ids.insert(&node.name, id);
    }
    for edge in &graph.edges {
        let (Some(from), Some(to)) = (ids.get(edge.from.as_str()), ids.get(edge.to.as_str()))
        else {
            continue;
        };
        let arrow = if edge.count == 0 { "-.->" } else { "-->" };
        writeln!(text, "  {from} {arrow}|\"{}\"| {to}", escaped(&edge.label())).unwrap_or_default();
    }
    text.push_str(CLASSES);
    text
}

/// A text that Mermaid shows as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '"' | '<' | '>' | '&' | '#' | ';' | '`' | '\\' => {
                write!(escaped, "#{};", u32::from(character)).unwrap_or_default();
            }
            other if other.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
