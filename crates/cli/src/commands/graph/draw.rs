//! Rendering of a graph as text: heading, picture, and a line for each agent. Pure.

use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use errand_api::amount;
use errand_api::graph::{Graph, GraphEdge, GraphNode, NodeKind, NodeStatus};
use unicode_width::UnicodeWidthStr as _;

use super::offset::offset;
use super::sequence;
use crate::render;

/// Most edges listed; a longer list is for programs.
const LISTED_EDGES: usize = 200;

/// Colours of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrawStyle {
    Plain,
    Coloured,
}

/// Returns the whole text, at most `width` columns wide if names allow that.
pub(super) fn draw(graph: &Graph, width: usize, ink: DrawStyle) -> String {
    let mut parts = vec![heading(graph)];
    parts.push(sequence::draw(graph, width).unwrap_or_else(|| listed(graph)));
    parts.push(agents(graph, width, ink));
    parts.join("\n\n") + "\n"
}

fn heading(graph: &Graph) -> String {
    let took = amount::duration(graph.ended_at_ms.since(graph.created_at_ms));
    let (word, count) = match (graph.pattern.as_str(), graph.messages) {
        ("handoff", 1) => ("handoff", 1),
        ("handoff", count) => ("handoffs", count),
        (_, 1) => ("message", 1),
        (_, count) => ("messages", count),
    };
    let mut facts = vec![
        graph.pattern.replace('_', "-"),
        graph.status.clone(),
        took,
        format!("{count} {word}"),
    ];
    if graph.usage.tokens() > 0 {
        facts.push(format!("{} tokens", amount::count(graph.usage.tokens())));
    }
    facts.extend(graph.usage.cost_micro_usd.map(amount::money));
    format!("run {}  {}\n{}", graph.run_id, render::at_most(&graph.agent, 60), facts.join("  "))
}

/// Lists all edges, if the picture would be too wide.
fn listed(graph: &Graph) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["FROM", "", "TO", "TYPE", "COUNT", "FIRST", "LAST"]);
    right(&mut table, &[4, 5, 6]);
    for edge in graph.edges.iter().take(LISTED_EDGES) {
        table.add_row([
            render::at_most(&edge.from, 24),
            arrow(edge).to_owned(),
            render::at_most(&edge.to, 24),
            edge.kind.word().to_owned(),
            edge.count.to_string(),
            offset(graph, edge.first_at_ms),
            offset(graph, edge.last_at_ms),
        ]);
    }
    let text = render::lines(&mut table);
    match graph.edges.len().checked_sub(LISTED_EDGES) {
        Some(more) if more > 0 => format!("{text}\n… and {more} more: --json has all"),
        Some(_) | None => text,
    }
}

const fn arrow(edge: &GraphEdge) -> &'static str {
    if edge.count == 0 { "╌╌▶" } else { "──▶" }
}

/// Returns a line for each agent. The least important columns are left out if there is no room.
fn agents(graph: &Graph, width: usize, ink: DrawStyle) -> String {
    let with_agents = table(graph, Columns::All);
    let widest = with_agents.lines().map(str::width).max().unwrap_or(0);
    let text = if widest <= width { with_agents } else { table(graph, Columns::Few) };
    if ink == DrawStyle::Plain {
        return text;
    }
    let lines: Vec<String> = text.lines().map(coloured).collect();
    lines.join("\n")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    All,
    Few,
}

fn table(graph: &Graph, columns: Columns) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let has_tokens = graph.usage.tokens() > 0;
    let has_cost = graph.usage.cost_micro_usd.is_some();
    let mut header = vec!["", "NAME"];
    header.extend((columns == Columns::All).then_some("AGENT"));
    header.extend(["RUNS", "STATUS", "TIME"]);
    header.extend(has_tokens.then_some("TOKENS"));
    header.extend(has_cost.then_some("COST"));
    let numbers: Vec<usize> = (0..)
        .zip(&header)
        .filter(|(_, name)| matches!(**name, "RUNS" | "TIME" | "TOKENS" | "COST"))
        .map(|(place, _)| place)
        .collect();
    table.set_header(header);
    right(&mut table, &numbers);
    let agents = graph.nodes.iter().filter(|node| node.kind == NodeKind::Agent);
    for node in agents {
        let mark = if node.status == NodeStatus::Idle { "·" } else { node.status.mark() };
        let mut cells = vec![mark.to_owned(), render::at_most(&node.name, 28)];
        if columns == Columns::All {
            cells.push(render::at_most(node.agent.as_deref().unwrap_or("-"), 28));
        }
        let took = amount::duration(Duration::from_millis(node.duration_ms));
        cells.extend([node.runs.to_string(), standing(node), took]);
        if has_tokens {
            cells.push(amount::count(node.usage.tokens()));
        }
        if has_cost {
            cells.push(node.usage.cost_micro_usd.map(amount::money).unwrap_or_default());
        }
        table.add_row(cells);
    }
    render::lines(&mut table)
}

fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Returns `completed`, or the number of runs by status.
fn standing(node: &GraphNode) -> String {
    let counts = [
        (node.live, "running"),
        (node.completed, "completed"),
        (node.failed, "failed"),
        (node.cancelled, "cancelled"),
    ];
    let told: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if told.len() > 1 { told.join(", ") } else { node.status.word().to_owned() }
}

/// Colours the mark of a table line by its meaning.
fn coloured(line: &str) -> String {
    let colour = match line.chars().next() {
        Some('✓') => "32",
        Some('✗') => "31",
        Some('▶') => "34",
        Some('⏸') => "33",
        Some('■' | '·') => "2",
        Some(_) | None => return line.to_owned(),
    };
    format!("\x1b[{colour}m{line}\x1b[0m")
}

#[cfg(test)]
mod tests;
