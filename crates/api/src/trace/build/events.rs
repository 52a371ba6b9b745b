//! Start and end of spans by event.

use std::time::Duration;

use errand_model::accounting::{
    KNOWLEDGE_RETRIEVED, MEMORY_ACCESSED, MODEL_CALLED, MODEL_REFUSED, MODEL_REQUESTED,
    MODEL_TRY_FAILED, TOOL_CALLED, TOOL_REFUSED,
};
use errand_model::{RunId, Timestamp};

use super::super::call::{TracedCall, is_key_of_call};
use super::super::event::Data;
use super::super::{Span, SpanKind, TraceOutcome, TraceUsage};
use super::{ROOT, TraceBuilder, span};

impl TraceBuilder {
    pub(super) fn run(&mut self, at: Timestamp, verb: &str, data: &Data) {
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
                // A hold may end in waiting for an answer that is still open.
                let before = self.pause.take();
                self.close(before, at, TraceOutcome::Ok);
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
                self.close(pause, at, TraceOutcome::Ok);
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
        self.close(pause, at, TraceOutcome::Stopped);
        self.close_attempt(at, TraceOutcome::Stopped);
        self.close_steps(at);
        for node in std::mem::take(&mut self.asked).into_values() {
            self.close(Some(node), at, TraceOutcome::Stopped);
        }
        if let Some(root) = self.nodes.first_mut() {
            root.span.to = at.max(root.span.from);
        }
    }

    pub(super) fn attempt(&mut self, at: Timestamp, number: u32, verb: &str, data: &Data) {
        let outcome = match verb {
            "started" => {
                self.close_idle(at);
                self.attempts += 1;
                let mut attempt = span(SpanKind::Attempt, format!("attempt {number}"), at);
                attempt.detail = data.text("reason");
                self.attempt = self.open(ROOT, attempt);
                return;
            }
            "exited" => TraceOutcome::Ok,
            "failed" => TraceOutcome::Failed,
            "stopped" => TraceOutcome::Stopped,
            _ => return,
        };
        if let Some(attempt) = self.attempt.and_then(|node| self.nodes.get_mut(node)) {
            attempt.span.error = data.error();
            if outcome == TraceOutcome::Stopped {
                attempt.span.detail = data.text("reason");
            }
        }
        self.close_attempt(at, outcome);
    }

    pub(super) fn step(&mut self, at: Timestamp, verb: &str, data: &Data) {
        let Some(key) = data.text("key") else { return };
        let outcome = match verb {
            "started" => return self.begin_step(at, key, data),
            "inherited" => {
                self.inherit(at);
                return;
            }
            "completed" => TraceOutcome::Ok,
            // Another run goes on with it.
            "failed" if data.error_code().as_deref() == Some("handed_over") => TraceOutcome::Ok,
            "failed" if data.error_code().as_deref() == Some("child_cancelled") => {
                TraceOutcome::Stopped
            }
            "failed" => TraceOutcome::Failed,
            _ => return,
        };
        let Some(step) = self.steps.remove(&key) else { return };
        if let Some(node) = self.nodes.get_mut(step) {
            node.span.error = data.error().filter(|_| outcome == TraceOutcome::Failed);
            if let Some(used) = data.child_usage() {
                node.span.usage = TraceUsage::of_child(&used);
            }
        }
        self.close(Some(step), at, outcome);
    }

    fn begin_step(&mut self, at: Timestamp, key: String, data: &Data) {
        let begun = self.begun.entry(key.clone()).or_default();
        *begun += 1;
        let run_id = data.text("run_id").and_then(|text| text.parse::<RunId>().ok());
        let kind = if run_id.is_some() { SpanKind::ChildRun } else { SpanKind::Step };
        let mut step = span(kind, key.clone(), at);
        step.run_id = run_id;
        step.call = TracedCall::of_tool_step(&key);
        step.detail = match (*begun, data.text("detail").or_else(|| data.text("kind"))) {
            (again, Some(detail)) if again == 1 || kind == SpanKind::ChildRun => Some(detail),
            (1, None) => None,
            (again, _) => Some(format!("try {again}")),
        };
        let parent = self.place();
        if let Some(node) = self.open(parent, step)
            && let Some(before) = self.steps.insert(key, node)
        {
            self.close(Some(before), at, TraceOutcome::Stopped);
        }
    }

    fn inherit(&mut self, at: Timestamp) {
        match &mut self.inherited {
            Some((_, count)) => *count += 1,
            None => {
                let mut inherited = span(SpanKind::Inherited, String::new(), at);
                inherited.outcome = TraceOutcome::Ok;
                self.inherited = self.open(ROOT, inherited).map(|node| (node, 1));
            }
        }
    }

    /// An approval or a question: time that a person took.
    pub(super) fn ask(&mut self, at: Timestamp, noun: &str, verb: &str, data: &Data) {
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
            ("decided", Some("reject")) | ("expired", _) => TraceOutcome::Failed,
            ("decided" | "provided", _) => TraceOutcome::Ok,
            _ => return,
        };
        let asked = self.asked.remove(&id);
        if let Some(node) = asked.and_then(|node| self.nodes.get_mut(node)) {
            let who = data.text("decided_by").or_else(|| data.text("provided_by"));
            node.span.detail = who.map(|who| format!("by {who}"));
            if outcome == TraceOutcome::Failed {
                let word = if verb == "expired" { "nobody answered" } else { "rejected" };
                node.span.error = Some(word.to_owned());
            }
        }
        self.close(asked, at, outcome);
    }

    pub(super) fn wake(&mut self, at: Timestamp, verb: &str, data: &Data) {
        let run_id = data.text("run_id").and_then(|text| text.parse::<RunId>().ok());
        if let ("fired", Some(run_id)) = (verb, run_id) {
            let mut wake = span(SpanKind::ChildRun, format!("run {run_id}"), at);
            wake.run_id = Some(run_id.clone());
            if let Some(node) = self.open(self.place(), wake) {
                self.children.insert(run_id, node);
            }
        }
    }

    /// Something that the agent says it did, and how long it took.
    pub(super) fn call(&mut self, at: Timestamp, kind: &str, data: &Data) {
        let is_failed_try = kind == MODEL_TRY_FAILED;
        let (kind, name) = match kind {
            MODEL_REQUESTED => return self.requested(data),
            MODEL_CALLED => {
                self.called(data);
                (SpanKind::ModelCall, data.model())
            }
            MODEL_TRY_FAILED => (SpanKind::ModelCall, data.model()),
            MODEL_REFUSED => return self.refused(at, (SpanKind::ModelCall, data.model()), data),
            TOOL_REFUSED => {
                let name = data.text("name").unwrap_or_else(|| "tool".to_owned());
                return self.refused(at, (SpanKind::ToolCall, name), data);
            }
            TOOL_CALLED => (SpanKind::ToolCall, data.text("name").unwrap_or_default()),
            MEMORY_ACCESSED | KNOWLEDGE_RETRIEVED => (SpanKind::Call, kind.to_owned()),
            _ if data.number("duration_ms").is_some() => (SpanKind::Call, kind.to_owned()),
            _ => return,
        };
        let named = data.text("step").and_then(|key| self.steps.get(&key).copied());
        // The step that began last is the one that is talked about.
        let latest = || self.steps.values().copied().max().filter(|_| !self.coordinates);
        let parent = named.or_else(latest).unwrap_or_else(|| self.place());
        let took = Duration::from_millis(data.number("duration_ms").unwrap_or(0));
        let earliest = self.nodes.get(parent).map_or(at, |node| node.span.from);
        let from = minus(at, took).max(earliest).min(at);
        let mut call = span(kind, name, from);
        call.to = at;
        call.outcome = if data.is_failure() { TraceOutcome::Failed } else { TraceOutcome::Ok };
        call.error = data.error();
        if is_failed_try {
            // The provider's answer, if there was one, is counted by an event of its own.
            call.detail = data.text("cause");
        } else if kind == SpanKind::ModelCall {
            call.usage = data.usage();
        } else if kind == SpanKind::ToolCall {
            call.usage = data.tool_usage();
        } else {
            call.detail = data.look_up();
        }
        self.open(parent, call);
    }

    /// Calls were refused before they were made.
    fn refused(&mut self, at: Timestamp, (kind, name): (SpanKind, String), data: &Data) {
        let mut call = span(kind, name, at);
        call.to = at;
        call.outcome = TraceOutcome::Failed;
        let text = |name| data.text(name).unwrap_or_default();
        let times = data.number("count").filter(|count| *count > 1);
        let times = times.map(|count| format!(" ({count} times)")).unwrap_or_default();
        call.error = Some(format!("refused: {}: {}{times}", text("code"), text("message")));
        self.open(self.place(), call);
    }

    /// A model call came to the gateway: its step is shown by its number and its model from now on.
    fn requested(&mut self, data: &Data) {
        self.model_calls += 1;
        let number = self.model_calls;
        if let Some(step) = self.step_of_call(data) {
            step.call = Some(TracedCall::Model { number, name: data.requested_model() });
        }
    }

    /// A model answered. It may be another one than was asked for.
    fn called(&mut self, data: &Data) {
        let next = self.model_calls + 1;
        let known = match self.step_of_call(data).map(|step| &mut step.call) {
            Some(Some(TracedCall::Model { name, .. })) => {
                *name = data.model();
                true
            }
            Some(unknown) => {
                *unknown = Some(TracedCall::Model { number: next, name: data.model() });
                false
            }
            None => false,
        };
        self.model_calls = if known { self.model_calls } else { next };
    }

    /// Returns the open step that errand made of the call that an event is about.
    fn step_of_call(&mut self, data: &Data) -> Option<&mut Span> {
        let key = data.text("step").filter(|key| is_key_of_call(key))?;
        let node = self.steps.get(&key).copied()?;
        self.nodes.get_mut(node).map(|node| &mut node.span)
    }
}

fn minus(at: Timestamp, duration: Duration) -> Timestamp {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_sub(millis))
}
