//! Sequence diagram: a column for each agent, a line for each edge, ordered by first use.

use errand_api::graph::{Graph, GraphEdge};
use unicode_width::UnicodeWidthStr as _;

use super::offset::offset;
use crate::render;

/// Fewest characters between two columns.
const LEAST_GAP: usize = 4;
/// Shown characters of a name above its column.
const NAME_CHARS: usize = 18;
/// Width of the time of first use, before the picture.
const TIME_WIDTH: usize = 10;
/// Most lines of a readable picture.
const LINE_LIMIT: usize = 60;

/// An edge between two columns.
struct Arrow<'a> {
    from: usize,
    to: usize,
    label: String,
    edge: &'a GraphEdge,
}

/// Draws the diagram; `None` if it does not fit into `width`.
pub(super) fn draw(graph: &Graph, width: usize) -> Option<String> {
    let takes_part =
        |name: &str| graph.edges.iter().any(|edge| edge.from == name || edge.to == name);
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| takes_part(name)).collect();
    let arrows: Vec<Arrow<'_>> = graph.edges.iter().filter_map(|it| arrow(&names, it)).collect();
    if arrows.is_empty() || arrows.len() > LINE_LIMIT {
        return None;
    }
    let heads: Vec<String> = names.iter().map(|name| render::at_most(name, NAME_CHARS)).collect();
    let centres = centres(&heads, &arrows);
    let last = *centres.last()?;
    let behind = arrows.iter().filter(|it| it.from == it.to && it.from + 1 == names.len());
    let behind = behind.map(|it| it.label.width() + 3).max().unwrap_or(0);
    let half = heads.last().map_or(0, |head| head.width() / 2);
    let total = last + behind.max(half) + 1;
    let with_time = total + TIME_WIDTH <= width;
    if total > width {
        return None;
    }
    let before = |text: &str| if with_time { format!("{text:>8}  ") } else { String::new() };
    let mut lines =
        vec![format!("{}{}", before(""), header(&heads, &centres)).trim_end().to_owned()];
    for arrow in &arrows {
        let time = offset(graph, arrow.edge.first_at_ms);
        let line = format!("{}{}", before(&time), line(arrow, &centres, total));
        lines.push(line.trim_end().to_owned());
    }
    Some(lines.join("\n"))
}

fn arrow<'a>(names: &[&str], edge: &'a GraphEdge) -> Option<Arrow<'a>> {
    let place = |name: &str| names.iter().position(|other| *other == name);
    Some(Arrow { from: place(&edge.from)?, to: place(&edge.to)?, label: edge.label(), edge })
}

/// Returns the positions of the columns, with room for names and labels.
fn centres(heads: &[String], arrows: &[Arrow<'_>]) -> Vec<usize> {
    let mut centres: Vec<usize> = Vec::new();
    let mut before = 0;
    for (column, head) in heads.iter().enumerate() {
        let width = head.width();
        let Some(last) = centres.last().copied() else {
            centres.push(width / 2);
            before = width - width / 2;
            continue;
        };
        let mut at = last + LEAST_GAP.max(before + width / 2 + 2);
        for arrow in arrows {
            let (left, right) = (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
            let label = arrow.label.width();
            if left == right && left + 1 == column {
                at = at.max(last + label + 4);
            } else if right == column && left < column {
                let from = centres.get(left).copied().unwrap_or(0);
                at = at.max(from + label + 6);
            }
        }
        centres.push(at);
        before = width - width / 2;
    }
    centres
}

fn header(heads: &[String], centres: &[usize]) -> String {
    let mut line = String::new();
    for (head, centre) in heads.iter().zip(centres) {
        let from = centre.saturating_sub(head.width() / 2);
        let blanks = from.saturating_sub(line.width());
        line.push_str(&" ".repeat(blanks));
        line.push_str(head);
    }
    line
}

fn line(arrow: &Arrow<'_>, centres: &[usize], total: usize) -> String {
    let mut cells = vec![' '; total];
    let mut put = |at: usize, character: char| {
        if let Some(cell) = cells.get_mut(at) {
            *cell = character;
        }
    };
    centres.iter().for_each(|centre| put(*centre, '│'));
    let centre = |column: usize| centres.get(column).copied().unwrap_or(0);
    let (from, to) = (centre(arrow.from), centre(arrow.to));
    let is_taken = arrow.edge.count > 0;
    if from == to {
        put(from, '├');
        put(from + 1, if is_taken { '↺' } else { '╌' });
        (from + 3..).zip(arrow.label.chars()).for_each(|(at, character)| put(at, character));
        return cells.into_iter().collect();
    }
    let (left, right) = (from.min(to), from.max(to));
    for at in left + 1..right {
        let crosses = centres.contains(&at);
        put(
            at,
            if crosses {
                '┼'
            } else if is_taken {
                '─'
            } else {
                '╌'
            },
        );
    }
    if from < to {
        put(from, '├');
        put(to - 1, '▶');
    } else {
        put(from, '┤');
        put(to + 1, '◀');
    }
    let label = arrow.label.width() + 2;
    let begin = left + 1 + (right - left - 1).saturating_sub(label) / 2;
    let text = format!(" {} ", arrow.label);
    (begin..).zip(text.chars()).for_each(|(at, character)| put(at, character));
    cells.into_iter().collect()
}
