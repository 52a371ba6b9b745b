//! What is left for a coordinator to hear, as documents.

use errand_model::coordination::News;
use errand_model::run::Run;
use errand_model::{RunId, Timestamp};
use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};

use crate::{Engine, Error};

/// There is more to do.
const LOOK: &str = "look";
/// Things that are heard at once: as many as children may live, and what they said.
const ALL_LIMIT: u32 = 20_000;
/// Something was asked of it.
const ASKED: &str = "asked";
/// An attempt of it began.
const BEGAN: &str = "began";
/// The registry was made anew: what is known of its children may be outdated.
const RESTORED: &str = "restored";
/// It ended: its files are to say so.
const ENDED: &str = "ended";
/// It may be out of time.
const DEADLINE: &str = "deadline";

/// What a coordinator is to hear at a time. `about` tells it from what else it is to hear.
pub(crate) fn news(
    (namespace, coordinator): (Option<&str>, &RunId),
    about: &str,
    news: &News,
    due_at: Timestamp,
) -> DocumentWrite {
    DocumentWrite {
        kind: DocumentKind::Turn,
        namespace: namespace.map(str::to_owned),
        key: format!("{coordinator}/{about}"),
        expect: Expect::Anything,
        change: DocumentChange::Put {
            // It has string keys only, so this cannot fail.
            body: serde_json::to_value(news).unwrap_or_default(),
            due_at: Some(due_at),
        },
    }
}

/// It is to look again at that time.
pub(crate) fn look(run: &Run, at: Timestamp) -> DocumentWrite {
    // One a second: what is written later is never taken for what was heard before.
    let about = format!("{LOOK}-{}", at.as_millis() / 1_000);
    news((run.spec.namespace.as_deref(), &run.id), &about, &News::Look, at)
}

/// It is to look at what was asked of it with the event of that number, or at that time.
pub(crate) fn asked(run: &Run, number: u64, now: Timestamp) -> DocumentWrite {
    let about = format!("{ASKED}-{number}");
    news((run.spec.namespace.as_deref(), &run.id), &about, &News::Look, now)
}

/// What a coordinator whose attempt began at `now` is to hear: that it did, and later that it is out
/// of time.
pub(crate) fn began(run: &Run, now: Timestamp) -> Vec<DocumentWrite> {
    let owner = (run.spec.namespace.as_deref(), &run.id);
    let mut writes = vec![news(owner, BEGAN, &News::Began { items: None }, now)];
    writes.extend(deadline(run));
    writes
}

/// It is to hear when it is out of time, if it has a limit.
pub(crate) fn deadline(run: &Run) -> Option<DocumentWrite> {
    let owner = (run.spec.namespace.as_deref(), &run.id);
    run.run_deadline().map(|at| news(owner, DEADLINE, &News::Look, at))
}

/// The same for a run whose limit may have moved since: not before `soonest`.
pub(crate) fn deadline_again(run: &Run, soonest: Timestamp) -> Option<DocumentWrite> {
    let owner = (run.spec.namespace.as_deref(), &run.id);
    let held_for = run.paused_until(soonest).saturating_sub(run.paused);
    let at = run.run_deadline()?.plus(held_for).max(soonest);
    Some(news(owner, DEADLINE, &News::Look, at))
}

/// Somebody is to look whether the files of a coordinator that ended say so.
pub(crate) fn ended(run: &Run, at: Timestamp) -> DocumentWrite {
    news((run.spec.namespace.as_deref(), &run.id), ENDED, &News::Look, at)
}

/// They do.
pub(crate) fn is_told(run: &Run) -> DocumentWrite {
    let at = Timestamp::default();
    DocumentWrite { change: DocumentChange::Remove, ..ended(run, at) }
}

/// Whether it is about the files of a coordinator that ended.
pub(crate) fn is_end(document: &Document) -> bool {
    document.key.split('/').nth(1) == Some(ENDED)
}

/// Whether it is about being out of time.
pub(crate) fn is_deadline(document: &Document) -> bool {
    document.key.ends_with("/deadline")
}

/// Whether it is about the coordinator itself: something was asked of it by somebody who wrote its
/// journal.
pub(crate) fn is_own(document: &Document) -> bool {
    document.key.split('/').count() == 2
}

/// Whether what it is to hear may not be all that happened to its children.
pub(crate) fn is_incomplete(document: &Document) -> bool {
    document.key.split('/').nth(1) == Some(BEGAN) || is_restored(document)
}

/// Whether it says that the registry was made anew.
pub(crate) fn is_restored(document: &Document) -> bool {
    document.key.split('/').nth(1) == Some(RESTORED)
}

/// It is to look once more what it missed since the registry was made anew.
pub(crate) fn restored(run: &Run, now: Timestamp) -> DocumentWrite {
    news((run.spec.namespace.as_deref(), &run.id), RESTORED, &News::Look, now)
}

/// Everything that is left for a coordinator to hear, due or not, in its order.
///
/// # Errors
///
/// If the registry cannot be read.
pub(crate) async fn all(engine: &Engine, run: &Run) -> Result<Vec<Document>, Error> {
    let query = DocumentQuery {
        kind: DocumentKind::Turn,
        namespaces: Namespaces::One(run.spec.namespace.clone()),
        prefix: format!("{}/", run.id),
        order: DocumentOrder::Ascending,
        after: None,
        limit: ALL_LIMIT,
    };
    Ok(engine.store().documents(&query).await?)
}

/// What a coordinator hears in one turn: what is due, and what it would not hear any more later.
///
/// Of a run nothing is heard any more once its end was, and nothing before it is known: what it said
/// before its end, and the end of the run that was handed over to it, are heard with it, due or not.
///
/// # Errors
///
/// If the registry cannot be read.
pub(crate) async fn together(
    engine: &Engine,
    run: &Run,
    mut due: Vec<Document>,
) -> Result<Vec<Document>, Error> {
    if due.iter().any(is_incomplete) {
        // What came while no attempt was under way, too.
        return all(engine, run).await;
    }
    let Some(coordination) = &run.coordination else { return Ok(due) };
    // Its members write to nobody.
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

/// In which order things are heard: what a child said by its number, its end last.
pub(crate) fn order(document: &Document) -> (String, u64) {
    let mut parts = document.key.split('/').skip(1);
    let (whose, about) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let number = about.rsplit('-').next().and_then(|number| number.parse().ok());
    (whose.to_owned(), number.unwrap_or(u64::MAX))
}

/// Which coordinator is to hear it; `None`: nobody who can be named.
pub(crate) fn coordinator(document: &Document) -> Option<RunId> {
    document.key.split('/').next()?.parse().ok()
}

/// What it says; `None`: a newer version wrote it.
pub(crate) fn said(document: &Document) -> Option<News> {
    serde_json::from_value(document.body.clone()).ok()
}

/// It was heard: nothing more is to be done about it.
pub(crate) fn heard(document: &Document) -> DocumentWrite {
    crate::deadlines::rewrite(document, DocumentChange::Remove)
}

/// It is to be heard later.
pub(crate) fn later(document: &Document, at: Timestamp) -> DocumentWrite {
    let change = DocumentChange::Put { body: document.body.clone(), due_at: Some(at) };
    crate::deadlines::rewrite(document, change)
}
