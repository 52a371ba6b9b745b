//! Answers of chat completions: one document, or chunks that end with `[DONE]`.

use errand_model::price::ServiceTier;
use serde::Deserialize;

use super::usage::ChatUsage;
use crate::event::{EndReason, Events, ToolSite, ToolUse, WireEvent};
use crate::frame::FrameDecoder;
use crate::lenient::{Content, Count, ErrorMember, List, Object, Text, document};
use crate::open_tools::{OpenTools, named};
use crate::usage::WireUsage;

/// Decoder of chat completions.
#[derive(Debug, Default)]
pub(crate) struct ChatDecoder {
    has_begun: bool,
    tools: OpenTools,
    usage: WireUsage,
    tier: Option<ServiceTier>,
    finish: Option<EndReason>,
}

/// A completion, or a chunk of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    choices: List<Choice<'a>>,
    #[serde(borrow)]
    usage: Object<Box<ChatUsage<'a>>>,
    #[serde(borrow)]
    service_tier: Text<'a>,
    /// An error, which some servers write into a stream that began well.
    #[serde(borrow)]
    error: ErrorMember<'a>,
    /// Place of the usage in streams of one provider.
    #[serde(borrow)]
    x_groq: Object<Box<Nested<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Nested<'a> {
    #[serde(borrow)]
    usage: Object<Box<ChatUsage<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    index: Count,
    #[serde(borrow)]
    delta: Object<Message<'a>>,
    #[serde(borrow)]
    message: Object<Box<Message<'a>>>,
    #[serde(borrow)]
    finish_reason: Text<'a>,
    /// Place of the usage in streams of one provider.
    #[serde(borrow)]
    usage: Object<Box<ChatUsage<'a>>>,
}

/// A message, or what a chunk adds to it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Content<'a, Part<'a>>,
    #[serde(borrow)]
    refusal: Text<'a>,
    #[serde(borrow)]
    reasoning_content: Text<'a>,
    #[serde(borrow)]
    reasoning: Text<'a>,
    #[serde(borrow)]
    tool_calls: List<ToolCall<'a>>,
    /// The one call of the time before `tool_calls`.
    #[serde(borrow)]
    function_call: Object<Box<Function<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolCall<'a> {
    index: Count,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    function: Object<Function<'a>>,
    #[serde(borrow)]
    custom: Object<Function<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Text<'a>,
    /// Arguments of a tool with free input.
    #[serde(borrow)]
    input: Text<'a>,
}

impl Function<'_> {
    fn arguments(&self) -> &str {
        self.arguments.given().unwrap_or(self.input.as_str())
    }
}

impl FrameDecoder for ChatDecoder {
    fn frame(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        let chunk: Chunk<'_> = document(json)?;
        self.begin(&chunk, events);
        for (position, choice) in chunk.choices.0.iter().enumerate() {
            let index = choice.index.0.unwrap_or(position as u64);
            if let Some(delta) = &choice.delta.0 {
                self.delta(index, delta, events);
            }
            // Some servers send what is left as a whole message.
            if let Some(message) = &choice.message.0 {
                self.message(index, message, events);
            }
            if let Some(reason) = choice.finish_reason.given() {
                self.tools.complete_choice(index, events);
                self.finish = Some(end_reason(reason));
            }
        }
        self.usage(&chunk, events);
        if let Some(error) = &chunk.error.0 {
            error.report(events);
        }
        Ok(())
    }

    fn whole(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        self.frame(json, events)?;
        self.finish(events);
        Ok(())
    }

    fn done(&mut self, events: &mut Events<'_>) {
        self.finish.get_or_insert(EndReason::Complete);
        self.finish(events);
    }

    fn finish(&mut self, events: &mut Events<'_>) {
        if let Some(reason) = self.finish.take() {
            events.push(WireEvent::End(reason));
        }
    }
}

impl ChatDecoder {
    fn begin(&mut self, chunk: &Chunk<'_>, events: &mut Events<'_>) {
        // Azure begins with a chunk about its filters that has no model.
        let is_named = chunk.model.given().is_some() || !chunk.choices.0.is_empty();
        if !self.has_begun && is_named {
            self.has_begun = true;
            let (id, model) = (chunk.id.owned(), chunk.model.owned());
            events.push(WireEvent::Start { id, model });
        }
        self.tier = ServiceTier::of(chunk.service_tier.as_str()).or(self.tier);
    }

    /// Reports usage wherever it stands: in the last chunk, or in one with choices.
    fn usage(&mut self, chunk: &Chunk<'_>, events: &mut Events<'_>) {
        let in_choice = chunk.choices.0.iter().find_map(|choice| choice.usage.0.as_ref());
        let nested = chunk.x_groq.0.as_ref().and_then(|nested| nested.usage.0.as_ref());
        let Some(found) = chunk.usage.0.as_ref().or(in_choice).or(nested) else { return };
        let later = found.usage();
        if !later.is_unknown() {
            self.usage.replace(&WireUsage { tier: self.tier, ..later });
            events.push(WireEvent::Usage(self.usage));
        }
    }

    fn delta(&mut self, choice: u64, delta: &Message<'_>, events: &mut Events<'_>) {
        texts(delta, events);
        for call in &delta.tool_calls.0 {
            self.tool_delta(choice, call, events);
        }
        if let Some(function) = &delta.function_call.0 {
            self.function_delta(choice, function, events);
        }
    }

    fn tool_delta(&mut self, choice: u64, call: &ToolCall<'_>, events: &mut Events<'_>) {
        let absent = Function::default();
        let function = call.function.0.as_ref().or(call.custom.0.as_ref()).unwrap_or(&absent);
        let last = self.tools.last_of(choice).map(|(key, open)| (key, open.id.clone()));
        let index = call.index.0;
        let is_new = match &last {
            None => true,
            Some(((_, open), id)) => {
                // Some servers give every call the index 0, and tell them apart by id only.
                let is_other = call.id.given().is_some_and(|new| id.as_deref() != Some(new));
                index.is_some_and(|index| index != *open)
                    || (is_other && function.name.given().is_some())
            }
        };
        let Some(((_, open), _)) = last.filter(|_| !is_new) else {
            self.tools.complete_choice(choice, events);
            let key = (choice, index.unwrap_or_default());
            let mut tool_use = named(call.id.owned(), function.name.as_str());
            function.arguments().clone_into(&mut tool_use.arguments);
            self.tools.begin(key, tool_use, events);
            return;
        };
        self.tools.append((choice, open), function.arguments());
    }

    fn function_delta(&mut self, choice: u64, function: &Function<'_>, events: &mut Events<'_>) {
        if self.tools.last_of(choice).is_none() {
            self.tools.begin((choice, 0), named(None, function.name.as_str()), events);
        }
        self.tools.append((choice, 0), function.arguments());
    }

    fn message(&mut self, choice: u64, message: &Message<'_>, events: &mut Events<'_>) {
        self.tools.complete_choice(choice, events);
        texts(message, events);
        let functions = message.tool_calls.0.iter().filter_map(|call| {
            let function = call.function.0.as_ref().or(call.custom.0.as_ref())?;
            Some((call.id.owned(), function))
        });
        let single = message.function_call.0.iter().map(|function| (None, &**function));
        for (id, function) in functions.chain(single) {
            let name = function.name.as_str().to_owned();
            let arguments = function.arguments().to_owned();
            let site = ToolSite::Client;
            OpenTools::whole(ToolUse { id, name, arguments, site }, events);
        }
    }
}

fn texts(message: &Message<'_>, events: &mut Events<'_>) {
    let reasoning = message.reasoning_content.given().unwrap_or(message.reasoning.as_str());
    events.reasoning(reasoning);
    match &message.content {
        Content::Absent => {}
        Content::Text(text) => events.text(text),
        Content::Parts(parts) => {
            for part in parts {
                events.text(part.text.as_str());
            }
        }
    }
    events.text(message.refusal.as_str());
}

fn end_reason(word: &str) -> EndReason {
    match word {
        "stop" => EndReason::Complete,
        "length" => EndReason::Length,
        "tool_calls" | "function_call" => EndReason::ToolUse,
        "content_filter" => EndReason::Refused,
        other => EndReason::Other(other.to_owned()),
    }
}
