//! HTTP client of receivers, which connects to allowed addresses only.
//!
//! The connection itself resolves names, and the addresses are checked there: a name that resolves
//! to another address a moment later cannot bypass the check.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use super::sign::{Signing, SigningSecret};
use super::{Addresses, CallbackUrl, Refused};

/// Longest time for one try, from resolving the name to the end of the response that is read.
pub(super) const TRY_LIMIT: Duration = Duration::from_secs(15);
/// Longest time for connecting, as a part of [`TRY_LIMIT`].
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time for which an idle connection is kept for the next report.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of a response that are kept.
const EXCERPT_BYTES: usize = 1_024;
/// Most bytes of a response that are read: secrets are masked before it is cut.
const READ_BYTES: usize = 4 * EXCERPT_BYTES;
/// Replacement of a secret.
const MASK: &str = "[redacted]";

/// Resolver of host names: a seam for tests.
#[async_trait]
pub trait Names: fmt::Debug + Send + Sync {
    /// Returns the addresses of a host.
    ///
    /// # Errors
    ///
    /// If the name cannot be resolved.
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

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
        // Fails if a provider is installed already, which is the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let guarded = Guarded { addresses: Arc::clone(&addresses), names };
        let http = reqwest::Client::builder()
            .dns_resolver(Arc::new(guarded))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(TRY_LIMIT)
            .connect_timeout(CONNECT_LIMIT)
            .pool_idle_timeout(IDLE_LIMIT)
            .user_agent(concat!("errand/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| chain(&error))?;
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

/// Returns an error's causes in a line, without the URL: its query may hold credentials.
fn chain(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        parts.push(error.to_string());
        cause = error.source();
    }
    parts.dedup();
    if parts.is_empty() { "the request failed".to_owned() } else { parts.join(": ") }
}

/// A resolver that refuses hosts with an address that is not allowed.
struct Guarded {
    addresses: Arc<Addresses>,
    names: Arc<dyn Names>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (addresses, names) = (Arc::clone(&self.addresses), Arc::clone(&self.names));
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = names.look_up(&host).await?;
            if !addresses.allows_host(&host) {
                // A single refused address is enough: no public host has a private address as well.
                let refused = found.iter().copied().find(|address| !addresses.allows(*address));
                if let Some(address) = refused {
                    return Err(Refused::Address { host, address }.into());
                }
            }
            let sockets = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as Addrs)
        })
    }
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
