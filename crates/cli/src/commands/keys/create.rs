//! `errand keys create`: creates an API key, which is shown once.

use std::time::Duration;

use errand_api::access::KeyScope;
use errand_engine::keys::{self, CreatedKey};
use serde_json::json;

use super::{document, namespace};
use crate::commands::database::Database;
use crate::context::Context;
use crate::failure::Failure;
use crate::user::actor;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the key, for lists and the audit log
    #[arg(long)]
    name: String,
    /// Scopes of the key: runs:read, runs:write, approvals:decide, admin; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<KeyScope>,
    /// Namespace that the key opens
    #[arg(long, value_name = "NAME", default_value = errand_model::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Lifetime of the key, such as 90d; without it until it is revoked
    #[arg(long, value_name = "DURATION", value_parser = crate::commands::submit::duration)]
    expires: Option<Duration>,
    #[command(flatten)]
    database: Database,
    /// Print the key and what is kept of it as JSON
    #[arg(long)]
    json: bool,
}

/// Creates a key.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let namespace = namespace(&args.namespace)?;
    let engine = args.database.engine_or_create(context)?;
    let new = CreatedKey {
        name: args.name,
        namespace,
        scopes: args.scopes.into_iter().collect(),
        lasts: args.expires,
    };
    let created = keys::create(&engine, new, &actor(context)).await?;
    if args.json {
        let text = created.text.reveal();
        let document = json!({ "schema": 1, "key": text, "record": document(&created.key) });
        context.printer.json(&document)?;
    } else {
        context.printer.line(&created.text.reveal())?;
        context.printer.note("keep it in a safe place: it is not shown again");
    }
    Ok(0)
}
