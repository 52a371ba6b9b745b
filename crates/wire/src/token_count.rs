//! Counting of tokens: Anthropic's `count_tokens` and Gemini's `countTokens`.

use serde::Deserialize;

use crate::event::{EndReason, Events, WireEvent};
use crate::frame::FrameDecoder;
use crate::lenient::{Count, ErrorMember, document};
use crate::usage::WireUsage;

/// Decoder of counts.
#[derive(Debug, Default)]
pub(crate) struct TokenCountDecoder;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenCount<'a> {
    input_tokens: Count,
    #[serde(rename = "totalTokens")]
    total_tokens: Count,
    #[serde(borrow)]
    error: ErrorMember<'a>,
}

impl FrameDecoder for TokenCountDecoder {
    fn frame(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        self.whole(json, events)
    }

    fn whole(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error> {
        let count: TokenCount<'_> = document(json)?;
        if let Some(error) = &count.error.0 {
            error.report(events);
            return Ok(());
        }
        if let Some(input_tokens) = count.input_tokens.0.or(count.total_tokens.0) {
            events.push(WireEvent::Counted { input_tokens });
        }
        // Providers do not charge for counting.
        events.push(WireEvent::Usage(WireUsage::FREE));
        events.push(WireEvent::End(EndReason::Complete));
        Ok(())
    }

    fn finish(&mut self, _: &mut Events<'_>) {}
}
