//! Layout of a trace as lines of text, for a given width. Pure.

use std::time::Duration;

use errand_api::amount;
use errand_api::trace::{Share, Span, Summary, Trace, TraceOutcome, TraceUsage};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::bar::Axis;
use super::tree::{TreeLine, lines};

/// Narrowest useful axis.
const LEAST_CELLS: usize = 8;

/// A column of numbers to the right of the bars.
#[derive(Clone, Copy, Debug)]
enum Number {
    Time,
    Share,
    Tokens,
    Cost,
}

impl Number {
    /// Returns the width of the column, with the blanks before it.
    const fn width(self) -> usize {
        match self {
            Self::Time | Self::Cost => 11,
            Self::Share => 7,
            Self::Tokens => 9,
        }
    }

    const fn header(self) -> &'static str {
        match self {
            Self::Time => "TIME",
            Self::Share => "SHARE",
            Self::Tokens => "TOKENS",
            Self::Cost => "COST",
        }
    }

    fn value(self, took: Duration, total: Duration, used: &TraceUsage) -> String {
        match self {
            Self::Time => amount::duration(took),
            Self::Share => share_of(took, total),
            Self::Tokens if used.tokens() == 0 => String::new(),
            Self::Tokens => amount::count(used.tokens()),
            Self::Cost => used.cost_micro_usd.map(amount::money).unwrap_or_default(),
        }
    }

    fn cell(self, text: &str) -> String {
        let width = self.width();
        format!("{text:>width$}")
    }
}

/// The columns and their widths.
#[derive(Clone, Debug)]
struct Columns {
    label: usize,
    /// Cells of the axis; 0 if there is no room for one.
    cells: usize,
    numbers: Vec<Number>,
    /// Duration of the run.
    total: Duration,
}

impl Columns {
    /// Fits the columns into the width; the least important are left out.
    fn fit(trace: &Trace, labels: usize, width: usize) -> Self {
        let used = &trace.run.usage;
        let fits = |number: &Number| match number {
            Number::Time => true,
            Number::Share => width >= 60,
            Number::Tokens => width >= 50 && used.tokens() > 0,
            Number::Cost => width >= 70 && used.cost_micro_usd.is_some(),
        };
        let all = [Number::Time, Number::Share, Number::Tokens, Number::Cost];
        let numbers: Vec<Number> = all.into_iter().filter(fits).collect();
        let taken: usize = numbers.iter().map(|number| number.width()).sum();
        let room = width.saturating_sub(taken + 1);
        let label = labels.min(room / 2).max(room.min(10));
        let cells = room.saturating_sub(label);
        let (label, cells) = if cells < LEAST_CELLS { (room, 0) } else { (label, cells) };
        Self { label, cells, numbers, total: trace.run.duration() }
    }

    fn line(&self, label: &str, bar: &str, took: Duration, used: &TraceUsage) -> String {
        let numbers = self.numbers.iter().map(|it| it.cell(&it.value(took, self.total, used)));
        self.joined(label, bar, numbers)
    }

    fn header(&self) -> String {
        let end = amount::duration(self.total);
        let blanks = self.cells.saturating_sub(end.width() + 1);
        let axis = format!("0{}{end}", " ".repeat(blanks));
        self.joined("", &axis, self.numbers.iter().map(|it| it.cell(it.header())))
    }

    fn joined(&self, label: &str, bar: &str, numbers: impl Iterator<Item = String>) -> String {
        let mut line = padded(label, self.label);
        if self.cells > 0 {
            line.push(' ');
            line.push_str(&padded(bar, self.cells));
        }
        line.extend(numbers);
        line.trim_end().to_owned()
    }
}

/// Draws the whole picture: heading, axis, a line for each span, and a closing summary.
pub(super) fn draw(trace: &Trace, width: usize) -> String {
    let tree = lines(&trace.run);
    let labels = tree.iter().map(|line| match line {
        TreeLine::Span { label, .. } | TreeLine::Rest { label, .. } => label.width(),
    });
    let columns = Columns::fit(trace, labels.max().unwrap_or(0), width);
    let axis = Axis::of(&trace.run, columns.cells);
    let mut text = vec![cut(&heading(trace), width), columns.header()];
    for line in &tree {
        match line {
            TreeLine::Span { label, span, below } => {
                let bar = if columns.cells > 0 { axis.bar(span) } else { String::new() };
                text.push(columns.line(label, &bar, span.duration(), &span.usage));
                if let Some(error) = error(span) {
                    text.push(cut(&format!("{below}  {error}"), width));
                }
            }
            TreeLine::Rest { label, rest } => {
                let took = Duration::from_millis(rest.duration_ms);
                let failed = match rest.failed {
                    0 => String::new(),
                    failed => format!("({failed} failed)"),
                };
                text.push(columns.line(label, &failed, took, &rest.usage));
            }
        }
    }
    text.extend(wrap(&closing(&trace.summary), width));
    text.join("\n") + "\n"
}

fn heading(trace: &Trace) -> String {
    let run = &trace.run;
    let mut parts = vec![
        format!("run {}", trace.run_id),
        trace.status.clone(),
        amount::duration(run.duration()),
    ];
    if run.usage.model_calls > 0 {
        let (input, output) = (run.usage.input_tokens, run.usage.output_tokens);
        parts.push(format!("{} + {} tokens", amount::count(input), amount::count(output)));
    }
    if let Some(cost) = run.usage.cost_micro_usd {
        parts.push(amount::money(cost));
    }
    parts.join("  ")
}

/// Returns the error of a span, unless a child shows the same one.
fn error(span: &Span) -> Option<String> {
    let is_told = span.children.iter().any(|child| {
        child.outcome == TraceOutcome::Failed && child.error.is_some() && child.error == span.error
    });
    span.error.as_ref().filter(|_| !is_told).map(|error| one_line(error))
}

fn share_of(part: Duration, total: Duration) -> String {
    let total = total.as_millis().max(1);
    format!("{} %", (part.as_millis() * 100 + total / 2) / total)
}

/// Returns the largest shares of time, tokens and cost.
fn closing(summary: &Summary) -> Vec<String> {
    let told = |what: &str, share: &Option<Share>, amount: fn(u64) -> String| {
        let share = share.as_ref()?;
        let (name, percent) = (one_line(&share.name), share.percent);
        Some(format!("{what}: {name} {percent} % ({})", amount(share.amount)))
    };
    let millis = |millis| amount::duration(Duration::from_millis(millis));
    [
        told("longest", &summary.longest, millis),
        told("most tokens", &summary.most_tokens, amount::count),
        told("most expensive", &summary.most_expensive, amount::money),
        told("waited most", &summary.longest_wait, millis),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Joins parts by semicolons, in as many lines as they need.
fn wrap(parts: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.width() + 2 + part.width() <= width => {
                line.push_str("; ");
                line.push_str(part);
            }
            Some(_) | None => lines.push(cut(part, width)),
        }
    }
    lines
}

fn one_line(text: &str) -> String {
    crate::render::at_most(text, 200)
}

/// Fits a text to exactly `columns` columns.
fn padded(text: &str, columns: usize) -> String {
    let mut text = cut(text, columns);
    text.push_str(&" ".repeat(columns.saturating_sub(text.width())));
    text
}

/// Cuts a text to at most `columns` columns, with an ellipsis if it is longer.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > columns {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests;
