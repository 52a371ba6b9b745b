//! What the calls in a journal used: summed in the commit that makes their events durable.

use super::Grown;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;

/// Writes what follows from the events of runs.
pub(super) async fn project(_: &Db, _: &[Grown<'_>]) -> Result<(), Failure> {
    Ok(())
}
