//! Positions of a graph's parts on paper, in pixels.

use std::collections::BTreeMap;
use std::time::Duration;

use super::layers::{back_edges, order, ranks};
use super::{Graph, GraphNode, NodeKind};
use crate::amount;

/// Width of a character, in a font of equal widths.
const CHAR: i64 = 8;
/// Height of a line of text.
pub(super) const LINE: i64 = 17;
/// Between a box and its text.
pub(super) const PAD: i64 = 10;
/// Between neighbours in a layer.
const GAP: i64 = 28;
/// Least height of a layer without boxes.
const STRETCH: i64 = 2 * BEND + LINE;
/// Room for a line to turn, above and below a label.
const BEND: i64 = 26;
/// Around everything.
const MARGIN: i64 = 24;
/// Reach of a loop out of its box.
pub(super) const LOOP: i64 = 30;
/// Between two lines that begin or end at one box, at most.
const PORT: i64 = 22;
/// Characters of a line in a box.
const SHOWN_CHARS: usize = 36;
/// Places that lines may take up in layers which they cross: what is beyond cannot be read anyway.
const CROSSING_LIMIT: usize = 20_000;
/// Number of passes that align all layers.
const SWEEPS: usize = 16;

/// A graph on paper.
#[derive(Debug, Default)]
pub(super) struct Placed {
    pub(super) width: i64,
    pub(super) height: i64,
    pub(super) boxes: Vec<Boxed>,
    pub(super) lines: Vec<EdgeGroup>,
    /// Edges that are not drawn: there are too many.
    pub(super) left_out: usize,
}

/// A node on paper.
#[derive(Debug)]
pub(super) struct Boxed {
    /// Its place in [`Graph::nodes`].
    pub(super) node: usize,
    /// The middle.
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) height: i64,
    pub(super) text: Vec<String>,
    /// Messages to itself.
    pub(super) loops: Vec<String>,
    pub(super) is_loop_taken: bool,
}

/// All edges from one node to another, as one line.
#[derive(Debug)]
pub(super) struct EdgeGroup {
    /// From its beginning to its end.
    pub(super) points: Vec<(i64, i64)>,
    pub(super) label: Vec<String>,
    /// The middle of the label.
    pub(super) label_at: (i64, i64),
    /// True if a message took it.
    pub(super) is_taken: bool,
}

/// Something that has a place in a layer: a node, or a line that crosses the layer.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// From its middle to its left end, and to its right one.
    left: i64,
    right: i64,
    height: i64,
    x: i64,
}

/// Edges between the same two nodes.
#[derive(Debug, Default)]
struct Pair {
    label: Vec<String>,
    is_taken: bool,
    /// The upper node and the lower one.
    ends: (usize, usize),
    /// From the upper node to the lower one, all that is in between.
    items: Vec<usize>,
    /// The layer of the first of them, and that of the label.
    first_layer: usize,
    labelled: usize,
    is_back: bool,
}

/// Returns the figures of a node: `2 runs · 1.2 s · 3.4k tokens · $0.0123`.
pub(super) fn facts(node: &GraphNode) -> String {
    let mut facts = Vec::new();
    if node.runs > 0 {
        let mark = node.status.mark();
        let runs = if node.runs == 1 { "run" } else { "runs" };
        facts.push(format!("{mark} {} {runs}", node.runs).trim().to_owned());
        facts.push(amount::duration(Duration::from_millis(node.duration_ms)));
    }
    if node.usage.tokens() > 0 {
        facts.push(format!("{} tokens", amount::count(node.usage.tokens())));
    }
    facts.extend(node.usage.cost_micro_usd.map(amount::money));
    facts.join(" · ")
}

/// Finds a place for everything; `top` is left free above.
pub(super) fn place(graph: &Graph, top: i64) -> Placed {
    let (mut boxes, mut pairs) = parts(graph);
    let keys: Vec<(usize, usize)> = pairs.keys().copied().collect();
    let is_back = back_edges(boxes.len(), &keys);
    let downwards: Vec<(usize, usize)> = keys
        .iter()
        .zip(&is_back)
        .map(|((from, to), is_back)| if *is_back { (*to, *from) } else { (*from, *to) })
        .collect();
    let mut ranks = ranks(boxes.len(), &downwards);
    let deepest = ranks.iter().copied().max().unwrap_or(0);
    for (rank, node) in ranks.iter_mut().zip(&graph.nodes) {
        if node.kind == NodeKind::End {
            *rank = deepest;
        }
    }
    // Every other layer is for labels.
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); 2 * deepest + 1];
    let mut items: Vec<Item> = boxes.iter().map(item).collect();
    for (item, rank) in ranks.iter().enumerate() {
        if let Some(layer) = layers.get_mut(2 * rank) {
            layer.push(item);
        }
    }
    let mut links = Vec::new();
    let mut left_out = 0;
    for ((pair, ends), is_back) in pairs.values_mut().zip(&downwards).zip(&is_back) {
        (pair.is_back, pair.ends) = (*is_back, *ends);
        if items.len() > boxes.len() + CROSSING_LIMIT {
            left_out += 1;
            continue;
        }
        cross(pair, &ranks, (&mut layers, &mut items), &mut links);
    }
    order(&mut layers, items.len(), &links);
    spread(&layers, &mut items, &links);
    let tops = heights(&layers, &items, top);
    for (boxed, rank) in boxes.iter_mut().zip(&ranks) {
        let (from, height) = tops.get(2 * rank).copied().unwrap_or_default();
        boxed.x = items.get(boxed.node).map_or(0, |item| item.x);
        boxed.y = from + height / 2;
    }
    let right = items.iter().map(|item| item.x + item.right).max().unwrap_or(0);
    let bottom = tops.last().map_or(top, |(from, height)| from + height);
    let lines = lines(&boxes, pairs.into_values().collect(), &items, &tops);
    Placed { width: right + MARGIN, height: bottom + MARGIN, boxes, lines, left_out }
}

/// A box for each node, and what is between each two of them.
fn parts(graph: &Graph) -> (Vec<Boxed>, BTreeMap<(usize, usize), Pair>) {
    let mut boxes: Vec<Boxed> = graph.nodes.iter().enumerate().map(boxed).collect();
    let names: BTreeMap<&str, usize> =
        graph.nodes.iter().enumerate().map(|(place, node)| (node.name.as_str(), place)).collect();
    let mut pairs: BTreeMap<(usize, usize), Pair> = BTreeMap::new();
    for edge in &graph.edges {
        let (Some(from), Some(to)) = (names.get(edge.from.as_str()), names.get(edge.to.as_str()))
        else {
            continue;
        };
        if from == to {
            if let Some(boxed) = boxes.get_mut(*from) {
                boxed.loops.push(edge.label());
                boxed.is_loop_taken |= edge.count > 0;
            }
            continue;
        }
        let pair = pairs.entry((*from, *to)).or_default();
        pair.label.push(edge.label());
        pair.is_taken |= edge.count > 0;
    }
    (boxes, pairs)
}

fn boxed((place, node): (usize, &GraphNode)) -> Boxed {
    let mut text = vec![cut(&node.name)];
    if node.kind == NodeKind::Agent {
        text.extend(node.agent.iter().map(|agent| cut(agent)));
        text.extend(Some(facts(node)).filter(|facts| !facts.is_empty()));
    }
    let height = 2 * PAD + LINE * length(text.len());
    let widest = text.iter().map(|line| width(line)).max().unwrap_or(0);
    Boxed {
        node: place,
        x: 0,
        y: 0,
        width: (widest + 2 * PAD).max(72),
        height,
        text,
        loops: Vec::new(),
        is_loop_taken: false,
    }
}

fn item(boxed: &Boxed) -> Item {
    let label = boxed.loops.iter().map(|label| width(label)).max();
    let extra = label.map_or(0, |label| LOOP + label + PAD);
    let half = boxed.width / 2;
    Item { left: half, right: half + extra, height: boxed.height, x: 0 }
}

/// Gives a line its places in the layers between its ends, the middle one with room for its label.
fn cross(
    pair: &mut Pair,
    ranks: &[usize],
    (layers, items): (&mut [Vec<usize>], &mut Vec<Item>),
    links: &mut Vec<(usize, usize)>,
) {
    let rank = |of: usize| 2 * ranks.get(of).copied().unwrap_or(0);
    let (upper, lower) = pair.ends;
    let (first, last) = (rank(upper) + 1, rank(lower));
    // Labels are in odd layers.
    let labelled = first + (last.saturating_sub(first) / 4) * 2;
    (pair.first_layer, pair.labelled) = (first, labelled);
    let mut before = upper;
    for layer in first..last {
        let half = if layer == labelled {
            pair.label.iter().map(|label| width(label)).max().unwrap_or(0) / 2 + 4
        } else {
            4
        };
        let height = if layer == labelled { LINE * length(pair.label.len()) + 2 * BEND } else { 0 };
        let item = items.len();
        items.push(Item { left: half, right: half, height, x: 0 });
        if let Some(layer) = layers.get_mut(layer) {
            layer.push(item);
        }
        pair.items.push(item);
        links.push((before, item));
        before = item;
    }
    links.push((before, lower));
}

/// Places each item from left to right: near its neighbours, and clear of the others.
fn spread(layers: &[Vec<usize>], items: &mut [Item], links: &[(usize, usize)]) {
    let mut linked: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    for (upper, lower) in links {
        for (one, other) in [(upper, lower), (lower, upper)] {
            if let Some(of) = linked.get_mut(*one) {
                of.push(*other);
            }
        }
    }
    for layer in layers {
        settle(layer, items, |_, _| 0);
    }
    for sweep in 0..SWEEPS {
        let count = layers.len();
        for step in 0..count {
            let at = if sweep % 2 == 0 { step } else { count - 1 - step };
            let Some(layer) = layers.get(at) else { continue };
            settle(layer, items, |items, item| {
                let of = linked.get(item).map_or(&[][..], Vec::as_slice);
                let sum: i64 = of.iter().filter_map(|it| items.get(*it)).map(|it| it.x).sum();
                let own = items.get(item).map_or(0, |item| item.x);
                sum.checked_div(length(of.len())).unwrap_or(own)
            });
        }
    }
    let least = items.iter().map(|item| item.x - item.left).min().unwrap_or(0);
    items.iter_mut().for_each(|item| item.x += MARGIN - least);
}

/// Puts the items of a layer as near to where they want to be as their neighbours let them: between
/// what is nearest if all give way to the left, and if all give way to the right.
fn settle(layer: &[usize], items: &mut [Item], wanted: impl Fn(&[Item], usize) -> i64) {
    let of = |item: usize| items.get(item).copied();
    let wanted: Vec<i64> = layer.iter().map(|item| wanted(items, *item)).collect();
    let mut from_left = Vec::new();
    let mut edge = i64::MIN / 4;
    for (item, wanted) in layer.iter().zip(&wanted) {
        let Some(item) = of(*item) else { return };
        let x = (*wanted).max(edge + item.left);
        edge = x + item.right + GAP;
        from_left.push(x);
    }
    let mut from_right = Vec::new();
    let mut edge = i64::MAX / 4;
    for (item, wanted) in layer.iter().zip(&wanted).rev() {
        let Some(item) = of(*item) else { return };
        let x = (*wanted).min(edge - item.right);
        edge = x - item.left - GAP;
        from_right.push(x);
    }
    for ((item, left), right) in layer.iter().zip(from_left).zip(from_right.into_iter().rev()) {
        if let Some(item) = items.get_mut(*item) {
            item.x = i64::midpoint(left, right);
        }
    }
}

/// Returns the top and the height of each layer.
fn heights(layers: &[Vec<usize>], items: &[Item], top: i64) -> Vec<(i64, i64)> {
    let mut from = top + MARGIN;
    let mut heights = Vec::new();
    for (place, layer) in layers.iter().enumerate() {
        let highest = layer.iter().filter_map(|it| items.get(*it)).map(|it| it.height).max();
        let least = if place % 2 == 1 { STRETCH } else { 0 };
        let height = highest.unwrap_or(0).max(least);
        heights.push((from, height));
        from += height;
    }
    heights
}

/// The lines, each from where it leaves its box to where it meets the other one.
fn lines(boxes: &[Boxed], pairs: Vec<Pair>, items: &[Item], tops: &[(i64, i64)]) -> Vec<EdgeGroup> {
    let x_of = |item: &usize| items.get(*item).map_or(0, |item| item.x);
    let drawn: Vec<Pair> = pairs.into_iter().filter(|pair| !pair.items.is_empty()).collect();
    // By box: lines that are below it, and those that are above it, with where they come from.
    let mut below: Vec<Vec<(i64, usize)>> = vec![Vec::new(); boxes.len()];
    let mut above = below.clone();
    for (line, pair) in drawn.iter().enumerate() {
        let (first, last) = (pair.items.first(), pair.items.last());
        for (side, of, item) in [(&mut below, pair.ends.0, first), (&mut above, pair.ends.1, last)]
        {
            if let Some(side) = side.get_mut(of) {
                side.push((item.map_or(0, x_of), line));
            }
        }
    }
    let port = |side: &[Vec<(i64, usize)>], of: usize, line: usize| {
        let mut side = side.get(of).cloned().unwrap_or_default();
        side.sort_unstable();
        let place = side.iter().position(|(_, other)| *other == line).unwrap_or(0);
        let boxed = boxes.get(of);
        let room = boxed.map_or(0, |boxed| boxed.width) / length(side.len() + 1).max(1);
        boxed.map_or(0, |it| it.x)
            + (2 * length(place) - length(side.len()) + 1) * room.min(PORT) / 2
    };
    let line = |(line, pair): (usize, &Pair)| {
        let half = |of: usize| boxes.get(of).map_or((0, 0), |boxed| (boxed.y, boxed.height / 2));
        let (upper, lower) = pair.ends;
        let ((upper_y, upper_half), (lower_y, lower_half)) = (half(upper), half(lower));
        let mut points = vec![(port(&below, upper, line), upper_y + upper_half)];
        let mut label_at = (0, 0);
        for (layer, item) in (pair.first_layer..).zip(&pair.items) {
            let (from, height) = tops.get(layer).copied().unwrap_or_default();
            let x = x_of(item);
            // Between boxes there is room to turn; beside them a line goes straight on.
            let inset = if layer % 2 == 1 { BEND.min(height / 2) } else { 0 };
            points.extend([(x, from + inset), (x, from + height - inset)]);
            if layer == pair.labelled {
                label_at = (x, from + height / 2);
            }
        }
        points.push((port(&above, lower, line), lower_y - lower_half));
        if pair.is_back {
            points.reverse();
        }
        EdgeGroup { points, label: pair.label.clone(), label_at, is_taken: pair.is_taken }
    };
    drawn.iter().enumerate().map(line).collect()
}

/// A line in a box: no longer than can be read.
fn cut(text: &str) -> String {
    let is_longer = text.chars().count() > SHOWN_CHARS;
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if is_longer {
        shown.push('…');
    }
    shown
}

/// Returns the width of a text: characters of East Asian scripts are twice as wide.
pub(super) fn width(text: &str) -> i64 {
    text.chars()
        .map(
            |character| if character >= '\u{1100}' && !is_narrow(character) { 2 } else { 1 } * CHAR,
        )
        .sum()
}

/// Characters of errand's own among those.
const fn is_narrow(character: char) -> bool {
    matches!(character, '\u{2000}'..='\u{2bff}')
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
