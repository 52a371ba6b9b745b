//! Many runs.

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::{Error, Filter, Page, Stored};

pub(in crate::postgres) async fn list(
    _: &Db,
    _: &Filter,
    _: &Page,
) -> Result<(Vec<Stored>, Vec<Error>), Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}
