//! Task of a dispatcher: the part of it that its run keeps.

use serde::{Deserialize, Serialize};

use crate::Digest;

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
