//! The PROXY protocol, versions 1 and 2: a header with which a proxy names its client before the client's first byte.
//!
//! The header is required on addresses with `proxy+` and not understood on others. It is never detected, because a
//! client that could choose to send one could claim any address. The header is read to its last byte and no further:
//! TLS or HTTP follows.
//!
//! Health checks of proxies are no errors: a connection that ends before its first byte is one, and so is the command
//! LOCAL of version 2.

use super::address::{ClientAddress, is_in};
use crate::metrics::Refusal;
use ipnet::IpNet;
use ppp::{HeaderResult, v1, v2};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// Longest time until the header is complete. Proxies send it in their first packet.
const HEADER_TIMEOUT: Duration = Duration::from_secs(3);

/// Time in which a peer that is not trusted shows whether it is a health check, which sends nothing and closes.
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);

/// The shortest header: version 1 with `PROXY UNKNOWN` and the end of the line. In version 2 all are longer.
const HEADER_BYTES_MIN: usize = 15;

/// The longest line of version 1 including its end, section 2.1 of the specification.
const LINE_BYTES_MAX: usize = 107;

/// The first bytes of version 2, section 2.2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a version 2 header before the addresses.
const HEAD_BYTES: usize = 16;

/// Longest version 2 header that is accepted, extensions included. Extensions carry names of certificates (HAProxy's
/// `ssl`), ids of private links (AWS, GCP, Azure) and what an operator adds; the length field allows 64 KiB.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// Reads the header at the beginning of a connection from `peer`, and returns the client that it names.
///
/// # Errors
///
/// The reason to close the connection: `peer` is not trusted, the header is malformed, or it is late. `None` if the
/// peer closed it before its first byte, as health checks do.
///
/// # Cancel safety
///
/// Not cancel safe: the bytes that were read are lost, so the connection has to be closed.
pub(crate) async fn client(
    stream: &mut (impl AsyncRead + Unpin),
    peer: IpAddr,
    trusted: &[IpNet],
) -> Result<ClientAddress, Option<Refusal>> {
    if !is_in(trusted, peer) {
        let first = timeout(PROBE_TIMEOUT, stream.read(&mut [0])).await;
        return Err(if matches!(first, Ok(Ok(0) | Err(_))) { None } else { Some(Refusal::ProxyProtocol) });
    }
    match timeout(HEADER_TIMEOUT, read(stream)).await {
        Ok(Ok(Some(header))) => parse(&header, peer).ok_or(Some(Refusal::ProxyProtocol)),
        Ok(Ok(None)) => Err(None),
        Ok(Err(_)) => Err(Some(Refusal::ProxyProtocol)),
        Err(_) => Err(Some(Refusal::Timeout)),
    }
}

/// Reads one header and no byte after it. Returns `None` if the connection ends before its first byte.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut header = vec![0; HEADER_BYTES_MIN];
    match stream.read(&mut header[..1]).await {
        // A health check may also end with a reset.
        Ok(0) | Err(_) => return Ok(None),
        Ok(_) => stream.read_exact(&mut header[1..]).await?,
    };
    if header.starts_with(SIGNATURE) {
        header.push(stream.read_u8().await?);
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if HEAD_BYTES + rest > HEADER_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        header.resize(HEAD_BYTES + rest, 0);
        stream.read_exact(&mut header[HEAD_BYTES..]).await?;
        return Ok(Some(header));
    }
    // Version 1 has no length field, so it is read byte by byte. It is short, and once per connection.
    while !header.ends_with(b"\n") {
        if header.len() == LINE_BYTES_MAX || !header.starts_with(b"PROXY ") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        header.push(stream.read_u8().await?);
    }
    Ok(Some(header))
}

/// Returns the client that a complete header names. Without one it is the proxy itself; only with LOCAL, as for its
/// health checks, does it not speak for anybody else.
fn parse(header: &[u8], peer: IpAddr) -> Option<ClientAddress> {
    let client: Option<IpAddr> = match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(Ok(header)) => match (header.command, header.addresses) {
            (v2::Command::Local, _) => return Some(ClientAddress::of_peer(peer)),
            (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
            (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
            (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return None,
    };
    Some(ClientAddress { addr: client.unwrap_or(peer).to_canonical(), is_forwarded: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    const PEER: &str = "10.0.0.1";

    /// Sends bytes as a proxy would, and returns the client and the bytes that are left for HTTP.
    async fn seen(bytes: &[u8]) -> (Result<String, Option<Refusal>>, Vec<u8>) {
        let (mut balancer, mut hub) = tokio::io::duplex(2 * HEADER_BYTES_MAX);
        balancer.write_all(bytes).await.unwrap();
        drop(balancer);
        let client = client(&mut hub, PEER.parse().unwrap(), &["10.0.0.0/8".parse().unwrap()]).await;
        let mut left = Vec::new();
        hub.read_to_end(&mut left).await.unwrap();
        (client.map(|client| client.addr.to_string()), left)
    }

    /// A header of version 2: command, family and protocol, addresses and extensions.
    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &len, rest].concat()
    }

    /// docs/threats.md, row 24. The bytes after the header belong to the next protocol, from the first one.
    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_what_follows() {
        let v4 = [198, 51, 100, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
        let with_extension = [&v4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        // HAProxy's `set-proxy-v2-tlv-fmt(0xe0)` with a text of so many bytes.
        let long = |len: u16| [&v4[..], &[0xe0], &len.to_be_bytes(), &vec![b'x'; usize::from(len)]].concat();
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[15]) = (0x20, 0x01, 1);
        for (header, client) in [
            (b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n".to_vec(), "198.51.100.7"),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n".to_vec(), "2001:db8::1"),
            (b"PROXY UNKNOWN\r\n".to_vec(), PEER),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), PEER),
            (version_2(1, 0x11, &v4), "198.51.100.7"),
            (version_2(1, 0x11, &with_extension), "198.51.100.7"),
            (version_2(1, 0x11, &long(400)), "198.51.100.7"),
            (version_2(1, 0x11, &long(600)), "198.51.100.7"),
            (version_2(1, 0x11, &long(8192 - 16 - 12 - 3)), "198.51.100.7"),
            // Bytes that are no extension are skipped too.
            (version_2(1, 0x11, &[&v4[..], &[0xff; 700]].concat()), "198.51.100.7"),
            (version_2(0, 0x00, &[0xff; 700]), PEER),
            (version_2(1, 0x21, &v6), "2001::1"),
            (version_2(0, 0x00, &[]), PEER),
            (version_2(1, 0x00, &[]), PEER),
        ] {
            let bytes = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(seen(&bytes).await, (Ok(client.to_owned()), b"GET / HTTP/1.1\r\n".to_vec()), "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long_line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE_BYTES_MAX - 15));
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            b"PROXY TCP4 198.51.100.7\r\n".to_vec(),
            b"PROXY TCP4 300.1.1.1 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80".to_vec(),
            b"PROXY".to_vec(),
            long_line.into_bytes(),
            version_2(1, 0x11, &[1, 2, 3]),
            version_2(1, 0x11, &[0; HEADER_BYTES_MAX - HEAD_BYTES + 1]),
            version_2(7, 0x11, &[0; 12]),
        ] {
            assert_eq!(
                seen(&bytes).await.0,
                Err(Some(Refusal::ProxyProtocol)),
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    /// A trusted proxy with a bug, or what hides behind it, must not have a line of any length read byte by byte.
    #[tokio::test]
    async fn line_that_does_not_end_is_read_no_further_than_the_longest_line() {
        let line = [&b"PROXY "[..], &[b'x'; 4_000]].concat();
        let (client, left) = seen(&line).await;
        assert_eq!((client, left.len()), (Err(Some(Refusal::ProxyProtocol)), line.len() - LINE_BYTES_MAX));
    }

    #[tokio::test]
    async fn header_of_a_stranger_is_not_even_read() {
        let (_client, mut hub) = tokio::io::duplex(64);
        assert_eq!(client(&mut hub, PEER.parse().unwrap(), &[]).await, Err(Some(Refusal::ProxyProtocol)));
        let (mut stranger, mut hub) = tokio::io::duplex(64);
        stranger.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
        assert_eq!(client(&mut hub, PEER.parse().unwrap(), &[]).await, Err(Some(Refusal::ProxyProtocol)));
    }

    /// Health checks at the TCP level connect and close, from a balancer or from a kubelet that is not in the list.
    #[tokio::test]
    async fn connection_that_closes_before_its_first_byte_is_no_refusal() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for trusted in [&trusted[..], &[]] {
            let (prober, mut hub) = tokio::io::duplex(64);
            drop(prober);
            assert_eq!(client(&mut hub, PEER.parse().unwrap(), trusted).await, Err(None));
        }
    }

    /// A header may name this machine; only its own health checks are from it.
    #[test]
    fn only_local_is_the_proxy_itself() {
        let loopback = [127, 0, 0, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
        let peer = "127.0.0.1".parse().unwrap();
        for (header, is_loopback) in [
            (version_2(0, 0x00, &[]), true),
            (version_2(0, 0x11, &loopback), true),
            (version_2(1, 0x11, &loopback), false),
            (version_2(1, 0x00, &[]), false),
            (b"PROXY UNKNOWN\r\n".to_vec(), false),
            (b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 80\r\n".to_vec(), false),
        ] {
            assert_eq!(parse(&header, peer).map(ClientAddress::is_loopback), Some(is_loopback), "{header:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn header_that_does_not_arrive_is_not_waited_for() {
        let (mut balancer, mut hub) = tokio::io::duplex(64);
        balancer.write_all(b"PROXY TCP4 198.51.").await.unwrap();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(client(&mut hub, PEER.parse().unwrap(), &trusted).await, Err(Some(Refusal::Timeout)));
    }

    proptest! {
        /// No bytes of a peer end more than its connection.
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), is_second in any::<bool>()) {
            let start: &[u8] = if is_second { SIGNATURE } else { b"PROXY " };
            parse(&[start, &bytes].concat(), PEER.parse().unwrap());
            parse(&bytes, PEER.parse().unwrap());
        }
    }
}
