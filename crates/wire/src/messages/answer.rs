//! Answers of messages: one document, or events from `message_start` to `message_stop`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::{MessageCounts, MessageUsage};
use crate::event::{EndReason, Events, ToolSite, ToolUse, WireEvent};
use crate::frame::FrameDecoder;
use crate::lenient::{Count, ErrorMember, List, Object, Text, document};
use crate::open_tools::OpenTools;

/// Decoder of messages.
#[derive(Debug, Default)]
pub(crate) struct MessagesDecoder {
    tools: OpenTools,
    counts: MessageCounts,
    stop: Option<EndReason>,
}

/// An event of a stream, or an error in place of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    message: Object<Box<Message<'a>>>,
    index: Count,
    #[serde(borrow)]
    content_block: Object<Box<Block<'a>>>,
    #[serde(borrow)]
    delta: Object<Delta<'a>>,
    #[serde(borrow)]
    usage: Object<Box<MessageUsage<'a>>>,
    #[serde(borrow)]
    error: ErrorMember<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    content: List<Block<'a>>,
    #[serde(borrow)]
    stop_reason: Text<'a>,
    #[serde(borrow)]
    usage: Object<Box<MessageUsage<'a>>>,
    #[serde(borrow)]
    error: ErrorMember<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    thinking: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    thinking: Text<'a>,
    #[serde(borrow)]
    partial_json: Text<'a>,
    #[serde(borrow)]
    stop_reason: Text<'a>,
}

impl Block<'_> {
    /// The tool use of a block that is one, with its whole input.
    fn tool_use(&self) -> Option<ToolUse> {
        let site = match self.kind.as_str() {
            "tool_use" => ToolSite::Client,
            "server_tool_use" | "mcp_tool_use" => ToolSite::Provider,
            _ => return None,
        };
        let arguments = self.input.map_or("{}", RawValue::get).to_owned();
        let name = self.name.as_str().to_owned();
        Some(ToolUse { id: self.id.owned(), name, arguments, site })
    }
}

impl FrameDecoder for MessagesDecoder {
    fn frame(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        let event: StreamEvent<'_> = document(json)?;
        match event.kind.as_str() {
            "message_start" => {
                let message = event.message.0.unwrap_or_default();
                events.push(WireEvent::Start {
                    id: message.id.owned(),
                    model: message.model.owned(),
                });
                self.usage(message.usage.0.as_deref(), events);
            }
            "content_block_start" => {
                let block = event.content_block.0.unwrap_or_default();
                self.block_start(event.index.0.unwrap_or_default(), &block, events);
            }
            "content_block_delta" => {
                let delta = event.delta.0.unwrap_or_default();
                events.text(delta.text.as_str());
                events.reasoning(delta.thinking.as_str());
                let key = (0, event.index.0.unwrap_or_default());
                self.tools.append(key, delta.partial_json.as_str());
            }
            "content_block_stop" => {
                self.tools.complete((0, event.index.0.unwrap_or_default()), events);
            }
            "message_delta" => {
                let delta = event.delta.0.unwrap_or_default();
                if let Some(word) = delta.stop_reason.given() {
                    self.stop = Some(end_reason(word));
                }
                self.usage(event.usage.0.as_deref(), events);
            }
            "message_stop" => self.done(events),
            // `ping`, and events of another day. An error may come without its `type`.
            _ => {
                if let Some(error) = &event.error.0 {
                    error.report(events);
                }
            }
        }
        Ok(())
    }

    fn whole(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        let message: Message<'_> = document(json)?;
        if let Some(error) = &message.error.0 {
            error.report(events);
            return Ok(());
        }
        events.push(WireEvent::Start { id: message.id.owned(), model: message.model.owned() });
        for block in &message.content.0 {
            events.text(block.text.as_str());
            events.reasoning(block.thinking.as_str());
            if let Some(tool_use) = block.tool_use() {
                OpenTools::whole(tool_use, events);
            }
        }
        self.usage(message.usage.0.as_deref(), events);
        if let Some(word) = message.stop_reason.given() {
            events.push(WireEvent::End(end_reason(word)));
        }
        Ok(())
    }

    fn done(&mut self, events: &mut Events<'_>) {
        self.stop.get_or_insert(EndReason::Complete);
        self.finish(events);
    }

    fn finish(&mut self, events: &mut Events<'_>) {
        if let Some(reason) = self.stop.take() {
            events.push(WireEvent::End(reason));
        }
    }
}

impl MessagesDecoder {
    fn usage(&mut self, usage: Option<&MessageUsage<'_>>, events: &mut Events<'_>) {
        let Some(usage) = usage else { return };
        let usage = self.counts.replace(usage);
        if !usage.is_unknown() {
            events.push(WireEvent::Usage(usage));
        }
    }

    fn block_start(&mut self, index: u64, block: &Block<'_>, events: &mut Events<'_>) {
        events.text(block.text.as_str());
        events.reasoning(block.thinking.as_str());
        if let Some(mut tool_use) = block.tool_use() {
            // The empty object stands for input that follows in pieces.
            if tool_use
                .arguments
                .bytes()
                .all(|byte| byte.is_ascii_whitespace() || b"{}".contains(&byte))
            {
                tool_use.arguments.clear();
            }
            self.tools.begin((0, index), tool_use, events);
        }
    }
}

fn end_reason(word: &str) -> EndReason {
    match word {
        "end_turn" | "stop_sequence" => EndReason::Complete,
        "max_tokens" | "model_context_window_exceeded" => EndReason::Length,
        "tool_use" => EndReason::ToolUse,
        "refusal" => EndReason::Refused,
        other => EndReason::Other(other.to_owned()),
    }
}
