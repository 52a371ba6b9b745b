//! Removal of a task with its run.

use errand_model::run::Run;
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect};

use super::{Error, TaskProblem, kept};
use crate::Engine;
use crate::documents::{page, write};

/// Other ids read at once.
const PAGE: u32 = 500;
/// Pages, and tries of a removal that collides with requests.
const TRIES: usize = 1_000;

/// Removes the documents of a run's task: under its own id, unless another run carries it out now,
/// and under other ids.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn forget(engine: &Engine, run: &Run) -> Result<(), Error> {
    let Some(task) = &run.spec.task else { return Ok(()) };
    let namespace = run.spec.namespace.as_deref();
    let prefix = kept::alias_prefix(&run.id);
    for _ in 0..TRIES {
        let kind = DocumentKind::TaskAlias;
        let found = page(engine, kind, namespace, (prefix.clone(), None), PAGE).await?;
        let is_last = found.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        let mut writes: Vec<_> = of_run(engine, run, &task.task_id).await?.into_iter().collect();
        for alias in found {
            let task_id = alias.key.strip_prefix(&prefix).unwrap_or_default();
            writes.extend(of_run(engine, run, task_id).await?);
            let removed = (Expect::Anything, DocumentChange::Remove);
            writes.push(write(kind, namespace, alias.key.clone(), removed));
        }
        match engine.store().write_documents(writes).await {
            Ok(()) if is_last => return Ok(()),
            // More ids are left, or a task was sent again meanwhile.
            Ok(()) | Err(errand_store::Error::DocumentChanged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(TaskProblem::Contended { task_id: task.task_id.clone() }.into())
}

/// Returns the removal of a task if that run carries it out.
async fn of_run(engine: &Engine, run: &Run, task_id: &str) -> Result<Option<DocumentWrite>, Error> {
    let namespace = run.spec.namespace.as_deref();
    let found = kept::load(engine, namespace, task_id).await?;
    Ok(found.filter(|(kept, _)| kept.run_id == run.id).map(|(_, revision)| {
        let removed = (Expect::Revision(revision), DocumentChange::Remove);
        write(DocumentKind::Task, namespace, task_id.to_owned(), removed)
    }))
}
