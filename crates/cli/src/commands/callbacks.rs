//! `errand callbacks`: reports of runs to subscribed receivers. A server (`errand up`) on the
//! registry delivers them.

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::callback::{Callback, CallbackQuery, CallbackTarget};
use errand_engine::Error as EngineError;
use errand_engine::operations::CallbackTargetChange;
use errand_engine::outbox::{self, CallbackUrl};
use errand_model::Timestamp;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::render;

/// Most reports shown.
const SHOWN: u32 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List reports, those of the newest run first
    Ls(Ls),
    /// Deliver reports again, at once and under the same ids
    Retry(Ids),
    /// List receivers: scheme, host and port
    Targets(Ls),
    /// Make a receiver; prints the secret that its reports are signed with
    Add(One),
    /// Give a receiver a new secret, and print it
    Rotate(One),
    /// Let a receiver get reports again, those that waited too
    Enable(One),
    /// Keep reports from a receiver: they wait
    Disable(One),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Print the list as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ids {
    /// The ids of the reports: msg_…
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// Its URL; scheme, host and port count
    #[arg(value_name = "URL")]
    url: String,
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) => ls(context, &args).await?,
        Command::Retry(args) => {
            let place = context.place()?;
            for id in &args.ids {
                place.redeliver_callback(id).await?;
                context.printer.line(id)?;
            }
        }
        Command::Targets(args) => targets(context, &args).await?,
        Command::Add(args) => {
            let made = context.place_or_create()?.add_callback_target(&args.url).await?;
            show_secret(context, &made)?;
        }
        Command::Rotate(args) => show_secret(
            context,
            &change(context, &args, CallbackTargetChange::RotateSecret).await?,
        )?,
        Command::Enable(args) => {
            context
                .printer
                .line(&change(context, &args, CallbackTargetChange::Enable).await?.origin)?;
        }
        Command::Disable(args) => {
            let why = "disabled on the command line".to_owned();
            let changed = change(context, &args, CallbackTargetChange::Disable { why }).await?;
            context.printer.line(&changed.origin)?;
        }
    }
    Ok(0)
}

async fn ls(context: &Context, args: &Ls) -> Result<(), Failure> {
    let found: Vec<Callback> = match context.place() {
        Ok(place) => {
            let query = CallbackQuery { limit: Some(SHOWN), ..CallbackQuery::default() };
            place.list_callbacks(&query).await?.callbacks
        }
        // No registry: no reports, and that is no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if args.json {
        return context.printer.json(&json!({ "schema": 1, "callbacks": found }));
    }
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["CALLBACK", "TYPE", "STATE", "TRIES", "NEXT", "URL", "NOTE"]);
    for callback in &found {
        let state = serde_json::to_value(callback.state).unwrap_or_default();
        let event = serde_json::to_value(callback.event).unwrap_or_default();
        let next = callback.next_try_at_ms.map(Timestamp::from_millis);
        table.add_row([
            callback.id.clone(),
            event.as_str().unwrap_or_default().to_owned(),
            state.as_str().unwrap_or_default().to_owned(),
            callback.tries.to_string(),
            next.map_or_else(String::new, |at| relative(at, now)),
            render::one_line(&callback.url),
            callback.note.as_deref().map_or_else(String::new, render::one_line),
        ]);
    }
    context.printer.line(&render::lines(&mut table))
}

async fn targets(context: &Context, args: &Ls) -> Result<(), Failure> {
    let found: Vec<CallbackTarget> = match context.place() {
        Ok(place) => place.callback_targets().await?,
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if args.json {
        return context.printer.json(&json!({ "schema": 1, "targets": found }));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["TARGET", "ENABLED", "FAILURES", "WHY"]);
    for target in &found {
        let why = target.disabled_because.as_ref().or(target.last_error.as_ref());
        table.add_row([
            target.origin.clone(),
            target.enabled.to_string(),
            target.failures.to_string(),
            why.map_or_else(String::new, |why| render::one_line(why)),
        ]);
    }
    context.printer.line(&render::lines(&mut table))
}

fn parsed(url: &str) -> Result<CallbackUrl, Failure> {
    CallbackUrl::parse(url)
        .map_err(|error| EngineError::from(outbox::CallbackProblem::from(error)).into())
}

async fn change(
    context: &Context,
    args: &One,
    change: CallbackTargetChange,
) -> Result<CallbackTarget, Failure> {
    let origin = parsed(&args.url)?.origin();
    context.place()?.change_callback_target(&origin, change).await
}

fn show_secret(context: &Context, target: &CallbackTarget) -> Result<(), Failure> {
    if let Some(secret) = &target.secret {
        context.printer.line(secret)?;
        context.printer.note("keep it in a safe place: it is not shown again");
    }
    Ok(())
}
