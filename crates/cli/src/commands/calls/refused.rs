//! Refused calls of a run, as `errand calls` shows them.

use errand_model::Event;
use errand_model::accounting::{MODEL_REFUSED, TOOL_REFUSED};
use serde::Serialize;
use serde_json::Value;

/// Calls that were refused for the same reason.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RefusedShown {
    attempt: u32,
    at_ms: i64,
    /// Number of the first event about them.
    #[serde(skip)]
    pub(super) seq: u64,
    /// `model` or `tool`.
    kind: &'static str,
    /// Data of the last event about them, with their `count`.
    refused: Value,
}

impl RefusedShown {
    /// Takes in an event about refused calls, which may count those of an earlier one.
    pub(super) fn take(all: &mut Vec<Self>, event: &Event) {
        let kind = match event.kind.as_str() {
            MODEL_REFUSED => "model",
            TOOL_REFUSED => "tool",
            _ => return,
        };
        let refused: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let names = ["provider", "model", "name", "code"];
        let is_same = |known: &&mut Self| {
            (known.kind, known.attempt) == (kind, event.attempt)
                && names.iter().all(|name| known.refused[*name] == refused[*name])
        };
        match all.iter_mut().find(is_same) {
            Some(known) => known.refused = refused,
            None => {
                let (at_ms, seq) = (event.at.as_millis(), event.seq);
                all.push(Self { attempt: event.attempt, at_ms, seq, kind, refused });
            }
        }
    }

    /// Returns the line about the calls.
    pub(super) fn line(&self) -> String {
        let text = |name: &str| self.refused[name].as_str();
        let target = match (text("provider"), text("model"), text("name")) {
            (Some(provider), Some(model), _) => format!("{provider}/{model}"),
            (Some(one), None, _) | (None, Some(one), _) | (None, None, Some(one)) => one.to_owned(),
            (None, None, None) => self.kind.to_owned(),
        };
        let mut words = vec![target, "refused".to_owned()];
        let count = self.refused["count"].as_u64().filter(|count| *count > 1);
        words.extend(count.map(|count| format!("{count} times")));
        words.extend(text("code").map(str::to_owned));
        words.extend(text("message").map(str::to_owned));
        format!("  -  {}", words.join("  "))
    }
}
