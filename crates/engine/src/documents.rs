//! Documents: pages of them, bodies as types, and writes.

use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::Engine;
use crate::error::PayloadRefused;

/// Returns the body of a document as the type that its kind stores.
///
/// # Errors
///
/// If the body has another form.
pub(crate) fn read<T: DeserializeOwned>(document: &Document) -> Result<T, PayloadRefused> {
    serde_json::from_value(document.body.clone()).map_err(|error| PayloadRefused {
        reason: format!("{} {:?} cannot be read: {error}", document.kind.word(), document.key),
    })
}

/// Returns documents of one namespace whose keys have a prefix, in the order of their keys, those
/// after a key.
///
/// # Errors
///
/// If the registry fails.
pub(crate) fn page<'a>(
    engine: &'a Engine,
    kind: DocumentKind,
    namespace: Option<&'a str>,
    (prefix, after): (String, Option<String>),
    limit: u32,
) -> BoxFuture<'a, Result<Vec<Document>, errand_store::Error>> {
    Box::pin(async move {
        let namespace = namespace.map(str::to_owned);
        let query = DocumentQuery {
            kind,
            namespaces: Namespaces::One(namespace.clone()),
            prefix,
            order: DocumentOrder::Ascending,
            after: after.map(|key| (namespace, key)),
            limit,
        };
        engine.store().documents(&query).await
    })
}

/// Returns the write of a document.
pub(crate) fn write(
    kind: DocumentKind,
    namespace: Option<&str>,
    key: String,
    (expect, change): (Expect, DocumentChange),
) -> DocumentWrite {
    DocumentWrite { kind, namespace: namespace.map(str::to_owned), key, expect, change }
}
