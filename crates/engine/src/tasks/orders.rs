//! Orders from a bus: which were taken, refused or withdrawn.
//!
//! A bus may deliver a message again and in any order. Orders for a task are therefore numbered by their
//! sender, and the task's document has the number of the last one that was taken. An order that is
//! refused, or that its sender withdraws before it is taken, leaves a document of its own, which the
//! sender reads in place of a task.

use std::time::Duration;

use errand_api::gateway::task::Task;
use errand_api::record::RecordError;
use errand_model::error_code::ErrorCode;
use errand_store::{Document, DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde::{Deserialize, Serialize};

use super::kept::{self, KeptTask};
use super::{Error, TaskProblem};
use crate::Engine;
use crate::documents::{read, write};

/// Time for which a refusal is kept: longer than any bus keeps a message, which is 14 days.
const KEPT_FOR: Duration = Duration::from_hours(15 * 24);
/// Refusals that are removed at once.
const PAGE: u32 = 500;

/// Order for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderRef<'a> {
    /// Namespace of the sender's key.
    pub namespace: Option<&'a str>,
    /// Id of the task.
    pub task_id: &'a str,
    /// Number of the order.
    pub order: u32,
}

/// Refusal of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedOrder {
    /// Code of the refusal.
    pub code: String,
    /// Reason in words.
    pub message: String,
}

/// Refusal as it is stored. Key: the task's id.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptRefusal {
    order: u32,
    code: String,
    message: String,
}

/// Sender's namespace and order of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrderAt<'a> {
    pub(super) namespace: Option<&'a str>,
    /// Number of the order; `None` for a request that came by no bus.
    pub(super) order: Option<u32>,
}

/// Returns true if the order, or a later one for its task, was taken, refused or withdrawn.
///
/// # Errors
///
/// If the registry fails.
pub async fn is_known(engine: &Engine, at: OrderRef<'_>) -> Result<bool, Error> {
    let kept = kept::load(engine, at.namespace, at.task_id).await?;
    if kept.is_some_and(|(kept, _)| kept.order >= Some(at.order)) {
        return Ok(true);
    }
    let refused = load(engine, at.namespace, at.task_id).await?;
    Ok(refused.is_some_and(|(refused, _)| refused.order >= at.order))
}

/// Keeps the refusal of an order for its sender, unless a later order is known.
///
/// # Errors
///
/// If the registry fails, or others change the task at the same time.
pub async fn refuse(engine: &Engine, at: OrderRef<'_>, refused: RefusedOrder) -> Result<(), Error> {
    let expect = match load(engine, at.namespace, at.task_id).await? {
        Some((known, _)) if known.order >= at.order => return Ok(()),
        Some((_, revision)) => Expect::Revision(revision),
        None => Expect::Absent,
    };
    let RefusedOrder { code, message } = refused;
    let body = serde_json::to_value(KeptRefusal { order: at.order, code, message });
    let due_at = Some(engine.now().plus(KEPT_FOR));
    let change = DocumentChange::Put { body: body.unwrap_or_default(), due_at };
    let kind = DocumentKind::TaskRefusal;
    let put = write(kind, at.namespace, at.task_id.to_owned(), (expect, change));
    match engine.store().write_documents(vec![put]).await {
        Err(errand_store::Error::DocumentChanged { .. }) => {
            Err(TaskProblem::Contended { task_id: at.task_id.to_owned() }.into())
        }
        written => Ok(written?),
    }
}

/// Withdraws an order that was not taken: it is not taken any more.
///
/// # Errors
///
/// As [`refuse`].
pub async fn withdraw(engine: &Engine, at: OrderRef<'_>) -> Result<(), Error> {
    let message = "its sender withdrew the task before it was taken".to_owned();
    refuse(engine, at, RefusedOrder { code: ErrorCode::TaskCancelled.to_string(), message }).await
}

/// Returns the refused or withdrawn order of a task, as a task.
///
/// # Errors
///
/// If the registry fails.
pub async fn refusal(
    engine: &Engine,
    namespace: Option<&str>,
    task_id: &str,
) -> Result<Option<Task>, Error> {
    let found = load(engine, namespace, task_id).await?;
    Ok(found.map(|(KeptRefusal { order, code, message }, _)| {
        let error = RecordError { code, message, step: None, stderr_tail: None };
        Task::refused(task_id, order, error)
    }))
}

/// Removes refusals that no message can ask for any more.
///
/// # Errors
///
/// If the registry fails.
pub async fn forget_refusals(engine: &Engine) -> Result<(), Error> {
    loop {
        let (kind, now) = (DocumentKind::TaskRefusal, engine.now());
        let due = engine.store().due_documents(kind, now, PAGE).await?;
        if due.is_empty() {
            return Ok(());
        }
        let removed = |Document { namespace, key, .. }: Document| {
            let change = (Expect::Anything, DocumentChange::Remove);
            write(kind, namespace.as_deref(), key, change)
        };
        engine.store().write_documents(due.into_iter().map(removed).collect()).await?;
    }
}

/// Returns the write that holds only if the order is neither refused nor withdrawn; it forgets the
/// refusal of an older one.
///
/// # Errors
///
/// [`TaskProblem::Withdrawn`].
pub(super) async fn expect_unrefused(
    engine: &Engine,
    (at, task_id): (OrderAt<'_>, &str),
) -> Result<Option<DocumentWrite>, Error> {
    let Some(order) = at.order else { return Ok(None) };
    let expect = match load(engine, at.namespace, task_id).await? {
        Some((known, _)) if known.order >= order => {
            return Err(TaskProblem::Withdrawn { task_id: task_id.to_owned(), order }.into());
        }
        Some((_, revision)) => Expect::Revision(revision),
        None => Expect::Absent,
    };
    let change = (expect, DocumentChange::Remove);
    Ok(Some(write(DocumentKind::TaskRefusal, at.namespace, task_id.to_owned(), change)))
}

/// Notes that an order for a task that is there was taken. Returns the number of the last one.
///
/// # Errors
///
/// If the registry fails, or others change the task at the same time.
pub(super) async fn note(
    engine: &Engine,
    (at, task_id): (OrderAt<'_>, &str),
    (kept, expect): (KeptTask, Expect),
) -> Result<Option<u32>, Error> {
    if kept.order >= at.order {
        return Ok(kept.order);
    }
    let noted = KeptTask { order: at.order, ..kept };
    let mut writes = vec![noted.write(at.namespace, task_id, expect)];
    writes.extend(expect_unrefused(engine, (at, task_id)).await?);
    engine.store().write_documents(writes).await?;
    Ok(at.order)
}

async fn load(
    engine: &Engine,
    namespace: Option<&str>,
    task_id: &str,
) -> Result<Option<(KeptRefusal, u64)>, Error> {
    let found = engine.store().document(DocumentKind::TaskRefusal, namespace, task_id).await?;
    found.map(|document| Ok((read(&document)?, document.revision))).transpose()
}
