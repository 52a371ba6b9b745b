//! Answers of responses: one document, or events from `response.created` to a terminal one.

use errand_model::price::ServiceTier;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::ChatUsage;
use crate::event::{EndReason, Events, ToolSite, ToolUse, WireEvent};
use crate::frame::FrameDecoder;
use crate::lenient::{Count, ErrorMember, List, Object, Text, document};
use crate::open_tools::OpenTools;
use crate::usage::WireUsage;

/// Decoder of responses.
#[derive(Debug, Default)]
pub(crate) struct ResponsesDecoder {
    has_begun: bool,
    tools: OpenTools,
    /// Reason of the end, if the response says no more than that it is complete.
    completion: Option<EndReason>,
}

/// An event of a stream. Its members depend on its type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    delta: Text<'a>,
    output_index: Count,
    #[serde(borrow)]
    item: Object<Box<Item<'a>>>,
    #[serde(borrow)]
    response: Object<Box<Head<'a>>>,
    #[serde(borrow)]
    error: ErrorMember<'a>,
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
}

/// A response without its output, which the events before have told already.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Head<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    usage: Object<ChatUsage<'a>>,
    #[serde(borrow)]
    service_tier: Text<'a>,
    #[serde(borrow)]
    error: ErrorMember<'a>,
    #[serde(borrow)]
    incomplete_details: Object<Incomplete<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Incomplete<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
}

/// The output of a whole response.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Output<'a> {
    #[serde(borrow)]
    output: List<Item<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    call_id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Text<'a>,
    #[serde(borrow)]
    input: Text<'a>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    content: List<Part<'a>>,
    #[serde(borrow)]
    summary: List<Part<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    refusal: Text<'a>,
}

impl Item<'_> {
    /// The tool use of an item that is one.
    fn tool_use(&self) -> Option<ToolUse> {
        let kind = self.kind.as_str();
        // Items such as `web_search_call` and `mcp_call` tell of tools that the provider ran.
        let site = match kind {
            "function_call" | "custom_tool_call" | "local_shell_call" | "shell_call"
            | "apply_patch_call" | "computer_call" => ToolSite::Client,
            _ if kind.ends_with("_call") => ToolSite::Provider,
            _ => return None,
        };
        let arguments = self.arguments.given().or(self.input.given());
        let arguments = arguments.or(self.action.map(RawValue::get)).unwrap_or_default();
        Some(ToolUse {
            id: self.call_id.owned().or_else(|| self.id.owned()),
            name: self.name.given().unwrap_or(kind.trim_end_matches("_call")).to_owned(),
            arguments: arguments.to_owned(),
            site,
        })
    }
}

impl FrameDecoder for ResponsesDecoder {
    fn frame(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        let event: StreamEvent<'_> = document(json)?;
        let key = (0, event.output_index.0.unwrap_or_default());
        match event.kind.as_str() {
            "response.output_text.delta" => events.text(event.delta.as_str()),
            "response.refusal.delta" => {
                self.refused();
                events.text(event.delta.as_str());
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                events.reasoning(event.delta.as_str());
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.tools.append(key, event.delta.as_str());
            }
            "response.output_item.added" => {
                let item = event.item.0.unwrap_or_default();
                if let Some(tool_use) = item.tool_use() {
                    self.tools.begin(key, ToolUse { arguments: String::new(), ..tool_use }, events);
                }
            }
            "response.output_item.done" => {
                self.item_done(key, &event.item.0.unwrap_or_default(), events);
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => {
                self.head(&event.response.0.unwrap_or_default(), events);
            }
            // An error has its members in the event, or nested as other formats have.
            "error" => match &event.error.0 {
                Some(error) => error.report(events),
                None => events.provider_error(event.code.as_str(), event.message.as_str()),
            },
            _ => {
                if let Some(error) = &event.error.0 {
                    error.report(events);
                } else if let Some(head) = &event.response.0 {
                    self.begin(head, events);
                }
            }
        }
        Ok(())
    }

    fn whole(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        let head: Head<'_> = document(json)?;
        let has_failed = head.error.0.is_some() && head.status.given().is_none();
        if let Some(error) = head.error.0.as_ref().filter(|_| has_failed) {
            error.report(events);
            return Ok(());
        }
        self.begin(&head, events);
        let output: Output<'_> = document(json)?;
        for item in &output.output.0 {
            let is_reasoning = item.kind.as_str() == "reasoning";
            for part in item.summary.0.iter().chain(&item.content.0) {
                if is_reasoning {
                    events.reasoning(part.text.as_str());
                } else {
                    if part.refusal.given().is_some() {
                        self.refused();
                    }
                    events.text(part.text.as_str());
                    events.text(part.refusal.as_str());
                }
            }
            if let Some(tool_use) = item.tool_use() {
                self.used(tool_use.site);
                OpenTools::whole(tool_use, events);
            }
        }
        self.head(&head, events);
        Ok(())
    }

    fn finish(&mut self, _: &mut Events<'_>) {}
}

impl ResponsesDecoder {
    fn begin(&mut self, head: &Head<'_>, events: &mut Events<'_>) {
        if !self.has_begun {
            self.has_begun = true;
            events.push(WireEvent::Start { id: head.id.owned(), model: head.model.owned() });
        }
    }

    fn refused(&mut self) {
        self.completion.get_or_insert(EndReason::Refused);
    }

    /// Notes a tool use: for the result of a client's tool, the model waits.
    fn used(&mut self, site: ToolSite) {
        match site {
            ToolSite::Client => self.completion = Some(EndReason::ToolUse),
            ToolSite::Provider => {}
        }
    }

    fn item_done(&mut self, key: (u64, u64), item: &Item<'_>, events: &mut Events<'_>) {
        let Some(whole) = item.tool_use() else { return };
        self.used(whole.site);
        match self.tools.take(key) {
            // The pieces stand in where the item does not repeat them.
            Some(open) if whole.arguments.is_empty() => {
                let arguments =
                    if open.arguments.is_empty() { "{}".to_owned() } else { open.arguments };
                events.push(WireEvent::ToolUse(ToolUse { arguments, ..whole }));
            }
            Some(_) => events.push(WireEvent::ToolUse(whole)),
            None => OpenTools::whole(whole, events),
        }
    }

    /// Reports the end by the response's own account.
    fn head(&mut self, head: &Head<'_>, events: &mut Events<'_>) {
        self.begin(head, events);
        let tier = ServiceTier::of(head.service_tier.as_str());
        let usage = head.usage.0.as_ref().map(ChatUsage::usage);
        if let Some(usage) = usage.filter(|usage| !usage.is_unknown()) {
            events.push(WireEvent::Usage(WireUsage { tier, ..usage }));
        }
        let reason = head.incomplete_details.0.as_ref().map_or("", |it| it.reason.as_str());
        let end = match (head.status.as_str(), reason) {
            ("completed", _) => self.completion.take().unwrap_or(EndReason::Complete),
            ("incomplete", "max_output_tokens") => EndReason::Length,
            ("incomplete", "content_filter") => EndReason::Refused,
            ("incomplete", other) => EndReason::Other(other.to_owned()),
            ("failed", _) => {
                if let Some(error) = &head.error.0 {
                    error.report(events);
                }
                EndReason::Other("failed".to_owned())
            }
            // A response in the background is `queued` at first: its answer is fetched later.
            (other, _) => EndReason::Other(other.to_owned()),
        };
        events.push(WireEvent::End(end));
    }
}
