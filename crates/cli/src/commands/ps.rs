//! `errand ps`: list of runs.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::error_code::ErrorCode;
use errand_api::record::RunRecord;
use errand_engine::operations::RunListQuery;
use errand_model::Timestamp;
use errand_model::event::RunKind;
use errand_store::Filter;

use super::submit::pairs;
use crate::context::Context;
use crate::failure::Failure;
use crate::render;

/// Runs that are read at once.
const PAGE: u32 = 500;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Filters: agent, kind, label, name, parent, session, since, status
  errand ps -a --filter parent=report
  errand ps -a --filter status=failed --filter label=team=platform")]
#[expect(clippy::struct_excessive_bools, reason = "flags that are typed")]
pub(crate) struct Args {
    /// Show runs that are over too
    #[arg(short, long)]
    all: bool,
    /// Show the wakes of services and the steps of coordinators too; with -a they are shown anyway
    #[arg(short, long)]
    wakes: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Only runs of which this is true; may be given again
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// Show at most this number, the newest
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// Print the records as a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists runs.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let mut wanted = wanted(&args)?;
    let place = context.place();
    if let (Some(parent), Ok(place)) = (&wanted.parent, &place) {
        wanted.query.filter.parent_run_id = Some(place.resolve(context, parent).await?);
    }
    let records = match place {
        Ok(place) => {
            let list = place.all_runs(wanted.query, args.last).await?;
            for failure in &list.errors {
                context.printer.failure(failure);
            }
            list.runs
        }
        // Without a registry, or before the first run creates it, the list is empty: no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    show(context, &args, &records)
}

/// Runs that were asked for.
#[derive(Debug)]
struct Wanted {
    query: RunListQuery,
    /// Only children of that run, as it was typed.
    parent: Option<String>,
}

/// Words for statuses, stored and shown ones, each with the stored word.
const STATUSES: [(&str, &str); 9] = [
    ("pending", "pending"),
    ("starting", "pending"),
    ("running", "running"),
    ("paused", "paused"),
    ("completed", "completed"),
    ("exited", "completed"),
    ("failed", "failed"),
    ("cancelled", "cancelled"),
    ("stopped", "cancelled"),
];

/// Returns the stored status for a word.
fn status(word: &str) -> Option<&'static str> {
    STATUSES.iter().find(|(known, _)| *known == word).map(|(_, stored)| *stored)
}

/// Parses a time: an age, a time, or a day in UTC.
fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(ago) = errand_model::parse_duration(text) {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        return Some(Timestamp::from_millis(now.as_millis().saturating_sub(ago)));
    }
    text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()).ok()
}

/// Parses the filters.
fn wanted(args: &Args) -> Result<Wanted, Failure> {
    let mut filter = Filter { live: !args.all, ..Filter::default() };
    let (mut parent, mut since) = (None, None);
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for text in &args.filters {
        let wrong = |what: String| {
            Failure::new(ErrorCode::FilterInvalid, what).hint(
                "filters are agent, kind, label, name, parent, session, since and status, such as \
                       status=failed or since=2h",
            )
        };
        let (key, value) =
            text.split_once('=').ok_or_else(|| wrong(format!("--filter {text:?} is no pair")))?;
        // A run has many labels; the kinds of a list may be several.
        if !["label", "kind"].contains(&key) && !known.insert(key) {
            return Err(wrong(format!("--filter {key}= is given more than once")));
        }
        match key {
            "agent" => filter.agent = Some(value.to_owned()),
            "name" => filter.name = Some(value.to_owned()),
            "session" => filter.session_id = Some(value.to_owned()),
            "label" => {
                let labels: BTreeMap<_, _> =
                    pairs(&[value.to_owned()], "--filter label=", ErrorCode::FilterInvalid)?;
                filter.labels.extend(labels);
            }
            "kind" => filter.kinds.push(match value {
                "job" => RunKind::Job,
                "heartbeat" => RunKind::Heartbeat,
                "service" => RunKind::Service,
                _ => return Err(wrong(format!("{value:?} is no kind (job, heartbeat, service)"))),
            }),
            "parent" => parent = Some(value.to_owned()),
            "status" => {
                let Some(status) = status(value) else {
                    let known = STATUSES.map(|(word, _)| word).join(", ");
                    return Err(wrong(format!("{value:?} is no status ({known})")));
                };
                filter.live &= ["pending", "running", "paused"].contains(&status);
                filter.status = Some(status.to_owned());
            }
            "since" => {
                let now = errand_agent::SystemClock.now();
                since = Some(moment(value, now).ok_or_else(|| {
                    wrong(format!("{value:?} is no time: so long ago, such as 2h, or RFC 3339"))
                })?);
            }
            _ => return Err(wrong(format!("there is no filter {key:?}"))),
        }
    }
    let with_children = args.all || args.wakes;
    let query = RunListQuery { filter, with_children, since, after: None, limit: PAGE };
    Ok(Wanted { query, parent })
}

fn show(context: &Context, args: &Args, records: &[RunRecord]) -> Result<u8, Failure> {
    if args.json {
        context.printer.json(&records)?;
    } else if args.quiet {
        for record in records {
            context.printer.line(record.run_id.as_str())?;
        }
    } else {
        context.printer.line(&table(records))?;
    }
    Ok(0)
}

fn table(records: &[RunRecord]) -> String {
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut header = vec!["RUN ID", "NAME", "AGENT", "KIND", "STATUS", "TRIGGER", "NEXT WAKE"];
    // Few agents publish ports: the column is there when one does.
    let has_ports = records.iter().any(|record| !render::ports(record).is_empty());
    header.extend(has_ports.then_some("PORTS"));
    table.set_header(header);
    for record in records {
        let mut row = vec![
            record.run_id.to_string(),
            render::one_line(record.name.as_deref().unwrap_or("-")),
            format!("{}@{}", record.agent.name, record.agent.version),
            render::kind(record.kind).to_owned(),
            render::status(record, now),
            render::one_line(&render::trigger(record)),
            render::next_wake(record, now),
        ];
        row.extend(has_ports.then(|| render::ports(record)));
        table.add_row(row);
    }
    render::lines(&mut table)
}
