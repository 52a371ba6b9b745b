//! A tree of many spans in few lines.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Span, SpanKind, Trace, TraceOutcome};

impl Trace {
    /// Keeps the `limit` spans that matter most, with everything that they are in, and sums the
    /// rest where they are: attempts before what failed or goes on, that before what took longest.
    #[must_use]
    pub fn shortened(mut self, limit: usize) -> Self {
        let mut spans = Vec::new();
        rank(&self.run, &mut 0, &mut spans);
        if spans.len() > limit {
            spans.sort_unstable();
            spans.truncate(limit);
            let kept: BTreeSet<usize> = spans.into_iter().map(|(_, _, place)| place).collect();
            keep(&mut self.run, &mut 0, &kept);
        }
        self
    }
}

/// Order of importance: class, length, position in the tree.
type Rank = (u8, Reverse<u128>, usize);

fn rank(span: &Span, next: &mut usize, ranks: &mut Vec<Rank>) {
    for child in &span.children {
        let class = match (child.kind, child.outcome) {
            (SpanKind::Attempt, _) => 0,
            (_, TraceOutcome::Failed | TraceOutcome::Open) => 1,
            (_, TraceOutcome::Ok | TraceOutcome::Stopped) => 2,
        };
        ranks.push((class, Reverse(child.duration().as_millis()), *next));
        *next += 1;
        rank(child, next, ranks);
    }
}

/// Drops what is not kept; returns whether anything in `span` is.
fn keep(span: &mut Span, next: &mut usize, kept: &BTreeSet<usize>) -> bool {
    let mut is_any_kept = false;
    let mut rest = span.rest;
    span.children.retain_mut(|child| {
        let is_meant = kept.contains(next);
        *next += 1;
        let has_kept = keep(child, next, kept);
        if is_meant || has_kept {
            is_any_kept = true;
            return true;
        }
        rest.add(child);
        false
    });
    span.rest = rest;
    is_any_kept
}
