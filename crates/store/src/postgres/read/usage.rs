//! What was used.

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::{DayStanding, Usage, UsageQuery};
use errand_model::price::Day;

pub(in crate::postgres) async fn day_standing(
    _: &Db,
    _: &str,
    _: Day,
) -> Result<DayStanding, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn usage(_: &Db, _: &UsageQuery) -> Result<Usage, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}
