//! `errand schedules`: time slots that fire runs. A server (`errand up`) on the registry fires
//! them.

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::schedule::{Schedule, ScheduleRequest};
use errand_model::Timestamp;
use errand_model::event::{MissedPolicy, OverlapPolicy};
use serde_json::json;

use super::submit::{pairs, payload};
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::remote::input::document_or_text;
use crate::render;

/// Commands on schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List schedules, with their next slots
    Ls(Ls),
    /// Make a schedule, or change the one of that name
    Add(Add),
    /// Forget schedules; their runs are kept
    Rm(Names),
    /// Keep schedules from firing; slots that pass meanwhile are gone
    Pause(Names),
    /// Let schedules fire from their next slot on
    Resume(Names),
    /// Fire a run at once, whatever the slots say; prints its id
    Fire(Names),
}

impl Command {
    /// Returns the command that lists all of them.
    pub(super) const fn ls(json: bool) -> Self {
        Self::Ls(Ls { json })
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Print the list as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand schedules add nightly --agent report --cron '30 2 * * *' --timezone Europe/Zurich
  errand schedules add pulse --agent check --cron '@every 30s' --overlap queue")]
#[expect(clippy::doc_markdown, reason = "help texts are read in a terminal")]
pub(crate) struct Add {
    /// Name of the schedule
    name: String,
    /// A registered agent: NAME or NAME@VERSION
    #[arg(long)]
    agent: String,
    /// A cron line, `@hourly`, or `@every 30s`
    #[arg(long, value_name = "LINE")]
    cron: String,
    /// An IANA time zone
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: String,
    /// Input of the agent: text, @FILE, or - for stdin
    #[arg(long, value_name = "PAYLOAD")]
    input: Option<String>,
    /// Slots that passed while no server was there: fire_once, skip or fire_all
    #[arg(long, value_name = "POLICY", value_parser = missed)]
    missed: Option<MissedPolicy>,
    /// A slot while the run before it is not over: skip, queue or allow
    #[arg(long, value_name = "POLICY", value_parser = overlap)]
    overlap: Option<OverlapPolicy>,
    /// A label of the runs; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// The conversation that the runs belong to
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Make it without letting it fire
    #[arg(long)]
    paused: bool,
    /// Print the schedule as JSON
    #[arg(long)]
    json: bool,
}

/// Names of schedules.
#[derive(Debug, clap::Args)]
pub(crate) struct Names {
    /// The schedules
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

fn missed(text: &str) -> Result<MissedPolicy, String> {
    serde_json::from_value(text.into()).map_err(|_| "fire_once, skip or fire_all".to_owned())
}

fn overlap(text: &str) -> Result<OverlapPolicy, String> {
    serde_json::from_value(text.into()).map_err(|_| "skip, queue or allow".to_owned())
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) => ls(context, &args).await?,
        Command::Add(args) => add(context, args).await?,
        Command::Rm(args) => {
            let place = context.place()?;
            for name in &args.names {
                place.remove_schedule(name).await?;
                context.printer.line(name)?;
            }
        }
        Command::Pause(args) => {
            let place = context.place()?;
            for name in &args.names {
                place.pause_schedule(name).await?;
                context.printer.line(name)?;
            }
        }
        Command::Resume(args) => {
            let place = context.place()?;
            for name in &args.names {
                place.resume_schedule(name).await?;
                context.printer.line(name)?;
            }
        }
        Command::Fire(args) => {
            let place = context.place()?;
            for name in &args.names {
                let run_id = place.fire_schedule(name).await?;
                context.printer.line(run_id.as_str())?;
            }
        }
    }
    Ok(0)
}

async fn ls(context: &Context, args: &Ls) -> Result<(), Failure> {
    let found: Vec<Schedule> = match context.place() {
        Ok(place) => place.all_schedules().await?,
        // No registry: no schedules, and that is no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if args.json {
        return context.printer.json(&json!({ "schema": 1, "schedules": found }));
    }
    context.printer.line(&table(&found))
}

async fn add(context: &Context, args: Add) -> Result<(), Failure> {
    let given = args.input.as_deref().map(payload).transpose()?;
    let wanted = ScheduleRequest {
        name: None,
        agent: args.agent,
        cron: args.cron,
        timezone: Some(args.timezone),
        input: given.as_deref().map(document_or_text).transpose()?,
        missed: args.missed,
        overlap: args.overlap,
        labels: pairs(&args.labels, "--label", ErrorCode::LabelInvalid)?,
        session_id: args.session,
        enabled: Some(!args.paused),
    };
    let made = context.place_or_create()?.put_schedule(&args.name, wanted).await?;
    if args.json {
        return context.printer.json(&made);
    }
    context.printer.line(&made.name)
}

fn table(schedules: &[Schedule]) -> String {
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["SCHEDULE", "AGENT", "CRON", "TIMEZONE", "NEXT", "LAST RUN"]);
    for schedule in schedules {
        let next = match schedule.next_fires_ms.first() {
            Some(at) => relative(Timestamp::from_millis(*at), now),
            None if schedule.enabled => "never".to_owned(),
            None => "paused".to_owned(),
        };
        table.add_row([
            schedule.name.clone(),
            render::one_line(&schedule.agent),
            render::one_line(&schedule.cron),
            schedule.timezone.clone(),
            next,
            schedule.last_run_id.as_ref().map_or_else(String::new, ToString::to_string),
        ]);
    }
    render::lines(&mut table)
}
