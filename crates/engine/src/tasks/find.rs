//! Reads of tasks.

use errand_api::gateway::task::Task;
use errand_store::{DocumentKind, Stored};

use super::kept::{self, KeptTask};
use super::{Error, TaskProblem};
use crate::documents::{page, read};
use crate::{Engine, record_file};

/// A task with its run.
#[derive(Clone, Debug)]
pub struct FoundTask {
    /// Id of the task.
    pub task_id: String,
    /// Run that carries it out.
    pub stored: Box<Stored>,
    /// Number of the last order from a bus that was taken for it.
    pub order: Option<u32>,
}

/// Tasks of a list.
#[derive(Clone, Debug)]
pub struct TaskList {
    /// The tasks, by id.
    pub tasks: Vec<FoundTask>,
    /// Set if more tasks follow: the id after which the next page begins.
    pub next: Option<String>,
}

/// Finds a task by its id.
///
/// # Errors
///
/// [`TaskProblem::NotFound`], also for a task whose run was removed.
pub async fn find(
    engine: &Engine,
    namespace: Option<&str>,
    task_id: &str,
) -> Result<FoundTask, Error> {
    let none = || Error::from(TaskProblem::NotFound { task_id: task_id.to_owned() });
    let (kept, _) = kept::load(engine, namespace, task_id).await?.ok_or_else(none)?;
    let stored = engine.store().load(&kept.run_id).await?.ok_or_else(none)?;
    let task_id = task_id.to_owned();
    Ok(FoundTask { task_id, stored: Box::new(stored), order: kept.order })
}

/// Lists tasks of a namespace by id: those after `after`, at most `limit`.
///
/// # Errors
///
/// If the registry fails.
pub async fn list(
    engine: &Engine,
    namespace: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<TaskList, Error> {
    let start = (String::new(), after.map(str::to_owned));
    // One more than is shown tells whether another page follows.
    let more = limit.saturating_add(1);
    let mut found = page(engine, DocumentKind::Task, namespace, start, more).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > shown;
    found.truncate(shown);
    let next = found.last().filter(|_| has_more).map(|last| last.key.clone());
    let mut tasks = Vec::with_capacity(found.len());
    for document in found {
        let kept: KeptTask = read(&document)?;
        // A run that is just being removed takes its task with it.
        let Some(stored) = engine.store().load(&kept.run_id).await? else { continue };
        let order = kept.order;
        tasks.push(FoundTask { task_id: document.key, stored: Box::new(stored), order });
    }
    Ok(TaskList { tasks, next })
}

/// Returns a task as controllers see it.
pub fn view(engine: &Engine, found: &FoundTask) -> Task {
    let task = Task::of(&found.task_id, &record_file::record(engine, &found.stored));
    Task { order: found.order, ..task }
}
