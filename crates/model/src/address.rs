//! Addresses of the internet, told from those of a machine, its neighbours and its cloud.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns true if an address is plainly public: neither private, nor of this machine, nor for another
/// special purpose.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Returns whether an address is neither in IANA's registry of special addresses nor multicast.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match (a, b, c) {
        // "This network", private, loopback.
        (0 | 10 | 127, ..) => true,
        // Carrier-grade NAT, and link-local with the clouds' metadata services.
        (100, 64..=127, _) | (169, 254, _) => true,
        (172, 16..=31, _) | (192, 168, _) => true,
        // Protocols, documentation, benchmarks, 6to4 relays.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) => true,
        (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224..=255, ..) => true,
        _ => false,
    };
    !is_special
}

/// Returns whether an address is global unicast, and neither for documentation nor with another
/// address embedded.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let is_global = a & 0xe000 == 0x2000;
    let is_special = match (a, b) {
        // Protocols and tunnels, among them Teredo; documentation.
        (0x2001, 0..=0x01ff | 0x0db8) => true,
        // 6to4, which embeds an IPv4 address.
        (0x2002, _) => true,
        (0x3fff, 0..=0x0fff) => true,
        _ => false,
    };
    is_global && !is_special
}
