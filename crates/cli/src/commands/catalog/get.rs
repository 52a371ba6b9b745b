//! `errand get`: lists definitions, or prints one.

use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::catalog::{CatalogEntry, CatalogItem, CatalogKind};
use errand_api::error_code::ErrorCode;
use errand_model::Timestamp;
use serde_json::{Value, json};

use super::kind;
use crate::commands::{agents, hooks, keys, refuse_server, schedules};
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::render;

/// Longest description in a list.
const DESCRIPTION_CHARS: usize = 60;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand get skill                          list skills
  errand get skill code-review -o yaml      print a manifest, as `errand apply` takes it
  errand get config style-guide --version 2 -o json
  errand get schedules                      what has commands of its own is listed, too")]
pub(crate) struct Args {
    /// Kind of definition: skill, config, service, tier, dispatcher, price-table or policy; or
    /// agents, schedules, hooks or keys
    #[arg(value_name = "KIND", value_parser = listed)]
    kind: ListedKind,
    /// Name of one definition
    name: Option<String>,
    /// Print manifests in YAML, or definitions with their manifests in JSON
    #[arg(short, long, value_name = "FORM", value_enum)]
    output: Option<Form>,
    /// An earlier version of the definition
    #[arg(long, value_name = "N", requires = "name", value_parser = clap::value_parser!(u64).range(1..))]
    version: Option<u64>,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

/// Kind of things that are listed.
#[derive(Clone, Copy, Debug)]
enum ListedKind {
    Definition(CatalogKind),
    Agents,
    Schedules,
    Hooks,
    Keys,
}

/// Parses a kind as people type it.
fn listed(text: &str) -> Result<ListedKind, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "agent" | "agents" => ListedKind::Agents,
        "schedule" | "schedules" => ListedKind::Schedules,
        "hook" | "hooks" => ListedKind::Hooks,
        "key" | "keys" => ListedKind::Keys,
        _ => match kind(text) {
            Ok(kind) => ListedKind::Definition(kind),
            Err(known) => return Err(format!("{known}, agents, schedules, hooks, keys")),
        },
    })
}

/// Output formats of definitions.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// Manifests in YAML
    Yaml,
    /// Definitions with their manifests, one JSON document
    Json,
}

/// Lists definitions, or prints one.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let form = if args.json { Some(Form::Json) } else { args.output };
    let json = form.is_some();
    let kind = match args.kind {
        ListedKind::Definition(kind) => kind,
        ListedKind::Agents => {
            refuse_more(&args, "agents")?;
            return agents::run(context, agents::Command::ls(json)).await;
        }
        ListedKind::Schedules => {
            refuse_more(&args, "schedules")?;
            return schedules::run(context, schedules::Command::ls(json)).await;
        }
        ListedKind::Hooks => {
            refuse_more(&args, "hooks")?;
            return hooks::run(context, hooks::Command::ls(json)).await;
        }
        ListedKind::Keys => {
            refuse_more(&args, "keys")?;
            refuse_server(context)?;
            return keys::run(context, keys::Command::ls(json)).await;
        }
    };
    let place = super::place(context)?;
    let items = match (&args.name, form) {
        (Some(name), _) => vec![place.definition(&(kind, name.clone()), args.version).await?],
        (None, None) => {
            let entries = place.all_definitions(kind).await?;
            return table(context, &entries);
        }
        (None, Some(_)) => {
            let mut items = Vec::new();
            for entry in place.all_definitions(kind).await? {
                items.push(place.definition(&(kind, entry.name), None).await?);
            }
            items
        }
    };
    print(context, &args, form, items)
}

/// Refuses what only definitions have: a name, and a form in YAML.
fn refuse_more(args: &Args, listed: &str) -> Result<(), Failure> {
    if args.name.is_none() && !matches!(args.output, Some(Form::Yaml)) {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::Usage, format!("{listed} are listed here, and no more"))
        .hint(format!("`errand {listed} --help` shows the commands about them")))
}

fn print(
    context: &Context,
    args: &Args,
    form: Option<Form>,
    items: Vec<CatalogItem>,
) -> Result<u8, Failure> {
    match form {
        None => {
            let entries: Vec<_> = items.into_iter().map(|item| item.entry).collect();
            return table(context, &entries);
        }
        Some(Form::Yaml) => {
            let texts: Vec<_> =
                items.iter().map(|item| crate::yaml::document(&item.manifest.to_json())).collect();
            context.printer.bytes(texts.join("---\n").as_bytes())?;
        }
        Some(Form::Json) => context.printer.json(&document(args.name.is_some(), &items))?,
    }
    Ok(0)
}

fn document(is_one: bool, items: &[CatalogItem]) -> Value {
    match items {
        [item] if is_one => {
            let mut document = json!(item);
            document["schema"] = 1.into();
            document
        }
        items => json!({ "schema": 1, "definitions": items }),
    }
}

fn table(context: &Context, entries: &[CatalogEntry]) -> Result<u8, Failure> {
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["NAME", "VERSION", "DIGEST", "CHANGED", "DESCRIPTION"]);
    for entry in entries {
        let changed = match (&entry.file, entry.changed_at_ms) {
            (Some(file), _) => render::one_line(file),
            (None, Some(at_ms)) => relative(Timestamp::from_millis(at_ms), now),
            (None, None) => String::new(),
        };
        let description = entry.description.as_deref().unwrap_or_default();
        table.add_row([
            entry.name.clone(),
            entry.version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
            entry.digest.hex()[..12].to_owned(),
            changed,
            render::at_most(&render::one_line(description), DESCRIPTION_CHARS),
        ]);
    }
    context.printer.line(&render::lines(&mut table))?;
    Ok(0)
}
