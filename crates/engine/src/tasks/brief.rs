//! Briefs of tasks: documents that a controller stores under their keys before it sends a task.

use errand_api::brief::BRIEF_LIMIT_BYTES;
use errand_model::{Digest, digest_of_brief_key};

use super::{Error, TaskProblem};
use crate::Engine;
use crate::off_thread::off_thread;

/// Stores a brief under its key, which has its digest. Stored again, it is renewed.
///
/// # Errors
///
/// [`TaskProblem::Field`] if the document is not the one of the key, is no JSON, or is too long.
pub async fn keep_brief(engine: &Engine, key: &str, document: Vec<u8>) -> Result<(), Error> {
    let problem = |reason: &str| TaskProblem::Field {
        pointer: String::new(),
        message: format!("the brief {key} cannot be stored: {reason}"),
        hint: None,
    };
    let named = digest_of_brief_key(key).ok_or_else(|| problem("its name is no SHA-256"))?;
    if Digest::of(&document) != named {
        return Err(problem("the document has another SHA-256").into());
    }
    if document.len() > BRIEF_LIMIT_BYTES {
        return Err(problem("the document has more than 8 MiB").into());
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(&document).is_err() {
        return Err(problem("the document is no JSON").into());
    }
    let blobs = engine.blobs();
    off_thread(move || Ok::<_, Error>(blobs.put(&document).map(drop)?)).await
}
