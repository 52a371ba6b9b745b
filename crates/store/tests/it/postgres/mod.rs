//! Tests of the PostgreSQL store alone.

mod changes;
mod expected;
mod files;
mod history;
mod outages;
mod rings;
mod schema;

use std::sync::Arc;

use errand_store::Store;
use errand_store::postgres::{Options, Postgres};
use errand_testkit::postgres::Database;

use crate::conformance::{StoreFactory, conforms};

const SCHEMA: &str = include_str!("../../../schema/postgres.sql");

/// A registry in a database of its own.
pub(crate) struct Fresh(pub(crate) Database);

impl Fresh {
    pub(crate) fn new() -> Self {
        Self(Database::prepared(SCHEMA, |url| {
            Postgres::migrate(url).unwrap();
        }))
    }

    pub(crate) fn open_postgres(&self) -> Postgres {
        Postgres::open(&self.0.url(), Options::DEFAULT).unwrap()
    }
}

impl StoreFactory for Fresh {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.open_postgres())
    }
}

conforms!(crate::postgres::Fresh::new());
