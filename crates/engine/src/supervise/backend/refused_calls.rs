//! Calls that the gateways refused: what was asked for, why it was refused, and how often.

use std::collections::BTreeMap;

use errand_agent::agent_api::{RefusedCall, RefusedTarget};
use errand_api::error_code::ErrorCode;
use errand_model::accounting::{MAX_NAME_BYTES, MODEL_REFUSED, REFUSED_BY, TOOL_REFUSED};
use errand_model::event::{EventBody, Reported};
use serde_json::{Value, json};

use super::AttemptBackend;

/// Kinds of refusals that are told apart in an attempt. Further ones are counted by their codes.
const KINDS: usize = 64;

/// Refused calls of an attempt, by what was asked for and why it was refused.
#[derive(Debug, Default)]
pub(super) struct RefusedCalls(BTreeMap<(RefusedTarget, ErrorCode), RefusalCount>);

/// Refusals of one kind.
#[derive(Debug)]
struct RefusalCount {
    /// Message of the last one.
    message: String,
    count: u64,
    /// Number that is recorded.
    recorded: u64,
}

impl RefusedCalls {
    /// Counts a refusal. Returns the event about it: of the first one of its kind, of the tenth, of the
    /// hundredth and so on.
    fn count(&mut self, refused: RefusedCall) -> Option<EventBody> {
        let RefusedCall { target, code, message } = refused;
        let mut key = (target, code);
        if self.0.len() >= KINDS && !self.0.contains_key(&key) {
            key.0 = match key.0 {
                RefusedTarget::Model { .. } => RefusedTarget::Model { provider: None, model: None },
                RefusedTarget::Tool { .. } => RefusedTarget::Tool { name: None },
            };
        }
        let (target, _) = &key;
        let target = target.clone();
        let count = RefusalCount { message: String::new(), count: 0, recorded: 0 };
        let found = self.0.entry(key).or_insert(count);
        found.message = message;
        found.count += 1;
        let is_due = 10_u64.checked_pow(found.count.ilog10()) == Some(found.count);
        is_due.then(|| found.event(&target, code)).flatten()
    }

    /// Returns the events about refusals that are not recorded yet.
    fn rest(&mut self) -> Vec<EventBody> {
        let left = self.0.iter_mut().filter(|(_, found)| found.count > found.recorded);
        left.filter_map(|((target, code), found)| found.event(target, *code)).collect()
    }
}

impl RefusalCount {
    /// Returns the event with the number of refusals so far.
    fn event(&mut self, target: &RefusedTarget, code: ErrorCode) -> Option<EventBody> {
        self.recorded = self.count;
        let mut data = json!({
            "refused_by": REFUSED_BY, "code": code.as_str(), "message": self.message,
            "count": self.count,
        });
        let (kind, names) = match target {
            RefusedTarget::Model { provider, model } => {
                (MODEL_REFUSED, [("provider", provider.as_ref()), ("model", model.as_ref())])
            }
            RefusedTarget::Tool { name } => (TOOL_REFUSED, [("name", name.as_ref()), ("", None)]),
        };
        for (member, name) in names {
            if let Some(name) = name {
                data[member] = Value::from(name.as_str());
            }
        }
        Reported::new(kind, data).ok().map(EventBody::Reported)
    }
}

impl AttemptBackend {
    /// Counts a refused call, and records it if that is due.
    pub(super) async fn count_refusal(&self, refused: RefusedCall) {
        let name = |name: Option<String>| name.map(|name| self.bounded_name(&name));
        let target = match refused.target {
            RefusedTarget::Model { provider, model } => {
                RefusedTarget::Model { provider: name(provider), model: name(model) }
            }
            RefusedTarget::Tool { name: tool } => RefusedTarget::Tool { name: name(tool) },
        };
        let message = self.redactor.redact_excerpt(&refused.message).into_owned();
        let due =
            self.refused_calls(|calls| calls.count(RefusedCall { target, message, ..refused }));
        if let Some(event) = due {
            // An attempt that is over records nothing.
            drop(self.report_all(vec![event]).await);
        }
    }

    /// Records the numbers of refused calls at the end of the attempt.
    pub(in crate::supervise) async fn finish_refusals(&self) {
        let rest = self.refused_calls(RefusedCalls::rest);
        if !rest.is_empty() {
            drop(self.report_all(rest).await);
        }
    }

    fn bounded_name(&self, name: &str) -> String {
        let mut name = self.masked_text(name);
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
        name
    }

    fn refused_calls<T>(&self, change: impl FnOnce(&mut RefusedCalls) -> T) -> T {
        change(&mut self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(model: &str) -> RefusedCall {
        let model = Some(model.to_owned());
        RefusedCall {
            target: RefusedTarget::Model { provider: Some("openai".to_owned()), model },
            code: ErrorCode::PolicyDenied,
            message: "no".to_owned(),
        }
    }

    fn count_of(event: &EventBody) -> Option<u64> {
        let EventBody::Reported(reported) = event else { return None };
        reported.data()["count"].as_u64()
    }

    #[test]
    fn a_call_that_is_refused_again_and_again_leaves_few_events() {
        let mut calls = RefusedCalls::default();
        let due = (0..1_234).filter_map(|_| calls.count(refused("gpt-4o")));
        let counts: Vec<_> = due.map(|event| count_of(&event)).collect();
        assert_eq!(counts, [Some(1), Some(10), Some(100), Some(1_000)]);
        assert_eq!(calls.rest().iter().map(count_of).collect::<Vec<_>>(), [Some(1_234)]);
        assert!(calls.rest().is_empty());
    }

    #[test]
    fn refusals_of_ever_new_models_are_counted_by_their_codes() {
        let mut calls = RefusedCalls::default();
        let due = (0..1_000).filter_map(|number| calls.count(refused(&format!("m{number}"))));
        assert_eq!(due.count(), KINDS + 3);
        assert_eq!(calls.rest().iter().map(count_of).collect::<Vec<_>>(), [Some(1_000 - 64)]);
    }
}
