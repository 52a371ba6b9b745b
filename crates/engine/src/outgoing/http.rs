//! HTTP client that connects to allowed addresses only.
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

use super::address::Addresses;
use super::url::Refused;

/// Longest time for connecting.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time for which an idle connection is kept for the next request.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

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

/// Returns a client that follows no redirects and connects to allowed addresses only. An address
/// literal in a URL is not resolved: [`super::CallbackUrl::check`] is for those.
///
/// # Errors
///
/// The reason why there is no client on this machine.
pub(crate) fn http_client(
    addresses: Arc<Addresses>,
    names: Arc<dyn Names>,
) -> Result<reqwest::Client, String> {
    // Fails if a provider is installed already, which is the same one.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .dns_resolver(Arc::new(Guarded { addresses, names }))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(IDLE_LIMIT)
        .user_agent(concat!("errand/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| chain(&error))
}

/// Returns an error's causes in a line, without the URL: its query may hold credentials.
pub(crate) fn chain(error: &reqwest::Error) -> String {
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
