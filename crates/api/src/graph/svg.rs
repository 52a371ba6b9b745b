//! A graph as a picture: SVG that needs nothing but a font.

use std::fmt::Write as _;
use std::time::Duration;

use super::place::{Boxed, EdgeGroup, LINE, LOOP, PAD, place, width};
use super::{Graph, GraphNode, NodeKind, NodeStatus};
use crate::amount;

/// Height of the heading.
const HEADING: i64 = 48;

const STYLE: &str = "\
text{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:13px;fill:#1f2328}\
.heading{font-size:14px;font-weight:bold}.name{font-weight:bold}.more{fill:#59636e}\
.label{font-size:12px;fill:#59636e;paint-order:stroke;stroke:#fff;stroke-width:5px}\
path{fill:none;stroke:#59636e;stroke-width:1.4}.planned{stroke-dasharray:4 4;stroke:#b1bac4}\
rect{fill:#fff;stroke:#b1bac4;stroke-width:1.6}.paper{stroke:none}\
.running{stroke:#0969da;fill:#eef6ff}.waiting{stroke:#bf8700;fill:#fff8e5}\
.completed{stroke:#1a7f37;fill:#effbf2}.failed{stroke:#cf222e;fill:#ffefee}\
.cancelled{stroke:#6e7781;fill:#f3f4f6}.idle{stroke-dasharray:4 4}.role{fill:#f6f8fa}\
.tip{fill:#59636e;stroke:none}";

/// The graph as an SVG document.
pub fn svg(graph: &Graph) -> String {
    let heading = heading(graph);
    let placed = place(graph, HEADING);
    let widest = heading.iter().map(|line| width(line)).max().unwrap_or(0) * 9 / 8 + 48;
    let (width, height) = (placed.width.max(widest), placed.height);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\"><path class=\"tip\" d=\"M0 0L10 5L0 10z\"/></marker></defs>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n",
        escaped(&format!("run {}", graph.run_id)),
    );
    for (line, y) in heading.iter().zip([26, 46]) {
        let class = if y == 26 { "heading" } else { "more" };
        // A text takes everything.
        writeln!(text, "<text class=\"{class}\" x=\"24\" y=\"{y}\">{}</text>", escaped(line))
            .unwrap_or_default();
    }
    placed.lines.iter().for_each(|line| draw_line(&mut text, line));
    for boxed in &placed.boxes {
        if let Some(node) = graph.nodes.get(boxed.node) {
            draw_box(&mut text, boxed, node);
        }
    }
    // Above all lines, so that none runs through a word.
    for line in &placed.lines {
        draw_label(&mut text, &line.label, line.label_at, "middle");
    }
    if placed.left_out > 0 {
        writeln!(
            text,
            "<text class=\"more\" x=\"24\" y=\"{}\">{} more edges are not drawn</text>",
            height - 6,
            placed.left_out
        )
        .unwrap_or_default();
    }
    text.push_str("</svg>\n");
    text
}

fn heading(graph: &Graph) -> [String; 2] {
    let took = graph.ended_at_ms.since(graph.created_at_ms);
    let messages = if graph.messages == 1 { "message" } else { "messages" };
    let mut facts = vec![
        graph.pattern.clone(),
        graph.status.clone(),
        amount::duration(took),
        format!("{} {messages}", graph.messages),
    ];
    if graph.usage.tokens() > 0 {
        facts.push(format!("{} tokens", amount::count(graph.usage.tokens())));
    }
    facts.extend(graph.usage.cost_micro_usd.map(amount::money));
    [format!("{}  run {}", graph.agent, graph.run_id), facts.join(" · ")]
}

fn draw_line(text: &mut String, line: &EdgeGroup) {
    let class = if line.is_taken { "" } else { " class=\"planned\"" };
    write!(text, "<path{class} marker-end=\"url(#tip)\" d=\"").unwrap_or_default();
    let mut before: Option<(i64, i64)> = None;
    for (x, y) in &line.points {
        let written = match before {
            None => write!(text, "M{x} {y}"),
            Some((from, _)) if from == *x => write!(text, "L{x} {y}"),
            Some((from, above)) => {
                let half = i64::midpoint(above, *y);
                write!(text, "C{from} {half} {x} {half} {x} {y}")
            }
        };
        written.unwrap_or_default();
        before = Some((*x, *y));
    }
    text.push_str("\"/>\n");
}

fn draw_label(text: &mut String, label: &[String], (x, y): (i64, i64), anchor: &str) {
    let lines = i64::try_from(label.len()).unwrap_or(0);
    for (place, line) in (0..).zip(label) {
        let y = y + (2 * place + 1 - lines) * LINE / 2 + 4;
        writeln!(
            text,
            "<text class=\"label\" text-anchor=\"{anchor}\" x=\"{x}\" y=\"{y}\">{}</text>",
            escaped(line)
        )
        .unwrap_or_default();
    }
}

fn draw_box(text: &mut String, boxed: &Boxed, node: &GraphNode) {
    let Boxed { x, y, width, height, .. } = boxed;
    let (left, top) = (x - width / 2, y - height / 2);
    let class = match node.kind {
        NodeKind::Start | NodeKind::End | NodeKind::Coordinator => "role",
        NodeKind::Agent => class(node.status),
    };
    let round = if node.kind == NodeKind::Agent { 8 } else { height / 2 };
    writeln!(
        text,
        "<g><title>{}</title><rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" \
         height=\"{height}\" rx=\"{round}\"/>",
        escaped(&title(node)),
    )
    .unwrap_or_default();
    for (place, line) in (0..).zip(&boxed.text) {
        let class = if place == 0 { "name" } else { "more" };
        let y = top + PAD + LINE * place + 13;
        writeln!(
            text,
            "<text class=\"{class}\" text-anchor=\"middle\" x=\"{x}\" y=\"{y}\">{}</text>",
            escaped(line)
        )
        .unwrap_or_default();
    }
    text.push_str("</g>\n");
    if boxed.loops.is_empty() {
        return;
    }
    let class = if boxed.is_loop_taken { "" } else { " class=\"planned\"" };
    let (right, out) = (x + width / 2, x + width / 2 + LOOP);
    let (up, down) = (y - 8, y + 8);
    writeln!(
        text,
        "<path{class} marker-end=\"url(#tip)\" d=\"M{right} {up}C{out} {} {out} {} {right} {down}\"/>",
        y - 24,
        y + 24,
    ).unwrap_or_default();
    draw_label(text, &boxed.loops, (out, *y), "start");
}

/// Returns the description of a node, shown when it is pointed at.
fn title(node: &GraphNode) -> String {
    let mut title = node.name.clone();
    if let Some(agent) = &node.agent {
        write!(title, " ({agent})").unwrap_or_default();
    }
    if node.kind == NodeKind::Agent {
        let took = amount::duration(Duration::from_millis(node.duration_ms));
        write!(title, ": {}, {} runs, {took}", node.status.word(), node.runs).unwrap_or_default();
    }
    title
}

const fn class(status: NodeStatus) -> &'static str {
    status.word()
}

/// A text as XML has it, without characters that XML cannot have.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other if other.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
