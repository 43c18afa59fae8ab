//! Ports for programs that cannot say which one they chose.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Returns an address that was free a moment ago. Its port is below the ephemeral ports: an outgoing connection cannot
/// take it before the program does.
pub(crate) fn free_addr() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time use different ranges.
    let start = 20_000 + u16::try_from(std::process::id() % 100).expect("it is below 100") * 100;
    let numbers = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed)).take(100);
    let addrs = numbers.map(|number| SocketAddr::from((Ipv4Addr::LOCALHOST, start + number)));
    let mut free = addrs.filter(|addr| TcpListener::bind(addr).is_ok());
    free.next().expect("a port is free")
}
