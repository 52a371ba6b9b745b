//! Documents with a name that users choose within a namespace: list and removal.

use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};

use crate::Engine;

/// Lists the documents of a namespace by name: those after `after`, at most `limit`.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn list(
    engine: &Engine,
    kind: DocumentKind,
    namespace: Option<&str>,
    (after, limit): (Option<&str>, u32),
) -> Result<Vec<Document>, errand_store::Error> {
    let namespace = namespace.map(str::to_owned);
    let query = DocumentQuery {
        kind,
        namespaces: Namespaces::One(namespace.clone()),
        prefix: String::new(),
        order: DocumentOrder::Ascending,
        after: after.map(|after| (namespace, after.to_owned())),
        limit,
    };
    engine.store().documents(&query).await
}

/// Removes a document if it has that revision. Returns false if it was changed since.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn remove(
    engine: &Engine,
    (kind, namespace, name): (DocumentKind, Option<&str>, &str),
    revision: u64,
) -> Result<bool, errand_store::Error> {
    let remove = DocumentWrite {
        kind,
        namespace: namespace.map(str::to_owned),
        key: name.to_owned(),
        expect: Expect::Revision(revision),
        change: DocumentChange::Remove,
    };
    match engine.store().write_documents(vec![remove]).await {
        Ok(()) => Ok(true),
        Err(errand_store::Error::DocumentChanged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
