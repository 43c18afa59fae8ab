//! The announcement: the one line on standard output, once the hub can be reached.

use crate::config::{Address, Config, Place};
use crate::server::Server;
use std::io::Write;
use std::net::IpAddr;

/// Prints the one line that a person, or a script that gave port 0, waits for.
pub(super) fn announce(server: &Server, config: &Config) -> std::io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let (shards, connections) = (config.shards(), config.limits.connections_max);
    let plural = if shards == 1 { "" } else { "s" };
    let place = place(server, &config.addr);
    let mut out = std::io::stdout().lock();
    writeln!(out, "throng {version} is ready: {place} ({shards} shard{plural}, up to {connections} connections)")?;
    out.flush()
}

/// Says where clients find the hub: what a person opens in a browser, if there is such an address.
fn place(server: &Server, addresses: &[Address]) -> String {
    let Some(addr) = server.addr() else {
        return format!("connect to {}", addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", "));
    };
    let host = match addr.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    // The listener that has this port is that of the first such address.
    let is_encrypted =
        addresses.iter().find(|one| matches!(one.place, Place::Tcp(_))).is_some_and(|one| one.is_encrypted);
    format!("open {}://{host}:{}/", scheme(is_encrypted), addr.port())
}

/// Returns what a browser calls it.
pub(super) fn scheme(is_encrypted: bool) -> &'static str {
    if is_encrypted { "https" } else { "http" }
}
