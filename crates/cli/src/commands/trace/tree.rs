//! Lines of the trace tree: the branches before each, and its label.

use errand_api::trace::{Span, SpanKind, SpanSummary, TraceOutcome};

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
        children(child, &below, lines);
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
    let word = match span.kind {
        SpanKind::ModelCall => "model ",
        SpanKind::ToolCall => "tool ",
        SpanKind::Run
        | SpanKind::Attempt
        | SpanKind::Step
        | SpanKind::Call
        | SpanKind::ChildRun
        | SpanKind::Wait
        | SpanKind::Inherited => "",
    };
    let detail = match &span.detail {
        Some(detail) if is_telling(span.kind, detail) => format!(" ({detail})"),
        Some(_) | None => String::new(),
    };
    crate::render::at_most(&format!("{mark}{word}{}{detail}", span.name), SHOWN_CHARS)
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
