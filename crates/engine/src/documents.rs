//! Bodies of documents: their reading as a type, and writes of them.

use errand_store::{Document, DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde::de::DeserializeOwned;

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

/// Returns the write of a document.
pub(crate) fn write(
    kind: DocumentKind,
    namespace: Option<&str>,
    key: String,
    (expect, change): (Expect, DocumentChange),
) -> DocumentWrite {
    DocumentWrite { kind, namespace: namespace.map(str::to_owned), key, expect, change }
}
