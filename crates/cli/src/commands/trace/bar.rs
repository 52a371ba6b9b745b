//! A span drawn as a bar on the time axis of the run.

use errand_api::trace::{Span, SpanKind, TraceOutcome};
use errand_model::Timestamp;

/// The time axis of all bars.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    from: Timestamp,
    /// At least one millisecond.
    millis: u128,
    cells: usize,
}

impl Axis {
    /// Returns the axis of a run with `cells` cells.
    pub(super) fn of(run: &Span, cells: usize) -> Self {
        Self { from: run.from, millis: run.duration().as_millis().max(1), cells }
    }

    /// Returns the cell of a time, or the one behind the last.
    fn cell(self, at: Timestamp) -> usize {
        let cells = u128::try_from(self.cells).unwrap_or(0);
        let cell = at.since(self.from).as_millis().saturating_mul(cells) / self.millis;
        usize::try_from(cell).unwrap_or(self.cells).min(self.cells)
    }

    /// Draws the bar of a span, without blanks at its end.
    pub(super) fn bar(self, span: &Span) -> String {
        let from = self.cell(span.from).min(self.cells.saturating_sub(1));
        let length = self.cell(span.to).saturating_sub(from);
        let mut bar = " ".repeat(from);
        if length == 0 {
            // Shorter than a cell, yet visible.
            bar.push(if span.kind == SpanKind::Wait { '┊' } else { '▏' });
            return bar;
        }
        let glyph = glyph(span.kind);
        let is_open = span.outcome == TraceOutcome::Open;
        bar.extend(std::iter::repeat_n(glyph, if is_open { length - 1 } else { length }));
        if is_open {
            bar.push('>');
        }
        bar
    }
}

/// Returns the character of a bar: thin for containers, full for work, hollow for waiting.
const fn glyph(kind: SpanKind) -> char {
    match kind {
        SpanKind::Run | SpanKind::Attempt => '━',
        SpanKind::Step | SpanKind::ChildRun => '█',
        SpanKind::ModelCall | SpanKind::ToolCall | SpanKind::Call => '▄',
        SpanKind::Wait => '░',
        SpanKind::Inherited => '▏',
    }
}
