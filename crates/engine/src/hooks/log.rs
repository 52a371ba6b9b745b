//! Log of the requests to a hook.
//!
//! Keys: `<hook>/r/<id>` for accepted requests, `<hook>/x/<id>` for rejected ones, so that
//! strangers cannot push out accepted ones; `<hook>/d/<digest>` for dedupe keys in their window.

use std::time::Duration;

use errand_api::gateway::hook::{HookDelivery, HookOutcome};
use errand_model::{Digest, RunId, Timestamp};
use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};
use serde::{Deserialize, Serialize};

use crate::documents::read;
use crate::named::{DefinitionKey, put};
use crate::{Engine, Error as EngineError};

/// Accepted requests kept per hook.
const KEPT: u32 = 500;
/// Rejected requests kept per hook.
const KEPT_STRANGERS: u32 = 50;
/// Time for which a request is kept.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The log is trimmed at every 16th request on average.
const TRIM_EVERY: u64 = 16;
/// Longest reason kept.
const REASON_LIMIT_CHARS: usize = 512;

/// The run that a dedupe key stands for, and the end of the key's window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DedupedRun {
    pub(super) run_id: RunId,
    pub(super) until: Timestamp,
}

/// Returns the write of a request, for a commit.
pub(super) fn to_write(
    (namespace, hook): DefinitionKey<'_>,
    mut logged: HookDelivery,
) -> DocumentWrite {
    let shelf = if logged.outcome == HookOutcome::Rejected { 'x' } else { 'r' };
    logged.reason = logged.reason.map(|reason| reason.chars().take(REASON_LIMIT_CHARS).collect());
    let key = format!("{hook}/{shelf}/{}", logged.id);
    let until = Timestamp::from_millis(logged.at_ms).plus(KEPT_FOR);
    let place = (DocumentKind::HookDelivery, namespace, key);
    put(place, &logged, Expect::Anything, Some(until))
}

/// Returns the document key of a dedupe key.
pub(super) fn known_key(hook: &str, key: &str) -> String {
    format!("{hook}/d/{}", Digest::of(key.as_bytes()).hex())
}

/// Removes the oldest requests above the limits, now and then.
pub(super) async fn trim(
    engine: &Engine,
    (namespace, hook): DefinitionKey<'_>,
) -> Result<(), EngineError> {
    if !crate::engine::random()?.is_multiple_of(TRIM_EVERY) {
        return Ok(());
    }
    for (shelf, kept) in [('r', KEPT), ('x', KEPT_STRANGERS)] {
        let all = shelf_of(engine, (namespace, hook), (shelf, None), kept * 2).await?;
        let old = all.into_iter().skip(usize::try_from(kept).unwrap_or(usize::MAX));
        let removals = old.map(|document| DocumentWrite {
            kind: DocumentKind::HookDelivery,
            namespace: namespace.map(str::to_owned),
            key: document.key,
            expect: Expect::Anything,
            change: DocumentChange::Remove,
        });
        let removals: Vec<_> = removals.collect();
        if !removals.is_empty() {
            engine.store().write_documents(removals).await?;
        }
    }
    Ok(())
}

/// Lists the requests to a hook, latest first: those before `before` (an id), at most `limit`.
///
/// # Errors
///
/// If the registry fails.
pub async fn deliveries(
    engine: &Engine,
    namespace: Option<&str>,
    hook: &str,
    (before, limit): (Option<&str>, u32),
) -> Result<Vec<HookDelivery>, EngineError> {
    let mut all = Vec::new();
    for shelf in ['r', 'x'] {
        for document in shelf_of(engine, (namespace, hook), (shelf, before), limit).await? {
            all.push(read::<HookDelivery>(&document)?);
        }
    }
    all.sort_by(|a, b| b.id.cmp(&a.id));
    all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(all)
}

async fn shelf_of(
    engine: &Engine,
    (namespace, hook): DefinitionKey<'_>,
    (shelf, before): (char, Option<&str>),
    limit: u32,
) -> Result<Vec<Document>, EngineError> {
    let prefix = format!("{hook}/{shelf}/");
    // Ids have letters and digits only, so `~` sorts after all of them.
    let from = before.map_or_else(|| format!("{prefix}~"), |before| format!("{prefix}{before}"));
    let query = DocumentQuery {
        kind: DocumentKind::HookDelivery,
        namespaces: Namespaces::One(namespace.map(str::to_owned)),
        prefix: String::new(),
        order: DocumentOrder::Descending,
        after: Some((namespace.map(str::to_owned), from)),
        limit,
    };
    let found = engine.store().documents(&query).await?;
    Ok(found.into_iter().take_while(|document| document.key.starts_with(&prefix)).collect())
}
