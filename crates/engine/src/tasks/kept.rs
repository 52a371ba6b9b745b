//! Documents of tasks.

use errand_model::{Digest, RunId};
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::Engine;
use crate::documents::{read, write};

/// Task as it is stored. Key: its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptTask {
    /// Run that carries it out.
    pub(super) run_id: RunId,
    /// Digest of its configuration.
    pub(super) configuration: Digest,
    /// Number of the last order from a bus that was taken for it; `None`: none came from a bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) order: Option<u32>,
}

impl KeptTask {
    /// Returns the write of the task's document.
    pub(super) fn write(
        &self,
        namespace: Option<&str>,
        task_id: &str,
        expect: Expect,
    ) -> DocumentWrite {
        let body = serde_json::to_value(self).unwrap_or_default();
        let change = DocumentChange::Put { body, due_at: None };
        write(DocumentKind::Task, namespace, task_id.to_owned(), (expect, change))
    }
}

/// Returns a task with the revision of its document.
pub(super) async fn load(
    engine: &Engine,
    namespace: Option<&str>,
    task_id: &str,
) -> Result<Option<(KeptTask, u64)>, Error> {
    let found = engine.store().document(DocumentKind::Task, namespace, task_id).await?;
    found.map(|document| Ok((read(&document)?, document.revision))).transpose()
}

/// Returns the key of another id of a task.
pub(super) fn alias_key(run_id: &RunId, task_id: &str) -> String {
    format!("{}{task_id}", alias_prefix(run_id))
}

/// Returns the beginning of the keys of all other ids of a run's task.
pub(super) fn alias_prefix(run_id: &RunId) -> String {
    format!("{run_id}/")
}
