//! `errand usage`: what calls used.

use errand_store::Namespaces;
use std::str::FromStr;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::error_code::ErrorCode;
use errand_api::record::usd;
use errand_api::usage::{USAGE_SCHEMA, Usage, UsageSums};
use errand_engine::Engine;
use errand_model::Timestamp;
use errand_model::price::Day;
use errand_model::run::Run;
use errand_store::{UsageBy, UsageQuery, UsageRow};

use crate::context::Context;
use crate::failure::Failure;
use crate::render;

/// Arguments of `errand usage`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand usage                             by agent, everything
  errand usage --by day --since 7d         the last week, day by day
  errand usage --by step --run review      where a run's tokens went
  errand usage --by label=team --json      for the controller
Days are those of UTC. Calls whose cost nobody knows are counted as unpriced, never as free.")]
pub(crate) struct Args {
    /// One row for each: run, agent, model, session, day, step, tool, or label=KEY
    #[arg(long, value_name = "WHAT", default_value = "agent")]
    by: By,
    /// Only from this day on: 2025-03-31, or so long ago, such as 7d
    #[arg(long, value_name = "DAY", value_parser = since)]
    since: Option<Since>,
    /// Only up to this day
    #[arg(long, value_name = "DAY", value_parser = since)]
    until: Option<Since>,
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

/// What each row is about, and how that was typed.
#[derive(Clone, Debug)]
struct By {
    by: UsageBy,
    typed: String,
}

impl FromStr for By {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let by = match typed {
            "run" => UsageBy::Run,
            "agent" => UsageBy::Agent,
            "model" => UsageBy::Model,
            "session" => UsageBy::Session,
            "day" => UsageBy::Day,
            "step" => UsageBy::Step,
            "tool" => UsageBy::Tool,
            _ => match typed.strip_prefix("label=") {
                Some(label) if !label.is_empty() => UsageBy::Label(label.to_owned()),
                Some(_) | None => {
                    return Err(
                        "write run, agent, model, session, day, step, tool or label=KEY".to_owned()
                    );
                }
            },
        };
        Ok(Self { by, typed: typed.to_owned() })
    }
}

/// A day as it was typed.
#[derive(Clone, Copy, Debug)]
enum Since {
    Day(Day),
    Ago(Duration),
}

impl Since {
    fn day(self, now: Timestamp) -> Day {
        match self {
            Self::Day(day) => day,
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Day::of(Timestamp::from_millis(now.as_millis().saturating_sub(ago)))
            }
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(day) = text.parse() {
        return Ok(Since::Day(day));
    }
    errand_model::parse_duration(text)
        .map(Since::Ago)
        .map_err(|_| "write a day such as 2025-03-31, or how long ago, such as 7d".to_owned())
}

/// Shows sums of what calls used.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let now = errand_agent::SystemClock.now();
    let (since, until) = (args.since.map(|it| it.day(now)), args.until.map(|it| it.day(now)));
    let mut found = errand_store::Usage::default();
    match context.engine() {
        Ok(engine) => {
            let run_id = match &args.run {
                Some(text) => Some(context.resolve(&engine, text).await?),
                None => None,
            };
            let query = UsageQuery {
                namespaces: Namespaces::All,
                by: args.by.by,
                since,
                until,
                agent: args.agent,
                run_id,
            };
            found = engine.store().usage(&query).await?;
        }
        // No registry: nothing was used, and that is no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => {}
        Err(failure) => return Err(failure),
    }
    let usage = Usage {
        schema: USAGE_SCHEMA,
        by: args.by.typed,
        since: since.map(|day| day.to_string()),
        until: until.map(|day| day.to_string()),
        rows: found.rows.into_iter().take(args.top.unwrap_or(usize::MAX)).map(sums).collect(),
        total: sums(found.total),
    };
    if args.json {
        context.printer.json(&usage)?;
    } else {
        context.printer.line(&shown(&usage))?;
    }
    Ok(0)
}

/// What the steps of a run used; nothing where no call was reported.
pub(crate) async fn by_step(engine: &Engine, run: &Run) -> Result<Vec<UsageSums>, Failure> {
    if run.counters.model_calls + run.counters.tool_calls == 0 {
        return Ok(Vec::new());
    }
    let (by, run_id) = (UsageBy::Step, Some(run.id.clone()));
    let query = UsageQuery {
        namespaces: Namespaces::All,
        by,
        since: None,
        until: None,
        agent: None,
        run_id,
    };
    Ok(engine.store().usage(&query).await?.rows.into_iter().map(sums).collect())
}

fn sums(row: UsageRow) -> UsageSums {
    UsageSums {
        key: row.key,
        runs: row.runs,
        model_calls: row.model_calls,
        unpriced_calls: row.unpriced_calls,
        tool_calls: row.tool_calls,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cached_tokens: row.cached_tokens,
        reasoning_tokens: row.reasoning_tokens,
        cost_micro_usd: row.cost_micro_usd,
        cost_usd: row.cost_micro_usd.map(usd),
        wall_time_ms: row.wall_time_ms,
    }
}

fn shown(usage: &Usage) -> String {
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
    for sums in &usage.rows {
        table.add_row(row(sums.key.as_deref().unwrap_or("-"), sums));
    }
    table.add_row(row("total", &usage.total));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    render::lines(&mut table)
}

fn row(key: &str, sums: &UsageSums) -> [String; 10] {
    [
        render::one_line(key),
        sums.runs.to_string(),
        sums.model_calls.to_string(),
        sums.tool_calls.to_string(),
        sums.input_tokens.to_string(),
        sums.cached_tokens.to_string(),
        sums.output_tokens.to_string(),
        sums.cost_micro_usd.map_or_else(|| "-".to_owned(), render::money),
        sums.unpriced_calls.to_string(),
        format!("{}.{:01} s", sums.wall_time_ms / 1_000, sums.wall_time_ms % 1_000 / 100),
    ]
}
