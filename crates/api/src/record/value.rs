//! Values of a record: payloads, amounts, durations and names as JSON shows them.

use std::time::Duration;

use errand_model::event::RunCreated;
use errand_model::{Payload, RunId, unscoped};
use serde_json::{Value, json};

/// Dollars for people and JSON; errand itself counts in whole micro-dollars.
#[expect(clippy::cast_precision_loss, reason = "exact up to nine billion dollars")]
pub fn usd(micro: u64) -> f64 {
    micro as f64 / 1e6
}

/// A payload as the record shows it.
pub fn payload_value(payload: Option<&Payload>) -> Value {
    match payload {
        None => Value::Null,
        Some(Payload::Json(value)) => value.clone(),
        Some(Payload::Text(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        Some(Payload::Base64(text)) => json!({ "$base64": text }),
        Some(Payload::Blob(blob)) => json!({ "$blob": blob }),
    }
}

/// A payload of a run as the record shows it: what is kept as a blob has a link to its bytes,
/// `{"$blob": {…, "href": "/v1/runs/<id>/blobs/<digest>"}}`, below the address of a server.
pub fn linked_value(run_id: &RunId, payload: Option<&Payload>) -> Value {
    let Some(Payload::Blob(blob)) = payload else { return payload_value(payload) };
    let href = format!("/v1/runs/{run_id}/blobs/{}", blob.digest);
    let (digest, size_bytes, encoding) = (&blob.digest, blob.size_bytes, blob.encoding);
    json!({ "$blob": {
        "digest": digest, "size_bytes": size_bytes, "encoding": encoding, "href": href,
    } })
}

/// A step's output as the record shows it: text stays text, also where it reads as JSON.
pub fn step_output(run_id: &RunId, output: Option<&Payload>) -> Value {
    match output {
        Some(Payload::Text(text)) => Value::String(text.clone()),
        Some(Payload::Json(_) | Payload::Base64(_) | Payload::Blob(_)) | None => {
            linked_value(run_id, output)
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The session by the name that its namespace knows it by.
pub(super) fn session_id(spec: &RunCreated) -> Option<String> {
    let own = |name: &String| unscoped(spec.namespace.as_deref(), name).to_owned();
    spec.session_id.as_ref().map(own)
}
