//! Dead letters.

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::{DeadLetter, DeadLetterFilter, Page};

pub(in crate::postgres) async fn dead_letters(
    _: &Db,
    _: &DeadLetterFilter,
    _: &Page,
) -> Result<Vec<DeadLetter>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}
