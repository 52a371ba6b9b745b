//! `errand keys ls`: list of API keys.

use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::error_code::ErrorCode;
use errand_engine::keys::{self, Key};
use errand_model::Timestamp;
use serde_json::{Value, json};

use super::{document, namespace};
use crate::commands::database::Database;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::render::one_line;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only keys of that namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    database: Database,
    /// Print the list as one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Returns the arguments that list all keys of the registry.
    pub(super) fn all(json: bool) -> Self {
        Self { namespace: None, database: Database::default(), json }
    }
}

/// Lists keys.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let namespace = args.namespace.as_deref().map(namespace).transpose()?;
    let found = match args.database.engine(context) {
        Ok(engine) => keys::list(&engine, namespace.as_ref()).await?,
        // Without a registry there are no keys: no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if args.json {
        let keys: Vec<Value> = found.iter().map(document).collect();
        context.printer.json(&json!({ "schema": 1, "keys": keys }))?;
    } else {
        context.printer.line(&table(&found))?;
    }
    Ok(0)
}

fn table(keys: &[Key]) -> String {
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["KEY", "NAME", "NAMESPACE", "SCOPES", "CREATED", "EXPIRES"]);
    for key in keys {
        let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        table.add_row([
            key.public.clone(),
            one_line(&key.name),
            key.namespace.clone().unwrap_or_else(|| errand_model::DEFAULT_NAMESPACE.to_owned()),
            scopes.join(","),
            relative(key.created_at, now),
            expiry(key.expires_at, now),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn expiry(at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        None => "never".to_owned(),
        Some(at) if at <= now => format!("expired {}", relative(at, now)),
        Some(at) => relative(at, now),
    }
}
