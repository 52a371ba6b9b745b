//! Pages of registered agents.

use errand_store::{DocumentKind, DocumentOrder, DocumentQuery, Namespaces};

use super::{Error, Version, read};
use crate::Engine;

/// Returns one page of registered agents or versions, in the order of their keys.
pub(super) async fn page(
    engine: &Engine,
    kind: DocumentKind,
    namespace: Option<&str>,
    (prefix, after): (String, Option<String>),
    limit: u32,
) -> Result<Vec<Version>, Error> {
    let namespace = namespace.map(str::to_owned);
    let query = DocumentQuery {
        kind,
        namespaces: Namespaces::One(namespace.clone()),
        prefix,
        order: DocumentOrder::Ascending,
        after: after.map(|key| (namespace, key)),
        limit,
    };
    engine.store().documents(&query).await?.iter().map(read).collect()
}
