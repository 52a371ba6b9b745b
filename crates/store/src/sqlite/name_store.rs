//! [`NameStore`] for SQLite: each method is one operation or query.

use std::collections::BTreeSet;

use async_trait::async_trait;
use errand_model::{Digest, RunId};

use super::write::IndexNames;
use super::{Sqlite, read};
use crate::Error;
use crate::names::{Name, NameStore};

#[async_trait]
impl NameStore for Sqlite {
    async fn names_of_run(&self, run_id: &RunId) -> Result<Vec<Name>, Error> {
        self.read("reads what a run names", |connection| read::names_of_run(connection, run_id))
    }

    async fn named(&self, digests: &[Digest]) -> Result<BTreeSet<Digest>, Error> {
        self.read("looks for names", |connection| read::named(connection, digests))
    }

    async fn named_parcels(&self) -> Result<BTreeSet<Digest>, Error> {
        self.read("looks for parcels", read::named_parcels)
    }

    async fn named_elsewhere(&self) -> Result<BTreeSet<Digest>, Error> {
        self.read("looks for names", read::named_elsewhere)
    }

    async fn index_names(&self, limit: u32) -> Result<u64, Error> {
        self.write(IndexNames(limit)).await
    }
}
