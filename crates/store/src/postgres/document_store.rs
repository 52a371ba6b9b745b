//! [`DocumentStore`] for PostgreSQL: each method is one operation or query.

use async_trait::async_trait;
use errand_model::Timestamp;

use super::write::WriteDocuments;
use super::{Postgres, ask, read};
use crate::Error;
use crate::document::{Document, DocumentKind, DocumentQuery, DocumentStore, DocumentWrite};

#[async_trait]
impl DocumentStore for Postgres {
    async fn write_documents(&self, writes: Vec<DocumentWrite>) -> Result<(), Error> {
        self.observed.before(&[], &writes);
        self.write(WriteDocuments(writes)).await
    }

    async fn document(
        &self,
        kind: DocumentKind,
        namespace: Option<&str>,
        key: &str,
    ) -> Result<Option<Document>, Error> {
        ask!(self, "reads a document", |db| read::document(db, kind, namespace, key))
    }

    async fn documents(&self, query: &DocumentQuery) -> Result<Vec<Document>, Error> {
        ask!(self, "lists documents", |db| read::documents(db, query))
    }

    async fn due_documents(
        &self,
        kind: DocumentKind,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Document>, Error> {
        ask!(self, "lists what is due", |db| read::due_documents(db, kind, now, limit))
    }
}
