//! Log of the requests to a hook.
//!
//! Keys: `<hook>/r/<id>` for accepted requests, `<hook>/x/<id>` for rejected ones, so that
//! strangers cannot push out accepted ones; `<hook>/d/<digest>` for dedupe keys in their window.

use std::time::Duration;

use errand_model::{Digest, RunId, Timestamp};
use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};
use serde::{Deserialize, Serialize};

use crate::firing::put;
use crate::outbox::read;
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

/// A request to a hook, as logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedHookRequest {
    /// Id of the request.
    pub id: String,
    /// Time of arrival.
    pub at_ms: Timestamp,
    /// `created`, `coalesced`, `skipped` or `rejected`.
    pub outcome: String,
    /// The run that it fired, or that an equal request fired before.
    pub run_id: Option<RunId>,
    /// Reason why it fired no run.
    pub reason: Option<String>,
    /// Name of its event, if the sender gave one.
    pub event: Option<String>,
    /// Address of the sender.
    pub remote: Option<String>,
    /// Length of its body in bytes.
    pub body_bytes: u64,
}

/// The run that a dedupe key stands for, and the end of the key's window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DedupedRun {
    pub(super) run_id: RunId,
    pub(super) until: Timestamp,
}

impl LoggedHookRequest {
    /// Returns the document of a request, for a commit.
    pub(super) fn write(mut self, (namespace, hook): (Option<&str>, &str)) -> DocumentWrite {
        let shelf = if self.outcome == "rejected" { 'x' } else { 'r' };
        self.reason = self.reason.map(|reason| reason.chars().take(REASON_LIMIT_CHARS).collect());
        let place = (DocumentKind::HookDelivery, namespace, format!("{hook}/{shelf}/{}", self.id));
        let until = self.at_ms.plus(KEPT_FOR);
        put(place, &self, Expect::Anything, Some(until))
    }
}

/// Returns the document key of a dedupe key.
pub(super) fn known_key(hook: &str, key: &str) -> String {
    format!("{hook}/d/{}", Digest::of(key.as_bytes()).hex())
}

/// Removes the oldest requests above the limits, now and then.
pub(super) async fn trim(
    engine: &Engine,
    (namespace, hook): (Option<&str>, &str),
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
) -> Result<Vec<LoggedHookRequest>, EngineError> {
    let mut all = Vec::new();
    for shelf in ['r', 'x'] {
        for document in shelf_of(engine, (namespace, hook), (shelf, before), limit).await? {
            let logged: LoggedHookRequest = read(&document)?;
            all.push(logged);
        }
    }
    all.sort_by(|a, b| b.id.cmp(&a.id));
    all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(all)
}

async fn shelf_of(
    engine: &Engine,
    (namespace, hook): (Option<&str>, &str),
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
