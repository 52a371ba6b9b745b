//! Documents with news for a coordinator: their keys, their order and their bodies.

use std::collections::BTreeSet;

use errand_model::coordination::CoordinatorNews;
use errand_model::run::Run;
use errand_model::{RunId, Timestamp};
use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};

use crate::Engine;

/// About: the coordinator is to look at its children again.
const LOOK: &str = "look";
/// Upper bound of documents for one turn: the messages of as many children as may live.
const ALL_LIMIT: u32 = 20_000;
/// About: a caller asked something of the coordinator.
const ASKED: &str = "asked";
/// About: an attempt of the coordinator began.
const BEGAN: &str = "began";
/// About: the registry was rebuilt, so news may be lost.
const RESTORED: &str = "restored";
/// About: the coordinator ended, and its files have to say so.
const ENDED: &str = "ended";
/// About: the coordinator may be out of time.
const DEADLINE: &str = "deadline";

/// Returns a document with news that is due at a time. `about` tells it from other news of the
/// coordinator.
pub(crate) fn news(
    (namespace, coordinator): (Option<&str>, &RunId),
    about: &str,
    news: &CoordinatorNews,
    due_at: Timestamp,
) -> DocumentWrite {
    DocumentWrite {
        kind: DocumentKind::Turn,
        namespace: namespace.map(str::to_owned),
        key: format!("{coordinator}/{about}"),
        expect: Expect::Anything,
        change: DocumentChange::Put {
            // The value has string keys only, so this cannot fail.
            body: serde_json::to_value(news).unwrap_or_default(),
            due_at: Some(due_at),
        },
    }
}

/// Returns news that let the coordinator look again at that time.
pub(crate) fn look(run: &Run, at: Timestamp) -> DocumentWrite {
    // The key is unique per second, so that later news is never taken for news that was handled
    // before.
    let about = format!("{LOOK}-{}", at.as_millis() / 1_000);
    news((run.spec.namespace.as_deref(), &run.id), &about, &CoordinatorNews::Look, at)
}

/// Returns news that a caller asked something, with the event of that number or at that time.
pub(crate) fn asked(run: &Run, number: u64, now: Timestamp) -> DocumentWrite {
    let about = format!("{ASKED}-{number}");
    news((run.spec.namespace.as_deref(), &run.id), &about, &CoordinatorNews::Look, now)
}

/// Returns the news of an attempt that began at `now`: its beginning, and later its deadline.
pub(crate) fn began(run: &Run, now: Timestamp) -> Vec<DocumentWrite> {
    let owner = (run.spec.namespace.as_deref(), &run.id);
    let mut writes = vec![news(owner, BEGAN, &CoordinatorNews::Began { items: None }, now)];
    writes.extend(deadline(run));
    writes
}

/// Returns news of the run's deadline, if the run has a limit.
pub(crate) fn deadline(run: &Run) -> Option<DocumentWrite> {
    let owner = (run.spec.namespace.as_deref(), &run.id);
    run.run_deadline().map(|at| news(owner, DEADLINE, &CoordinatorNews::Look, at))
}

/// Returns news of a deadline that may have moved, due at `soonest` or later.
pub(crate) fn deadline_again(run: &Run, soonest: Timestamp) -> Option<DocumentWrite> {
    let owner = (run.spec.namespace.as_deref(), &run.id);
    let held_for = run.paused_until(soonest).saturating_sub(run.paused);
    let at = run.run_deadline()?.plus(held_for).max(soonest);
    Some(news(owner, DEADLINE, &CoordinatorNews::Look, at))
}

/// Returns a note that the files of an ended coordinator have to be checked.
pub(crate) fn ended(run: &Run, at: Timestamp) -> DocumentWrite {
    news((run.spec.namespace.as_deref(), &run.id), ENDED, &CoordinatorNews::Look, at)
}

/// Returns the removal of that note.
pub(crate) fn is_told(run: &Run) -> DocumentWrite {
    let at = Timestamp::default();
    DocumentWrite { change: DocumentChange::Remove, ..ended(run, at) }
}

/// Returns true for the note about the files of an ended coordinator.
pub(crate) fn is_end(document: &Document) -> bool {
    document.key.split('/').nth(1) == Some(ENDED)
}

/// Returns true for news about the deadline.
pub(crate) fn is_deadline(document: &Document) -> bool {
    document.key.ends_with("/deadline")
}

/// Returns true for news about the coordinator itself, which another process left that wrote the
/// coordinator's journal.
pub(crate) fn is_own(document: &Document) -> bool {
    document.key.split('/').count() == 2
}

/// Returns true if news about the children may be missing besides this one.
pub(crate) fn is_incomplete(document: &Document) -> bool {
    document.key.split('/').nth(1) == Some(BEGAN) || is_restored(document)
}

/// Returns true for news that the registry was rebuilt.
pub(crate) fn is_restored(document: &Document) -> bool {
    document.key.split('/').nth(1) == Some(RESTORED)
}

/// Returns news that the registry was rebuilt, so the coordinator verifies its children once more.
pub(crate) fn restored(run: &Run, now: Timestamp) -> DocumentWrite {
    news((run.spec.namespace.as_deref(), &run.id), RESTORED, &CoordinatorNews::Look, now)
}

/// Loads all news of a coordinator, due or not, in the order of their keys.
///
/// # Errors
///
/// If the registry cannot be read.
pub(crate) async fn all(engine: &Engine, run: &Run) -> Result<Vec<Document>, errand_store::Error> {
    let query = DocumentQuery {
        kind: DocumentKind::Turn,
        namespaces: Namespaces::One(run.spec.namespace.clone()),
        prefix: format!("{}/", run.id),
        order: DocumentOrder::Ascending,
        after: None,
        limit: ALL_LIMIT,
    };
    engine.store().documents(&query).await
}

/// Loads the news for one turn: those that are due, and those that no later turn could process.
///
/// The coordinator forgets a child with the child's end, and does not know the successor of a
/// handoff before it. So messages of the child, and the end of its successor, belong to the same
/// turn, due or not.
///
/// # Errors
///
/// If the registry cannot be read.
pub(crate) async fn together(
    engine: &Engine,
    run: &Run,
    mut due: Vec<Document>,
) -> Result<Vec<Document>, errand_store::Error> {
    if due.iter().any(is_incomplete) {
        // News from the time without a live attempt is included.
        return all(engine, run).await;
    }
    let Some(coordination) = &run.coordination else { return Ok(due) };
    // Members of a fan-out send no messages.
    let is_fan_out = run.spec.plan.as_ref().is_some_and(|plan| plan.is_fan_out());
    let needs_more = |document: &Document| {
        let mut parts = document.key.split('/').skip(1);
        let (Some(whose), Some(about)) = (parts.next(), parts.next()) else { return false };
        let is_live = whose.parse().is_ok_and(|whose| coordination.is_live(&whose));
        !is_live || about == ENDED && !is_fan_out
    };
    if due.iter().any(needs_more) {
        due.retain(is_own);
        due.extend(all(engine, run).await?.into_iter().filter(|document| !is_own(document)));
    }
    Ok(due)
}

/// Returns true if all of these documents are also among the others, unchanged.
pub(crate) fn are_among(documents: &[Document], others: &[Document]) -> bool {
    let version = |document: &Document| (document.key.clone(), document.revision);
    let others: BTreeSet<_> = others.iter().map(version).collect();
    documents.iter().all(|document| others.contains(&version(document)))
}

/// Returns the sort key of news: messages of a child by their numbers, its end last.
pub(crate) fn order(document: &Document) -> (String, u64) {
    let mut parts = document.key.split('/').skip(1);
    let (whose, about) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let number = about.rsplit('-').next().and_then(|number| number.parse().ok());
    (whose.to_owned(), number.unwrap_or(u64::MAX))
}

/// Returns the coordinator that news are for; `None` if the key names none.
pub(crate) fn coordinator(document: &Document) -> Option<RunId> {
    document.key.split('/').next()?.parse().ok()
}

/// Returns the news in a document; `None` if a newer version of errand wrote it.
pub(crate) fn said(document: &Document) -> Option<CoordinatorNews> {
    serde_json::from_value(document.body.clone()).ok()
}

/// Returns the removal of news that were processed.
pub(crate) fn heard(document: &Document) -> DocumentWrite {
    crate::deadlines::rewrite(document, DocumentChange::Remove)
}

/// Returns a change that postpones news.
pub(crate) fn later(document: &Document, at: Timestamp) -> DocumentWrite {
    let change = DocumentChange::Put { body: document.body.clone(), due_at: Some(at) };
    crate::deadlines::rewrite(document, change)
}
