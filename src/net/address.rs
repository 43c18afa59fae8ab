//! The address of a client, as limits per address and lists of networks see it.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// The address of a client, and how it is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ClientAddress {
    pub(crate) addr: IpAddr,
    /// A proxy speaks for the client: `addr` is what it wrote, or its own address because it wrote none.
    pub(crate) is_forwarded: bool,
}

impl ClientAddress {
    /// The address of a socket's other end.
    pub(crate) const fn of_peer(addr: IpAddr) -> Self {
        Self { addr, is_forwarded: false }
    }

    /// Returns whether the client is one of this machine's own programs.
    pub(crate) const fn is_loopback(self) -> bool {
        // A forwarded address is only text, RFC 7239 section 8.1: no client may write its way to a privilege.
        self.addr.is_loopback() && !self.is_forwarded
    }

    /// Returns whether the client is in one of these networks of exempt clients.
    pub(crate) fn is_exempt(self, networks: &[IpNet]) -> bool {
        (!self.addr.is_loopback() || self.is_loopback()) && is_in(networks, self.addr)
    }
}

/// The key of limits per address: an IPv4 address, or the first 64 bits of an IPv6 address, because one customer of a
/// provider has a whole /64 at least.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct AddressKey(u64);

/// The upper half of the key of an IPv4 address. No routed /64 begins with these bits.
const IPV4: u64 = 0xffff_ffff << 32;

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IPV4 | u64::from(address.to_bits())),
            IpAddr::V6(address) => Self(upper_half(address)),
        }
    }
}

fn upper_half(address: Ipv6Addr) -> u64 {
    u64::try_from(address.to_bits() >> 64).unwrap_or_default()
}

/// Returns whether one of the networks contains the address.
pub(crate) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loopback is exempt by default, so the word of a proxy, or of its client, must not be enough for it.
    #[test]
    fn forwarded_address_never_has_the_exemptions_of_loopback() {
        let networks = ["127.0.0.0/8", "::1/128", "198.51.100.0/24"].map(|network| network.parse().unwrap());
        for (addr, is_forwarded, is_exempt) in [
            ("127.0.0.1", false, true),
            ("127.0.0.1", true, false),
            ("127.8.9.1", true, false),
            ("::1", false, true),
            ("::1", true, false),
            // A network that the operator has named is exempt, also through a proxy.
            ("198.51.100.7", true, true),
            ("192.0.2.1", false, false),
        ] {
            let client = ClientAddress { addr: addr.parse().unwrap(), is_forwarded };
            assert_eq!(client.is_exempt(&networks), is_exempt, "{client:?}");
        }
    }

    /// An IPv6 customer must not count as 2^64 addresses, nor an IPv4 client twice.
    #[test]
    fn ipv6_counts_by_its_64_and_ipv4_by_itself_however_it_is_written() {
        let key = |text: &str| AddressKey::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
