//! Address at which Pods reach errand.

use std::io;
use std::net::{IpAddr, SocketAddr};

use errand_agent::target::TargetStartError;
use errand_model::error_code::ErrorCode;
use tokio::net::{TcpListener, lookup_host};

/// Address that the caller named: `tcp://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentApiAddress {
    host: String,
    /// 0: any free port.
    port: u16,
}

impl AgentApiAddress {
    /// Parses an address.
    ///
    /// # Errors
    ///
    /// `cluster_unconfigured`.
    pub(crate) fn parse(text: &str) -> Result<Self, TargetStartError> {
        let malformed = || {
            refused(format!(
                "the address {text:?} of the agent API is none: write tcp://ADDRESS or \
                 tcp://ADDRESS:PORT, such as tcp://10.0.0.5:7071"
            ))
        };
        let rest = text.strip_prefix("tcp://").ok_or_else(malformed)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            // An IPv6 address without a port ends with `]`.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse::<u16>().map_err(|_| malformed())?)
            }
            Some(_) | None => (rest, 0),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
            return Err(malformed());
        }
        Ok(Self { host: host.to_owned(), port })
    }

    /// Listens. Returns the socket, and the address that Pods connect to.
    ///
    /// # Errors
    ///
    /// `cluster_unconfigured`, if the host has no address or the port is taken.
    pub(crate) async fn listen(&self) -> Result<(TcpListener, SocketAddr), TargetStartError> {
        let host: IpAddr = match self.host.parse() {
            Ok(address) => address,
            Err(_) => self.resolve().await?,
        };
        let any: IpAddr = if host.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        // An address of another machine, such as one that is translated, leads here all the same.
        let bound = match TcpListener::bind((host, self.port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                TcpListener::bind((any, self.port)).await
            }
            bound => bound,
        };
        let bound = bound.map_err(|error| {
            refused(format!(
                "errand cannot listen at port {} for its Pods: {error}; without a port in \
                 --agent-api, any free one is used",
                self.port
            ))
        })?;
        let port = bound.local_addr()?.port();
        Ok((bound, SocketAddr::new(host, port)))
    }

    async fn resolve(&self) -> Result<IpAddr, TargetStartError> {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let first = found.ok().and_then(|mut found| found.next());
        first.map(|address| address.ip()).ok_or_else(|| {
            refused(format!("the name {:?} of --agent-api has no address", self.host))
        })
    }
}

fn refused(message: String) -> TargetStartError {
    TargetStartError::Refused { code: ErrorCode::ClusterUnconfigured, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_addresses_are_addresses() {
        let parsed = |text: &str| AgentApiAddress::parse(text).ok().map(|it| (it.host, it.port));
        assert_eq!(parsed("tcp://10.0.0.5:7071"), Some(("10.0.0.5".to_owned(), 7071)));
        assert_eq!(parsed("tcp://host.example/"), Some(("host.example".to_owned(), 0)));
        assert_eq!(parsed("tcp://[::1]:9"), Some(("::1".to_owned(), 9)));
        assert_eq!(parsed("tcp://[::1]"), Some(("::1".to_owned(), 0)));
        for text in ["", "tcp://", "http://a:1", "tcp://a:b", "tcp://a:70000", "tcp://a/b", "a:1"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn a_free_port_is_found_and_an_address_of_another_machine_leads_here() {
        for host in ["127.0.0.1", "192.0.2.1", "localhost"] {
            let address = AgentApiAddress::parse(&format!("tcp://{host}")).unwrap();
            let (socket, reached) = address.listen().await.unwrap();
            assert_eq!(socket.local_addr().unwrap().port(), reached.port());
        }
    }
}
