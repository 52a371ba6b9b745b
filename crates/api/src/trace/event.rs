//! Data of an event read leniently: a missing member, or one of another type, is absent.

use errand_model::accounting::{ModelCall, ToolCall};
use errand_model::event::{ChildUsage, Event};
use serde_json::Value;

use super::TraceUsage;

/// The data of an event.
#[derive(Debug)]
pub(super) struct Data(Value);

impl Data {
    pub(super) fn of(event: &Event) -> Self {
        Self(serde_json::from_str(&event.data).unwrap_or(Value::Null))
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().map(str::to_owned)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    /// `provider/model`, as far as it is there.
    pub(super) fn model(&self) -> String {
        match (self.text("provider"), self.text("model")) {
            (Some(provider), Some(model)) => format!("{provider}/{model}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "model".to_owned(),
        }
    }

    /// Returns `provider/model` of a request, or the provider with method and path if no model is
    /// named.
    pub(super) fn requested_model(&self) -> String {
        let text = |name| self.text(name).unwrap_or_default();
        match self.text("model") {
            Some(_) => self.model(),
            None => format!("{} {} {}", text("provider"), text("method"), text("path")),
        }
    }

    /// The message of an error: errand's own have one, agents may write a text.
    pub(super) fn error(&self) -> Option<String> {
        match self.0.get("error")? {
            Value::String(text) => Some(text.clone()),
            Value::Object(error) => error.get("message")?.as_str().map(str::to_owned),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        }
    }

    /// The code of an error of errand's own.
    pub(super) fn error_code(&self) -> Option<String> {
        self.0.get("error")?.get("code")?.as_str().map(str::to_owned)
    }

    /// Returns the usage of a child, in the event of its end.
    pub(super) fn child_usage(&self) -> Option<ChildUsage> {
        serde_json::from_value(self.0.get("usage")?.clone()).ok()
    }

    /// Returns true if a call reports that it failed.
    pub(super) fn is_failure(&self) -> bool {
        self.0.get("success") == Some(&Value::Bool(false)) || self.error().is_some()
    }

    /// Describes an access to memory or knowledge: query, source and number of results.
    pub(super) fn look_up(&self) -> Option<String> {
        let words = ["store", "source", "operation", "key", "query"];
        let mut said: Vec<String> = words.into_iter().filter_map(|name| self.text(name)).collect();
        said.extend(self.number("results").map(|results| format!("{results} results")));
        (!said.is_empty()).then(|| said.join(", "))
    }

    /// Returns the usage of a tool call, if the agent reported one.
    pub(super) fn tool_usage(&self) -> TraceUsage {
        let cost_micro_usd = ToolCall::of(&self.0).cost_micro_usd;
        TraceUsage { cost_micro_usd, ..TraceUsage::default() }
    }

    pub(super) fn usage(&self) -> TraceUsage {
        let call = ModelCall::of(&self.0);
        TraceUsage {
            model_calls: 1,
            input_tokens: call.tokens.input,
            output_tokens: call.tokens.output,
            cost_micro_usd: call.cost_micro_usd,
        }
    }
}
