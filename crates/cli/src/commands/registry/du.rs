//! `errand registry du`: disk usage of a registry.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use errand_engine::garbage::{self, SpaceUsage};

use crate::commands::database::Database;
use crate::context::Context;
use crate::failure::Failure;
use crate::render::{one_line, size};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show so many of the largest runs and agents
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    database: Database,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the disk usage.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let engine = args.database.engine(context)?;
    let usage = garbage::usage(&engine, args.top).await?;
    if args.json {
        let document = serde_json::to_value(&usage)
            .map_err(|error| Failure::internal("the result is no JSON", &error))?;
        context.printer.json(&document)?;
        return Ok(0);
    }
    context.printer.line(&table(&usage))?;
    if usage.garbage.bytes > 0 {
        context.printer.note(&format!(
            "hint: `errand registry gc` frees {} that nothing names",
            size(usage.garbage.bytes)
        ));
    }
    Ok(0)
}

fn table(usage: &SpaceUsage) -> String {
    let mut parts = Vec::new();
    let kinds = usage.kinds.iter().map(|kind| [size(kind.bytes), kind.kind.replace('_', " ")]);
    parts.push(columns(["SIZE", "KIND"], kinds.chain([[size(usage.bytes), "in all".to_owned()]])));
    if !usage.agents.is_empty() {
        let agents = usage
            .agents
            .iter()
            .map(|agent| [size(agent.bytes), one_line(&agent.agent), agent.runs.to_string()]);
        parts.push(columns(["SIZE", "AGENT", "RUNS"], agents));
    }
    if !usage.runs.is_empty() {
        let runs = usage
            .runs
            .iter()
            .map(|run| [size(run.bytes), run.run_id.to_string(), one_line(&run.agent)]);
        parts.push(columns(["SIZE", "RUN", "AGENT"], runs));
    }
    parts.join("\n\n")
}

fn columns<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_cell_alignment(CellAlignment::Right);
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}
