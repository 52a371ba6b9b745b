//! Agents of tasks, packed once for each image with its ports and resources, and other values that tasks
//! share.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use errand_agent::parcel::{self, Parcel};
use errand_agent::secret::Sealer;
use errand_api::agent_file::{self, FILE_NAME, Problems};
use errand_api::gateway::task::{RuntimeKind, TaskRequest};
use errand_model::Digest;
use serde_json::{Map, Value, json};

use super::{Error, TaskProblem};
use crate::Engine;
use crate::error::IoFailure;
use crate::off_thread::off_thread;

/// Parcels in the cache: images of a busy dispatcher.
const LIMIT: usize = 256;

/// Values that tasks of a dispatcher share.
#[derive(Debug, Default)]
pub struct TaskCache {
    /// Parcels, by the digest of their agent files.
    known: Mutex<HashMap<Digest, Arc<Parcel>>>,
    /// Sealer of the user's identity, which is read once.
    sealer: OnceLock<Sealer>,
}

impl TaskCache {
    /// Returns the parcel of a task's agent, which is built if it is not there.
    pub(super) async fn parcel(
        &self,
        engine: &Engine,
        request: &TaskRequest,
    ) -> Result<Arc<Parcel>, Error> {
        let text = agent_file(request)?.to_string();
        let digest = Digest::of(text.as_bytes());
        if let Some(parcel) = self.known(&digest) {
            return Ok(parcel);
        }
        agent_file::parse(FILE_NAME, &text).map_err(|problems| of_problems(&problems))?;
        let root = engine.registry().parcels();
        let built = off_thread(move || {
            let folder = tempfile::Builder::new().prefix("errand-task-").tempdir();
            let folder = folder.map_err(IoFailure::of("make a folder in", std::env::temp_dir()))?;
            let file = folder.path().join(FILE_NAME);
            // JSON is YAML.
            fs::write(&file, text).map_err(IoFailure::of("write", file))?;
            Ok::<_, Error>(parcel::build(folder.path(), &root)?)
        });
        let parcel = Arc::new(built.await?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= LIMIT {
            // This is rare, and parcels are built again: no eviction order is worth keeping.
            known.clear();
        }
        known.insert(digest, Arc::clone(&parcel));
        Ok(parcel)
    }

    /// Returns the sealer of the identity, which is created if it is missing.
    pub(super) fn sealer(&self, engine: &Engine) -> Result<&Sealer, Error> {
        if let Some(sealer) = self.sealer.get() {
            return Ok(sealer);
        }
        let sealer = Sealer::open_or_create(&engine.surroundings().identity)?;
        Ok(self.sealer.get_or_init(|| sealer))
    }

    /// Returns a parcel of the cache, unless it was removed with the last run that named it.
    fn known(&self, digest: &Digest) -> Option<Arc<Parcel>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).filter(|parcel| parcel.path.is_dir()).cloned()
    }
}

/// Returns the agent file of a task.
fn agent_file(request: &TaskRequest) -> Result<Value, TaskProblem> {
    let mut target = match request.runtime_target.kind {
        RuntimeKind::Container | RuntimeKind::Docker | RuntimeKind::Podman => {
            json!({ "type": "container", "image": request.agent_image })
        }
        RuntimeKind::K8s | RuntimeKind::Kubernetes => of_cluster(request)?,
    };
    if !request.ports.is_empty() {
        target["ports"] = json!(request.ports);
    }
    let mut spec = Map::from_iter([("target".to_owned(), target)]);
    if !request.command.is_empty() {
        spec.insert("command".to_owned(), json!(request.command));
    }
    if let Some(retry) = &request.retry_policy {
        spec.insert("retry_policy".to_owned(), json!(retry));
    }
    if let Some(timeouts) = &request.timeouts {
        spec.insert("timeouts".to_owned(), json!(timeouts));
    }
    if !request.resources.is_empty() {
        spec.insert("resources".to_owned(), json!(request.resources));
    }
    Ok(agent_file::file_of_image(&request.agent_image, &spec))
}

/// Returns the target of a task that is to run in a cluster.
fn of_cluster(request: &TaskRequest) -> Result<Value, TaskProblem> {
    if request.command.is_empty() {
        return Err(TaskProblem::Field {
            pointer: "/command".to_owned(),
            message: "a task in a cluster has to name its command".to_owned(),
            hint: Some("a cluster does not tell the command of an image".to_owned()),
        });
    }
    let mut target = json!({ "type": "kubernetes", "image": request.agent_image });
    if let Some(namespace) = &request.runtime_target.namespace {
        target["namespace"] = json!(namespace);
    }
    Ok(target)
}

/// Returns the first problem of a task's agent file, at the field of the request.
fn of_problems(problems: &Problems) -> TaskProblem {
    let Some(problem) = problems.problems.first() else {
        let message = "the task cannot be understood".to_owned();
        return TaskProblem::Field { pointer: String::new(), message, hint: None };
    };
    let pointer = problem.path.replace(['.', '['], "/").replace(']', "");
    let pointer = match pointer.strip_prefix("spec/") {
        Some("target/image") => "/agent_image".to_owned(),
        Some("target/namespace") => "/runtime_target/namespace".to_owned(),
        Some(path) => format!("/{}", path.strip_prefix("target/").unwrap_or(path)),
        None => "/agent_image".to_owned(),
    };
    TaskProblem::Field { pointer, message: problem.message.clone(), hint: problem.hint.clone() }
}
