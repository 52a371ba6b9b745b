//! Lists of the reports of runs with their tries, and their redelivery.

use errand_model::{RunId, Timestamp};
use errand_store::{
    DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect, Namespaces,
};
use serde::{Deserialize, Serialize};

use super::entry::{DeliveryAttempt, EntryState, KEPT_TRIES, OutboxEntry, id_of, key};
use super::{CallbackProblem, CallbackUrl, Error};
use crate::Engine;
use crate::documents::{read, write};

/// Entries read at once.
const PAGE: u32 = 500;
/// Tries of a change that collides with changes by others.
const TRIES: usize = 16;

/// A report with its tries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedReport {
    /// Id that the receiver sees: `webhook-id`.
    pub id: String,
    /// Id of the run.
    pub run_id: RunId,
    /// Kind of the event: the `type` of the report.
    #[serde(rename = "type")]
    pub event: errand_model::callback::CallbackEvent,
    /// URL of the receiver, its query hidden.
    pub url: String,
    /// State of the report.
    pub state: EntryState,
    /// Reason for waiting, or the last error.
    pub note: Option<String>,
    /// Number of tries.
    pub tries: u32,
    /// Time of the event.
    pub at_ms: Timestamp,
    /// Time of the next try; `None` if there is none without a redelivery.
    pub next_try_at_ms: Option<Timestamp>,
    /// The latest tries, oldest first.
    pub deliveries: Vec<DeliveryAttempt>,
}

/// Lists the reports of one run, oldest first.
///
/// # Errors
///
/// If the registry fails.
pub async fn deliveries(
    engine: &Engine,
    namespace: Option<&str>,
    run_id: &RunId,
) -> Result<Vec<LoggedReport>, Error> {
    let mut all = Vec::new();
    for document in of_run(engine, namespace, DocumentKind::Callback, run_id).await? {
        let entry = OutboxEntry::read(&document)?;
        all.push(logged(&entry, document.due_at));
    }
    for document in of_run(engine, namespace, DocumentKind::CallbackDelivery, run_id).await? {
        let delivery: DeliveryAttempt = read(&document)?;
        let of = |logged: &&mut LoggedReport| {
            let seq = logged.id.rsplit('_').next().and_then(|seq| seq.parse().ok());
            seq.is_some_and(|seq: u64| document.key.starts_with(&key(run_id, seq)))
        };
        if let Some(logged) = all.iter_mut().find(of) {
            logged.deliveries.push(delivery);
        }
    }
    Ok(all)
}

/// Lists the reports of a namespace, the newest run's first: those after `after` (an id), at most
/// `limit`, without their tries. An empty `states` means all.
///
/// # Errors
///
/// If the registry fails.
pub async fn entries(
    engine: &Engine,
    namespace: Option<&str>,
    (states, after, limit): (&[EntryState], Option<&str>, u32),
) -> Result<Vec<LoggedReport>, Error> {
    let mut query = query(DocumentKind::Callback, namespace, DocumentOrder::Descending);
    if let Some((run_id, seq)) = after.and_then(parse_id) {
        query.after = Some((namespace.map(str::to_owned), key(&run_id, seq)));
    }
    let (mut found, limit) = (Vec::new(), usize::try_from(limit).unwrap_or(usize::MAX));
    loop {
        let page = engine.store().documents(&query).await?;
        for document in &page {
            let entry = OutboxEntry::read(document)?;
            if states.is_empty() || states.contains(&entry.state) {
                found.push(logged(&entry, document.due_at));
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
        let Some(last) = page.last() else { return Ok(found) };
        query.after = Some((last.namespace.clone(), last.key.clone()));
    }
}

fn logged(entry: &OutboxEntry, due_at: Option<Timestamp>) -> LoggedReport {
    LoggedReport {
        id: entry.id(),
        run_id: entry.run_id.clone(),
        event: entry.event,
        url: CallbackUrl::parse(&entry.url).map_or_else(|_| String::new(), |url| url.shown()),
        state: entry.state,
        note: entry.note.clone(),
        tries: entry.tries,
        at_ms: entry.at,
        next_try_at_ms: due_at.filter(|_| entry.state == EntryState::Waiting),
        deliveries: Vec::new(),
    }
}

/// Delivers a report again at once, in any state, under the same id.
///
/// # Errors
///
/// [`CallbackProblem::NoEntry`].
pub async fn redeliver(
    engine: &Engine,
    namespace: Option<&str>,
    id: &str,
) -> Result<LoggedReport, Error> {
    let no_entry = || CallbackProblem::NoEntry { id: id.to_owned() };
    let (run_id, seq) = parse_id(id).ok_or_else(no_entry)?;
    for _ in 0..TRIES {
        let found =
            engine.store().document(DocumentKind::Callback, namespace, &key(&run_id, seq)).await?;
        let document = found.ok_or_else(no_entry)?;
        let mut entry = OutboxEntry::read(&document)?;
        (entry.state, entry.note, entry.tries_before) = (EntryState::Waiting, None, entry.tries);
        let (expect, now) = (Expect::Revision(document.revision), engine.now());
        let put = entry.write(namespace, expect, Some(now));
        match engine.store().write_documents(vec![put]).await {
            Ok(()) => return Ok(logged(&entry, Some(now))),
            Err(errand_store::Error::DocumentChanged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CallbackProblem::Contended { what: format!("the callback {id}") }.into())
}

/// Parses `msg_<run-id>_<seq>`.
fn parse_id(id: &str) -> Option<(RunId, u64)> {
    let (run_id, seq) = id.strip_prefix("msg_")?.split_once('_')?;
    let (run_id, seq) = (run_id.parse().ok()?, seq.parse().ok()?);
    (id_of(&run_id, seq) == id).then_some((run_id, seq))
}

/// Writes the entries of a namespace that `change` changes; skips those that another process
/// changes meanwhile.
pub(super) async fn each(
    engine: &Engine,
    namespace: Option<&str>,
    change: impl Fn(&OutboxEntry) -> Option<(OutboxEntry, Option<Timestamp>)> + Send + Sync,
) -> Result<(), Error> {
    let mut query = query(DocumentKind::Callback, namespace, DocumentOrder::Ascending);
    loop {
        let page = engine.store().documents(&query).await?;
        for document in &page {
            let Some((changed, due_at)) = change(&OutboxEntry::read(document)?) else { continue };
            let put = changed.write(namespace, Expect::Revision(document.revision), due_at);
            match engine.store().write_documents(vec![put]).await {
                Ok(()) | Err(errand_store::Error::DocumentChanged { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Some(last) = page.last() else { return Ok(()) };
        query.after = Some((last.namespace.clone(), last.key.clone()));
    }
}

/// Removes the reports of a run that is being removed.
///
/// # Errors
///
/// If the registry fails.
pub async fn forget(engine: &Engine, namespace: Option<&str>, run_id: &RunId) -> Result<(), Error> {
    let mut removals: Vec<DocumentWrite> = Vec::new();
    for kind in [DocumentKind::CallbackDelivery, DocumentKind::Callback] {
        for document in of_run(engine, namespace, kind, run_id).await? {
            let removal = (Expect::Anything, DocumentChange::Remove);
            removals.push(write(kind, namespace, document.key, removal));
        }
    }
    if removals.is_empty() { Ok(()) } else { Ok(engine.store().write_documents(removals).await?) }
}

async fn of_run(
    engine: &Engine,
    namespace: Option<&str>,
    kind: DocumentKind,
    run_id: &RunId,
) -> Result<Vec<errand_store::Document>, Error> {
    let prefix = format!("{}/", run_id.as_str());
    let mut query = query(kind, namespace, DocumentOrder::Ascending);
    query.after = Some((namespace.map(str::to_owned), prefix.clone()));
    let mut all = Vec::new();
    loop {
        let page = engine.store().documents(&query).await?;
        let full = page.len() >= usize::try_from(query.limit).unwrap_or(usize::MAX);
        let last = page.last().map(|last| (last.namespace.clone(), last.key.clone()));
        let before = all.len();
        all.extend(page.into_iter().take_while(|document| document.key.starts_with(&prefix)));
        if !full || all.len() - before < usize::try_from(query.limit).unwrap_or(usize::MAX) {
            return Ok(all);
        }
        query.after = last;
    }
}

fn query(kind: DocumentKind, namespace: Option<&str>, order: DocumentOrder) -> DocumentQuery {
    DocumentQuery {
        kind,
        namespaces: Namespaces::One(namespace.map(str::to_owned)),
        prefix: String::new(),
        order,
        after: None,
        limit: PAGE.max(KEPT_TRIES),
    }
}
