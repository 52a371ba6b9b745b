//! Lines of the trace tree: the branches before each, and its label.

use errand_api::trace::{Span, SpanKind, SpanSummary, TraceOutcome, TracedCall};

/// Shown characters of a name.
const SHOWN_CHARS: usize = 200;

/// A line to be drawn.
#[derive(Debug)]
pub(super) enum TreeLine<'a> {
    /// A span.
    Span {
        /// Branches and name.
        label: String,
        /// Prefix of a further line about the span.
        below: String,
        span: &'a Span,
    },
    /// Spans that are only summed.
    Rest { label: String, rest: &'a SpanSummary },
}

/// Returns all lines of a run, top to bottom.
pub(super) fn lines(run: &Span) -> Vec<TreeLine<'_>> {
    let mut lines = vec![TreeLine::Span { label: name(run), below: String::new(), span: run }];
    children(run, "", &mut lines);
    lines
}

fn children<'a>(span: &'a Span, before: &str, lines: &mut Vec<TreeLine<'a>>) {
    let has_rest = !span.rest.is_empty();
    for (place, child) in span.children.iter().enumerate() {
        let is_last = place + 1 == span.children.len() && !has_rest;
        let (branch, trunk) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let below = format!("{before}{trunk}");
        lines.push(TreeLine::Span {
            label: format!("{before}{branch}{}", name(child)),
            below: below.clone(),
            span: child,
        });
        if !is_shown_as_call(child) {
            children(child, &below, lines);
        }
    }
    if has_rest {
        let label = format!("{before}└─ {} more", span.rest.spans);
        lines.push(TreeLine::Rest { label, rest: &span.rest });
    }
}

fn name(span: &Span) -> String {
    let mark = match span.outcome {
        TraceOutcome::Failed => "✗ ",
        TraceOutcome::Stopped => "■ ",
        TraceOutcome::Ok | TraceOutcome::Open => "",
    };
    let shown = match (&span.call, span.kind) {
        (Some(TracedCall::Model { name, .. }), _) => format!("model {name}"),
        (Some(TracedCall::Tool { name }), _) => format!("tool {name}"),
        (None, SpanKind::ModelCall) => format!("model {}", span.name),
        (None, SpanKind::ToolCall) => format!("tool {}", span.name),
        (
            None,
            SpanKind::Run
            | SpanKind::Attempt
            | SpanKind::Step
            | SpanKind::Call
            | SpanKind::ChildRun
            | SpanKind::Wait
            | SpanKind::Inherited,
        ) => span.name.clone(),
    };
    let detail = match &span.detail {
        Some(detail) if is_telling(span.kind, detail) => format!(" ({detail})"),
        Some(_) | None => String::new(),
    };
    crate::render::at_most(&format!("{mark}{shown}{detail}"), SHOWN_CHARS)
}

/// Reports whether the only call in a step says no more than the step itself, which is shown as its
/// call.
fn is_shown_as_call(span: &Span) -> bool {
    let [call] = span.children.as_slice() else { return false };
    let is_call = matches!(call.kind, SpanKind::ModelCall | SpanKind::ToolCall);
    // A failed try in a step that goes on is news.
    let ended = call.outcome == TraceOutcome::Ok || call.outcome == span.outcome;
    span.call.is_some() && is_call && ended && call.children.is_empty() && span.rest.is_empty()
}

/// Returns true if the detail is worth showing: a step's kind says less than its name.
fn is_telling(kind: SpanKind, detail: &str) -> bool {
    match kind {
        SpanKind::Step => detail.starts_with("try "),
        SpanKind::Attempt => detail != "initial",
        SpanKind::Run
        | SpanKind::ModelCall
        | SpanKind::ToolCall
        | SpanKind::Call
        | SpanKind::ChildRun
        | SpanKind::Wait
        | SpanKind::Inherited => true,
    }
}
