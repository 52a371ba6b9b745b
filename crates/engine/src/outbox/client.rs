//! HTTP client of receivers, which connects to allowed addresses only.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use super::sign::{Signing, SigningSecret};
use crate::outgoing::{Addresses, CallbackUrl, Names, Refused, chain, http_client};

/// Longest time for one try, from resolving the name to the end of the response that is read.
pub(super) const TRY_LIMIT: Duration = Duration::from_secs(15);
/// Most bytes of a response that are kept.
const EXCERPT_BYTES: usize = 1_024;
/// Most bytes of a response that are read: secrets are masked before it is cut.
const READ_BYTES: usize = 4 * EXCERPT_BYTES;
/// Replacement of a secret.
const MASK: &str = "[redacted]";

/// Calls receivers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    addresses: Arc<Addresses>,
}

/// A request to be sent.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) timestamp: i64,
    pub(super) body: Vec<u8>,
    /// Bearer token that the receiver asks for.
    pub(super) bearer: Option<String>,
    pub(super) secret: SigningSecret,
}

/// Result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The receiver answered.
    Status { status: u16, retry_after: Option<Duration>, excerpt: String },
    /// The address is not allowed.
    Refused(Refused),
    /// The receiver could not be reached, or did not answer.
    Failed(String),
}

impl Client {
    pub(super) fn new(addresses: Arc<Addresses>, names: Arc<dyn Names>) -> Result<Self, String> {
        let http = http_client(Arc::clone(&addresses), names)?;
        Ok(Self { http, addresses })
    }

    pub(super) async fn send(&self, url: &CallbackUrl, message: &Message) -> Answer {
        // An address literal in the URL is never resolved.
        if let Err(refused) = url.check(&self.addresses) {
            return Answer::Refused(refused);
        }
        let (id, timestamp) = (message.id.as_str(), message.timestamp);
        let signature = message.secret.sign(Signing { id, timestamp, body: &message.body });
        let request = self
            .http
            .post(url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", &signature)
            .timeout(TRY_LIMIT)
            .body(message.body.clone());
        let request = match &message.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        let (status, retry_after) =
            (response.status().as_u16(), retry_after(response.headers(), timestamp));
        let mut bytes = Vec::new();
        while bytes.len() < READ_BYTES {
            // A broken body does not matter: the status is known already.
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        let secret = message.secret.expose();
        let secrets = [Some(secret.as_str()), Some(&signature), message.bearer.as_deref()];
        let secrets: Vec<&str> = secrets.into_iter().flatten().collect();
        let excerpt = excerpt(&bytes, &secrets);
        Answer::Status { status, retry_after, excerpt }
    }
}

/// Masks first and cuts then, so that no part of a secret is left at the end.
fn excerpt(bytes: &[u8], secrets: &[&str]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    for secret in secrets {
        text = text.replace(secret, MASK);
        for bare in secret.split([',', '_']).filter(|part| part.len() > 16) {
            text = text.replace(bare, MASK);
        }
    }
    let clean = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c });
    let mut kept = String::new();
    for character in clean {
        if kept.len() + character.len_utf8() > EXCERPT_BYTES {
            break;
        }
        kept.push(character);
    }
    kept
}

/// Parses `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap, now_seconds: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?.timestamp();
    u64::try_from(at.saturating_sub(now_seconds)).ok().map(Duration::from_secs)
}

fn failed(error: &reqwest::Error) -> Answer {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Answer::Refused(refused.clone());
        }
        cause = error.source();
    }
    if error.is_timeout() {
        return Answer::Failed(format!("no answer within {} s", TRY_LIMIT.as_secs()));
    }
    Answer::Failed(chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let check = |text: &str, expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, 1_445_412_400), expected.map(Duration::from_secs));
        };
        check("120", Some(120));
        check("Wed, 21 Oct 2015 07:28:00 GMT", Some(80));
        check("Tue, 20 Oct 2015 07:28:00 GMT", None);
        check("soon", None);
        check("-5", None);
    }

    #[test]
    fn an_excerpt_is_short_and_has_no_secret_in_it() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let text = format!("{}{secret}\u{7}", "é".repeat(500));
        let kept = excerpt(text.as_bytes(), &[secret]);
        assert!(kept.len() <= EXCERPT_BYTES && kept.contains("[redacted]"), "{kept}");
        assert!(!kept.contains("MfKQ9"), "{kept}");
        assert!(excerpt(&[0xff; 4_000], &[]).len() <= EXCERPT_BYTES);
        let bare = excerpt(b"got MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &[secret]);
        assert_eq!(bare, "got [redacted]");
    }
}
