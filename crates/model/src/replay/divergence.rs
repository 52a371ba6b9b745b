//! Difference between a replay and its record.

use serde_json::Value;

use super::{RequestDifference, excerpt};
use crate::{Digest, Payload};

/// The first thing that a replay does otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The step that it is about, where it is about one.
    pub step: Option<String>,
    /// Kind of the difference in a word or two: `step`, `command`, `event model.called`, `output`.
    pub what: String,
    /// Recorded value, shortened around the difference; `None`: nothing.
    pub expected: Option<String>,
    /// Value of the replay, shortened likewise; `None`: nothing.
    pub found: Option<String>,
    /// Difference of the two requests, of a model or tool call.
    pub requests: Option<Box<RequestDifference>>,
}

impl Divergence {
    /// Two sides, whole, of which either may be nothing.
    pub fn new(what: impl Into<String>, expected: Option<&str>, found: Option<&str>) -> Self {
        let (left, right) = excerpt(expected.unwrap_or_default(), found.unwrap_or_default());
        Self {
            step: None,
            what: what.into(),
            expected: expected.map(|_| left),
            found: found.map(|_| right),
            requests: None,
        }
    }

    /// Two requests of calls; the recorded one is that which the replay comes nearest to.
    #[must_use]
    pub fn of_requests(
        what: &str,
        recorded: &str,
        replayed: &str,
        found: RequestDifference,
    ) -> Self {
        Self { requests: Some(Box::new(found)), ..Self::new(what, Some(recorded), Some(replayed)) }
    }

    /// Returns the difference with the step in which it occurred.
    #[must_use]
    pub fn at_step(mut self, key: &str) -> Self {
        self.step = Some(key.to_owned());
        self
    }
}

/// A document as people read it.
pub(super) fn shown(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// A payload as people read it.
pub(super) fn shown_payload(payload: &Payload) -> String {
    match payload {
        Payload::Json(value) => shown(value),
        Payload::Text(text) => text.clone(),
        Payload::Base64(text) => format!("(base64) {text}"),
        Payload::Blob(blob) => format!("{} ({} bytes)", blob.digest, blob.size_bytes),
    }
}

/// A step as people read it.
pub(super) fn shown_step(key: &str, detail: Option<&str>, fingerprint: Option<&Digest>) -> String {
    match (detail, fingerprint) {
        (Some(detail), _) => format!("step {key:?}: {detail}"),
        (None, Some(fingerprint)) => format!("step {key:?} with fingerprint {fingerprint}"),
        (None, None) => format!("step {key:?}"),
    }
}
