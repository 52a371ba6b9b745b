//! The registry of an administrative command: that of the folder, or that of a server's database.

use std::ffi::OsStr;

use errand_engine::Engine;

use crate::context::Context;
use crate::failure::Failure;

/// Option that names a server's database.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Database {
    /// Database.
    #[arg(
        long,
        value_name = "URL",
        help = "The server's database, where it has one: postgres://…, or ERRAND_DATABASE"
    )]
    database: Option<String>,
}

impl Database {
    /// Returns the existing registry.
    pub(crate) fn engine(&self, context: &Context) -> Result<Engine, Failure> {
        match self.url(context) {
            Some(url) => context.engine_on_database(url),
            None => context.engine(),
        }
    }

    /// Returns the existing registry, or a new one in the folder.
    pub(crate) fn engine_or_create(&self, context: &Context) -> Result<Engine, Failure> {
        match self.url(context) {
            Some(url) => context.engine_on_database(url),
            None => context.engine_or_create(),
        }
    }

    fn url<'a>(&'a self, context: &'a Context) -> Option<&'a str> {
        named(context, self.database.as_deref())
    }
}

/// Returns the database on the command line, or else that of the environment.
pub(super) fn named<'a>(context: &'a Context, typed: Option<&'a str>) -> Option<&'a str> {
    typed.or_else(|| context.variable("ERRAND_DATABASE").and_then(OsStr::to_str))
}
