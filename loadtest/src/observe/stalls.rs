//! Stalled connections: when the server closed those that are not read.
//!
//! A stalled client does not see it: the close frame and the FIN are queued after the data that it does not read. On
//! one machine the server's end can be observed, though: `/proc/net/tcp` shows when it leaves the established state.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// What is known about the stalled connections.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    /// 0 until clients stall.
    since_ns: u64,
    /// Connections that are not known to have ended, by their own address.
    established: HashMap<SocketAddr, usize>,
    /// When the server ended a connection, by client.
    ends: HashMap<usize, u64>,
    server_port: u16,
}

impl Stalls {
    /// Starts the watch over `clients`, given by address.
    pub(crate) fn begin(&mut self, now_ns: u64, server_port: u16, clients: HashMap<SocketAddr, usize>) {
        *self = Self { since_ns: now_ns, established: clients, ends: HashMap::new(), server_port };
    }

    /// Looks at the server's ends; costs nothing when no stalled connection is left.
    pub(crate) fn look(&mut self, now_ns: u64) {
        if self.established.is_empty() {
            return;
        }
        let established = established(self.server_port);
        let gone = self.established.extract_if(|address, _| !established.contains(&key(*address)));
        self.ends.extend(gone.map(|(_, client)| (client, now_ns)));
    }

    /// Returns seconds from the stall to each end, sorted.
    pub(crate) fn seconds(&self) -> Vec<f64> {
        let mut seconds: Vec<f64> = self.ends.values().map(|end| crate::clock::seconds(self.since_ns, *end)).collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    }
}

/// Returns the key of a peer as the kernel's tables print it: the last 32 bits of the address, and the port. Servers
/// may listen on either family.
fn key(address: SocketAddr) -> (u32, u16) {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => {
            let [.., a, b, c, d] = ip.octets();
            [a, b, c, d]
        }
    };
    (u32::from_ne_bytes(octets), address.port())
}

/// Returns the peers of the established connections whose own port is `port`.
fn established(port: u16) -> HashSet<(u32, u16)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| row(line, port)).collect()
}

/// Reads one row of the table: number, local address, remote address, state (01 is established).
fn row(line: &str, port: u16) -> Option<(u32, u16)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, local) = fields.next()?.rsplit_once(':')?;
    let (remote, remote_port) = fields.next()?.rsplit_once(':')?;
    let is_match = u16::from_str_radix(local, 16).ok()? == port && fields.next()? == "01";
    let address = u32::from_str_radix(remote.get(remote.len().checked_sub(8)?..)?, 16).ok()?;
    is_match.then_some((address, u16::from_str_radix(remote_port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The server's end is found in the kernel's table while it is open, and not after.
    #[test]
    fn established_connection_is_in_the_table() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        let mut stalls = Stalls::default();
        stalls.begin(0, address.port(), HashMap::from([(client.local_addr().unwrap(), 3)]));
        stalls.look(1_000_000_000);
        assert!(stalls.seconds().is_empty());
        drop(server);
        stalls.look(2_000_000_000);
        assert_eq!(stalls.seconds(), [2.0]);
    }
}
