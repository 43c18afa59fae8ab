//! Access: which pages may connect, which proxies are trusted, which clients are exempt, and who operates the hub.

use super::host::HostPattern;
use super::key::Key;
use super::origin::OriginPattern;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{Choice, List, Secrets};
use super::setting::text;
use super::value::choice;
use ipnet::IpNet;

section! {
    /// Who may connect, who is trusted, and who operates the hub.
    pub struct AccessConfig in "access" (Once) {
        /// Origins of web pages that may connect, besides this host itself. A page of another origin gets 403.
        ///
        /// Written as `https://example.com`, `https://example.com:8443`, or `https://*.example.com` for every
        /// subdomain; with the scheme of an app or an extension, as `capacitor://localhost`; or as `null`. Programs
        /// that are not browsers send no origin and may always connect.
        allowed_origins: Vec<OriginPattern> = List("origins"), Unset, NewConnections;

        /// Hosts that requests may name, as `chat.example.com`, `chat.example.com:8443` or `*.example.com`. A request
        /// for another host gets 421. Without a list every host is accepted.
        ///
        /// Health checks are answered under any name, and this machine under its own: localhost, 127.0.0.1 or ::1. On
        /// a loopback connection that no trusted proxy forwarded, only those names and this list count as this host,
        /// so that a page whose name was pointed at this machine (DNS rebinding) cannot connect.
        allowed_hosts: Vec<HostPattern> = List("hosts"), Unset, NewConnections;

        /// Addresses or networks of proxies whose --forwarded-header and PROXY protocol header are trusted.
        ///
        /// From any other address the first is ignored, and the second closes the connection.
        trusted_proxies: Vec<IpNet> = List("networks"), Unset, NewConnections;

        /// Header in which trusted proxies name the client. Every other one is ignored.
        ///
        /// HAProxy, nginx, Envoy, Traefik, AWS ALB and Cloudflare append to X-Forwarded-For, and pass on what a client
        /// writes into the others. `forwarded` is RFC 7239, for proxies that are configured to write it. `none` is for
        /// proxies that write neither: every client then has the address of its proxy, or that of a PROXY protocol
        /// header.
        forwarded_header: ForwardedHeader = Choice(ForwardedHeader::WORDS), text("x-forwarded-for"), NewConnections;

        /// Addresses or networks of clients that are exempt from limits per address and from all rate limits.
        ///
        /// Loopback is exempt so that a load test on the same machine measures the hub and not its limits. A loopback
        /// address that a proxy names is not exempt. List a proxy on this machine in --trusted-proxies, otherwise all
        /// its clients are exempt too.
        limits_exempt: Vec<IpNet> = List("networks"), text("127.0.0.0/8,::1/128"), NewConnections;

        /// Keys for the operator API (/admin/...), at least 16 characters each. Without a key there is no operator
        /// API.
        ///
        /// A request sends one of them as `X-API-Key: KEY` or `Authorization: Bearer KEY`. Several keys allow one to
        /// be replaced without downtime. Prefer a file or a variable: flags are visible in the list of processes.
        admin_keys: Vec<Key> = Secrets("keys"), Unset, AtOnce;

        /// Who may read /metrics at --addr: requests with one of --admin-keys, or everyone.
        ///
        /// A request that a proxy forwarded cannot be told from one of this machine, so being on this machine is not
        /// enough. With --internal-addr /metrics is served only there, and on loopback or a Unix socket without a key.
        metrics: MetricsAccess = Choice(MetricsAccess::WORDS), text("key"), AtOnce;
    }
}

choice! {
    /// Who may read the metrics at an address for clients.
    pub enum MetricsAccess {
        /// Requests with one of the operator's keys.
        Key = "key",
        /// Everyone.
        Public = "public",
    }
}

choice! {
    /// Header in which trusted proxies name the client.
    pub enum ForwardedHeader {
        /// A list of addresses, to which each proxy appends that of its peer.
        XForwardedFor = "x-forwarded-for",
        /// The same as RFC 7239 standardises it.
        Forwarded = "forwarded",
        /// No header names the client.
        None = "none",
    }
}
