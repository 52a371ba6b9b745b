//! Wire format of a request, by its method and path.

use serde::{Deserialize, Serialize};

/// Format of a request to a model provider and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireFormat {
    /// `OpenAI` chat completions: `…/chat/completions`.
    OpenaiChat,
    /// `OpenAI` responses: `…/responses`.
    OpenaiResponses,
    /// `OpenAI` embeddings: `…/embeddings`.
    OpenaiEmbeddings,
    /// Anthropic messages: `…/messages`.
    AnthropicMessages,
    /// Anthropic token counting: `…/messages/count_tokens`.
    AnthropicCountTokens,
    /// Gemini generation, whole or streamed: `…/models/{model}:generateContent` and
    /// `:streamGenerateContent`.
    GeminiGenerate,
    /// Gemini token counting: `…/models/{model}:countTokens`.
    GeminiCountTokens,
    /// Any other request: passed on, recorded, never decoded.
    Opaque,
}

impl WireFormat {
    /// All formats.
    pub const ALL: [Self; 8] = [
        Self::OpenaiChat,
        Self::OpenaiResponses,
        Self::OpenaiEmbeddings,
        Self::AnthropicMessages,
        Self::AnthropicCountTokens,
        Self::GeminiGenerate,
        Self::GeminiCountTokens,
        Self::Opaque,
    ];

    /// Returns the format of a request by its method and its path, a query included or not.
    ///
    /// Only the end of the path counts, so that `/v1`, a deployment of Azure, or a project of
    /// Vertex may stand before it. A path that only looks alike, such as the messages of a thread,
    /// is [`WireFormat::Opaque`].
    pub fn of(method: &str, target: &str) -> Self {
        if !method.eq_ignore_ascii_case("POST") {
            return Self::Opaque;
        }
        let mut segments = segments(target);
        let last = segments.next().unwrap_or_default();
        let before = segments.next().unwrap_or_default();
        match (before, last) {
            ("chat", "completions") => Self::OpenaiChat,
            ("messages", "count_tokens") => Self::AnthropicCountTokens,
            // `/threads/{id}/messages` and `/conversations/{id}/…` are kept by the provider.
            (_, "messages") if segments.next() != Some("threads") => Self::AnthropicMessages,
            (_, "responses") if !matches!(before, "evals" | "runs") => Self::OpenaiResponses,
            (_, "embeddings") => Self::OpenaiEmbeddings,
            ("models" | "tunedModels" | "endpoints", named) => Self::of_gemini(named),
            _ => Self::Opaque,
        }
    }

    fn of_gemini(named: &str) -> Self {
        match gemini_parts(named) {
            Some((_, "generateContent" | "streamGenerateContent")) => Self::GeminiGenerate,
            Some((_, "countTokens")) => Self::GeminiCountTokens,
            Some(_) | None => Self::Opaque,
        }
    }

    /// The name of the format in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiResponses => "openai_responses",
            Self::OpenaiEmbeddings => "openai_embeddings",
            Self::AnthropicMessages => "anthropic_messages",
            Self::AnthropicCountTokens => "anthropic_count_tokens",
            Self::GeminiGenerate => "gemini_generate",
            Self::GeminiCountTokens => "gemini_count_tokens",
            Self::Opaque => "opaque",
        }
    }

    /// Returns true if a call of the format writes text, and so costs output tokens.
    pub const fn is_generation(self) -> bool {
        match self {
            Self::OpenaiChat
            | Self::OpenaiResponses
            | Self::AnthropicMessages
            | Self::GeminiGenerate => true,
            Self::OpenaiEmbeddings
            | Self::AnthropicCountTokens
            | Self::GeminiCountTokens
            | Self::Opaque => false,
        }
    }
}

/// Path of a request target, without its query.
pub(crate) fn path(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

/// Value of a member of the query, as written.
pub(crate) fn query<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = target.split_once('?')?;
    let mut members = query.split('&').filter_map(|member| member.split_once('='));
    members.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Segments of the path from its end, empty ones left out.
fn segments(target: &str) -> impl Iterator<Item = &str> {
    path(target).rsplit('/').filter(|segment| !segment.is_empty())
}

/// Model and verb of a last segment such as `gemini-3-pro:generateContent`. A colon may be
/// written `%3A`.
fn gemini_parts(segment: &str) -> Option<(&str, &str)> {
    let colon = segment.rsplit_once(':');
    colon.or_else(|| segment.rsplit_once("%3A")).or_else(|| segment.rsplit_once("%3a"))
}

/// Model and verb in the path of a request to Gemini.
pub(crate) fn gemini_target(target: &str) -> Option<(&str, &str)> {
    gemini_parts(segments(target).next()?)
}

/// Name of the deployment in a path of Azure: `/openai/deployments/{name}/chat/completions`.
pub(crate) fn deployment(target: &str) -> Option<&str> {
    let (_, rest) = path(target).split_once("/deployments/")?;
    rest.split('/').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_by_the_end_of_the_path() {
        for (target, format) in [
            ("/v1/chat/completions", WireFormat::OpenaiChat),
            ("/chat/completions", WireFormat::OpenaiChat),
            ("/v1//chat/completions/", WireFormat::OpenaiChat),
            (
                "/openai/deployments/gpt/chat/completions?api-version=2026-05-01",
                WireFormat::OpenaiChat,
            ),
            ("/v1/completions", WireFormat::Opaque),
            ("/v1/responses", WireFormat::OpenaiResponses),
            ("/responses", WireFormat::OpenaiResponses),
            ("/v1/responses/resp_1", WireFormat::Opaque),
            ("/v1/responses/compact", WireFormat::Opaque),
            ("/v1/embeddings", WireFormat::OpenaiEmbeddings),
            ("/v1/messages", WireFormat::AnthropicMessages),
            ("/messages?beta=true", WireFormat::AnthropicMessages),
            ("/anthropic/v1/messages/count_tokens", WireFormat::AnthropicCountTokens),
            ("/v1/messages/batches", WireFormat::Opaque),
            ("/v1/threads/thread_1/messages", WireFormat::Opaque),
            ("/v1beta/models/gemini-3-pro:generateContent", WireFormat::GeminiGenerate),
            ("/v1beta/models/g:streamGenerateContent?alt=sse", WireFormat::GeminiGenerate),
            ("/v1beta/models/g%3AcountTokens?key=k", WireFormat::GeminiCountTokens),
            (
                "/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
                WireFormat::GeminiGenerate,
            ),
            ("/v1beta/models/g:batchEmbedContents", WireFormat::Opaque),
            ("/v1/models", WireFormat::Opaque),
            ("/", WireFormat::Opaque),
            ("", WireFormat::Opaque),
        ] {
            assert_eq!(WireFormat::of("POST", target), format, "{target}");
        }
        assert_eq!(WireFormat::of("GET", "/v1/responses"), WireFormat::Opaque);
        assert_eq!(WireFormat::of("post", "/v1/responses"), WireFormat::OpenaiResponses);
    }

    #[test]
    fn names_of_formats_are_those_of_their_json() {
        for format in WireFormat::ALL {
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
    }
}
