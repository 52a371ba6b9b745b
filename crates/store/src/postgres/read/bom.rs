//! Inventories of agents.

use crate::BomGeneration;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;

pub(in crate::postgres) async fn boms(
    _: &Db,
    _: &str,
    _: u32,
) -> Result<Vec<BomGeneration>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}
