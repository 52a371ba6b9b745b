//! Description of a request of any format.

use errand_model::Digest;
use serde_json::{Map, Value};

use crate::calls::WireCall;
use crate::canonical::CanonicalRequest;
use crate::format::{WireFormat, path};
use crate::pointer::IgnorePointer;
use crate::request::{MalformedRequest, parse};
use crate::{chat, embeddings, estimate, gemini, messages, responses};

impl WireCall {
    /// Describes a request by its path, a query included or not, and its body.
    ///
    /// `ignore` adds to the volatile members of the format, which the digest leaves out. The body
    /// of an opaque request is not read but for its digest.
    ///
    /// # Errors
    ///
    /// [`MalformedRequest`] if the body of a known format is not a JSON object.
    pub fn of(
        format: WireFormat,
        target: &str,
        body: &[u8],
        ignore: &[IgnorePointer],
    ) -> Result<Self, MalformedRequest> {
        if format == WireFormat::Opaque {
            let digest = CanonicalRequest::opaque_digest(path(target), body);
            return Ok(Self::new(format, digest));
        }
        let body = parse(body)?;
        let mut call = Self::new(format, Digest::of(b""));
        call.input_tokens_estimate = estimate::input_tokens(&body);
        call.read(target, &body);
        call.digest = CanonicalRequest::of_members(format, target, body, ignore).digest();
        Ok(call)
    }

    fn read(&mut self, target: &str, body: &Map<String, Value>) {
        match self.format {
            WireFormat::OpenaiChat => chat::describe(target, body, self),
            WireFormat::OpenaiResponses => responses::describe(body, self),
            WireFormat::OpenaiEmbeddings => embeddings::describe(body, self),
            WireFormat::AnthropicMessages => messages::describe(body, self),
            WireFormat::AnthropicCountTokens => {
                messages::describe(body, self);
                self.is_stream = false;
                self.max_output_tokens = Some(0);
            }
            WireFormat::GeminiGenerate => gemini::describe(target, body, self),
            WireFormat::GeminiCountTokens => {
                // The request to count may be wrapped.
                let inner = body.get("generateContentRequest").and_then(Value::as_object);
                gemini::describe(target, inner.unwrap_or(body), self);
                self.max_output_tokens = Some(0);
            }
            WireFormat::Opaque => {}
        }
    }
}
