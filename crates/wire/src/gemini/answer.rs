//! Answers of Gemini: one document, or a sequence of such documents.

use errand_model::price::ServiceTier;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{EndReason, Events, ToolSite, ToolUse, WireEvent};
use crate::frame::FrameDecoder;
use crate::lenient::{Count, ErrorMember, Flag, List, Object, Text, document};
use crate::open_tools::OpenTools;
use crate::usage::{WireUsage, plausible};

/// Decoder of Gemini's answers.
#[derive(Debug, Default)]
pub(crate) struct GeminiDecoder {
    has_begun: bool,
    usage: WireUsage,
    has_used_tools: bool,
    /// Candidates that have begun, and have not finished.
    open_candidates: Vec<u64>,
    finish: Option<EndReason>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow)]
    candidates: List<Candidate<'a>>,
    #[serde(borrow)]
    usage_metadata: Object<UsageMetadata<'a>>,
    #[serde(borrow)]
    model_version: Text<'a>,
    #[serde(borrow)]
    response_id: Text<'a>,
    #[serde(borrow)]
    prompt_feedback: Object<Feedback<'a>>,
    #[serde(borrow)]
    error: ErrorMember<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow)]
    block_reason: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Candidate<'a> {
    index: Count,
    #[serde(borrow)]
    content: Object<Turn<'a>>,
    #[serde(borrow)]
    finish_reason: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Turn<'a> {
    #[serde(borrow)]
    parts: List<Part<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Text<'a>,
    thought: Flag,
    #[serde(borrow)]
    function_call: Object<FunctionCall<'a>>,
    #[serde(borrow)]
    executable_code: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FunctionCall<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// Counts so far; the last ones count.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UsageMetadata<'a> {
    prompt_token_count: Count,
    tool_use_prompt_token_count: Count,
    cached_content_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    total_token_count: Count,
    #[serde(borrow)]
    traffic_type: Text<'a>,
    #[serde(borrow)]
    service_tier: Text<'a>,
}

impl UsageMetadata<'_> {
    fn usage(&self) -> WireUsage {
        let tools = self.tool_use_prompt_token_count.0.unwrap_or_default();
        let input = self.prompt_token_count.0.map(|prompt| prompt.saturating_add(tools));
        let (written, thoughts) = (self.candidates_token_count.0, self.thoughts_token_count.0);
        // A count of zero is left out. The total tells that apart from a count that is missing.
        let output = match (written, thoughts) {
            (None, None) => match (self.total_token_count.0, input) {
                (Some(total), Some(input)) if total >= input => Some(total - input),
                (_, _) => None,
            },
            (_, _) => {
                Some(written.unwrap_or_default().saturating_add(thoughts.unwrap_or_default()))
            }
        };
        let tier = ServiceTier::of(self.service_tier.as_str());
        WireUsage {
            input: plausible(input),
            output: plausible(output),
            cached: plausible(self.cached_content_token_count.0),
            reasoning: plausible(thoughts),
            tier: tier.or_else(|| ServiceTier::of(self.traffic_type.as_str())),
            ..WireUsage::default()
        }
    }
}

impl FrameDecoder for GeminiDecoder {
    fn frame(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        let chunk: Chunk<'_> = document(json)?;
        if let Some(error) = &chunk.error.0 {
            error.report(events);
            return Ok(());
        }
        if !self.has_begun {
            self.has_begun = true;
            let (id, model) = (chunk.response_id.owned(), chunk.model_version.owned());
            events.push(WireEvent::Start { id, model });
        }
        for (position, candidate) in chunk.candidates.0.iter().enumerate() {
            self.candidate(candidate.index.0.unwrap_or(position as u64), candidate, events);
        }
        let later = chunk.usage_metadata.0.as_ref().map(UsageMetadata::usage);
        if let Some(later) = later.filter(|usage| !usage.is_unknown()) {
            self.usage.replace(&later);
            events.push(WireEvent::Usage(self.usage));
        }
        let feedback = chunk.prompt_feedback.0.as_ref();
        if feedback.is_some_and(|feedback| feedback.block_reason.given().is_some()) {
            self.finish = Some(EndReason::Refused);
        }
        if self.open_candidates.is_empty() {
            self.finish(events);
        }
        Ok(())
    }

    fn whole(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        self.frame(json, events)
    }

    fn finish(&mut self, events: &mut Events<'_>) {
        if let Some(reason) = self.finish.take() {
            events.push(WireEvent::End(reason));
        }
    }
}

impl GeminiDecoder {
    fn candidate(&mut self, index: u64, candidate: &Candidate<'_>, events: &mut Events<'_>) {
        for part in candidate.content.0.iter().flat_map(|turn| &turn.parts.0) {
            if part.thought.0 == Some(true) {
                events.reasoning(part.text.as_str());
            } else {
                events.text(part.text.as_str());
            }
            if let Some(call) = &part.function_call.0 {
                self.has_used_tools = true;
                let arguments = call.args.map_or("{}", RawValue::get).to_owned();
                let (id, name) = (call.id.owned(), call.name.as_str().to_owned());
                let site = ToolSite::Client;
                OpenTools::whole(ToolUse { id, name, arguments, site }, events);
            }
            if let Some(code) = part.executable_code {
                let (name, arguments) = ("code_execution".to_owned(), code.get().to_owned());
                let site = ToolSite::Provider;
                OpenTools::whole(ToolUse { id: None, name, arguments, site }, events);
            }
        }
        let is_open = self.open_candidates.contains(&index);
        match candidate.finish_reason.given() {
            Some(word) => {
                self.open_candidates.retain(|open| *open != index);
                self.finish = Some(self.end_reason(word));
            }
            None if !is_open => self.open_candidates.push(index),
            None => {}
        }
    }

    fn end_reason(&self, word: &str) -> EndReason {
        match word {
            "STOP" if self.has_used_tools => EndReason::ToolUse,
            "STOP" => EndReason::Complete,
            "MAX_TOKENS" => EndReason::Length,
            "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT" => EndReason::Refused,
            other => EndReason::Other(other.to_owned()),
        }
    }
}
