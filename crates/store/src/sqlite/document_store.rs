//! [`DocumentStore`] for SQLite: each method is one operation or query.

use async_trait::async_trait;
use errand_model::Timestamp;

use super::write::WriteDocuments;
use super::{Sqlite, read};
use crate::Error;
use crate::document::{Document, DocumentKind, DocumentQuery, DocumentStore, DocumentWrite};

#[async_trait]
impl DocumentStore for Sqlite {
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
        self.read("reads a document", |connection| read::document(connection, kind, namespace, key))
    }

    async fn documents(&self, query: &DocumentQuery) -> Result<Vec<Document>, Error> {
        self.read("lists documents", |connection| read::documents(connection, query))
    }

    async fn due_documents(
        &self,
        kind: DocumentKind,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Document>, Error> {
        self.read("lists what is due", |connection| {
            read::due_documents(connection, kind, now, limit)
        })
    }
}
