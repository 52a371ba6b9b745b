//! Layers of a graph: the node above each node, and the order in a layer.
//!
//! The classical way: edges that lead back are turned around, each node stands below all that lead
//! to it, long edges get a place in each layer that they cross, and the places of a layer are
//! ordered so that few edges cross. All of it is deterministic.

use std::collections::BTreeSet;

/// Number of passes that improve the order of all layers: more passes change nothing visible.
const SWEEPS: usize = 12;

/// For each edge of a graph of `nodes` nodes whether it leads back, so that turning those around
/// leaves no cycle. No edge leads from a node to itself.
pub(super) fn back_edges(nodes: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for (place, (from, _)) in edges.iter().enumerate() {
        if let Some(of) = outgoing.get_mut(*from) {
            of.push(place);
        }
    }
    let mut is_back = vec![false; edges.len()];
    let mut is_seen = vec![false; nodes];
    let mut is_open = vec![false; nodes];
    for root in 0..nodes {
        if is_seen.get(root) != Some(&false) {
            continue;
        }
        // Nodes that are being looked at, with how many of their edges were.
        let mut stack = vec![(root, 0_usize)];
        mark(&mut is_seen, root, true);
        mark(&mut is_open, root, true);
        while let Some((node, next)) = stack.last_mut() {
            let edge = outgoing.get(*node).and_then(|of| of.get(*next)).copied();
            *next += 1;
            let Some(edge) = edge else {
                mark(&mut is_open, *node, false);
                stack.pop();
                continue;
            };
            let Some((_, to)) = edges.get(edge).copied() else { continue };
            if is_open.get(to) == Some(&true) {
                mark(&mut is_back, edge, true);
            } else if is_seen.get(to) == Some(&false) {
                mark(&mut is_seen, to, true);
                mark(&mut is_open, to, true);
                stack.push((to, 0));
            }
        }
    }
    is_back
}

fn mark(of: &mut [bool], place: usize, value: bool) {
    if let Some(mark) = of.get_mut(place) {
        *mark = value;
    }
}

/// The layer of each node: below all from which an edge leads to it. There is no cycle in `edges`.
pub(super) fn ranks(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut waits_for = vec![0_usize; nodes];
    for (_, to) in edges {
        if let Some(count) = waits_for.get_mut(*to) {
            *count += 1;
        }
    }
    let mut ranks = vec![0_usize; nodes];
    let mut ready: BTreeSet<usize> =
        (0..nodes).filter(|node| waits_for.get(*node) == Some(&0)).collect();
    while let Some(node) = ready.pop_first() {
        let below = ranks.get(node).copied().unwrap_or(0) + 1;
        for (_, to) in edges.iter().filter(|(from, _)| *from == node) {
            if let Some(rank) = ranks.get_mut(*to) {
                *rank = below.max(*rank);
            }
            if let Some(count) = waits_for.get_mut(*to) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.insert(*to);
                }
            }
        }
    }
    ranks
}

/// Orders the items of each layer so that lines between neighbouring layers cross little. `links`
/// are such lines, each from a layer to the next one.
pub(super) fn order(layers: &mut [Vec<usize>], items: usize, links: &[(usize, usize)]) {
    let mut above: Vec<Vec<usize>> = vec![Vec::new(); items];
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); items];
    for (upper, lower) in links {
        if let (Some(of_lower), Some(of_upper)) = (above.get_mut(*lower), below.get_mut(*upper)) {
            of_lower.push(*upper);
            of_upper.push(*lower);
        }
    }
    let mut places = vec![0_u64; items];
    layers.iter().for_each(|layer| place(layer, &mut places));
    for sweep in 0..SWEEPS {
        let is_down = sweep % 2 == 0;
        let neighbours = if is_down { &above } else { &below };
        let count = layers.len();
        for step in 0..count {
            let at = if is_down { step } else { count - 1 - step };
            let Some(layer) = layers.get_mut(at) else { continue };
            // Means of places, in thousandths; what has no neighbour stays where it is.
            let mean = |item: usize| {
                let own = places.get(item).copied().unwrap_or(0);
                let of: Vec<u64> = neighbours
                    .get(item)
                    .into_iter()
                    .flatten()
                    .filter_map(|other| places.get(*other).copied())
                    .collect();
                let sum: u64 = of.iter().sum();
                let count = u64::try_from(of.len()).unwrap_or(1);
                (sum * 1_000).checked_div(count).unwrap_or(own * 1_000)
            };
            let mut keyed: Vec<(u64, usize)> =
                layer.iter().map(|item| (mean(*item), *item)).collect();
            keyed.sort_by_key(|(mean, _)| *mean);
            *layer = keyed.into_iter().map(|(_, item)| item).collect();
            place(layer, &mut places);
        }
    }
}

/// Notes the places of a layer: spread, so that layers of any length compare.
fn place(layer: &[usize], places: &mut [u64]) {
    let count = u64::try_from(layer.len()).unwrap_or(1).max(1);
    for (at, item) in (0_u64..).zip(layer) {
        if let Some(place) = places.get_mut(*item) {
            *place = (2 * at + 1) * 1_000_000 / (2 * count);
        }
    }
}
