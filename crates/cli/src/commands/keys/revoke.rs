//! `errand keys revoke`: revokes API keys.

use errand_engine::keys;

use super::namespace;
use crate::commands::database::Database;
use crate::context::Context;
use crate::failure::Failure;
use crate::user::actor;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Their public parts (the eight characters after errand_), or their names
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    database: Database,
    /// Only keys of that namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

/// Revokes keys, and prints their public parts.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let namespace = args.namespace.as_deref().map(namespace).transpose()?;
    let engine = args.database.engine(context)?;
    for which in &args.keys {
        let key = keys::revoke(&engine, which, namespace.as_ref(), &actor(context)).await?;
        context.printer.line(&key.public)?;
    }
    Ok(0)
}
