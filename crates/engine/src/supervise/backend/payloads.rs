//! Payloads of an attempt: masked for the journal, and fetched for the agent.

use errand_agent::agent_api::{Refusal, StepCallResult};
use errand_model::Payload;
use errand_model::step::StepResult;

use super::{AttemptBackend, refusal};
use crate::payload;

impl AttemptBackend {
    fn masked(&self, payload: Payload) -> Payload {
        match payload {
            Payload::Json(value) => Payload::Json(self.masked_json(value)),
            Payload::Text(text) => Payload::Text(self.redactor.redact(&text).into_owned()),
            other @ (Payload::Base64(_) | Payload::Blob(_)) => other,
        }
    }

    /// Returns a payload for an event: masked, and as a blob if it is long.
    pub(in crate::supervise) fn kept(&self, given: Payload) -> Result<Payload, Refusal> {
        let blobs = self.engine.blobs();
        let kept = match self.masked(given) {
            Payload::Json(value) => payload::from_json(&blobs, value),
            text @ (Payload::Text(_) | Payload::Base64(_)) => payload::to_bytes(&blobs, &text)
                .map(|bytes| self.redactor.redact_bytes(&bytes).into_owned())
                .and_then(|bytes| payload::from_bytes(&blobs, bytes)),
            blob @ Payload::Blob(_) => Ok(blob),
        };
        kept.map_err(|error| refusal(&error.into()))
    }

    /// Returns a payload for an agent: a blob is replaced by its bytes.
    pub(in crate::supervise) fn fetched(&self, kept: &Payload) -> Result<Payload, Refusal> {
        let blobs = self.engine.blobs();
        let Payload::Blob(blob) = kept else { return Ok(kept.clone()) };
        let bytes = payload::to_bytes(&blobs, kept).map_err(|error| refusal(&error.into()))?;
        let damaged = |_| Refusal::internal("a recorded payload is damaged");
        match blob.encoding {
            errand_model::Encoding::Json => {
                serde_json::from_slice(&bytes).map(Payload::Json).map_err(|_| damaged(()))
            }
            errand_model::Encoding::Text => {
                String::from_utf8(bytes).map(Payload::Text).map_err(|_| damaged(()))
            }
            errand_model::Encoding::Binary => {
                use base64::Engine as _;
                Ok(Payload::Base64(base64::prelude::BASE64_STANDARD.encode(bytes)))
            }
        }
    }

    /// Returns the result of a step for an agent: blobs are replaced by their bytes.
    pub(super) fn fetched_result(&self, result: &StepResult) -> Result<StepCallResult, Refusal> {
        let fetch = |part: &Option<Payload>| part.as_ref().map(|p| self.fetched(p)).transpose();
        Ok(StepCallResult { output: fetch(&result.output)?, stderr: fetch(&result.stderr)? })
    }
}
