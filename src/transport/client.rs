//! A client's address: who is behind the balancer, and who only says so.
//!
//! Headers are believed as far as trusted hands wrote them. `X-Forwarded-For` and `Forwarded` grow to the right, so the
//! walk begins there and ends at the first address that is not a trusted proxy; everything left of it is hearsay. A
//! word that is no address ends the walk at the proxy that passed it on.

use hyper::header::{self, HeaderMap};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What limits per address count by: an IPv4 address, or the /64 that one IPv6 customer has at least.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct AddressKey(u64);

/// Marks IPv4 addresses: no /64 that is routed begins like this.
const IPV4: u64 = 0xffff_ffff << 32;

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IPV4 | u64::from(address.to_bits())),
            IpAddr::V6(address) => Self(network(address)),
        }
    }
}

/// Returns the first 64 bits.
fn network(address: Ipv6Addr) -> u64 {
    u64::try_from(address.to_bits() >> 64).unwrap_or_default()
}

/// Returns whether one of the networks has the address.
pub(super) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Returns the client of a request that came from `peer`.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    if !is_in(trusted, peer) {
        return peer;
    }
    // A balancer writes one of them; `Forwarded` is the standard one and wins.
    let hops = if headers.contains_key(header::FORWARDED) {
        hops(headers, "forwarded").map(|hop| node(hop).and_then(parse)).collect::<Vec<_>>()
    } else {
        hops(headers, "x-forwarded-for").map(parse).collect()
    };
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Some(hop) = hop else { break };
        client = hop;
        if !is_in(trusted, hop) {
            break;
        }
    }
    client
}

/// Returns the comma-separated entries of all lines of a header, in order.
fn hops<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    // A line that is no text is one entry that is no address.
    let lines = headers.get_all(name).into_iter().map(|line| line.to_str().unwrap_or("?"));
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Returns the node of an element of `Forwarded`, RFC 7239 section 4.
fn node(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, node) = pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    Some(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
}

/// Reads an address, with or without a port; `unknown` and obfuscated names are none.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(peer: &str, lines: &[(&'static str, &str)], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    /// Threats row 23: who is believed wrongly can be anybody; who is not, is everybody behind the balancer.
    #[test]
    fn right_most_untrusted_hop_is_the_client() {
        const XFF: &str = "x-forwarded-for";
        const FORWARDED: &str = "forwarded";
        let trusted = &["10.0.0.0/8", "fd00::/8"];
        for (peer, lines, client) in [
            // Nobody speaks for an untrusted peer.
            ("192.0.2.1", &[(XFF, "198.51.100.7")][..], "192.0.2.1"),
            ("192.0.2.1", &[(FORWARDED, "for=198.51.100.7")], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "198.51.100.7")], "198.51.100.7"),
            // What the client wrote itself stands on the left.
            ("10.0.0.1", &[(XFF, "1.1.1.1, 198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, 198.51.100.7, 10.0.0.2")], "198.51.100.7"),
            ("10.0.0.1", &[(XFF, "1.1.1.1"), (XFF, "198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(XFF, "198.51.100.7:4711")], "198.51.100.7"),
            ("10.0.0.1", &[(XFF, "[2001:db8::1]:4711")], "2001:db8::1"),
            ("10.0.0.1", &[(XFF, "2001:db8::1")], "2001:db8::1"),
            ("10.0.0.1", &[(XFF, "::ffff:198.51.100.7")], "198.51.100.7"),
            ("fd00::1", &[(XFF, "198.51.100.7")], "198.51.100.7"),
            // A word that is no address ends the walk.
            ("10.0.0.1", &[(XFF, "198.51.100.7, nonsense")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "198.51.100.7, nonsense, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(XFF, "198.51.100.7, ")], "10.0.0.1"),
            ("10.0.0.1", &[(FORWARDED, "for=198.51.100.7;proto=https;by=10.0.0.1")], "198.51.100.7"),
            ("10.0.0.1", &[(FORWARDED, "for=1.1.1.1, For=\"[2001:db8::1]:80\"")], "2001:db8::1"),
            ("10.0.0.1", &[(FORWARDED, "for=unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(FORWARDED, "for=_hidden, for=10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(FORWARDED, "proto=https")], "10.0.0.1"),
            // Both: the standard one.
            ("10.0.0.1", &[(XFF, "1.1.1.1"), (FORWARDED, "for=198.51.100.7")], "198.51.100.7"),
        ] {
            assert_eq!(seen(peer, lines, trusted), client, "{peer} {lines:?}");
        }
    }

    /// One customer has a /64 at least, and can not be one address in the tables.
    #[test]
    fn ipv6_counts_by_its_64_and_ipv4_by_itself_however_it_is_written() {
        let key = |text: &str| AddressKey::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    proptest! {
        /// Whatever it says, an untrusted peer is who it is.
        #[test]
        fn untrusted_peer_never_changes_its_address(forwarded in "[ -~]{0,80}", list in "[0-9a-f:., \\[\\]]{0,80}") {
            let lines = [("forwarded", forwarded.as_str()), ("x-forwarded-for", list.as_str())];
            prop_assert_eq!(seen("192.0.2.1", &lines, &["10.0.0.0/8"]), "192.0.2.1");
        }

        /// Nothing that a header can hold ends the process.
        #[test]
        fn no_header_panics(forwarded in "[ -~]{0,80}", list in "[ -~]{0,80}") {
            seen("10.0.0.1", &[("forwarded", &forwarded)], &["10.0.0.0/8"]);
            seen("10.0.0.1", &[("x-forwarded-for", &list)], &["10.0.0.0/8"]);
        }
    }
}
