//! Value of `--provider`.

use std::convert::Infallible;
use std::str::FromStr;

use errand_api::agent_file::{Provider, ProviderName};
use errand_api::error_code::ErrorCode;

use crate::failure::Failure;

/// Value of `--provider` as it was typed.
///
/// The text is read after the command line: a refusal of the command line prints the whole value, which may
/// have a key in it.
#[derive(Clone, Debug)]
pub(super) struct GivenProvider(String);

impl FromStr for GivenProvider {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl GivenProvider {
    /// Reads the value. No refusal repeats what stands in the place of the key's name.
    pub(super) fn read(&self) -> Result<(ProviderName, Provider), Failure> {
        let mut parts = self.0.split(',');
        let first = parts.next().unwrap_or_default();
        let (name, key) = first.split_once('=').unwrap_or((first, ""));
        let Some(name) = ProviderName::of(name) else {
            let known = ProviderName::ALL.map(ProviderName::as_str).join(", ");
            let message = format!("--provider: {name:?} is no provider: {known}");
            let hint =
                "a service that speaks the format of one of them goes by its name, with base_url";
            return Err(Failure::new(ErrorCode::Usage, message).hint(hint));
        };
        let wrong = |message: &str| {
            let message = format!("--provider {}: {message}", name.as_str());
            Failure::new(ErrorCode::Usage, message)
        };
        let mut provider = Provider { key: key.to_owned(), base_url: None };
        if !provider.key_is_a_name() {
            let variable = name.key_variable();
            return Err(wrong("the name of the key is missing, or is no name of a secret").hint(format!(
                "write the name of a variable or of a secret, in upper case, never the key itself: \
                 --provider {}={variable}",
                name.as_str()
            )));
        }
        for part in parts {
            match part.split_once('=') {
                Some(("base_url", url)) if is_http(url) => provider.base_url = Some(url.to_owned()),
                Some(("base_url", url)) => {
                    let hint = "an address begins with https:// or http://";
                    return Err(wrong(&format!("base_url {url:?} is no address")).hint(hint));
                }
                Some((other, _)) => {
                    return Err(wrong(&format!("{other:?} is not known: base_url")));
                }
                None => return Err(wrong(&format!("{part:?} is no NAME=VALUE"))),
            }
        }
        Ok((name, provider))
    }
}

fn is_http(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}
