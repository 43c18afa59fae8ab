//! Binding: opens the sockets of an address, which may be several.
//!
//! `:PORT` is one socket for both families where the system has IPv6, a name has a socket for each of its addresses,
//! and `[::]:PORT` leaves IPv4 alone if an IPv4 address with the same port is configured as well.

use super::unix_socket::UnixSocket;
use crate::config::{Address, Config, Host, SocketAddress};
use crate::net::socket;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// Connections that may wait to be accepted. The kernel lowers it to `net.core.somaxconn`. A client that finds the
/// queue full repeats its SYN after 1 s, then after 2 s more, so a short queue would stretch every reconnect storm.
const BACKLOG: u32 = 65_535;

/// Free ports that are tried until one is free on every address of a name.
const PORTS_TRIED: usize = 32;

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// Which connections a socket of an IPv6 address takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Families {
    Both,
    Own,
}

/// Opens the sockets of an address. At least one is returned.
///
/// # Errors
///
/// The error of the system. An address of a name that this machine does not have is only logged if there are others.
pub(super) async fn bind(address: &Address, config: &Config) -> io::Result<Vec<Socket>> {
    let listeners = match &address.socket {
        SocketAddress::Unix(path) => {
            return Ok(vec![Socket::Unix(UnixSocket::bind(path, config.unix_mode, config.unix_owner, BACKLOG)?)]);
        }
        SocketAddress::Tcp(Host::Any, port) => vec![listen_everywhere(*port, config)?],
        SocketAddress::Tcp(Host::Ip(IpAddr::V6(ip), None), port) if ip.is_unspecified() => {
            let has_ipv4 = config.addr.iter().chain(&config.internal_addr).any(|other| other.is_ipv4_at(*port));
            let families = if has_ipv4 && *port != 0 { Families::Own } else { Families::Both };
            vec![listen((*ip, *port).into(), families, config)?]
        }
        SocketAddress::Tcp(Host::Ip(ip, None), port) => vec![listen((*ip, *port).into(), Families::Own, config)?],
        // The system knows the numbers of zones.
        SocketAddress::Tcp(Host::Ip(ip, Some(zone)), port) => {
            listen_at_name(&format!("{ip}%{zone}"), *port, config).await?
        }
        SocketAddress::Tcp(Host::Name(name), port) => listen_at_name(name, *port, config).await?,
    };
    Ok(listeners.into_iter().map(Socket::Tcp).collect())
}

/// Listens on every address of this machine.
fn listen_everywhere(port: u16, config: &Config) -> io::Result<TcpListener> {
    match listen((Ipv6Addr::UNSPECIFIED, port).into(), Families::Both, config) {
        Err(error) if is_missing(&error) => listen((Ipv4Addr::UNSPECIFIED, port).into(), Families::Own, config),
        listening => listening,
    }
}

/// Listens on every address of a name, with the same port.
async fn listen_at_name(name: &str, port: u16, config: &Config) -> io::Result<Vec<TcpListener>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for found in lookup_host((name, port)).await? {
        if !addresses.contains(&found) {
            addresses.push(found);
        }
    }
    let mut tried = 0;
    loop {
        tried += 1;
        match listen_at_each(&addresses, config) {
            // The port that was free on one address was taken on another.
            Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse && tried < PORTS_TRIED => {}
            listening => return listening,
        }
    }
}

fn listen_at_each(addresses: &[SocketAddr], config: &Config) -> io::Result<Vec<TcpListener>> {
    let mut last_error = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    let mut listeners: Vec<TcpListener> = Vec::new();
    for address in addresses {
        let mut address = *address;
        if let (0, Some(first)) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr()?.port());
        }
        match listen(address, Families::Own, config) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_missing(&error) => {
                tracing::warn!("not listening on {address}: {error}");
                last_error = error;
            }
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() { Err(last_error) } else { Ok(listeners) }
}

/// Returns whether this machine does not have the address, or its family.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn listen(address: SocketAddr, families: Families, config: &Config) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        // Said explicitly, because the default is a setting of the system.
        SockRef::from(&socket).set_only_v6(families == Families::Own)?;
    }
    // A restart must not wait until the connections of the old process have left TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket::prepare(&socket, &config.sockets)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    /// Accepted sockets inherit the options of their listener, and no code sets them again.
    #[tokio::test]
    async fn accepted_sockets_have_what_was_set_on_the_listener() {
        let config = Config::default();
        for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::UNSPECIFIED, 0).into()] {
            let listener = listen(address, Families::Both, &config).unwrap();
            let _peer = TcpStream::connect((Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port())).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let socket = SockRef::from(&stream);
            assert!(socket.tcp_nodelay().unwrap());
            // The kernel doubles it.
            assert_eq!(socket.send_buffer_size().unwrap(), 2 * config.sockets.send_buffer_bytes);
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), config.sockets.notsent_bytes);
        }
    }
}
