//! Variables in which SDKs and coding agents look for their providers.

use errand_agent::tool_door;
use errand_api::agent_file::ProviderName;

use crate::provider::Provider;

/// Returns the variables with which the agent finds its tools.
pub(crate) fn of_tools(origin: &str, token: &str) -> [(&'static str, String); 2] {
    let url = format!("{origin}{}", tool_door::PATH);
    [(tool_door::URL_VARIABLE, url), (tool_door::TOKEN_VARIABLE, token.to_owned())]
}

/// Returns the variables of a provider: those that lead to the door, and the agent's key for it.
///
/// Only configured providers are announced: some agents choose their provider by the keys that they
/// find.
pub(crate) fn of(name: ProviderName, origin: &str, token: &str) -> Vec<(&'static str, String)> {
    let url = format!("{origin}{}", Provider::path(name));
    let token = || token.to_owned();
    match name {
        ProviderName::Openai => vec![
            ("OPENAI_BASE_URL", url.clone()),
            // LiteLLM and LlamaIndex read this one.
            ("OPENAI_API_BASE", url),
            ("OPENAI_API_KEY", token()),
            // `codex exec` reads its key from no other variable.
            ("CODEX_API_KEY", token()),
        ],
        ProviderName::Anthropic => vec![
            ("ANTHROPIC_BASE_URL", url),
            ("ANTHROPIC_API_KEY", token()),
            // Without it, Claude Code puts a checksum of each request into its instructions.
            ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0".to_owned()),
        ],
        ProviderName::Google => vec![
            ("GOOGLE_GEMINI_BASE_URL", url),
            ("GOOGLE_API_KEY", token()),
            ("GEMINI_API_KEY", token()),
        ],
    }
}
