//! Comparison of runs: what each used, beside each other. Pure.

use std::collections::BTreeSet;

use comfy_table::{ContentArrangement, Table, presets};
use errand_api::amount;
use errand_api::trace::{Span, SpanKind, Trace};

/// Returns a table with a column for each run.
pub(super) fn table(traces: &[Trace]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut row = |name: &str, value: &dyn Fn(&Trace) -> String| {
        let values = traces.iter().map(value);
        table.add_row(std::iter::once(name.to_owned()).chain(values));
    };
    row("RUN", &|trace| trace.run_id.to_string());
    row("status", &|trace| trace.status.clone());
    row("time", &|trace| amount::duration(trace.run.duration()));
    row("models", &models);
    row("model calls", &|trace| trace.run.usage.model_calls.to_string());
    row("tokens in", &|trace| amount::count(trace.run.usage.input_tokens));
    row("tokens out", &|trace| amount::count(trace.run.usage.output_tokens));
    row("cost", &|trace| {
        let cost = trace.run.usage.cost_micro_usd;
        cost.map_or_else(|| "unknown".to_owned(), amount::money)
    });
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Returns the models of the calls that are listed.
fn models(trace: &Trace) -> String {
    let mut names = BTreeSet::new();
    gather(&trace.run, &mut names);
    if names.is_empty() {
        return "-".to_owned();
    }
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn gather<'a>(span: &'a Span, names: &mut BTreeSet<&'a str>) {
    if span.kind == SpanKind::ModelCall {
        names.insert(&span.name);
    }
    for child in &span.children {
        gather(child, names);
    }
}
