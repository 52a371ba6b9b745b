//! Usage of a call, as the events of a run count it.

use std::time::Duration;

use errand_api::agent_protocol::{Reserve, ReserveKind};
use errand_model::price::ServiceTier;
use errand_wire::{
    AnswerError, EndReason, ModelAnswer, UsageState, WireCall, WireFormat, WireUsage,
};
use serde_json::{Map, Value, json};

use crate::bounds::OUTPUT_TOKENS;

/// The most tokens that a call will use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedUsage {
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// The call costs nothing, such as a list of models.
    pub(crate) is_free: bool,
}

impl ExpectedUsage {
    /// Returns the expectation for a call, by its request.
    pub(crate) fn of(call: &WireCall, method_reads: bool) -> Self {
        let output = match call.format {
            WireFormat::OpenaiChat
            | WireFormat::OpenaiResponses
            | WireFormat::AnthropicMessages
            | WireFormat::GeminiGenerate => {
                call.output_tokens_bound().unwrap_or(OUTPUT_TOKENS.saturating_mul(call.answers))
            }
            WireFormat::OpenaiEmbeddings
            | WireFormat::AnthropicCountTokens
            | WireFormat::GeminiCountTokens
            | WireFormat::Opaque => 0,
        };
        let is_free = match call.format {
            WireFormat::AnthropicCountTokens | WireFormat::GeminiCountTokens => true,
            WireFormat::Opaque => method_reads,
            WireFormat::OpenaiChat
            | WireFormat::OpenaiResponses
            | WireFormat::OpenaiEmbeddings
            | WireFormat::AnthropicMessages
            | WireFormat::GeminiGenerate => false,
        };
        let input = if is_free { 0 } else { call.input_tokens_estimate };
        Self { input, output, is_free }
    }

    /// Returns the reservation for the call.
    pub(crate) fn reserve(self, provider: &str, model: Option<&str>) -> Reserve {
        Reserve {
            kind: ReserveKind::Model,
            tokens: Some(self.input.saturating_add(self.output)),
            output_tokens: Some(self.output),
            cost_usd: self.is_free.then(|| 0.into()),
            provider: Some(provider.to_owned()),
            model: model.map(str::to_owned),
            tool: None,
            arguments: None,
            step: None,
        }
    }
}

/// Times of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTimes {
    pub(crate) took: Duration,
    /// From the call to the first piece of its content.
    pub(crate) first_content: Option<Duration>,
}

/// A call with one of its tries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TriedCall<'a> {
    pub(crate) call: &'a WireCall,
    pub(crate) expected: ExpectedUsage,
    /// Provider that is called.
    pub(crate) provider: &'a str,
    /// Model that is called.
    pub(crate) model: Option<&'a str>,
    /// Number of the try, from 1.
    pub(crate) number: usize,
    /// Name of the route, if one decides about the call.
    pub(crate) route: Option<&'a str>,
}

impl<'a> TriedCall<'a> {
    /// Returns the end of the call.
    pub(crate) const fn with(self, answer: &'a ModelAnswer, times: CallTimes) -> EndedCall<'a> {
        EndedCall { tried: self, answer, times }
    }

    /// Returns the members of an event that name provider, model, and way of the call.
    pub(crate) fn names(&self) -> Map<String, Value> {
        let mut data = Map::new();
        let mut put = |name: &str, value: &str| drop(data.insert(name.to_owned(), value.into()));
        put("provider", self.provider);
        let (asked, used) = (self.call.model.as_deref(), self.model);
        if let Some(used) = used {
            put("model", used);
        }
        if let Some(asked) = asked.filter(|asked| used.is_some_and(|used| used != *asked)) {
            put("asked_model", asked);
        }
        if let Some(route) = self.route {
            put("route", route);
            data.insert("try".to_owned(), self.number.into());
        }
        data
    }
}

/// Facts about a call that ended.
#[derive(Debug)]
pub(crate) struct EndedCall<'a> {
    pub(crate) tried: TriedCall<'a>,
    pub(crate) answer: &'a ModelAnswer,
    pub(crate) times: CallTimes,
}

impl EndedCall<'_> {
    /// Returns the data of the event `model.called`; `None`: the call used nothing.
    pub(crate) fn event(&self) -> Option<Map<String, Value>> {
        if self.is_of_no_use() {
            return None;
        }
        let call = self.tried.call;
        let mut data = self.tried.names();
        let mut put = |name: &str, value: Value| drop(data.insert(name.to_owned(), value));
        match (self.tried.model, self.answer.model.as_deref()) {
            (None, Some(answered)) => put("model", answered.into()),
            (Some(used), Some(answered)) if used != answered => {
                put("answered_by", answered.into());
            }
            (Some(_), Some(_)) | (_, None) => {}
        }
        put("format", call.format.as_str().into());
        if call.is_stream {
            put("stream", true.into());
        }
        put("duration_ms", millis(self.times.took));
        if let Some(first) = self.times.first_content {
            put("first_token_ms", millis(first));
        }
        if let Some(reason) = self.answer.end.as_ref() {
            put("stop_reason", word(reason).into());
        }
        let failed = self.answer.error.is_some() || self.answer.end == Some(EndReason::Cut);
        put("success", (!failed).into());
        if let Some(error) = &self.answer.error {
            put("error", error.to_string().into());
        }
        if call.format != WireFormat::Opaque {
            self.put_tokens(&mut data);
        }
        Some(data)
    }

    /// Returns true for a call that cost nothing: a request that is free, or one that the provider
    /// refused in the place of an answer.
    fn is_of_no_use(&self) -> bool {
        let is_refused = matches!(self.answer.error, Some(AnswerError::Provider { .. }))
            && self.answer.usage.is_none()
            && self.answer.text.is_empty()
            && self.answer.tool_uses.is_empty();
        self.tried.expected.is_free || is_refused
    }

    fn put_tokens(&self, data: &mut Map<String, Value>) {
        let (usage, is_reported) = match self.answer.usage_state() {
            UsageState::Known(usage) => (usage, true),
            UsageState::AtLeast(usage) => (self.at_least(usage), false),
            UsageState::Unknown => (self.at_least(WireUsage::default()), false),
        };
        let input = usage.input.unwrap_or(0);
        let output = usage.output.unwrap_or(0);
        // Parts are never more than their whole, whatever the provider says.
        let cached = usage.cached.map(|count| count.min(input));
        let left = input - cached.unwrap_or(0);
        let written = usage.cache_write.map(|count| count.min(left));
        let left = left - written.unwrap_or(0);
        let counts = [
            ("input_tokens", Some(input)),
            ("output_tokens", Some(output)),
            ("cached_tokens", cached),
            ("cache_write_tokens", written),
            ("cache_write_long_tokens", usage.cache_write_long.map(|count| count.min(left))),
            ("reasoning_tokens", usage.reasoning.map(|count| count.min(output))),
            ("cost_micro_usd", usage.cost_micro_usd),
        ];
        for (name, count) in counts {
            if let Some(count) = count {
                data.insert(name.to_owned(), count.into());
            }
        }
        if let Some(tier) = usage.tier.filter(|tier| *tier != ServiceTier::Standard) {
            data.insert("service_tier".to_owned(), json!(tier));
        }
        if !is_reported {
            data.insert("usage".to_owned(), "reserved".into());
        }
    }

    /// Returns the usage of a call whose end was not reported: at least what was reserved.
    fn at_least(&self, reported: WireUsage) -> WireUsage {
        let expected = self.tried.expected;
        WireUsage {
            input: Some(reported.input.unwrap_or(expected.input)),
            output: Some(reported.output.unwrap_or(0).max(expected.output)),
            ..reported
        }
    }
}

/// Word for the reason of an end.
fn word(reason: &EndReason) -> &str {
    match reason {
        EndReason::Complete => "complete",
        EndReason::Length => "length",
        EndReason::ToolUse => "tool_use",
        EndReason::Refused => "refused",
        EndReason::Cut => "cut",
        EndReason::Other(word) => word,
    }
}

fn millis(time: Duration) -> Value {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into()
}
