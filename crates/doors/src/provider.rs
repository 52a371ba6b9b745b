//! Providers of a door: paths of the door, and addresses behind it.

use errand_agent::model_door::{ModelDoorError, ModelProvider};
use errand_api::agent_file::ProviderName;

use crate::token::ProviderKey;

/// A provider that a door leads to.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: ProviderName,
    pub(crate) key: ProviderKey,
    /// Address without a slash at its end.
    base_url: String,
}

/// Suffix that `OpenAI`'s SDKs expect at the end of their address.
const VERSION: &str = "/v1";

impl Provider {
    /// Checks address and key of a provider.
    pub(crate) fn new(given: &ModelProvider) -> Result<Self, ModelDoorError> {
        let ModelProvider { name, base_url, key } = given;
        let url = base_url.trim().trim_end_matches('/');
        if !(url.starts_with("https://") || url.starts_with("http://"))
            || reqwest::Url::parse(url).is_err()
        {
            return Err(ModelDoorError::BaseUrl { provider: *name, url: base_url.clone() });
        }
        let bytes = key.value.expose();
        let key =
            ProviderKey::of(bytes).ok_or_else(|| ModelDoorError::Key { name: key.name.clone() })?;
        Ok(Self { name: *name, key, base_url: url.to_owned() })
    }

    /// Path of the door that stands for the provider's address.
    pub(crate) const fn path(name: ProviderName) -> &'static str {
        match name {
            ProviderName::Openai => "/openai/v1",
            ProviderName::Anthropic => "/anthropic",
            ProviderName::Google => "/google",
        }
    }

    /// Returns the address of a request, by the part of its path after the provider's name.
    ///
    /// Clients of `OpenAI` have the version in their address, and some leave it out.
    pub(crate) fn url(&self, rest: &str, query: Option<&str>) -> String {
        let base = match (self.name, rest.strip_prefix(VERSION)) {
            (ProviderName::Openai, Some(rest)) if rest.is_empty() || rest.starts_with('/') => {
                return joined(&self.base_url, rest, query);
            }
            (ProviderName::Openai, Some(_) | None) => {
                self.base_url.strip_suffix(VERSION).unwrap_or(&self.base_url)
            }
            (ProviderName::Anthropic | ProviderName::Google, Some(_) | None) => &self.base_url,
        };
        joined(base, rest, query)
    }
}

fn joined(base: &str, rest: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{base}{rest}?{query}"),
        None => format!("{base}{rest}"),
    }
}

/// Returns the name of the provider that a path of the door begins with, and the rest of the path.
pub(crate) fn of_path(path: &str) -> Option<(ProviderName, &str)> {
    let inside = path.strip_prefix('/')?;
    let end = inside.find('/').unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    Some((ProviderName::of(name)?, rest))
}

#[cfg(test)]
mod tests {
    use errand_agent::secret::{FoundSecret, SecretValue};

    use super::*;

    fn provider(name: ProviderName, base_url: &str) -> Provider {
        let value = SecretValue::new(b"sk-test-key".to_vec()).unwrap();
        let key = FoundSecret { name: "KEY".to_owned(), value };
        Provider::new(&ModelProvider { name, base_url: base_url.to_owned(), key }).unwrap()
    }

    #[test]
    fn a_path_of_the_door_becomes_an_address_of_the_provider() {
        for (name, base, path, expect) in [
            (
                ProviderName::Openai,
                "https://api.openai.com/v1",
                "/openai/v1/chat/completions",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                ProviderName::Openai,
                "https://openrouter.ai/api/v1/",
                "/openai/v1/models",
                "https://openrouter.ai/api/v1/models",
            ),
            (
                ProviderName::Openai,
                "http://127.0.0.1:8000/v1",
                "/openai/responses",
                "http://127.0.0.1:8000/responses",
            ),
            (
                ProviderName::Anthropic,
                "https://api.anthropic.com",
                "/anthropic/v1/messages",
                "https://api.anthropic.com/v1/messages",
            ),
            (
                ProviderName::Google,
                "https://generativelanguage.googleapis.com",
                "/google/v1beta/models/g:generateContent",
                "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent",
            ),
        ] {
            let (found, rest) = of_path(path).unwrap();
            assert_eq!(found, name, "{path}");
            assert_eq!(provider(name, base).url(rest, None), expect, "{path}");
        }
        let openai = provider(ProviderName::Openai, "https://api.openai.com/v1");
        assert_eq!(openai.url("/v1/x", Some("a=b")), "https://api.openai.com/v1/x?a=b");
        assert_eq!(of_path("/mistral/v1/x"), None);
        assert_eq!(of_path(""), None);
    }
}
