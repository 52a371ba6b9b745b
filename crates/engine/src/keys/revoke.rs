//! Revocation of an API key.

use errand_api::audit::{Action, Actor};
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde_json::json;

use super::{Error, Key, list};
use crate::{Engine, audit};

/// Revokes the key with this public part or, within `namespace`, this name, and records the actor
/// in the audit log. Servers refuse it within [`super::ACTS_WITHIN`].
///
/// # Errors
///
/// [`Error::NotFound`], also for a key of another namespace if `namespace` is given.
pub async fn revoke(
    engine: &Engine,
    which: &str,
    namespace: Option<&Option<String>>,
    by: &Actor,
) -> Result<Key, Error> {
    let mut keys = list(engine, namespace).await?;
    let position = keys.iter().position(|key| key.public == which).or_else(|| {
        let mut named = keys.iter().enumerate().filter(|(_, key)| key.name == which);
        let first = named.next();
        // A name that several namespaces have is ambiguous.
        first.filter(|_| named.next().is_none()).map(|(at, _)| at)
    });
    let Some(position) = position else {
        return Err(Error::NotFound { which: which.to_owned() });
    };
    let key = keys.swap_remove(position);
    let remove = DocumentWrite {
        kind: DocumentKind::ApiKey,
        namespace: None,
        key: key.public.clone(),
        expect: Expect::Anything,
        change: DocumentChange::Remove,
    };
    let deed = audit::AuditedAction {
        namespace: key.namespace.as_deref(),
        action: Action::KeyRevoked,
        object: &key.public,
        by,
        detail: json!({ "name": key.name }),
    };
    let entry = audit::write(engine, deed)?;
    engine.store().write_documents(vec![remove, entry]).await?;
    Ok(key)
}
