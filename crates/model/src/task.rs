//! Task of a dispatcher: the part of it that its run keeps.

use serde::{Deserialize, Serialize};

use crate::{Blob, Digest, Hash};

/// Task that a run carries out for a controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchedTask {
    /// Id that the controller chose.
    pub task_id: String,
    /// Digest of the task's configuration: equal for tasks that would do the same.
    pub configuration: Digest,
    /// Key of the task's brief in the blob store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief_key: Option<String>,
    /// Namespace of the runtime that the controller named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_namespace: Option<String>,
    /// Bearer token of the task's callback and values of secret variables, encrypted for the
    /// identity of the dispatcher's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

/// Task at a dispatcher that carried out the last attempt of a run: part of the run's terminal event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvidence {
    /// Name of the dispatcher in the catalog.
    pub dispatcher: String,
    /// Id of the task.
    pub task_id: String,
    /// Journal of the task's run, as lines of JSON. Its chain of hashes was verified.
    pub blob: Blob,
    /// Number of its events.
    pub events: u64,
    /// Hash of the last one.
    pub last_hash: Hash,
}
