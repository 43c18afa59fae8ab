//! The address of a client, as limits per address and lists of networks see it.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

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
