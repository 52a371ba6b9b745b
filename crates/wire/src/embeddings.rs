//! `OpenAI` embeddings.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::calls::WireCall;
use crate::chat::ChatUsage;
use crate::event::{EndReason, Events, WireEvent};
use crate::frame::FrameDecoder;
use crate::lenient::{ErrorMember, Object, Text, document};
use crate::usage::WireUsage;

/// Decoder of embeddings, which are never streamed.
#[derive(Debug, Default)]
pub(crate) struct EmbeddingsDecoder;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Embeddings<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    usage: Object<ChatUsage<'a>>,
    #[serde(borrow)]
    error: ErrorMember<'a>,
}

impl FrameDecoder for EmbeddingsDecoder {
    fn frame(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        self.whole(json, events)
    }

    fn whole(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        let answer: Embeddings<'_> = document(json)?;
        if let Some(error) = &answer.error.0 {
            error.report(events);
            return Ok(());
        }
        events.push(WireEvent::Start { id: answer.id.owned(), model: answer.model.owned() });
        let usage = answer.usage.0.map(|usage| usage.usage());
        if let Some(usage) = usage.filter(|usage| !usage.is_unknown()) {
            // The format has no output, so that its count is known.
            events.push(WireEvent::Usage(WireUsage { output: Some(0), ..usage }));
        }
        events.push(WireEvent::End(EndReason::Complete));
        Ok(())
    }

    fn finish(&mut self, _: &mut Events<'_>) {}
}

/// Reads the members of a request.
pub(crate) fn describe(body: &Map<String, Value>, call: &mut WireCall) {
    call.model = body.get("model").and_then(Value::as_str).map(str::to_owned);
    call.max_output_tokens = Some(0);
}
