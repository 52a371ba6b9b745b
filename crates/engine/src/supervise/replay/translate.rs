//! Translation of values that differ between two runs by nature: the run's id, and the parcel's
//! digest.

use errand_model::run::Run;
use serde_json::Value;

/// Translation from a replay's values to those of the repeated run.
#[derive(Clone, Debug)]
pub(super) struct Translate {
    words: Vec<(String, String)>,
}

impl Translate {
    pub(super) fn new(replay: &Run, of: &Run) -> Self {
        let digests = (replay.spec.agent.digest.hex(), of.spec.agent.digest.hex());
        let ids = (replay.id.to_string(), of.id.to_string());
        let all = [ids, (digests.0.to_owned(), digests.1.to_owned())];
        Self { words: all.into_iter().filter(|(from, to)| from != to).collect() }
    }

    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.words {
            if text.contains(from.as_str()) {
                text = text.replace(from.as_str(), to);
            }
        }
        text
    }

    /// Translates bytes; `None` if nothing changes.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut changed: Option<Vec<u8>> = None;
        for (from, to) in &self.words {
            let current = changed.as_deref().unwrap_or(bytes);
            let found: Vec<usize> = memchr::memmem::find_iter(current, from.as_bytes()).collect();
            if found.is_empty() {
                continue;
            }
            let mut next = Vec::with_capacity(current.len());
            let mut at = 0;
            for start in found {
                next.extend_from_slice(&current[at..start]);
                next.extend_from_slice(to.as_bytes());
                at = start + from.len();
            }
            next.extend_from_slice(&current[at..]);
            changed = Some(next);
        }
        changed
    }

    /// Translates every text in a document, including names of members.
    pub(super) fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.json(item)).collect())
            }
            Value::Object(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (self.text(&name), self.json(value)))
                    .collect(),
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}
