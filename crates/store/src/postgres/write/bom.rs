//! The next generation of an agent's inventory.

use async_trait::async_trait;

use super::Grown;
use super::Operation;
use crate::BomGeneration;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use errand_model::{Digest, Timestamp};

/// [`crate::Store::put_bom`].
pub(in crate::postgres) struct PutBom {
    pub(in crate::postgres) agent: String,
    pub(in crate::postgres) digest: Digest,
    pub(in crate::postgres) now: Timestamp,
}

#[async_trait]
impl Operation for PutBom {
    type Output = BomGeneration;

    const DOING: &'static str = "adds an inventory";

    fn locks(&self) -> Vec<String> {
        Vec::new()
    }

    async fn run(&self, _: &Db) -> Result<Self::Output, Failure> {
        Err(Failure::Refused(crate::Error::WriterGone))
    }
}

/// Writes what follows from the events of runs.
pub(super) async fn project(_: &Db, _: &[Grown<'_>]) -> Result<(), Failure> {
    Ok(())
}
