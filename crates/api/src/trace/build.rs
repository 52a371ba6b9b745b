//! From a journal to a tree of spans.

mod events;

use std::collections::BTreeMap;

use errand_model::event::{Event, ReplayDiverged};
use errand_model::run::{Run, Status};
use errand_model::{RunId, Timestamp};

use super::event::Data;
use super::{Span, SpanKind, SpanSummary, TRACE_SCHEMA, Trace, TraceOutcome, TraceUsage, summary};

/// Spans that are kept one by one; later ones are only summed. A journal may be longer than memory,
/// and a reader does not read so many lines.
const SPAN_LIMIT: usize = 200_000;

/// Takes in events in their order, from the first on.
#[derive(Debug)]
pub struct TraceBuilder {
    nodes: Vec<Node>,
    attempt: Option<usize>,
    /// The wait between attempts that is under way.
    idle: Option<usize>,
    pause: Option<usize>,
    steps: BTreeMap<String, usize>,
    /// Number of starts of each step.
    begun: BTreeMap<String, u32>,
    /// Approvals and questions that are open, by id.
    asked: BTreeMap<String, usize>,
    children: BTreeMap<RunId, usize>,
    inherited: Option<(usize, u64)>,
    /// True if its steps are runs: their usage counts as its own, and no attempt contains them.
    coordinates: bool,
    /// Attempts so far.
    attempts: u32,
    divergence: Option<ReplayDiverged>,
    /// Model calls so far.
    model_calls: u64,
}

#[derive(Debug)]
struct Node {
    span: Span,
    parent: usize,
}

const ROOT: usize = 0;

impl TraceBuilder {
    /// The trace of a run that was admitted at `created_at`, without any of its events yet.
    pub fn new(name: impl Into<String>, created_at: Timestamp) -> Self {
        let run = span(SpanKind::Run, name.into(), created_at);
        let mut builder = Self {
            nodes: vec![Node { span: run, parent: ROOT }],
            attempt: None,
            idle: None,
            pause: None,
            steps: BTreeMap::new(),
            begun: BTreeMap::new(),
            asked: BTreeMap::new(),
            children: BTreeMap::new(),
            inherited: None,
            coordinates: false,
            attempts: 0,
            divergence: None,
            model_calls: 0,
        };
        builder.idle = builder.open(ROOT, span(SpanKind::Wait, "pending".to_owned(), created_at));
        builder
    }

    /// Sets the builder to a coordinator: its steps are runs of other agents, which continue
    /// whatever becomes of its attempts.
    #[must_use]
    pub const fn of_coordinator(mut self) -> Self {
        self.coordinates = true;
        self
    }

    /// Takes in the next event. One that takes no time, or that this version does not know, changes
    /// nothing.
    pub fn push(&mut self, event: &Event) {
        let at = event.at;
        let data = Data::of(event);
        let Some((noun, verb)) = event.kind.split_once('.') else { return };
        match noun {
            "run" => self.run(at, verb, &data),
            "attempt" => self.attempt(at, event.attempt, verb, &data),
            "step" => self.step(at, verb, &data),
            "approval" | "input" => self.ask(at, noun, verb, &data),
            "wake" => self.wake(at, verb, &data),
            "replay" => self.divergence = serde_json::from_str(&event.data).ok(),
            _ => self.call(at, &event.kind, &data),
        }
    }

    /// Tells how a run ended, or stands, that this one started. Its events are not needed.
    pub fn child(&mut self, child: &Run, now: Timestamp) {
        let known = self.children.get(&child.id).copied();
        let Some(node) = known.or_else(|| {
            let name = format!("run {}", child.id);
            self.open(ROOT, span(SpanKind::ChildRun, name, child.created_at))
        }) else {
            return;
        };
        self.children.insert(child.id.clone(), node);
        let Some(node) = self.nodes.get_mut(node) else { return };
        let span = &mut node.span;
        span.detail = Some(child.spec.agent.name.clone());
        span.to = child.status.ended_at().unwrap_or(now).max(span.from);
        (span.outcome, span.error) = outcome_of(&child.status);
        span.run_id = Some(child.id.clone());
        span.usage = TraceUsage::of_run(child);
    }

    /// The tree of a run that stands as `status` says at `now`.
    pub fn finish(mut self, run_id: &RunId, status: &Status, now: Timestamp) -> Trace {
        let end = status.ended_at().unwrap_or(now);
        if let Some((node, count)) = self.inherited
            && let Some(node) = self.nodes.get_mut(node)
        {
            node.span.name = format!("{count} steps done before");
        }
        for node in &mut self.nodes {
            if node.span.outcome == TraceOutcome::Open {
                node.span.to = end.max(node.span.from);
            }
        }
        if let Some(root) = self.nodes.first_mut() {
            (root.span.outcome, root.span.error) = outcome_of(status);
        }
        let divergence = self.divergence.take();
        let run_span = self.into_tree();
        Trace {
            schema: TRACE_SCHEMA,
            run_id: run_id.clone(),
            status: status.name().to_owned(),
            is_live: !status.is_terminal(),
            summary: summary::of(&run_span),
            divergence,
            run: run_span,
        }
    }

    /// Every span goes into its parent, with its usage. A node comes after its parent.
    fn into_tree(mut self) -> Span {
        while self.nodes.len() > 1 {
            let Some(node) = self.nodes.pop() else { break };
            let Some(parent) = self.nodes.get_mut(node.parent) else { break };
            if node.span.kind != SpanKind::ChildRun || self.coordinates {
                parent.span.usage.add(&node.span.usage);
            }
            // The only attempt of a coordinator is the run itself, which says how it ended.
            if self.coordinates && node.span.kind == SpanKind::Attempt && self.attempts == 1 {
                continue;
            }
            parent.span.children.push(node.span);
        }
        let root = self.nodes.pop().map(|node| node.span);
        let mut root =
            root.unwrap_or_else(|| span(SpanKind::Run, String::new(), Timestamp::default()));
        sort(&mut root);
        root
    }

    fn close_idle(&mut self, at: Timestamp) {
        let idle = self.idle.take();
        self.close(idle, at, TraceOutcome::Ok);
    }

    fn close_attempt(&mut self, at: Timestamp, outcome: TraceOutcome) {
        if !self.coordinates {
            self.close_steps(at);
        }
        let attempt = self.attempt.take();
        self.close(attempt, at, outcome);
    }

    fn close_steps(&mut self, at: Timestamp) {
        for step in std::mem::take(&mut self.steps).into_values() {
            self.close(Some(step), at, TraceOutcome::Stopped);
        }
    }

    /// Returns the position of the run's current work.
    fn place(&self) -> usize {
        let attempt = if self.coordinates { None } else { self.attempt };
        attempt.unwrap_or(ROOT)
    }

    fn close(&mut self, node: Option<usize>, at: Timestamp, outcome: TraceOutcome) {
        if let Some(node) = node.and_then(|node| self.nodes.get_mut(node)) {
            node.span.to = at.max(node.span.from);
            node.span.outcome = outcome;
        }
    }

    /// Adds a span; `None`: there are too many, and it is only summed.
    fn open(&mut self, parent: usize, span: Span) -> Option<usize> {
        if self.nodes.len() < SPAN_LIMIT {
            self.nodes.push(Node { span, parent });
            return Some(self.nodes.len() - 1);
        }
        let parent = self.nodes.get_mut(parent)?;
        parent.span.usage.add(&span.usage);
        parent.span.rest.add(&span);
        None
    }
}

/// Returns the outcome of a run, and its error.
fn outcome_of(status: &Status) -> (TraceOutcome, Option<String>) {
    match status {
        Status::Completed { .. } => (TraceOutcome::Ok, None),
        Status::Failed { error, .. } => (TraceOutcome::Failed, Some(error.message.clone())),
        Status::Cancelled { .. } => (TraceOutcome::Stopped, None),
        Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => {
            (TraceOutcome::Open, None)
        }
    }
}

fn span(kind: SpanKind, name: String, from: Timestamp) -> Span {
    Span {
        kind,
        name,
        run_id: None,
        detail: None,
        call: None,
        from,
        to: from,
        outcome: TraceOutcome::Open,
        error: None,
        usage: TraceUsage::default(),
        children: Vec::new(),
        rest: SpanSummary::default(),
    }
}

fn sort(span: &mut Span) {
    // They were taken from the end: turned around, those of one moment keep their order.
    span.children.reverse();
    span.children.sort_by_key(|child| child.from);
    span.children.iter_mut().for_each(sort);
}
