//! Documents change, by themselves or together with a run.

use async_trait::async_trait;

use super::Operation;
use crate::document::DocumentWrite;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;

/// [`crate::DocumentStore::write_documents`].
pub(in crate::postgres) struct WriteDocuments(pub(in crate::postgres) Vec<DocumentWrite>);

#[async_trait]
impl Operation for WriteDocuments {
    type Output = ();

    const DOING: &'static str = "writes documents";

    fn locks(&self) -> Vec<String> {
        Vec::new()
    }

    async fn run(&self, _: &Db) -> Result<Self::Output, Failure> {
        Err(Failure::Refused(crate::Error::WriterGone))
    }
}

/// The names of the locks that changes need.
pub(in crate::postgres) fn locks(_: &[DocumentWrite]) -> Vec<String> {
    Vec::new()
}

/// Refuses changes of what is not there as expected. Its locks are held.
pub(in crate::postgres) async fn check(_: &Db, _: &[DocumentWrite]) -> Result<(), Failure> {
    Ok(())
}

/// Makes the changes, of several callers as one list. Everything was checked.
pub(in crate::postgres) async fn write(_: &Db, _: &[DocumentWrite]) -> Result<(), Failure> {
    Ok(())
}
