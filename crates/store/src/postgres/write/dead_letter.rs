//! Dead letters: noted with the event that makes one, discarded on demand.

use async_trait::async_trait;

use super::Grown;
use super::Operation;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::{Admission, Discard};

/// [`crate::Store::discard`].
pub(in crate::postgres) struct DiscardDeadLetter(pub(in crate::postgres) Discard);

#[async_trait]
impl Operation for DiscardDeadLetter {
    type Output = ();

    const DOING: &'static str = "discards a dead letter";

    fn locks(&self) -> Vec<String> {
        Vec::new()
    }

    async fn run(&self, _: &Db) -> Result<Self::Output, Failure> {
        Err(Failure::Refused(crate::Error::WriterGone))
    }
}

/// Refuses to do a dead letter again that is settled, where that matters to who asks.
pub(in crate::postgres) async fn check(_: &Db, _: &Admission) -> Result<(), Failure> {
    Ok(())
}

/// Writes what follows from the events of runs.
pub(super) async fn project(_: &Db, _: &[Grown<'_>]) -> Result<(), Failure> {
    Ok(())
}
