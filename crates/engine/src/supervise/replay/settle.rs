//! End of a replay: missing calls, printed output and exit.

use std::sync::PoisonError;

use errand_model::Payload;
use errand_model::replay::Divergence;
use errand_model::run::AttemptOutcome;

use super::{Replayed, streams};
use crate::error::PayloadRefused;
use crate::{Error, payload};

impl Replayed {
    /// Returns the outcome of a replay whose agent ended by itself.
    pub(in crate::supervise) async fn settle(
        &self,
        outcome: AttemptOutcome,
        exit_code: Option<i32>,
        signal: Option<i32>,
    ) -> AttemptOutcome {
        if let Some(failure) = self.failure() {
            return AttemptOutcome::Failed(failure);
        }
        match self.last_look(&outcome, exit_code, signal) {
            Ok(()) => outcome,
            Err(divergence) => AttemptOutcome::Failed(self.fail(divergence).await),
        }
    }

    fn last_look(
        &self,
        outcome: &AttemptOutcome,
        exit_code: Option<i32>,
        signal: Option<i32>,
    ) -> Result<(), Divergence> {
        let own = self.journaled.run_id();
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let last_words = streams::last_words(&self.engine, own);
        record.exited(exit_code, signal, &last_words)?;
        record.finished()?;
        // A log has the streams of several attempts, and the printed output of failing commands
        // is in none of the steps.
        if record.attempts() == 1 && !record.has_failed_steps() {
            streams::compare(&self.engine, &self.of, own, &self.translate)?;
        }
        let produced = match outcome {
            AttemptOutcome::Exited { output } => output.clone().or_else(|| self.journaled.output()),
            AttemptOutcome::Failed(_) | AttemptOutcome::Drained => None,
        };
        let produced = produced.map(|output| self.translated(output)).transpose();
        match produced {
            Ok(produced) => record.produced(produced.as_ref()),
            Err(error) => Err(Divergence::new("output", None, Some(&error.to_string()))),
        }
    }

    /// Returns a payload with the recorded run's id in it.
    pub(super) fn translated(&self, given: Payload) -> Result<Payload, Error> {
        let blobs = self.engine.blobs();
        Ok(match given {
            Payload::Json(value) => payload::from_json(&blobs, self.translate.json(value))?,
            Payload::Text(text) => Payload::Text(self.translate.text(&text)),
            Payload::Base64(text) => Payload::Base64(text),
            Payload::Blob(blob) => {
                let bytes = blobs.get(&blob.digest)?;
                match (self.translate.bytes(&bytes), blob.encoding) {
                    (None, _) => Payload::Blob(blob),
                    (Some(bytes), errand_model::Encoding::Json) => {
                        let value = serde_json::from_slice(&bytes)
                            .map_err(|error| PayloadRefused { reason: error.to_string() })?;
                        payload::from_json(&blobs, value)?
                    }
                    (
                        Some(bytes),
                        errand_model::Encoding::Text | errand_model::Encoding::Binary,
                    ) => payload::from_bytes(&blobs, bytes)?,
                }
            }
        })
    }
}
