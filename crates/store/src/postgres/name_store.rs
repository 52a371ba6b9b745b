//! [`NameStore`] for PostgreSQL: each method is one operation or query.

use std::collections::BTreeSet;

use async_trait::async_trait;
use errand_model::{Digest, RunId};

use super::write::IndexNames;
use super::{Postgres, ask, read};
use crate::Error;
use crate::names::{Name, NameStore};

#[async_trait]
impl NameStore for Postgres {
    async fn names_of_run(&self, run_id: &RunId) -> Result<Vec<Name>, Error> {
        ask!(self, "reads what a run names", |db| read::names_of_run(db, run_id))
    }

    async fn named(&self, digests: &[Digest]) -> Result<BTreeSet<Digest>, Error> {
        ask!(self, "looks for names", |db| read::named(db, digests))
    }

    async fn named_parcels(&self) -> Result<BTreeSet<Digest>, Error> {
        ask!(self, "looks for parcels", |db| read::named_parcels(db))
    }

    async fn named_elsewhere(&self) -> Result<BTreeSet<Digest>, Error> {
        ask!(self, "looks for names", |db| read::named_elsewhere(db))
    }

    async fn index_names(&self, limit: u32) -> Result<u64, Error> {
        self.write(IndexNames(limit)).await
    }
}
