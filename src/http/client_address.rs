//! The address of a client, resolved from the forwarding headers of trusted proxies.
//!
//! Headers are trusted only for the hops that trusted proxies appended. `X-Forwarded-For` and `Forwarded` grow to the
//! right, so the walk begins there and ends at the first address that is not a trusted proxy; anything to the left of
//! it could have been written by the client. An entry that is not an address ends the walk at the proxy that sent it.

use crate::net::address::is_in;
use hyper::header::{self, HeaderMap};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Returns the client of a request that came from `peer`.
pub(crate) fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    if !is_in(trusted, peer) {
        return peer;
    }
    // Proxies write one of the two. If both are there, the standardised `Forwarded` is used.
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

/// Returns whether a proxy forwarded the request.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

/// Returns the comma-separated entries of all lines of a header, in order.
fn hops<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    // A line that is not text counts as one entry, which is not an address.
    let lines = headers.get_all(name).into_iter().map(|line| line.to_str().unwrap_or("?"));
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Returns the node of an element of `Forwarded`, RFC 7239 section 4.
fn node(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, node) = pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    Some(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
}

/// Parses an address with or without a port. `unknown` and obfuscated identifiers are not addresses.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolved(peer: &str, lines: &[(&'static str, &str)], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        resolve(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    /// docs/threats.md, row 23: with too much trust a client can claim any address; with too little all clients of a
    /// proxy share one.
    #[test]
    fn right_most_untrusted_hop_is_the_client() {
        const XFF: &str = "x-forwarded-for";
        const FORWARDED: &str = "forwarded";
        let trusted = &["10.0.0.0/8", "fd00::/8"];
        for (peer, lines, client) in [
            // Headers of an untrusted peer are ignored.
            ("192.0.2.1", &[(XFF, "198.51.100.7")][..], "192.0.2.1"),
            ("192.0.2.1", &[(FORWARDED, "for=198.51.100.7")], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "198.51.100.7")], "198.51.100.7"),
            // Entries that the client wrote itself are on the left.
            ("10.0.0.1", &[(XFF, "1.1.1.1, 198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, 198.51.100.7, 10.0.0.2")], "198.51.100.7"),
            ("10.0.0.1", &[(XFF, "1.1.1.1"), (XFF, "198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(XFF, "198.51.100.7:4711")], "198.51.100.7"),
            ("10.0.0.1", &[(XFF, "[2001:db8::1]:4711")], "2001:db8::1"),
            ("10.0.0.1", &[(XFF, "2001:db8::1")], "2001:db8::1"),
            ("10.0.0.1", &[(XFF, "::ffff:198.51.100.7")], "198.51.100.7"),
            ("fd00::1", &[(XFF, "198.51.100.7")], "198.51.100.7"),
            // An entry that is not an address ends the walk.
            ("10.0.0.1", &[(XFF, "198.51.100.7, nonsense")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "198.51.100.7, nonsense, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(XFF, "198.51.100.7, ")], "10.0.0.1"),
            ("10.0.0.1", &[(FORWARDED, "for=198.51.100.7;proto=https;by=10.0.0.1")], "198.51.100.7"),
            ("10.0.0.1", &[(FORWARDED, "for=1.1.1.1, For=\"[2001:db8::1]:80\"")], "2001:db8::1"),
            ("10.0.0.1", &[(FORWARDED, "for=unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(FORWARDED, "for=_hidden, for=10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(FORWARDED, "proto=https")], "10.0.0.1"),
            // With both headers the standardised one counts.
            ("10.0.0.1", &[(XFF, "1.1.1.1"), (FORWARDED, "for=198.51.100.7")], "198.51.100.7"),
        ] {
            assert_eq!(resolved(peer, lines, trusted), client, "{peer} {lines:?}");
        }
    }

    proptest! {
        /// No header changes the address of an untrusted peer.
        #[test]
        fn untrusted_peer_never_changes_its_address(forwarded in "[ -~]{0,80}", list in "[0-9a-f:., \\[\\]]{0,80}") {
            let lines = [("forwarded", forwarded.as_str()), ("x-forwarded-for", list.as_str())];
            prop_assert_eq!(resolved("192.0.2.1", &lines, &["10.0.0.0/8"]), "192.0.2.1");
        }

        /// No header ends the process.
        #[test]
        fn no_header_panics(forwarded in "[ -~]{0,80}", list in "[ -~]{0,80}") {
            resolved("10.0.0.1", &[("forwarded", &forwarded)], &["10.0.0.0/8"]);
            resolved("10.0.0.1", &[("x-forwarded-for", &list)], &["10.0.0.0/8"]);
        }
    }
}
