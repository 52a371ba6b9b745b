//! Conversion of a journal into the spans of a trace. Times are those of the events.

use std::collections::BTreeMap;

use errand_engine::trace_context::{
    Parent, SpanId, TraceId, attempt_span, event_span, span_of, trace, trace_of,
};
use errand_model::accounting::{ModelCall, ToolCall};
use errand_model::event::Event;
use errand_model::run::{Run, Status};
use errand_model::{DEFAULT_NAMESPACE, RunId, Timestamp};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::{Event as SpanEvent, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, Status as SpanStatus, status::StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::names;

/// Upper bound on the spans of a trace; further ones are only counted.
const SPANS: usize = 5_000;
/// Upper bound on the events of the run's own span.
const SPAN_EVENTS: usize = 128;

/// Builder of a trace: takes the events of a run from the first on, and returns each span once it
/// is over.
#[derive(Debug)]
pub(super) struct Builder {
    run_id: RunId,
    trace: TraceId,
    root: SpanId,
    created_at: Timestamp,
    /// Last event whose spans were sent before and are not returned again.
    sent_up_to: u64,
    seen_up_to: u64,
    open: BTreeMap<u64, Span>,
    over: Vec<Span>,
    notes: Vec<SpanEvent>,
    spans: usize,
    omitted: u64,
    attempt: Option<u64>,
    steps: BTreeMap<String, u64>,
}

impl Builder {
    /// Creates the trace of a run, without events. Spans of events up to `sent_up_to` were sent
    /// before.
    pub(super) fn new(run: &Run, sent_up_to: u64) -> Self {
        Self {
            run_id: run.id.clone(),
            trace: trace(run),
            root: span_of(&run.id, "run"),
            created_at: run.created_at,
            sent_up_to,
            seen_up_to: 0,
            open: BTreeMap::new(),
            over: Vec::new(),
            notes: Vec::new(),
            spans: 0,
            omitted: 0,
            attempt: None,
            steps: BTreeMap::new(),
        }
    }

    /// Returns the number of the last event taken; 0 if there was none.
    pub(super) const fn seen_up_to(&self) -> u64 {
        self.seen_up_to
    }

    /// Takes the next event.
    pub(super) fn push(&mut self, event: &Event) {
        self.seen_up_to = event.seq;
        let data: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
        match event.kind.as_str() {
            "attempt.started" => self.begin_attempt(event, &data),
            "attempt.exited" | "attempt.failed" | "attempt.stopped" => {
                let steps = std::mem::take(&mut self.steps);
                for step in steps.into_values() {
                    self.end(Some(step), event, &Value::Null);
                }
                let attempt = self.attempt.take();
                self.end(attempt, event, &data);
            }
            "step.started" => self.begin_step(event, &data),
            "step.completed" | "step.failed" => {
                let step = text(&data, "key").and_then(|key| self.steps.remove(&key));
                self.end(step, event, &data);
            }
            "model.called" => self.model_call(event, &data),
            "tool.called" => self.tool_call(event, &data),
            kind if kind.starts_with("run.") || kind.starts_with("approval.") => self.note(event),
            _ => {}
        }
    }

    /// Returns finished spans that were not returned before.
    pub(super) fn take_over(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.over)
    }

    /// Returns all spans that were not returned before, the run's own first; `run` is over.
    pub(super) fn finish(mut self, run: &Run) -> Vec<Span> {
        let ended_at = run.status.ended_at().unwrap_or(run.created_at);
        let mut root = Span {
            trace_id: self.trace.to_vec(),
            span_id: self.root.to_vec(),
            parent_span_id: parent(run).map(|parent| parent.span.to_vec()).unwrap_or_default(),
            name: format!("{} {}", names::INVOKE_AGENT, run.spec.agent.name),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: nanos(run.created_at),
            end_time_unix_nano: nanos(ended_at.max(run.created_at)),
            attributes: of_run(run),
            links: links(run),
            status: outcome(&run.status),
            events: self.notes,
            ..Span::default()
        };
        if self.omitted > 0 {
            root.attributes.push(number(names::OMITTED, self.omitted));
        }
        let end = root.end_time_unix_nano;
        let mut all = vec![root];
        all.append(&mut self.over);
        for mut span in self.open.into_values() {
            span.end_time_unix_nano = end.max(span.start_time_unix_nano);
            all.push(span);
        }
        all
    }

    fn begin_attempt(&mut self, event: &Event, data: &Value) {
        let attempt = u64::from(event.attempt);
        let mut attributes = vec![number(names::ATTEMPT, attempt)];
        attributes.extend(text(data, "reason").map(|it| string(names::ATTEMPT_REASON, it)));
        let name = format!("attempt {attempt}");
        let mut span = self.span(event, name, self.root.to_vec());
        span.span_id = attempt_span(&self.run_id, event.attempt).to_vec();
        span.attributes = attributes;
        self.attempt = self.begin(event, span);
    }

    fn begin_step(&mut self, event: &Event, data: &Value) {
        let Some(key) = text(data, "key") else { return };
        let mut span = self.span(event, format!("step {key}"), self.above(None));
        span.attributes = vec![string(names::STEP_KEY, key.clone())];
        span.attributes.extend(text(data, "kind").map(|it| string(names::STEP_KIND, it)));
        if let Some(step) = self.begin(event, span) {
            self.steps.insert(key, step);
        }
    }

    fn model_call(&mut self, event: &Event, data: &Value) {
        let call = ModelCall::of(data);
        let model = call.model.clone().unwrap_or_else(|| "unknown".to_owned());
        let name = format!("{} {model}", names::CHAT);
        let mut span = self.call(event, data, name, call.step.as_deref());
        span.kind = SpanKind::Client.into();
        span.attributes = vec![
            string(names::OPERATION, names::CHAT),
            string(names::REQUEST_MODEL, model),
            number(names::INPUT_TOKENS, call.tokens.input),
            number(names::OUTPUT_TOKENS, call.tokens.output),
        ];
        let more = &mut span.attributes;
        more.extend(call.provider.map(|it| string(names::PROVIDER, it)));
        more.extend(call.agent.map(|it| string(names::AGENT_NAME, it)));
        if call.tokens.cached > 0 {
            more.push(number(names::CACHED_TOKENS, call.tokens.cached));
        }
        if call.tokens.reasoning > 0 {
            more.push(number(names::REASONING_TOKENS, call.tokens.reasoning));
        }
        more.extend(call.cost_micro_usd.map(|it| number(names::COST, it)));
        more.extend(failure_type(data).map(|it| string(names::ERROR_TYPE, it)));
        self.called(event, span);
    }

    fn tool_call(&mut self, event: &Event, data: &Value) {
        let call = ToolCall::of(data);
        let tool = call.name.unwrap_or_else(|| "unknown".to_owned());
        let name = format!("{} {tool}", names::EXECUTE_TOOL);
        let mut span = self.call(event, data, name, call.step.as_deref());
        span.attributes = vec![
            string(names::OPERATION, names::EXECUTE_TOOL),
            string(names::TOOL_NAME, tool),
            string(names::TOOL_TYPE, names::FUNCTION),
        ];
        span.attributes.extend(call.agent.map(|it| string(names::AGENT_NAME, it)));
        span.attributes.extend(failure_type(data).map(|it| string(names::ERROR_TYPE, it)));
        self.called(event, span);
    }

    /// Creates the span of a call, which is over when its event is written and has its duration.
    fn call(&self, event: &Event, data: &Value, name: String, step: Option<&str>) -> Span {
        let mut span = self.span(event, name, self.above(step));
        let took_ms = data.get("duration_ms").and_then(Value::as_u64).unwrap_or(0);
        let end = nanos(event.at);
        span.end_time_unix_nano = end;
        span.start_time_unix_nano =
            end.saturating_sub(took_ms.saturating_mul(1_000_000)).max(nanos(self.created_at));
        span.status = failure_type(data).map(|_| failed(message(data)));
        span
    }

    fn span(&self, event: &Event, name: String, parent: Vec<u8>) -> Span {
        Span {
            trace_id: self.trace.to_vec(),
            span_id: self.id(event).to_vec(),
            parent_span_id: parent,
            name,
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: nanos(event.at),
            ..Span::default()
        }
    }

    /// Returns the span id of an event: the same in every export.
    fn id(&self, event: &Event) -> SpanId {
        event_span(&self.run_id, event.seq)
    }

    /// Returns the parent span: the step if it is known and open, or else the attempt.
    fn above(&self, step: Option<&str>) -> Vec<u8> {
        let step = step.and_then(|key| self.steps.get(key)).copied();
        let span = step.or(self.attempt).and_then(|seq| self.open.get(&seq));
        span.map_or_else(|| self.root.to_vec(), |span| span.span_id.clone())
    }

    /// Counts a further span. Returns false if the trace is full.
    fn has_room(&mut self) -> bool {
        let has_room = self.spans < SPANS;
        if has_room {
            self.spans += 1;
        } else {
            self.omitted += 1;
        }
        has_room
    }

    fn begin(&mut self, event: &Event, span: Span) -> Option<u64> {
        if !self.has_room() {
            return None;
        }
        self.open.insert(event.seq, span);
        Some(event.seq)
    }

    fn called(&mut self, event: &Event, span: Span) {
        if self.has_room() && event.seq > self.sent_up_to {
            self.over.push(span);
        }
    }

    fn end(&mut self, span: Option<u64>, event: &Event, data: &Value) {
        let Some(mut span) = span.and_then(|seq| self.open.remove(&seq)) else { return };
        span.end_time_unix_nano = nanos(event.at).max(span.start_time_unix_nano);
        if let Some(kind) = failure_type(data) {
            span.status = Some(failed(message(data)));
            span.attributes.push(string(names::ERROR_TYPE, kind));
        }
        if event.seq > self.sent_up_to {
            self.over.push(span);
        }
    }

    fn note(&mut self, event: &Event) {
        if self.notes.len() < SPAN_EVENTS {
            self.notes.push(SpanEvent {
                time_unix_nano: nanos(event.at),
                name: event.kind.clone(),
                ..SpanEvent::default()
            });
        }
    }
}

fn parent(run: &Run) -> Option<Parent> {
    run.spec.traceparent.as_deref().and_then(Parent::read)
}

fn of_run(run: &Run) -> Vec<KeyValue> {
    let spec = &run.spec;
    let namespace = spec.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let mut attributes = vec![
        string(names::OPERATION, names::INVOKE_AGENT),
        string(names::AGENT_NAME, spec.agent.name.as_str()),
        string(names::AGENT_ID, spec.agent.digest.as_str()),
        string(names::AGENT_VERSION, spec.agent.version.as_str()),
        string(names::RUN_ID, run.id.as_str()),
        string(names::RUN_KIND, word(&spec.kind)),
        string(names::RUN_STATUS, run.status.name()),
        string(names::NAMESPACE, namespace),
        string(names::TRIGGER, word(&spec.trigger.kind)),
        number(names::INPUT_TOKENS, run.usage.input_tokens),
        number(names::OUTPUT_TOKENS, run.usage.output_tokens),
    ];
    attributes.extend(spec.name.as_deref().map(|it| string(names::RUN_NAME, it)));
    attributes.extend(spec.session_id.as_deref().map(|it| string(names::CONVERSATION, it)));
    attributes.extend(run.usage.cost_micro_usd.map(|it| number(names::COST, it)));
    if let Status::Failed { error, .. } = &run.status {
        attributes.push(string(names::ERROR_TYPE, error.code.as_str()));
    }
    attributes
}

/// Returns links from a child's trace to its parent and its origin.
fn links(run: &Run) -> Vec<Link> {
    let of = |other: &RunId| Link {
        trace_id: trace_of(other).to_vec(),
        span_id: span_of(other, "run").to_vec(),
        ..Link::default()
    };
    [&run.spec.parent_run_id, &run.spec.origin_run_id].into_iter().flatten().map(of).collect()
}

fn outcome(status: &Status) -> Option<SpanStatus> {
    match status {
        Status::Failed { error, .. } => Some(failed(error.code.to_string())),
        Status::Completed { .. } => {
            Some(SpanStatus { code: StatusCode::Ok.into(), message: String::new() })
        }
        Status::Cancelled { .. }
        | Status::Pending { .. }
        | Status::Running { .. }
        | Status::Paused { .. } => None,
    }
}

fn failed(message: String) -> SpanStatus {
    SpanStatus { code: StatusCode::Error.into(), message }
}

/// Returns the code of a failure in an event's data; `None` without a failure.
fn failure_type(data: &Value) -> Option<String> {
    let error = data.get("error").filter(|error| !error.is_null());
    let code = error.and_then(|error| error.get("code")?.as_str()).map(str::to_owned);
    let is_failure = error.is_some() || data.get("success") == Some(&Value::Bool(false));
    code.or_else(|| is_failure.then(|| "error".to_owned()))
}

/// Returns the code of a failure as its message; the text stays in the journal, where access is
/// restricted.
fn message(data: &Value) -> String {
    failure_type(data).unwrap_or_default()
}

fn text(data: &Value, name: &str) -> Option<String> {
    data.get(name)?.as_str().map(str::to_owned)
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0).saturating_mul(1_000_000)
}

/// Returns a text attribute.
pub(super) fn string(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.into()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Returns the word under which an enum value is stored.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
