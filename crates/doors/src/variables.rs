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
    let path = Provider::path(name);
    let url = format!("{origin}{path}");
    let token = || token.to_owned();
    match name {
        ProviderName::Openai => vec![
            ("OPENAI_BASE_URL", url.clone()),
            // LiteLLM and LlamaIndex read this one.
            ("OPENAI_API_BASE", url),
            ("OPENAI_API_KEY", token()),
            // Goose joins these two.
            ("OPENAI_HOST", origin.to_owned()),
            ("OPENAI_BASE_PATH", format!("{}/chat/completions", path.trim_start_matches('/'))),
            // `codex exec` reads its key from no other variable.
            ("CODEX_API_KEY", token()),
        ],
        ProviderName::Anthropic => vec![
            ("ANTHROPIC_BASE_URL", url.clone()),
            // Goose reads this one.
            ("ANTHROPIC_HOST", url),
            ("ANTHROPIC_API_KEY", token()),
            // Without it, Claude Code puts a checksum of each request into its instructions.
            ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0".to_owned()),
        ],
        ProviderName::Google => vec![
            ("GOOGLE_GEMINI_BASE_URL", url.clone()),
            // Goose reads this one.
            ("GOOGLE_HOST", url),
            ("GOOGLE_API_KEY", token()),
            ("GEMINI_API_KEY", token()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_parts_of_the_address_for_goose_are_that_of_other_agents() {
        let all = of(ProviderName::Openai, "http://127.0.0.1:7000", "token");
        let value = |name: &str| all.iter().find(|(it, _)| *it == name).unwrap().1.as_str();
        let joined = format!("{}/{}", value("OPENAI_HOST"), value("OPENAI_BASE_PATH"));
        assert_eq!(joined, format!("{}/chat/completions", value("OPENAI_BASE_URL")));
    }
}
