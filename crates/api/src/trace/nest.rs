//! Traces of runs below the trace of the run that started them.

use std::cmp::Reverse;

use errand_model::RunId;

use super::{Span, SpanKind, SpanSummary, Trace, TraceOutcome, TraceUsage};

/// A wait for a worker that is shorter than this part of the whole says nothing of a child.
const TELLING_PART: u128 = 50;

/// A place in a tree: in which child, of which child, …
type Path = Vec<usize>;

/// Puts the traces of runs below those that started them, as long as there is room.
#[derive(Debug)]
pub struct Nested {
    trace: Trace,
    /// Number of spans, without the run itself.
    spans: usize,
    limit: usize,
    /// Children of which nothing is looked at yet, those that matter most last; and how deep they
    /// are.
    level: Vec<(Path, RunId)>,
    next_level: Vec<Path>,
}

impl Nested {
    /// Begins with the trace of a coordinator, of which at most `limit` spans will be shown.
    pub fn new(trace: Trace, limit: usize) -> Self {
        let spans = count(&trace.run);
        let level = wanted(&trace.run, &[vec![]]);
        Self { trace, spans, limit, level, next_level: Vec::new() }
    }

    /// The next run whose trace there is room for; all of one depth come before those that are
    /// deeper. `None`: nothing is left on this level, or there is no room.
    pub fn next_run(&mut self) -> Option<(TracePosition, RunId)> {
        if self.spans >= self.limit {
            return None;
        }
        let (path, run_id) = self.level.pop()?;
        Some((TracePosition(path), run_id))
    }

    /// Goes one level deeper. Whether there is anything.
    pub fn descend(&mut self) -> bool {
        let paths = std::mem::take(&mut self.next_level);
        self.level = wanted(&self.trace.run, &paths);
        !self.level.is_empty()
    }

    /// Puts the trace of a run where it belongs. What it used is used by those above it.
    pub fn put(&mut self, TracePosition(path): TracePosition, child: Trace) {
        let room = self.limit.saturating_sub(self.spans).max(1);
        let whole = self.trace.run.duration().as_millis();
        let child = child.shortened(room).run;
        let used = child.usage;
        let (children, rest) = flattened(child, whole);
        let before = at(&mut self.trace.run, &path).map(|span| span.usage);
        let Some(before) = before else { return };
        for depth in 0..=path.len() {
            let above = path.get(..depth).unwrap_or_default();
            if let Some(span) = at(&mut self.trace.run, above) {
                span.usage.replace(&before, &used);
            }
        }
        let Some(span) = at(&mut self.trace.run, &path) else { return };
        self.spans += 1;
        self.spans += children.iter().map(|child| 1 + count(child)).sum::<usize>();
        span.children = children;
        span.rest = rest;
        self.next_level.push(path);
    }

    /// The tree, in as many spans as were asked for.
    pub fn finish(mut self) -> Trace {
        self.trace.summary = super::summary::of(&self.trace.run);
        self.trace.shortened(self.limit)
    }
}

/// Position of a run in the tree.
#[derive(Debug)]
pub struct TracePosition(Path);

fn count(span: &Span) -> usize {
    span.children.iter().map(|child| 1 + count(child)).sum()
}

/// The runs that were started below the spans at `paths`: what is open or failed last, and of the
/// others the longest.
fn wanted(run: &Span, paths: &[Path]) -> Vec<(Path, RunId)> {
    let mut found = Vec::new();
    for path in paths {
        let span = path.iter().try_fold(run, |span, place| span.children.get(*place));
        let Some(span) = span else { continue };
        for (place, child) in span.children.iter().enumerate() {
            let Some(run_id) = child.run_id.clone().filter(|_| child.kind == SpanKind::ChildRun)
            else {
                continue;
            };
            let is_telling = matches!(child.outcome, TraceOutcome::Failed | TraceOutcome::Open);
            let rank = (is_telling, child.duration(), Reverse(place));
            found.push((rank, ([path.as_slice(), &[place]].concat(), run_id)));
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, run)| run).collect()
}

fn at<'s>(run: &'s mut Span, path: &[usize]) -> Option<&'s mut Span> {
    path.iter().try_fold(run, |span, place| span.children.get_mut(*place))
}

/// Returns the spans in a run: for one with a single attempt, the spans in that.
fn flattened(run: Span, whole_millis: u128) -> (Vec<Span>, SpanSummary) {
    let Span { children, mut rest, .. } = run;
    let attempts = children.iter().filter(|child| child.kind == SpanKind::Attempt).count();
    let mut spans = Vec::new();
    for child in children {
        if child.kind == SpanKind::Attempt && attempts == 1 {
            rest.merge(&child.rest);
            spans.extend(child.children);
        } else if child.kind == SpanKind::Wait
            && child.duration().as_millis() * TELLING_PART < whole_millis
        {
            // It was claimed as good as at once.
        } else {
            spans.push(child);
        }
    }
    spans.sort_by_key(|child| child.from);
    (spans, rest)
}

impl TraceUsage {
    /// Takes `new` in the place of `old`, which is part of it.
    fn replace(&mut self, old: &Self, new: &Self) {
        let swap = |sum: u64, old: u64, new: u64| sum.saturating_sub(old).saturating_add(new);
        self.model_calls = swap(self.model_calls, old.model_calls, new.model_calls);
        self.input_tokens = swap(self.input_tokens, old.input_tokens, new.input_tokens);
        self.output_tokens = swap(self.output_tokens, old.output_tokens, new.output_tokens);
        let costs = [self.cost_micro_usd, old.cost_micro_usd, new.cost_micro_usd];
        if costs.iter().any(Option::is_some) {
            let [sum, old, new] = costs.map(|cost| cost.unwrap_or(0));
            self.cost_micro_usd = Some(swap(sum, old, new));
        }
    }
}

impl SpanSummary {
    fn merge(&mut self, other: &Self) {
        self.spans += other.spans;
        self.failed += other.failed;
        self.duration_ms = self.duration_ms.saturating_add(other.duration_ms);
        self.usage.add(&other.usage);
    }
}
