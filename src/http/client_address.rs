//! The address of a client, resolved from the forwarding header of trusted proxies.
//!
//! One header counts, and the operator chooses it: a proxy appends to the one that it knows, and passes on what a
//! client wrote into the others. Both `X-Forwarded-For` and `Forwarded` grow to the right, so the walk begins there and
//! ends at the first address that is not a trusted proxy; anything to the left of it could have been written by the
//! client. An entry that is not an address ends the walk at the proxy that sent it.

use crate::config::{AccessConfig, ForwardedHeader};
use crate::net::address::{ClientAddress, is_in};
use hyper::header::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// Returns the client of a request that came from `peer`.
pub(crate) fn resolve(peer: ClientAddress, headers: &HeaderMap, access: &AccessConfig) -> ClientAddress {
    let trusted = &access.trusted_proxies;
    if !is_in(trusted, peer.addr) {
        return peer;
    }
    let hops: Vec<_> = match access.forwarded_header {
        ForwardedHeader::XForwardedFor => hops(headers, "x-forwarded-for").map(parse).collect(),
        ForwardedHeader::Forwarded => hops(headers, "forwarded").map(|hop| node(hop).and_then(parse)).collect(),
        ForwardedHeader::None => Vec::new(),
    };
    let mut client = peer.addr;
    for hop in hops.into_iter().rev() {
        let Some(hop) = hop else { break };
        client = hop;
        if !is_in(trusted, hop) {
            break;
        }
    }
    ClientAddress { addr: client, is_forwarded: peer.is_forwarded || is_forwarded(headers) }
}

/// Returns whether a proxy forwarded the request.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via", "cf-connecting-ip"]
        .iter()
        .any(|name| headers.contains_key(*name))
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
    use crate::config::Config;
    use proptest::prelude::*;

    /// Resolves with this header chosen.
    fn resolved_by(header: ForwardedHeader, peer: &str, lines: &[(&'static str, &str)], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let access = AccessConfig { trusted_proxies, forwarded_header: header, ..Config::default().access };
        resolve(ClientAddress::of_peer(peer.parse().unwrap()), &headers, &access).addr.to_string()
    }

    /// Resolves with the header chosen that is there.
    fn resolved(peer: &str, lines: &[(&'static str, &str)], trusted: &[&str]) -> String {
        let is_standard = lines.iter().any(|(name, _)| *name == "forwarded");
        let header = if is_standard { ForwardedHeader::Forwarded } else { ForwardedHeader::XForwardedFor };
        resolved_by(header, peer, lines, trusted)
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
        ] {
            assert_eq!(resolved(peer, lines, trusted), client, "{peer} {lines:?}");
        }
    }

    /// What each proxy sends for a client at 198.51.100.7 that writes every header itself to be another client. It
    /// connects to the hub from 10.0.0.1.
    #[test]
    fn headers_as_haproxy_nginx_envoy_traefik_alb_and_cloudflare_send_them() {
        const XFF: &str = "x-forwarded-for";
        const CLIENT: &str = "198.51.100.7";
        const FORGED: &[(&str, &str)] = &[
            ("forwarded", "for=127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("cf-connecting-ip", "127.0.0.1"),
            ("true-client-ip", "127.0.0.1"),
            ("x-client-ip", "127.0.0.1"),
        ];
        let (private, edge) = ("10.0.0.0/8", "203.0.113.0/24");
        for (proxy, trusted, lines) in [
            // `option forwardfor` adds a line of its own after that of the client.
            ("HAProxy", &[private][..], &[(XFF, "127.0.0.1"), (XFF, CLIENT)][..]),
            // `$proxy_add_x_forwarded_for` appends to the client's line.
            ("nginx", &[private], &[(XFF, "127.0.0.1, 198.51.100.7"), ("x-real-ip", CLIENT)]),
            ("nginx, $remote_addr", &[private], &[(XFF, CLIENT)]),
            // `use_remote_address` appends, without a space.
            ("Envoy", &[private], &[(XFF, "127.0.0.1,198.51.100.7"), ("x-envoy-external-address", CLIENT)]),
            ("Envoy and a sidecar", &[private], &[(XFF, "127.0.0.1,198.51.100.7,10.4.4.4"), ("via", "1.1 envoy")]),
            // Replaces what a client wrote, unless told to trust it.
            ("Traefik", &[private], &[(XFF, CLIENT), ("x-real-ip", CLIENT), ("x-forwarded-server", "t")]),
            // Appends; with client ports preserved, the port too.
            ("AWS ALB", &[private], &[(XFF, "127.0.0.1, 198.51.100.7"), ("x-forwarded-port", "443")]),
            ("AWS ALB, ports", &[private], &[(XFF, "127.0.0.1, 198.51.100.7:4711")]),
            // Appends the client; the balancer behind it appends Cloudflare's edge.
            (
                "Cloudflare",
                &[private, edge],
                &[
                    (XFF, "127.0.0.1,198.51.100.7, 203.0.113.9"),
                    ("cf-connecting-ip", CLIENT),
                    ("cdn-loop", "cloudflare"),
                ],
            ),
            ("Cloudflare tunnel", &[private], &[(XFF, CLIENT), ("cf-connecting-ip", CLIENT)]),
        ] {
            let sent = [lines, FORGED].concat();
            assert_eq!(resolved_by(ForwardedHeader::XForwardedFor, "10.0.0.1", &sent, trusted), CLIENT, "{proxy}");
            // Not named in any header that counts: the proxy's own address, which has limits like any other.
            assert_eq!(resolved_by(ForwardedHeader::None, "10.0.0.1", &sent, trusted), "10.0.0.1", "{proxy}");
            // An untrusted proxy is its own client.
            assert_eq!(resolved_by(ForwardedHeader::XForwardedFor, "10.0.0.1", &sent, &[edge]), "10.0.0.1", "{proxy}");
        }
        // Envoy and HAProxy (`option forwarded`) can write RFC 7239; a forged X-Forwarded-For is ignored then.
        let standard = [(XFF, "127.0.0.1"), ("forwarded", "for=127.0.0.1, for=198.51.100.7;proto=https")];
        assert_eq!(resolved_by(ForwardedHeader::Forwarded, "10.0.0.1", &standard, &[private]), CLIENT);
    }

    /// Whatever the header says, and also when it says nothing: a proxy speaks for the client.
    #[test]
    fn client_of_a_trusted_proxy_is_never_this_machine() {
        let access =
            AccessConfig { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..Config::default().access };
        for lines in [
            &[("x-forwarded-for", "127.0.0.1")][..],
            &[("x-forwarded-for", "::1")],
            &[("x-forwarded-for", "unknown")],
            &[("x-forwarded-for", "")],
            &[("forwarded", "for=127.0.0.1")],
            &[("x-real-ip", "127.0.0.1")],
        ] {
            let headers = lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let client = resolve(ClientAddress::of_peer("127.0.0.1".parse().unwrap()), &headers, &access);
            assert!(client.is_forwarded && !client.is_loopback(), "{lines:?} {client:?}");
            assert!(!client.is_exempt(&access.limits_exempt), "{lines:?}");
        }
        let own = resolve(ClientAddress::of_peer("127.0.0.1".parse().unwrap()), &HeaderMap::new(), &access);
        assert!(own.is_loopback() && own.is_exempt(&access.limits_exempt), "a load test on this machine");
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
