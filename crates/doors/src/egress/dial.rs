//! Connections to hosts: the name is resolved once, and only addresses that were checked are used.

use std::net::{IpAddr, SocketAddr};

use errand_agent::agent_api::{ConnectionFailure, EgressPermit, EgressTarget};
use errand_model::address::is_public;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bounds;

/// A connection to a host.
pub(super) struct Dialled {
    pub(super) stream: TcpStream,
    pub(super) address: IpAddr,
}

/// Connects to a host.
pub(super) async fn dial(
    to: &EgressTarget,
    permit: &EgressPermit,
) -> Result<Dialled, ConnectionFailure> {
    let failed = ConnectionFailure::Unreachable;
    let EgressTarget { host, port, .. } = to;
    let found = timeout(bounds::CONNECT_TIME, tokio::net::lookup_host((host.as_str(), *port)));
    let found: Vec<SocketAddr> = match found.await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(failed(format!("{host} cannot be resolved: {error}"))),
        Err(_) => return Err(failed(format!("{host} was not resolved in time"))),
    };
    checked(host, &found, permit)?;
    let connected = timeout(bounds::CONNECT_TIME, TcpStream::connect(found.as_slice())).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(format!("{host}:{port} does not answer: {error}"))),
        Err(_) => return Err(failed(format!("{host}:{port} did not answer in time"))),
    };
    // Without it, small pieces come late; a broken connection ends anyway.
    drop(stream.set_nodelay(true));
    let address = stream.peer_addr().map_err(|error| failed(error.to_string()))?.ip();
    Ok(Dialled { stream, address: address.to_canonical() })
}

/// Refuses a host with an address that is not public, unless a rule names the address: a single one
/// is enough, since no public host has a private address as well.
fn checked(
    host: &str,
    found: &[SocketAddr],
    permit: &EgressPermit,
) -> Result<(), ConnectionFailure> {
    let refused = found.iter().map(|found| found.ip().to_canonical());
    let refused =
        refused.into_iter().find(|found| !is_public(*found) && !permit.named.contains(found));
    match refused {
        None => Ok(()),
        Some(address) => Err(ConnectionFailure::Denied(format!(
            "{host} has the address {address}, which is not a public one: no rule of egress \
                 names it"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_a_private_address_is_refused_unless_a_rule_names_the_address() {
        let found = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect()
        };
        let permit = |texts: &[&str]| EgressPermit {
            named: texts.iter().map(|it| it.parse().unwrap()).collect(),
        };
        let passes = |addresses: &[&str], named: &[&str]| {
            checked("h", &found(addresses), &permit(named)).is_ok()
        };
        assert!(passes(&["1.1.1.1", "2606:4700::1111"], &[]));
        assert!(!passes(&["169.254.169.254"], &[]));
        assert!(!passes(&["1.1.1.1", "10.0.0.1"], &[]), "one of several");
        assert!(!passes(&["::ffff:127.0.0.1"], &[]));
        assert!(passes(&["10.0.0.1"], &["10.0.0.1"]));
        assert!(passes(&["::ffff:10.0.0.1"], &["10.0.0.1"]));
        assert!(!passes(&["10.0.0.2"], &["10.0.0.1"]));
    }
}
