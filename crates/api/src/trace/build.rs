//! From a journal to a tree of spans.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::event::Event;
use errand_model::run::{Run, Status};
use errand_model::{RunId, Timestamp};

use super::event::Data;
use super::{Outcome, Rest, Span, SpanKind, TRACE_SCHEMA, Trace, Usage, summary};

/// Spans that are kept one by one; what comes later is only summed. A journal may be longer than
/// what fits into memory, and nobody reads so many lines.
const SPAN_LIMIT: usize = 200_000;

/// Takes in events in their order, from the first on.
#[derive(Debug)]
pub struct Builder {
    nodes: Vec<Node>,
    attempt: Option<usize>,
    /// The wait between attempts that is under way.
    idle: Option<usize>,
    pause: Option<usize>,
    steps: BTreeMap<String, usize>,
    /// How often each step was begun.
    begun: BTreeMap<String, u32>,
    /// Approvals and questions that are open, by id.
    asked: BTreeMap<String, usize>,
    children: BTreeMap<RunId, usize>,
    inherited: Option<(usize, u64)>,
}

#[derive(Debug)]
struct Node {
    span: Span,
    parent: usize,
}

const ROOT: usize = 0;

impl Builder {
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
        };
        builder.idle = builder.open(ROOT, span(SpanKind::Wait, "pending".to_owned(), created_at));
        builder
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
        span.usage = Usage {
            model_calls: child.counters.model_calls,
            input_tokens: child.usage.input_tokens,
            output_tokens: child.usage.output_tokens,
            cost_micro_usd: child.usage.cost_micro_usd,
        };
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
            if node.span.outcome == Outcome::Open {
                node.span.to = end.max(node.span.from);
            }
        }
        if let Some(root) = self.nodes.first_mut() {
            (root.span.outcome, root.span.error) = outcome_of(status);
        }
        let run_span = self.into_tree();
        Trace {
            schema: TRACE_SCHEMA,
            run_id: run_id.clone(),
            status: status.name().to_owned(),
            is_live: !status.is_terminal(),
            summary: summary::of(&run_span),
            run: run_span,
        }
    }

    /// Every span goes into its parent, with its usage. A node comes after its parent.
    fn into_tree(mut self) -> Span {
        while self.nodes.len() > 1 {
            let Some(node) = self.nodes.pop() else { break };
            let Some(parent) = self.nodes.get_mut(node.parent) else { break };
            if node.span.kind != SpanKind::ChildRun {
                parent.span.usage.add(&node.span.usage);
            }
            parent.span.children.push(node.span);
        }
        let root = self.nodes.pop().map(|node| node.span);
        let mut root =
            root.unwrap_or_else(|| span(SpanKind::Run, String::new(), Timestamp::default()));
        sort(&mut root);
        root
    }

    fn run(&mut self, at: Timestamp, verb: &str, data: &Data) {
        match verb {
            "requeued" => {
                let reason = data.text("reason").unwrap_or_default();
                let name = if reason == "retry" { "back-off" } else { "waiting" };
                let mut wait = span(SpanKind::Wait, name.to_owned(), at);
                wait.detail = Some(reason).filter(|reason| reason != "retry");
                self.close_idle(at);
                self.idle = self.open(ROOT, wait);
            }
            "paused" => {
                let reason = data.text("reason").unwrap_or_default();
                let may_have_own = matches!(reason.as_str(), "approval" | "input");
                // What it waits for has a bar of its own.
                if !may_have_own || self.asked.is_empty() {
                    let name = format!("paused: {reason}");
                    self.close_idle(at);
                    self.pause = self.open(ROOT, span(SpanKind::Wait, name, at));
                }
            }
            "resumed" => {
                let pause = self.pause.take();
                self.close(pause, at, Outcome::Ok);
                if self.attempt.is_none() && self.idle.is_none() {
                    let wait = span(SpanKind::Wait, "waiting".to_owned(), at);
                    self.idle = self.open(ROOT, wait);
                }
            }
            "completed" | "failed" | "cancelled" => self.end(at),
            _ => {}
        }
    }

    /// The run is over: so is everything of it.
    fn end(&mut self, at: Timestamp) {
        self.close_idle(at);
        let pause = self.pause.take();
        self.close(pause, at, Outcome::Stopped);
        self.close_attempt(at, Outcome::Stopped);
        for node in std::mem::take(&mut self.asked).into_values() {
            self.close(Some(node), at, Outcome::Stopped);
        }
        if let Some(root) = self.nodes.first_mut() {
            root.span.to = at.max(root.span.from);
        }
    }

    fn attempt(&mut self, at: Timestamp, number: u32, verb: &str, data: &Data) {
        let outcome = match verb {
            "started" => {
                self.close_idle(at);
                let mut attempt = span(SpanKind::Attempt, format!("attempt {number}"), at);
                attempt.detail = data.text("reason");
                self.attempt = self.open(ROOT, attempt);
                return;
            }
            "exited" => Outcome::Ok,
            "failed" => Outcome::Failed,
            "stopped" => Outcome::Stopped,
            _ => return,
        };
        if let Some(attempt) = self.attempt.and_then(|node| self.nodes.get_mut(node)) {
            attempt.span.error = data.error();
            if outcome == Outcome::Stopped {
                attempt.span.detail = data.text("reason");
            }
        }
        self.close_attempt(at, outcome);
    }

    fn step(&mut self, at: Timestamp, verb: &str, data: &Data) {
        let Some(key) = data.text("key") else { return };
        let outcome = match verb {
            "started" => return self.begin_step(at, key, data),
            "inherited" => {
                self.inherit(at);
                return;
            }
            "completed" => Outcome::Ok,
            "failed" => Outcome::Failed,
            _ => return,
        };
        let Some(step) = self.steps.remove(&key) else { return };
        if let Some(node) = self.nodes.get_mut(step) {
            node.span.error = data.error();
        }
        self.close(Some(step), at, outcome);
    }

    fn begin_step(&mut self, at: Timestamp, key: String, data: &Data) {
        let begun = self.begun.entry(key.clone()).or_default();
        *begun += 1;
        let mut step = span(SpanKind::Step, key.clone(), at);
        step.detail = match (*begun, data.text("detail").or_else(|| data.text("kind"))) {
            (1, detail) => detail,
            (again, _) => Some(format!("try {again}")),
        };
        let parent = self.attempt.unwrap_or(ROOT);
        if let Some(node) = self.open(parent, step)
            && let Some(before) = self.steps.insert(key, node)
        {
            self.close(Some(before), at, Outcome::Stopped);
        }
    }

    fn inherit(&mut self, at: Timestamp) {
        match &mut self.inherited {
            Some((_, count)) => *count += 1,
            None => {
                let mut inherited = span(SpanKind::Inherited, String::new(), at);
                inherited.outcome = Outcome::Ok;
                self.inherited = self.open(ROOT, inherited).map(|node| (node, 1));
            }
        }
    }

    /// An approval or a question: time that a person took.
    fn ask(&mut self, at: Timestamp, noun: &str, verb: &str, data: &Data) {
        let id = data.text("approval_id").or_else(|| data.text("input_id"));
        let Some(id) = id else { return };
        if verb == "requested" {
            if self.asked.contains_key(&id) {
                // Asked again by a later attempt: the same question.
                return;
            }
            let subject = match (data.text("action"), data.text("target"), data.text("prompt")) {
                (Some(action), Some(target), _) => format!("{action} {target}"),
                (Some(text), None, _) | (None, _, Some(text)) => text,
                (None, _, None) => id.clone(),
            };
            let mut wait = span(SpanKind::Wait, format!("{noun}: {subject}"), at);
            wait.detail = data.text("step");
            if let Some(node) = self.open(ROOT, wait) {
                self.asked.insert(id, node);
            }
            return;
        }
        let outcome = match (verb, data.text("decision").as_deref()) {
            ("decided", Some("reject")) | ("expired", _) => Outcome::Failed,
            ("decided" | "provided", _) => Outcome::Ok,
            _ => return,
        };
        let asked = self.asked.remove(&id);
        if let Some(node) = asked.and_then(|node| self.nodes.get_mut(node)) {
            let who = data.text("decided_by").or_else(|| data.text("provided_by"));
            node.span.detail = who.map(|who| format!("by {who}"));
            if outcome == Outcome::Failed {
                let word = if verb == "expired" { "nobody answered" } else { "rejected" };
                node.span.error = Some(word.to_owned());
            }
        }
        self.close(asked, at, outcome);
    }

    fn wake(&mut self, at: Timestamp, verb: &str, data: &Data) {
        let run_id = data.text("run_id").and_then(|text| text.parse::<RunId>().ok());
        if let ("fired", Some(run_id)) = (verb, run_id) {
            let wake = span(SpanKind::ChildRun, format!("run {run_id}"), at);
            if let Some(node) = self.open(self.attempt.unwrap_or(ROOT), wake) {
                self.children.insert(run_id, node);
            }
        }
    }

    /// Something that the agent says it did, and how long it took.
    fn call(&mut self, at: Timestamp, kind: &str, data: &Data) {
        let (kind, name) = match kind {
            "model.called" => (SpanKind::ModelCall, data.model()),
            "tool.called" => (SpanKind::ToolCall, data.text("name").unwrap_or_default()),
            _ if data.number("duration_ms").is_some() => (SpanKind::Call, kind.to_owned()),
            _ => return,
        };
        let named = data.text("step").and_then(|key| self.steps.get(&key).copied());
        // The step that began last is the one that is talked about.
        let parent = named.or_else(|| self.steps.values().copied().max()).or(self.attempt);
        let parent = parent.unwrap_or(ROOT);
        let took = Duration::from_millis(data.number("duration_ms").unwrap_or(0));
        let earliest = self.nodes.get(parent).map_or(at, |node| node.span.from);
        let from = minus(at, took).max(earliest).min(at);
        let mut call = span(kind, name, from);
        call.to = at;
        call.outcome = if data.is_failure() { Outcome::Failed } else { Outcome::Ok };
        call.error = data.error();
        if kind == SpanKind::ModelCall {
            call.usage = data.usage();
        }
        self.open(parent, call);
    }

    fn close_idle(&mut self, at: Timestamp) {
        let idle = self.idle.take();
        self.close(idle, at, Outcome::Ok);
    }

    fn close_attempt(&mut self, at: Timestamp, outcome: Outcome) {
        for step in std::mem::take(&mut self.steps).into_values() {
            self.close(Some(step), at, Outcome::Stopped);
        }
        let attempt = self.attempt.take();
        self.close(attempt, at, outcome);
    }

    fn close(&mut self, node: Option<usize>, at: Timestamp, outcome: Outcome) {
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

/// How a run stands, and what went wrong.
fn outcome_of(status: &Status) -> (Outcome, Option<String>) {
    match status {
        Status::Completed { .. } => (Outcome::Ok, None),
        Status::Failed { error, .. } => (Outcome::Failed, Some(error.message.clone())),
        Status::Cancelled { .. } => (Outcome::Stopped, None),
        Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => {
            (Outcome::Open, None)
        }
    }
}

fn minus(at: Timestamp, duration: Duration) -> Timestamp {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_sub(millis))
}

fn span(kind: SpanKind, name: String, from: Timestamp) -> Span {
    Span {
        kind,
        name,
        detail: None,
        from,
        to: from,
        outcome: Outcome::Open,
        error: None,
        usage: Usage::default(),
        children: Vec::new(),
        rest: Rest::default(),
    }
}

fn sort(span: &mut Span) {
    // They were taken from the end: turned around, those of one moment keep their order.
    span.children.reverse();
    span.children.sort_by_key(|child| child.from);
    span.children.iter_mut().for_each(sort);
}
