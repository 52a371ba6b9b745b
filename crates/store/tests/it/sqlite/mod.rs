//! Tests of the SQLite store alone.

mod damage;
mod files;
mod older_names;
mod processes;
mod rebuilding;
mod usage_mending;

use std::sync::Arc;

use errand_store::sqlite::{Options, Sqlite};
use errand_store::{Registry, Store};
use tempfile::TempDir;

use crate::conformance::{StoreFactory, conforms};

/// A registry in a folder of its own.
pub(crate) struct Fresh {
    pub(crate) registry: Registry,
    _folder: TempDir,
}

impl Fresh {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("errand-store-").unwrap();
        Self { registry: Registry::at(folder.path().join(".errand")), _folder: folder }
    }

    pub(crate) fn open_sqlite(&self) -> Sqlite {
        Sqlite::open(&self.registry, Options::CREATE).unwrap()
    }
}

impl StoreFactory for Fresh {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.open_sqlite())
    }
}

conforms!(crate::sqlite::Fresh::new());
