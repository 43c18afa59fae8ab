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
pub(super) enum ListeningSocket {
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
pub(super) async fn bind(address: &Address, config: &Config) -> io::Result<Vec<ListeningSocket>> {
    let listeners = match &address.socket {
        SocketAddress::Unix(path) => {
            let socket = UnixSocket::bind(path, config.unix_mode, config.unix_owner, BACKLOG)?;
            return Ok(vec![ListeningSocket::Unix(socket)]);
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
    Ok(listeners.into_iter().map(ListeningSocket::Tcp).collect())
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
    listen_at_all(lookup_host((name, port)).await?, config)
}

/// Listens on what a resolver found, which may name an address twice. All have the same port, perhaps 0.
fn listen_at_all(found: impl IntoIterator<Item = SocketAddr>, config: &Config) -> io::Result<Vec<TcpListener>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let mut tried = 0;
    loop {
        tried += 1;
        match listen_at_each(&addresses, config) {
            // The port that was free on one address was taken on another.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && addresses.iter().all(|address| address.port() == 0)
                    && tried < PORTS_TRIED => {}
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

    fn at(addresses: &[&str]) -> io::Result<Vec<SocketAddr>> {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let listeners = listen_at_all(addresses, &Config::default())?;
        Ok(listeners.iter().map(|listener| listener.local_addr().unwrap()).collect())
    }

    /// A client may take any address of a name, and knows one port.
    #[tokio::test]
    async fn every_address_of_a_name_is_listened_on_with_one_port() {
        let bound = at(&["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0", "127.0.0.3:0"]).unwrap();
        let [first, ..] = bound[..] else { panic!("nothing is bound") };
        let expected = [1, 2, 3].map(|host| SocketAddr::from(([127, 0, 0, host], first.port())));
        assert_eq!(bound, expected);
    }

    /// A hosts file may name an address that only another machine has; with none at all there is nothing to serve.
    #[tokio::test]
    async fn address_of_another_machine_is_left_out_unless_it_is_the_only_one() {
        let bound = at(&["203.0.113.77:0", "127.0.0.1:0"]).unwrap();
        assert_eq!(bound.iter().map(|address| address.ip()).collect::<Vec<_>>(), [Ipv4Addr::LOCALHOST]);
        assert_eq!(at(&["203.0.113.77:0", "203.0.113.78:0"]).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        assert_eq!(at(&[]).unwrap_err().to_string(), "the name has no address");
    }

    /// A port that the operator named and that is taken is an error, and nothing is half bound.
    #[tokio::test]
    async fn port_that_is_taken_on_one_address_is_an_error() {
        let taken = listen(([127, 0, 0, 2], 0).into(), Families::Own, &Config::default()).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = at(&[&format!("127.0.0.1:{port}"), &format!("127.0.0.2:{port}")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

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
