//! `errand hooks`: requests from outside that fire runs. A server (`errand up`) on the registry
//! accepts them.

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::hook::{
    Hook, HookDedupe, HookEvents, HookPlace, HookRequest, HookScheme, HookSignature,
};
use errand_model::Timestamp;
use serde_json::json;

use super::submit::{pairs, payload};
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::render;

/// Requests that are shown.
const SHOWN: u32 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List hooks
    Ls(Ls),
    /// Make a hook, or change the one of that name; prints its path, and the secret if it was made
    /// up
    Add(Box<Add>),
    /// Forget hooks; their runs are kept
    Rm(Names),
    /// List the latest requests to a hook, with their outcomes
    Deliveries(Deliveries),
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
  errand hooks add github --agent review --type github --secret @secret.txt \\
      --event pull_request.opened --input '{\"number\": \"{{ body.number }}\"}'
  errand hooks add alerts --agent triage --type token --dedupe /alert/id --window 10m")]
#[expect(clippy::doc_markdown, reason = "help texts are read in a terminal")]
pub(crate) struct Add {
    /// Name of the hook: the last part of its path
    name: String,
    /// A registered agent: NAME or NAME@VERSION
    #[arg(long)]
    agent: String,
    /// Signature scheme of requests: hmac_sha256, github, standard_webhooks or token
    #[arg(long = "type", value_name = "SCHEME", value_parser = scheme)]
    scheme: HookScheme,
    /// The secret: @FILE, or - for stdin; without it one is made up
    #[arg(long, value_name = "SECRET", value_parser = secret_place)]
    secret: Option<String>,
    /// The header that has the signature, for hmac_sha256 and token
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
    /// Prefix of the signature in that header
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Input of the agent: JSON with references, or @FILE; by default the whole body
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// Key that identifies a repeated request: a JSON pointer (/id) or a header
    #[arg(long, value_name = "PLACE")]
    dedupe: Option<String>,
    /// Time during which a repeated key counts as the same request
    #[arg(long, value_name = "DURATION", default_value = "1d", requires = "dedupe")]
    window: String,
    /// Only this event, such as push; may be given again
    #[arg(long = "event", value_name = "NAME")]
    events: Vec<String>,
    /// Place of the event's name: a JSON pointer or a header
    #[arg(long, value_name = "PLACE", requires = "events")]
    event_from: Option<String>,
    /// A label of the runs; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// The conversation that the runs belong to
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Make it without letting it take requests
    #[arg(long)]
    disabled: bool,
    /// Print the hook as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Names {
    /// The hooks
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Deliveries {
    /// The hook
    name: String,
    /// Print the list as one JSON object
    #[arg(long)]
    json: bool,
}

fn scheme(text: &str) -> Result<HookScheme, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "hmac_sha256, github, standard_webhooks or token".to_owned())
}

/// Checks that an argument names the place of a secret. A secret is never an argument itself: other
/// users see the arguments of programs.
fn secret_place(text: &str) -> Result<String, String> {
    if text == "-" || text.starts_with('@') {
        return Ok(text.to_owned());
    }
    Err("give it as @FILE, or as - on stdin: other users see the arguments of programs".to_owned())
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) => ls(context, &args).await?,
        Command::Add(args) => add(context, *args).await?,
        Command::Rm(args) => {
            let place = context.place()?;
            for name in &args.names {
                place.remove_hook(name).await?;
                context.printer.line(name)?;
            }
        }
        Command::Deliveries(args) => deliveries(context, &args).await?,
    }
    Ok(0)
}

async fn ls(context: &Context, args: &Ls) -> Result<(), Failure> {
    let found: Vec<Hook> = match context.place() {
        Ok(place) => place.all_hooks().await?,
        // No registry: no hooks, and that is no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if args.json {
        return context.printer.json(&json!({ "schema": 1, "hooks": found }));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["HOOK", "PATH", "AGENT", "SIGNATURE", "ENABLED"]);
    for hook in &found {
        let scheme = serde_json::to_value(hook.signature.scheme).unwrap_or_default();
        table.add_row([
            hook.name.clone(),
            hook.path.clone(),
            render::one_line(&hook.agent),
            scheme.as_str().unwrap_or_default().to_owned(),
            hook.enabled.to_string(),
        ]);
    }
    context.printer.line(&render::lines(&mut table))
}

async fn add(context: &Context, args: Add) -> Result<(), Failure> {
    let (name, as_json) = (args.name.clone(), args.json);
    let wanted = wanted(args)?;
    let made = context.place_or_create()?.put_hook(&name, wanted).await?;
    if as_json {
        return context.printer.json(&made);
    }
    context.printer.line(&made.path)?;
    if let Some(secret) = &made.signature.secret {
        context.printer.line(secret)?;
        context.printer.note("keep the secret in a safe place: it is not shown again");
    }
    Ok(())
}

fn wanted(args: Add) -> Result<HookRequest, Failure> {
    let text = |text: &String| {
        let bytes = payload(text)?;
        String::from_utf8(bytes).map(|text| text.trim_end().to_owned()).map_err(|_| {
            Failure::new(ErrorCode::PayloadUnreadable, "what was given is not UTF-8 text")
        })
    };
    let template = |given: &String| {
        serde_json::from_str(&text(given)?).map_err(|error| {
            Failure::new(ErrorCode::HookInvalid, format!("--input is not JSON: {error}"))
        })
    };
    let any_of = args.events;
    Ok(HookRequest {
        agent: args.agent,
        signature: HookSignature {
            scheme: args.scheme,
            header: args.header,
            prefix: args.prefix,
            secret: args.secret.as_ref().map(text).transpose()?,
        },
        input: args.input.as_ref().map(template).transpose()?,
        dedupe: args
            .dedupe
            .map(|place| HookDedupe { key: parse_place(place), window: args.window }),
        events: (!any_of.is_empty())
            .then(|| HookEvents { from: args.event_from.map(parse_place), any_of }),
        labels: pairs(&args.labels, "--label", ErrorCode::LabelInvalid)?,
        session_id: args.session,
        enabled: Some(!args.disabled),
    })
}

fn parse_place(text: String) -> HookPlace {
    if text.starts_with('/') {
        HookPlace { header: None, pointer: Some(text) }
    } else {
        HookPlace { header: Some(text), pointer: None }
    }
}

async fn deliveries(context: &Context, args: &Deliveries) -> Result<(), Failure> {
    let found = context.place()?.hook_deliveries(&args.name, None, SHOWN).await?.deliveries;
    if args.json {
        return context.printer.json(&json!({ "schema": 1, "deliveries": found }));
    }
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["CAME", "OUTCOME", "EVENT", "RUN", "WHY"]);
    for delivery in &found {
        let outcome = serde_json::to_value(delivery.outcome).unwrap_or_default();
        table.add_row([
            relative(Timestamp::from_millis(delivery.at_ms), now),
            outcome.as_str().unwrap_or_default().to_owned(),
            delivery.event.as_deref().map_or_else(String::new, render::one_line),
            delivery.run_id.as_ref().map_or_else(String::new, ToString::to_string),
            delivery.reason.as_deref().map_or_else(String::new, render::one_line),
        ]);
    }
    context.printer.line(&render::lines(&mut table))
}
