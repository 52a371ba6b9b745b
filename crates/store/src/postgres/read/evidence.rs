//! Runs as they stand there, good or bad.

use crate::Evidence;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use errand_model::RunId;
use errand_model::event::Event;

pub(in crate::postgres) async fn evidence(_: &Db, _: &RunId) -> Result<Option<Evidence>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn run_ids(
    _: &Db,
    _: Option<&RunId>,
    _: u32,
) -> Result<Vec<RunId>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn scan(
    _: &Db,
    _: &RunId,
    _: Option<u64>,
    _: u32,
) -> Result<Vec<Event>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}
