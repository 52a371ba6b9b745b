//! `errand audit ls`: the audit log, newest entry first.

use comfy_table::{ContentArrangement, Table, presets};
use errand_api::audit::AuditEntry;
use errand_api::error_code::ErrorCode;
use errand_engine::audit::{self, ListedAuditEntry};
use errand_model::DEFAULT_NAMESPACE;
use serde_json::{Value, json};

use crate::commands::database::Database;
use crate::context::Context;
use crate::failure::Failure;
use crate::render::one_line;

/// Entries read at once.
const PAGE: u32 = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Namespace whose log is shown
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Show at most this number, the newest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    last: usize,
    #[command(flatten)]
    database: Database,
    /// Print the list as one JSON object
    #[arg(long)]
    json: bool,
}

/// Lists entries.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let namespace = errand_model::parse_namespace(&args.namespace)
        .map_err(|error| Failure::new(ErrorCode::NamespaceInvalid, error.to_string()))?;
    let found = match args.database.engine(context) {
        Ok(engine) => newest(&engine, namespace.as_deref(), args.last).await?,
        // Without a registry the log is empty: no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if args.json {
        let entries: Vec<Value> = found.iter().map(document).collect();
        context.printer.json(&json!({ "schema": 1, "entries": entries }))?;
    } else {
        context.printer.line(&table(&found))?;
    }
    Ok(0)
}

async fn newest(
    engine: &errand_engine::Engine,
    namespace: Option<&str>,
    count: usize,
) -> Result<Vec<ListedAuditEntry>, Failure> {
    let mut found: Vec<ListedAuditEntry> = Vec::new();
    while found.len() < count {
        let after = found.last().map(|listed| listed.id.clone());
        let page = audit::list(engine, namespace, after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    found.truncate(count);
    Ok(found)
}

fn document(listed: &ListedAuditEntry) -> Value {
    let mut document = serde_json::to_value(&listed.entry).unwrap_or(Value::Null);
    if let Some(members) = document.as_object_mut() {
        members.insert("id".to_owned(), Value::String(listed.id.clone()));
    }
    document
}

fn table(entries: &[ListedAuditEntry]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["WHEN", "WHAT", "OBJECT", "WHO", "FROM"]);
    for ListedAuditEntry { entry, .. } in entries {
        table.add_row([
            entry.at_ms.to_string(),
            entry.action.as_str().to_owned(),
            one_line(&entry.object),
            one_line(&who(entry)),
            one_line(&entry.by.from),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn who(entry: &AuditEntry) -> String {
    match (&entry.by.name, &entry.by.key) {
        (Some(name), Some(key)) => format!("{name} (key {key})"),
        (Some(name), None) => name.clone(),
        (None, Some(key)) => format!("key {key}"),
        (None, None) => "-".to_owned(),
    }
}
