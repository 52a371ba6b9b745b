//! What events of journals change in sessions: history, results, rollbacks.

use super::Grown;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;

/// Writes what follows from the events of runs.
pub(super) async fn project(_: &Db, _: &[Grown<'_>]) -> Result<(), Failure> {
    Ok(())
}
