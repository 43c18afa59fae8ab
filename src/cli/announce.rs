//! The announcement: one line on standard output once the hub accepts connections.

use crate::config::{Address, Config, SocketAddress};
use crate::server::Server;
use std::io::Write;
use std::net::IpAddr;

/// Prints the line that people, and scripts that gave port 0, wait for.
pub(super) fn announce(server: &Server, config: &Config) -> std::io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let (shards, connections) = (config.shards(), config.limits.connections_max);
    let plural = if shards == 1 { "" } else { "s" };
    let open_url = open_url(server, &config.addr);
    let mut out = std::io::stdout().lock();
    writeln!(out, "throng {version} is ready: {open_url} ({shards} shard{plural}, up to {connections} connections)")?;
    out.flush()
}

/// Returns how to reach the hub: the URL for a browser, if an address has one.
fn open_url(server: &Server, addresses: &[Address]) -> String {
    let Some(addr) = server.addr() else {
        return format!("connect to {}", addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", "));
    };
    let host = match addr.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    // The port belongs to the first TCP address.
    let is_encrypted =
        addresses.iter().find(|one| matches!(one.socket, SocketAddress::Tcp(_))).is_some_and(|one| one.is_encrypted);
    format!("open {}://{host}:{}/", scheme(is_encrypted), addr.port())
}

/// Returns the scheme of a URL.
pub(super) fn scheme(is_encrypted: bool) -> &'static str {
    if is_encrypted { "https" } else { "http" }
}
