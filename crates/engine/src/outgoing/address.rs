//! Addresses that reports may be sent to.
//!
//! Every address that is not plainly public is refused: a server must not be made to call its own
//! machine, its neighbours or its cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use errand_model::address::is_public;
use thiserror::Error;

/// Addresses allowed beyond public ones.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// Networks and hosts, from `--allow-callback`.
    pub rules: Vec<AddressRule>,
    /// True if this machine's loopback is allowed: an open server on loopback, for development.
    pub loopback: bool,
}

/// A network, or a host by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressRule {
    /// All addresses of a network.
    Network {
        /// First address of the network.
        address: IpAddr,
        /// Number of leading bits that identify the network.
        prefix: u8,
    },
    /// All addresses of a host name; lower case, without a final dot.
    Host(String),
}

/// Error: a text is no address rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is neither a network such as 10.0.0.0/8 or fd00::/8, nor the name of a host")]
pub struct MalformedAddressRule {
    /// Text that was given.
    pub text: String,
}

impl FromStr for AddressRule {
    type Err = MalformedAddressRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MalformedAddressRule { text: text.to_owned() };
        if let Some((address, prefix)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| malformed())?;
            let prefix: u8 = prefix.parse().map_err(|_| malformed())?;
            let bits = if address.is_ipv4() { 32 } else { 128 };
            return if prefix <= bits {
                Ok(Self::Network { address, prefix })
            } else {
                Err(malformed())
            };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            let prefix = if address.is_ipv4() { 32 } else { 128 };
            return Ok(Self::Network { address, prefix });
        }
        let host = plain(text);
        let is_host = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if is_host { Ok(Self::Host(host)) } else { Err(malformed()) }
    }
}

impl Addresses {
    /// All addresses: for a process that acts for its caller alone.
    pub fn everything() -> Self {
        let all = |address: IpAddr| AddressRule::Network { address, prefix: 0 };
        let rules = vec![all(Ipv4Addr::UNSPECIFIED.into()), all(Ipv6Addr::UNSPECIFIED.into())];
        Self { rules, loopback: true }
    }

    /// Returns true if reports may go to a host of that name, at any address.
    pub fn allows_host(&self, host: &str) -> bool {
        let host = plain(host);
        self.rules.iter().any(|rule| *rule == AddressRule::Host(host.clone()))
    }

    /// Returns true if reports may go to that address.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address)
            || (self.loopback && address.is_loopback())
            || self.rules.iter().any(|rule| rule.holds(address))
    }
}

impl AddressRule {
    fn holds(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Network { address: IpAddr::V4(network), prefix }, IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (Self::Network { address: IpAddr::V6(network), prefix }, IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (Self::Network { .. } | Self::Host(_), _) => false,
        }
    }
}

/// Returns a host name in lower case, without the final dot of a full name.
pub(super) fn plain(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_that_are_not_public_are_refused() {
        let strict = Addresses::default();
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
            "3fff::1",
        ] {
            assert!(!strict.allows(ip(text)), "{text}");
        }
        for text in ["1.1.1.1", "172.32.0.1", "192.0.3.1", "100.128.0.1", "2606:4700::1111"] {
            assert!(strict.allows(ip(text)), "{text}");
        }
    }

    #[test]
    fn an_operator_allows_networks_and_hosts() {
        let rules = ["10.2.0.0/16", "fd00::/8", "192.168.7.7", "Hooks.Internal."];
        let rules = rules.map(|rule| rule.parse().unwrap()).to_vec();
        let some = Addresses { rules, loopback: false };
        for text in ["10.2.255.1", "::ffff:10.2.0.1", "fd12::1", "192.168.7.7"] {
            assert!(some.allows(ip(text)), "{text}");
        }
        for text in ["10.3.0.1", "127.0.0.1", "192.168.7.8", "fe80::1"] {
            assert!(!some.allows(ip(text)), "{text}");
        }
        assert!(some.allows_host("hooks.internal") && !some.allows_host("internal"));
        for text in ["", "10.0.0.0/33", "::/129", "a b", "x/8", "http://x"] {
            assert!(text.parse::<AddressRule>().is_err(), "{text}");
        }
        let all = Addresses { rules: vec!["0.0.0.0/0".parse().unwrap()], loopback: false };
        assert!(all.allows(ip("127.0.0.1")) && !all.allows(ip("::1")));
    }

    #[test]
    fn an_open_server_allows_loopback_and_no_other_private_address() {
        let open = Addresses { rules: Vec::new(), loopback: true };
        assert!(open.allows(ip("127.0.0.1")) && open.allows(ip("::1")));
        assert!(open.allows(ip("::ffff:127.0.0.1")) && !open.allows(ip("10.0.0.1")));
    }
}
