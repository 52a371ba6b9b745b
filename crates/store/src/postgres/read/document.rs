//! Documents.

use crate::document::{Document, DocumentKind, DocumentQuery};
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use errand_model::Timestamp;

pub(in crate::postgres) async fn document(
    _: &Db,
    _: DocumentKind,
    _: Option<&str>,
    _: &str,
) -> Result<Option<Document>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn documents(
    _: &Db,
    _: &DocumentQuery,
) -> Result<Vec<Document>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn due_documents(
    _: &Db,
    _: DocumentKind,
    _: Timestamp,
    _: u32,
) -> Result<Vec<Document>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}
