//! Lists of API keys.

use errand_store::{DocumentKind, DocumentOrder, DocumentQuery, Namespaces};

use super::{Body, Error, KEYS_LIMIT, Key};
use crate::Engine;

fn query(limit: u32) -> DocumentQuery {
    DocumentQuery {
        kind: DocumentKind::ApiKey,
        namespaces: Namespaces::One(None),
        prefix: String::new(),
        order: DocumentOrder::Ascending,
        after: None,
        limit,
    }
}

/// Lists keys, the oldest first: all, or those of one namespace.
///
/// # Errors
///
/// If the registry fails, or a key's document cannot be read.
pub async fn list(engine: &Engine, namespace: Option<&Option<String>>) -> Result<Vec<Key>, Error> {
    let documents = engine.store().documents(&query(KEYS_LIMIT)).await?;
    let mut keys = Vec::with_capacity(documents.len());
    for document in documents {
        let key = Body::read(&document)?.key(&document.key);
        if namespace.is_none_or(|namespace| *namespace == key.namespace) {
            keys.push(key);
        }
    }
    keys.sort_by(|one, other| {
        (one.created_at, &one.public).cmp(&(other.created_at, &other.public))
    });
    Ok(keys)
}

/// Returns true if there is any key, even an expired one: every request needs a key then.
///
/// # Errors
///
/// If the registry fails.
pub async fn any(engine: &Engine) -> Result<bool, Error> {
    Ok(!engine.store().documents(&query(1)).await?.is_empty())
}
