//! Creation of an API key.

use std::collections::BTreeSet;
use std::time::Duration;

use errand_api::access::{KeyScope, KeyText, PUBLIC_CHARS, SECRET_CHARS};
use errand_api::audit::{Action, Actor};
use errand_model::hex;
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Body, Error, KEYS_LIMIT, Key, NAME_LIMIT, list};
use crate::error::NoRandomness;
use crate::{Engine, audit};

/// An API key to be created.
#[derive(Clone, Debug)]
pub struct CreatedKey {
    /// Name of the key; no other key of its namespace may have it.
    pub name: String,
    /// Namespace that it gives access to; `None` for the default namespace.
    pub namespace: Option<String>,
    /// Permissions; at least one.
    pub scopes: BTreeSet<KeyScope>,
    /// Time until it expires; `None` for a key that never expires.
    pub lasts: Option<Duration>,
}

/// A created key with its text, which is known only now.
#[derive(Clone, Debug)]
pub struct Created {
    /// The key as stored.
    pub key: Key,
    /// The text that its owner keeps.
    pub text: KeyText,
}

/// Creates a key, and records the actor in the audit log.
///
/// # Errors
///
/// [`enum@Error`]; no key was created then.
pub async fn create(engine: &Engine, new: CreatedKey, by: &Actor) -> Result<Created, Error> {
    let CreatedKey { name, namespace, scopes, lasts } = new;
    check(&name, &scopes)?;
    if lasts == Some(Duration::ZERO) {
        return Err(Error::Expired);
    }
    let existing = list(engine, None).await?;
    if existing.len() >= usize::try_from(KEYS_LIMIT).unwrap_or(usize::MAX) {
        return Err(Error::TooMany);
    }
    if existing.iter().any(|key| key.name == name && key.namespace == namespace) {
        return Err(Error::NameTaken { name });
    }
    let text = KeyText::new(random::<PUBLIC_CHARS>()?, random::<SECRET_CHARS>()?);
    let now = engine.now();
    let body = Body {
        schema: 1,
        name,
        namespace,
        scopes,
        created_at_ms: now,
        expires_at_ms: lasts.map(|lasts| now.plus(lasts)),
        secret_sha256: hex(&Sha256::digest(text.secret())),
    };
    let write = DocumentWrite {
        kind: DocumentKind::ApiKey,
        namespace: None,
        key: text.public().to_owned(),
        expect: Expect::Absent,
        change: DocumentChange::Put { body: body.to_json(), due_at: None },
    };
    let deed = audit::AuditedAction {
        namespace: body.namespace.as_deref(),
        action: Action::KeyCreated,
        object: text.public(),
        by,
        detail: json!({
            "name": body.name, "scopes": body.scopes, "expires_at_ms": body.expires_at_ms,
        }),
    };
    let entry = audit::write(engine, deed)?;
    engine.store().write_documents(vec![write, entry]).await?;
    let key = body.key(text.public());
    Ok(Created { key, text })
}

fn check(name: &str, scopes: &BTreeSet<KeyScope>) -> Result<(), Error> {
    let is_sound = (1..=NAME_LIMIT).contains(&name.chars().count())
        && !name.trim().is_empty()
        && !name.chars().any(char::is_control);
    if !is_sound {
        return Err(Error::Name { name: name.to_owned() });
    }
    if scopes.is_empty() { Err(Error::NoScope) } else { Ok(()) }
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| NoRandomness { reason: error.to_string() })?;
    Ok(bytes)
}
