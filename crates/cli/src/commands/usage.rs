//! `errand usage`: sums of calls, tokens and costs.

use std::str::FromStr;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::amount;
use errand_api::error_code::ErrorCode;
use errand_api::usage::{USAGE_SCHEMA, UsageDocument, UsageSums};
use errand_engine::operations::UsageQuestion;
use errand_engine::view;
use errand_model::price::Day;
use errand_store::{UsageBy, UsageRow};

use crate::context::Context;
use crate::failure::Failure;
use crate::moment::{DayOrAge, day_or_age};
use crate::render;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand usage                             by agent, everything
  errand usage --by day --since 7d         the last week, day by day
  errand usage --by step --run review      where a run's tokens went
  errand usage --by label=team --json      for the controller
Days are those of UTC. Calls whose cost nobody knows are counted as unpriced, never as free.")]
pub(crate) struct Args {
    /// Subject of each row: run, agent, model, session, day, step, tool, or label=KEY
    #[arg(long, value_name = "WHAT", default_value = "agent")]
    by: By,
    /// Only from this day on: 2025-03-31, or so long ago, such as 7d
    #[arg(long, value_name = "DAY", value_parser = day_or_age)]
    since: Option<DayOrAge>,
    /// Only up to this day
    #[arg(long, value_name = "DAY", value_parser = day_or_age)]
    until: Option<DayOrAge>,
    /// Only runs of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Only this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Show at most so many rows, the most expensive
    #[arg(short = 'n', long, value_name = "N")]
    top: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Subject of each row, and its text as typed.
#[derive(Clone, Debug)]
struct By {
    by: UsageBy,
    typed: String,
}

impl FromStr for By {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let by = UsageBy::of_word(typed).ok_or_else(|| {
            "write run, agent, model, session, day, step, tool or label=KEY".to_owned()
        })?;
        Ok(Self { by, typed: typed.to_owned() })
    }
}

/// Prints the sums.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let now = errand_agent::SystemClock.now();
    let day = |given: Option<DayOrAge>| given.map(|it| Day::of(it.since(now)));
    let (since, until) = (day(args.since), day(args.until));
    let mut usage = match context.place() {
        Ok(place) => {
            let run_id = match &args.run {
                Some(text) => Some(place.resolve(context, text).await?),
                None => None,
            };
            if let Some(run_id) = &run_id
                && place.record(run_id).await?.coordinator.is_some()
            {
                context.printer.note(&format!(
                    "the agents of run {run_id} are runs of their own: `errand inspect-run` has their \
                     sum by agent, `errand ps -a --filter parent={run_id}` lists them"
                ));
            }
            let question = UsageQuestion {
                by: args.by.by.clone(),
                by_word: args.by.typed.clone(),
                agent: args.agent.clone(),
                run_id,
                since,
                until,
            };
            place.usage(question).await?
        }
        // Without a registry nothing was used: no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => {
            no_usage(&args, (since, until))
        }
        Err(failure) => return Err(failure),
    };
    usage.rows.truncate(args.top.unwrap_or(usize::MAX));
    if args.json {
        context.printer.json(&usage)?;
    } else {
        context.printer.line(&shown(&usage))?;
    }
    Ok(0)
}

/// Returns the usage of a machine without a registry.
fn no_usage(args: &Args, (since, until): (Option<Day>, Option<Day>)) -> UsageDocument {
    UsageDocument {
        schema: USAGE_SCHEMA,
        by: args.by.typed.clone(),
        since: since.map(|day| day.to_string()),
        until: until.map(|day| day.to_string()),
        rows: Vec::new(),
        total: view::usage_sums(UsageRow::default()),
    }
}

fn shown(usage: &UsageDocument) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let what = usage.by.to_uppercase();
    let header = [
        what.as_str(),
        "RUNS",
        "MODEL CALLS",
        "TOOL CALLS",
        "INPUT",
        "CACHED",
        "OUTPUT",
        "COST USD",
        "UNPRICED",
        "TIME",
    ];
    table.set_header(header);
    let all: Vec<&UsageSums> = usage.rows.iter().chain([&usage.total]).collect();
    for (place, (sums, cost)) in all.iter().zip(costs(&all)).enumerate() {
        let of_row = sums.key.as_deref().unwrap_or("(none)");
        let key = if place == usage.rows.len() { "total" } else { of_row };
        table.add_row(row(key, sums, cost));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    render::lines(&mut table)
}

/// Returns the costs with as many decimals as the longest of them has: the points stand below each
/// other.
fn costs(sums: &[&UsageSums]) -> Vec<String> {
    let costs = sums.iter().map(|sums| sums.cost_micro_usd.map(render::money));
    let costs: Vec<Option<String>> = costs.collect();
    let decimals = |cost: &String| cost.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let most = costs.iter().flatten().map(decimals).max().unwrap_or(0);
    let filled = |cost: String| {
        let zeros = "0".repeat(most - decimals(&cost));
        format!("{cost}{zeros}")
    };
    costs.into_iter().map(|cost| cost.map_or_else(|| "-".to_owned(), filled)).collect()
}

fn row(key: &str, sums: &UsageSums, cost: String) -> [String; 10] {
    [
        render::one_line(key),
        sums.runs.to_string(),
        sums.model_calls.to_string(),
        sums.tool_calls.to_string(),
        sums.input_tokens.to_string(),
        sums.cached_tokens.to_string(),
        sums.output_tokens.to_string(),
        cost,
        sums.unpriced_calls.to_string(),
        amount::duration(Duration::from_millis(sums.wall_time_ms)),
    ]
}
