//! The announcement: one line on standard output once the hub accepts connections, and a line of the log per address.

use crate::config::{ClientGroup, Config, EngineKind, HookName, NamespaceOptions, SubscriberGroup};
use crate::server::{BoundAddress, BoundSocket, Server};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Prints the line that people, and scripts that gave port 0, wait for: what listens where, and who can reach it.
pub(super) fn announce(server: &Server, config: &Config) -> std::io::Result<()> {
    let addresses = server.bound_addresses();
    for address in &addresses {
        let peers = if address.is_internal { "operators" } else { "clients" };
        tracing::info!("listening on {address} for {peers} {}", reach(address));
    }
    let is_public = addresses.iter().any(|address| !address.is_internal && is_reached_by_others(address));
    // Otherwise an issuer, or the application, has let in every client.
    let is_without_login = !config.tokens.token_required && !config.has_hook(HookName::Connect);
    if let Some(text) = openness(&config.default_namespace).filter(|_| is_public && is_without_login) {
        tracing::info!("{text}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let (shards, connections) = (config.shards(), config.limits.connections_max);
    let plural = if shards == 1 { "" } else { "s" };
    let state = match config.cluster.engine {
        EngineKind::Memory => "is ready",
        // Its streams are yet to be found.
        EngineKind::Nats => "listens, and /health/ready says when its cluster is ready",
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "throng {version} {state}: {} ({shards} shard{plural}, up to {connections} connections)",
        places(&addresses)
    )?;
    out.flush()
}

/// Returns every address and who can reach it, that of a browser first.
fn places(addresses: &[BoundAddress]) -> String {
    let place = |address: &BoundAddress| match &address.socket {
        BoundSocket::Tcp { addr, .. } if addr.ip().is_unspecified() && !address.has_proxy_protocol => {
            format!("{} here, port {} {}", location(address), addr.port(), reach(address))
        }
        _ => format!("{} {}", location(address), reach(address)),
    };
    let (internal, mut clients): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_internal);
    // A person opens the first one.
    clients.sort_by_key(|address| !is_for_browsers(address));
    let verb = if clients.first().is_some_and(|first| is_for_browsers(first)) { "open" } else { "connect to" };
    let list = |addresses: Vec<&BoundAddress>| addresses.into_iter().map(place).collect::<Vec<_>>().join(", ");
    let operators = if internal.is_empty() { String::new() } else { format!("; for operators {}", list(internal)) };
    format!("{verb} {}{operators}", list(clients))
}

fn is_for_browsers(address: &BoundAddress) -> bool {
    matches!(address.socket, BoundSocket::Tcp { .. }) && !address.has_proxy_protocol
}

/// Returns the URL of an address as this machine reaches it, or the address itself where there is none.
fn location(address: &BoundAddress) -> String {
    match &address.socket {
        BoundSocket::Unix(_) => address.to_string(),
        BoundSocket::Tcp { .. } if address.has_proxy_protocol => address.to_string(),
        BoundSocket::Tcp { addr, is_dual_stack } => {
            let scheme = if address.is_encrypted { "https" } else { "http" };
            format!("{scheme}://{}/", authority(*addr, *is_dual_stack))
        }
    }
}

/// Returns host and port for a URL.
fn authority(addr: SocketAddr, is_dual_stack: bool) -> String {
    let port = addr.port();
    match addr.ip() {
        ip if !ip.is_unspecified() => addr.to_string(),
        // The name may stand for either family, so it is right only if both are served.
        _ if is_dual_stack => format!("localhost:{port}"),
        IpAddr::V4(_) => format!("127.0.0.1:{port}"),
        IpAddr::V6(_) => format!("[::1]:{port}"),
    }
}

/// Says what everyone who reaches the hub may do in channels without a namespace; `None` for nothing.
fn openness(options: &NamespaceOptions) -> Option<String> {
    let may_subscribe = options.allow_subscribe == SubscriberGroup::Everyone;
    // Only subscribers can publish on /ws.
    let may_publish = match options.allow_publish {
        ClientGroup::Everyone => true,
        ClientGroup::Subscribers => may_subscribe,
        ClientGroup::Authenticated | ClientGroup::Nobody | ClientGroup::Hook => false,
    };
    let (verbs, settings) = match (may_subscribe, may_publish) {
        (true, true) => ("read and write", "--allow-subscribe and --allow-publish restrict it"),
        (true, false) => ("read", "--allow-subscribe restricts it"),
        (false, true) => ("write", "--allow-publish restricts it"),
        (false, false) => return None,
    };
    Some(format!(
        "everyone who can connect may {verbs} in every channel without a namespace, without a login; {settings}"
    ))
}

/// Returns whether clients of other machines can connect to an address, perhaps through a proxy.
fn is_reached_by_others(address: &BoundAddress) -> bool {
    match &address.socket {
        _ if address.has_proxy_protocol => true,
        BoundSocket::Unix(_) => false,
        BoundSocket::Tcp { addr, .. } => !addr.ip().to_canonical().is_loopback(),
    }
}

/// Says who can reach an address.
fn reach(address: &BoundAddress) -> &'static str {
    match &address.socket {
        _ if address.has_proxy_protocol => "through --trusted-proxies only",
        _ if !is_reached_by_others(address) => "from this machine only",
        BoundSocket::Tcp { addr, .. } if addr.ip().is_unspecified() => "from every machine that reaches this one",
        _ => "from every machine that reaches this address",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str, is_dual_stack: bool) -> BoundAddress {
        let (has_proxy_protocol, text) = text.strip_prefix("proxy+").map_or((false, text), |rest| (true, rest));
        let (is_encrypted, text) = text.strip_prefix("tls+").map_or((false, text), |rest| (true, rest));
        let socket = match text.strip_prefix("unix:") {
            Some(path) => BoundSocket::Unix(path.into()),
            None => BoundSocket::Tcp { addr: text.parse().unwrap(), is_dual_stack },
        };
        BoundAddress { socket, has_proxy_protocol, is_encrypted, is_internal: false }
    }

    /// A newcomer has to know what to open, and whether others can open it too.
    #[test]
    fn line_says_what_listens_where_and_who_can_reach_it() {
        for (address, is_dual_stack, expected) in [
            ("127.0.0.1:80", false, "open http://127.0.0.1:80/ from this machine only"),
            ("[::1]:80", false, "open http://[::1]:80/ from this machine only"),
            ("[::]:80", true, "open http://localhost:80/ here, port 80 from every machine that reaches this one"),
            ("0.0.0.0:80", false, "open http://127.0.0.1:80/ here, port 80 from every machine that reaches this one"),
            ("[::]:80", false, "open http://[::1]:80/ here, port 80 from every machine that reaches this one"),
            ("tls+10.0.0.1:443", false, "open https://10.0.0.1:443/ from every machine that reaches this address"),
            ("unix:/x", false, "connect to unix:/x from this machine only"),
            ("proxy+tls+0.0.0.0:443", false, "connect to proxy+tls+0.0.0.0:443 through --trusted-proxies only"),
        ] {
            assert_eq!(places(&[bound(address, is_dual_stack)]), expected);
        }
        assert!(is_reached_by_others(&bound("proxy+127.0.0.1:80", false)), "by clients of the proxy");
        let internal = BoundAddress { is_internal: true, ..bound("127.0.0.1:9", false) };
        let all = [bound("unix:/x", false), bound("127.0.0.1:1", false), bound("[::1]:2", false), internal];
        assert_eq!(
            places(&all),
            "open http://127.0.0.1:1/ from this machine only, http://[::1]:2/ from this machine only, unix:/x from \
             this machine only; for operators http://127.0.0.1:9/ from this machine only"
        );
    }

    /// Who opens a hub to a network has to read what that means, and how to change it.
    #[test]
    fn what_everyone_may_do_is_said_as_long_as_it_is_something() {
        for (subscribe, publish, expected) in [
            (SubscriberGroup::Everyone, ClientGroup::Everyone, Some("read and write")),
            (SubscriberGroup::Everyone, ClientGroup::Subscribers, Some("read and write")),
            (SubscriberGroup::Everyone, ClientGroup::Nobody, Some("read")),
            (SubscriberGroup::Token, ClientGroup::Everyone, Some("write")),
            (SubscriberGroup::Authenticated, ClientGroup::Subscribers, None),
            (SubscriberGroup::Token, ClientGroup::Nobody, None),
        ] {
            let mut options = NamespaceOptions::default();
            (options.allow_subscribe, options.allow_publish) = (subscribe, publish);
            let said = openness(&options);
            let verbs = said.as_ref().map(|text| text.split(" may ").nth(1).unwrap().split(" in ").next().unwrap());
            assert_eq!(verbs, expected, "{subscribe:?} {publish:?}");
        }
    }
}
