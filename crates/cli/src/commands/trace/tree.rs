//! Lines of the trace tree: the branches before each, and its label.

use errand_api::trace::{Span, SpanKind, SpanSummary, TraceOutcome};

/// Shown characters of a name.
const SHOWN_CHARS: usize = 200;

/// Digits of the digest in a key that a gateway makes.
const DIGEST_DIGITS: usize = 24;

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
        if only_call(child).is_none() {
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
    let shown = only_call(span).unwrap_or(span);
    let word = match shown.kind {
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
    crate::render::at_most(&format!("{mark}{word}{}{detail}", shown.name), SHOWN_CHARS)
}

/// Returns the call that a step of a gateway consists of: it says more than the key of the step, which is
/// a digest.
fn only_call(span: &Span) -> Option<&Span> {
    let [call] = span.children.as_slice() else { return None };
    let is_call = matches!(call.kind, SpanKind::ModelCall | SpanKind::ToolCall)
        && call.children.is_empty()
        && span.rest.is_empty();
    (span.kind == SpanKind::Step && is_call && is_key_of_gateway(&span.name)).then_some(call)
}

/// Reports whether a key is one that a gateway makes: it ends with a digest and a number.
fn is_key_of_gateway(key: &str) -> bool {
    let mut parts = key.rsplit('/');
    let (number, digest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let has_all = |text: &str, is_digit: fn(&u8) -> bool| text.bytes().all(|byte| is_digit(&byte));
    !number.is_empty()
        && has_all(number, u8::is_ascii_digit)
        && digest.len() == DIGEST_DIGITS
        && has_all(digest, u8::is_ascii_hexdigit)
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
