//! Budgets.

use super::super::OnExceed;
use super::super::definition::{Agent, Budgets};
use super::super::reader::{At, Object, Reader};
use super::quantity;

const ON_EXCEED: &[(&str, OnExceed)] =
    &[("deny_call", OnExceed::DenyCall), ("pause", OnExceed::Pause), ("cancel", OnExceed::Cancel)];

const FIELDS: &[&str] = &[
    "tokens_per_run",
    "cost_usd_per_run",
    "tool_calls_per_run",
    "wall_time_per_run",
    "tokens_per_day",
    "cost_usd_per_day",
    "tool_calls_per_day",
    "wall_time_per_day",
    "on_exceed",
];

pub(super) fn read(reader: &mut Reader, spec: &Object<'_>, agent: &mut Agent) {
    if let Some(at) = spec.get("budgets") {
        agent.budgets = budgets(reader, &at).unwrap_or_default();
    }
}

fn budgets(reader: &mut Reader, at: &At<'_>) -> Option<Budgets> {
    let fields = reader.object(at, FIELDS)?;
    let count = |reader: &mut Reader, name: &str| {
        fields.get(name).and_then(|at| reader.whole(&at, 0..=u64::MAX))
    };
    let money = |reader: &mut Reader, name: &str| {
        fields.get(name).and_then(|at| quantity::micro_usd(reader, &at))
    };
    let time =
        |reader: &mut Reader, name: &str| fields.get(name).and_then(|at| reader.duration_ms(&at));
    Some(Budgets {
        tokens_per_run: count(reader, "tokens_per_run"),
        cost_micro_usd_per_run: money(reader, "cost_usd_per_run"),
        cost_micro_usd_per_day: money(reader, "cost_usd_per_day"),
        tool_calls_per_run: count(reader, "tool_calls_per_run"),
        wall_time_ms_per_run: time(reader, "wall_time_per_run"),
        tokens_per_day: count(reader, "tokens_per_day"),
        tool_calls_per_day: count(reader, "tool_calls_per_day"),
        wall_time_ms_per_day: time(reader, "wall_time_per_day"),
        on_exceed: fields
            .get("on_exceed")
            .and_then(|at| reader.choice(&at, "what happens when a budget is spent", ON_EXCEED))
            .unwrap_or_default(),
    })
}
