//! What agents ask people is listed apart from the journal, in the commit of its events.

use super::Grown;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;

/// Writes what follows from the events of runs.
pub(super) async fn project(_: &Db, _: &[Grown<'_>]) -> Result<(), Failure> {
    Ok(())
}
