//! Canonical form of a request, and its digest.
//!
//! A request is known again by its path and by its body in canonical JSON, without members that
//! change although the request asks for the same. Those are data: a list for each format, which
//! the agent's file extends (`replay.ignore`).

use errand_model::{Digest, canonical};
use serde_json::{Map, Value};
use sha2::Digest as _;

use crate::format::{WireFormat, path};
use crate::pointer::{IgnorePointer, remove};
use crate::request::{MalformedRequest, parse};

/// A member that changes although the request asks for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolatileField {
    /// JSON pointer, in which a segment `*` stands for every member or item.
    pub pointer: &'static str,
    /// The member is volatile only if it is text, or an object with a `text`, that begins so.
    pub text_begins: Option<&'static str>,
}

const fn always(pointer: &'static str) -> VolatileField {
    VolatileField { pointer, text_begins: None }
}

const CHAT: &[VolatileField] = &[
    always("/metadata"),
    always("/prompt_cache_key"),
    always("/safety_identifier"),
    always("/stream_options"),
    always("/user"),
];

const RESPONSES: &[VolatileField] = &[
    always("/client_metadata"),
    always("/metadata"),
    always("/prompt_cache_key"),
    always("/safety_identifier"),
    always("/stream_options"),
    always("/user"),
];

const EMBEDDINGS: &[VolatileField] = &[always("/user")];

const MESSAGES: &[VolatileField] = &[
    always("/metadata"),
    // A block that a coding agent writes before its instructions, with a checksum of each request.
    VolatileField { pointer: "/system/*", text_begins: Some("x-anthropic-billing-header") },
];

const GEMINI: &[VolatileField] =
    &[always("/labels"), always("/sessionId"), always("/session_id"), always("/userPromptId")];

/// Returns the volatile members of a format's requests.
pub const fn volatile_fields(format: WireFormat) -> &'static [VolatileField] {
    match format {
        WireFormat::OpenaiChat => CHAT,
        WireFormat::OpenaiResponses => RESPONSES,
        WireFormat::OpenaiEmbeddings => EMBEDDINGS,
        WireFormat::AnthropicMessages | WireFormat::AnthropicCountTokens => MESSAGES,
        WireFormat::GeminiGenerate | WireFormat::GeminiCountTokens => GEMINI,
        WireFormat::Opaque => &[],
    }
}

/// A request without its volatile members, in canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalRequest {
    path: String,
    body: String,
}

impl CanonicalRequest {
    /// Makes the canonical form of a request, to show where two requests differ. The query of the
    /// target does not count: it may hold a key.
    ///
    /// # Errors
    ///
    /// [`MalformedRequest`] if the body is not a JSON object.
    pub fn of(
        format: WireFormat,
        target: &str,
        body: &[u8],
        ignore: &[IgnorePointer],
    ) -> Result<Self, MalformedRequest> {
        Ok(Self::of_members(format, target, parse(body)?, ignore))
    }

    pub(crate) fn of_members(
        format: WireFormat,
        target: &str,
        body: Map<String, Value>,
        ignore: &[IgnorePointer],
    ) -> Self {
        let mut body = Value::Object(body);
        for field in volatile_fields(format) {
            let segments: Vec<&str> = field.pointer.split('/').skip(1).collect();
            remove(&mut body, &segments, &|value| field.fits(value));
        }
        for pointer in ignore {
            pointer.remove_from(&mut body);
        }
        Self { path: path(target).to_owned(), body: canonical::to_string(&body) }
    }

    /// Path of the request.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Canonical JSON of the body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Digest of path and body.
    pub fn digest(&self) -> Digest {
        digest(&self.path, self.body.as_bytes())
    }

    /// Digest of a request whose body is compared as it is.
    pub(crate) fn opaque_digest(path: &str, body: &[u8]) -> Digest {
        digest(path, body)
    }
}

fn digest(path: &str, body: &[u8]) -> Digest {
    let mut hasher = sha2::Sha256::new();
    hasher.update(path);
    // No path holds a line feed, so that path and body cannot be mistaken for each other.
    hasher.update(b"\n");
    hasher.update(body);
    Digest::from_hash(&hasher.finalize().into())
}

impl VolatileField {
    fn fits(&self, value: &Value) -> bool {
        let Some(begin) = self.text_begins else { return true };
        let text = value.as_str().or_else(|| value.get("text")?.as_str());
        text.is_some_and(|text| text.trim_start().starts_with(begin))
    }
}
