//! Audit log of administrative actions: actor, time, address and action.
//!
//! Entries are only added; the oldest of a namespace are removed once there are too many.
//! Deliberately absent: actions on runs, which are in their journals.

use errand_api::audit::{Action, Actor, AuditEntry};
use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};
use serde_json::Value;

use crate::Engine;
use crate::engine::random;
use crate::error::{NoRandomness, operation_error};

operation_error! {
    /// Error: the audit log cannot be written.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// The system has no randomness to give.
        Randomness(NoRandomness),
    }
}

/// Entries kept per namespace.
pub const KEPT: u32 = 10_000;
/// Prunes at every 128th entry on average.
const LOOKS_EVERY: u64 = 128;
/// Old entries removed in one commit.
const REMOVED_AT_ONCE: u32 = 500;

/// An action to be recorded.
#[derive(Clone, Debug)]
pub struct AuditedAction<'a> {
    /// Namespace of the object; `None` for the default namespace.
    pub namespace: Option<&'a str>,
    /// Kind of the action.
    pub action: Action,
    /// Object of the action.
    pub object: &'a str,
    /// Actor.
    pub by: &'a Actor,
    /// Further facts, as JSON.
    pub detail: Value,
}

/// Returns the write that records an action, to be added to the commit that performs it, if there
/// is one.
///
/// # Errors
///
/// If the system has no randomness to give.
pub fn write(engine: &Engine, deed: AuditedAction<'_>) -> Result<DocumentWrite, NoRandomness> {
    let at_ms = engine.now();
    let millis = u64::try_from(at_ms.as_millis()).unwrap_or(0);
    let AuditedAction { namespace, action, object, by, detail } = deed;
    let entry = AuditEntry { at_ms, action, object: object.to_owned(), by: by.clone(), detail };
    Ok(DocumentWrite {
        kind: DocumentKind::Audit,
        namespace: namespace.map(str::to_owned),
        // Keys sort by time; a random part distinguishes entries of one millisecond.
        key: format!("{millis:013}-{:016x}", random()?),
        expect: Expect::Absent,
        change: DocumentChange::Put {
            body: serde_json::to_value(entry).unwrap_or(Value::Null),
            due_at: None,
        },
    })
}

/// Records an action that has no commit in this registry.
///
/// # Errors
///
/// If the registry fails.
pub async fn record(engine: &Engine, deed: AuditedAction<'_>) -> Result<(), Error> {
    let namespace = deed.namespace.map(str::to_owned);
    let write = write(engine, deed)?;
    engine.store().write_documents(vec![write]).await?;
    if random()?.is_multiple_of(LOOKS_EVERY) {
        prune(engine, namespace).await?;
    }
    Ok(())
}

/// Removes all but the newest [`KEPT`] entries of a namespace.
///
/// # Errors
///
/// If the registry fails.
pub async fn prune(engine: &Engine, namespace: Option<String>) -> Result<(), errand_store::Error> {
    let query = DocumentQuery {
        kind: DocumentKind::Audit,
        namespaces: Namespaces::One(namespace),
        prefix: String::new(),
        order: DocumentOrder::Descending,
        after: None,
        limit: KEPT + REMOVED_AT_ONCE,
    };
    let kept = usize::try_from(KEPT).unwrap_or(usize::MAX);
    loop {
        let found = engine.store().documents(&query).await?;
        let old: Vec<_> = found.into_iter().skip(kept).map(removal).collect();
        if old.is_empty() {
            return Ok(());
        }
        engine.store().write_documents(old).await?;
    }
}

/// Prunes every namespace that has entries.
///
/// # Errors
///
/// If the registry fails.
pub async fn prune_all(engine: &Engine) -> Result<(), errand_store::Error> {
    let mut first = DocumentQuery {
        kind: DocumentKind::Audit,
        namespaces: Namespaces::All,
        prefix: String::new(),
        order: DocumentOrder::Ascending,
        after: None,
        limit: 1,
    };
    while let Some(entry) = engine.store().documents(&first).await?.pop() {
        prune(engine, entry.namespace.clone()).await?;
        // Keys begin with digits, so `~` is behind all keys of this namespace.
        first.after = Some((entry.namespace, "~".to_owned()));
    }
    Ok(())
}

fn removal(document: Document) -> DocumentWrite {
    DocumentWrite {
        kind: document.kind,
        namespace: document.namespace,
        key: document.key,
        expect: Expect::Anything,
        change: DocumentChange::Remove,
    }
}

/// An entry with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedAuditEntry {
    /// Key of the entry, which [`list`] takes as `after`.
    pub id: String,
    /// The recorded action.
    pub entry: AuditEntry,
}

/// Lists entries of one namespace, the newest first: those older than `after`, at most `limit`. An
/// entry that this version cannot read is left out.
///
/// # Errors
///
/// If the registry fails.
pub async fn list(
    engine: &Engine,
    namespace: Option<&str>,
    after: Option<String>,
    limit: u32,
) -> Result<Vec<ListedAuditEntry>, errand_store::Error> {
    let namespace = namespace.map(str::to_owned);
    let query = DocumentQuery {
        kind: DocumentKind::Audit,
        namespaces: Namespaces::One(namespace.clone()),
        prefix: String::new(),
        order: DocumentOrder::Descending,
        after: after.map(|key| (namespace, key)),
        limit,
    };
    let documents = engine.store().documents(&query).await?;
    let listed = documents.into_iter().filter_map(|document| {
        let entry = serde_json::from_value(document.body).ok()?;
        Some(ListedAuditEntry { id: document.key, entry })
    });
    Ok(listed.collect())
}
