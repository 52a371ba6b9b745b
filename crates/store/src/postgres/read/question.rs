//! What agents ask people.

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::{Asked, Namespaces, Questions};

pub(in crate::postgres) async fn questions(
    _: &Db,
    _: Questions,
    _: &Namespaces,
    _: u32,
) -> Result<Vec<Asked>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}
