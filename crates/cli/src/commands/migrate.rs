//! `errand migrate`: updates the schema of a database.

use errand_api::error_code::ErrorCode;
use errand_store::postgres::Postgres;

use super::database;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A database that has what this errand needs is left as it is. The registry of a folder needs no
migrating: errand brings it up to date when it opens it.

Examples:
  errand migrate --database postgres://errand@db.example/errand
  ERRAND_DATABASE=postgres://errand@db.example/errand errand migrate")]
pub(crate) struct Args {
    /// Database.
    #[arg(
        long,
        value_name = "URL",
        help = "The database: postgres://user:password@host:5432/database, or ERRAND_DATABASE"
    )]
    database: Option<String>,
}

/// Applies the missing migrations.
pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let Some(url) = database::named(context, args.database.as_deref()) else {
        return Err(Failure::new(ErrorCode::Usage, "no database is named")
            .hint("name it with --database postgres://… or in ERRAND_DATABASE"));
    };
    let migrated = Postgres::migrate(url)?;
    let line = if migrated.from == migrated.to {
        format!("schema {} is up to date", migrated.to)
    } else {
        format!("migrated from schema {} to {}", migrated.from, migrated.to)
    };
    context.printer.line(&line)?;
    Ok(0)
}
