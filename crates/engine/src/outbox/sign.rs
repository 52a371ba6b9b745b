//! Signatures of Standard Webhooks: `v1,` and the base64 of HMAC-SHA256(secret,
//! `id.timestamp.body`).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Error;
use crate::error::NoRandomness;

/// Prefix of a secret, which people and scanners recognise.
const PREFIX: &str = "whsec_";
/// Random bytes of a new secret.
const RANDOM_BYTES: usize = 32;
/// Shortest key, as Standard Webhooks require.
const MIN_BYTES: usize = 24;
/// Longest key, as Standard Webhooks require.
const MAX_BYTES: usize = 64;

/// A signing key. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret(hidden)")
    }
}

/// Signed parts of a message.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`, in seconds since the epoch.
    pub timestamp: i64,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

impl SigningSecret {
    /// Returns a new random secret.
    ///
    /// # Errors
    ///
    /// If the system has no randomness to give.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = vec![0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| NoRandomness { reason: error.to_string() })?;
        Ok(Self(bytes))
    }

    /// Parses `whsec_<base64>` of 24 to 64 bytes; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (MIN_BYTES..=MAX_BYTES).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Returns `whsec_<base64>`, to be shown once and to be sealed.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0))
    }

    /// Returns the signature of a message.
    pub fn sign(&self, signing: Signing<'_>) -> String {
        format!("v1,{}", BASE64_STANDARD.encode(mac(&self.0, signing)))
    }
}

/// Returns the HMAC-SHA256 over the parts that Standard Webhooks sign.
pub(crate) fn mac(key: &[u8], signing: Signing<'_>) -> [u8; 32] {
    let timestamp = signing.timestamp.to_string();
    hmac_sha256(key, &[signing.id.as_bytes(), b".", timestamp.as_bytes(), b".", signing.body])
}

/// Returns the HMAC-SHA256 over concatenated parts.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_webhooks_example_has_its_published_signature() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signing = Signing {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: 1_614_265_330,
            body: br#"{"test": 2432232314}"#,
        };
        assert_eq!(secret.sign(signing), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_parsed_from_its_text_and_hidden_by_debug() {
        let secret = SigningSecret::generate().unwrap();
        assert_eq!(SigningSecret::parse(&secret.expose()), Some(secret.clone()));
        assert_eq!(format!("{secret:?}"), "SigningSecret(hidden)");
        for text in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(SigningSecret::parse(text).is_none(), "{text}");
        }
    }
}
