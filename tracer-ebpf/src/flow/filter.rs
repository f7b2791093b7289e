//! Which connections are followed: `--port` and `--host`, applied before anything is remembered.

use super::Key;
use crate::segment::Address;

/// The most ports and the most networks that a filter holds.
pub const MAX_TERMS: usize = 16;

/// A network: the bits of an address that `mask` selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Network {
    /// The address, its other bits zero.
    pub address: Address,
    /// The mask, in the form of an address.
    pub mask: Address,
}

impl Network {
    #[inline(always)]
    fn has(&self, address: &Address) -> bool {
        // A short prefix of IPv6, such as ::/0, would take in the mapped IPv4 addresses.
        masked(address, &self.mask) == self.address && address.is_v4() == self.address.is_v4()
    }

    /// The network that the first `prefix` bits of an address name, counted in its IPv6 form.
    #[must_use]
    pub fn new(address: Address, prefix: u32) -> Self {
        let host_bits = u128::BITS.saturating_sub(prefix);
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        let mask = Address::v6(mask.to_be_bytes());
        Self {
            address: masked(&address, &mask),
            mask,
        }
    }
}

/// A connection passes where one of its ports and one of its addresses is named; an empty list
/// names everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Filter {
    /// Networks; the first `host_count` count.
    pub hosts: [Network; MAX_TERMS],
    /// Ports; the first `port_count` count.
    pub ports: [u16; MAX_TERMS],
    /// Ports in use.
    pub port_count: u32,
    /// Networks in use.
    pub host_count: u32,
}

impl Filter {
    /// Whether the connection is to be followed.
    #[inline(always)]
    #[must_use]
    pub fn passes(&self, key: &Key) -> bool {
        (self.port_count == 0 || self.has_port(key.lo_port) || self.has_port(key.hi_port))
            && (self.host_count == 0 || self.has_host(&key.lo) || self.has_host(&key.hi))
    }

    /// Whether it leaves every connection in.
    #[inline(always)]
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.port_count == 0 && self.host_count == 0
    }

    /// The octets of the layout above, as the programs' global holds them.
    #[must_use]
    pub fn to_octets(&self) -> [u8; size_of::<Self>()] {
        let mut octets = [0; size_of::<Self>()];
        let hosts = self.hosts.iter().flat_map(|network| {
            let (address, mask) = (network.address.octets(), network.mask.octets());
            address.into_iter().chain(mask)
        });
        let ports = self.ports.iter().flat_map(|port| port.to_ne_bytes());
        let counts = [self.port_count, self.host_count];
        let counts = counts.iter().flat_map(|count| count.to_ne_bytes());
        for (octet, value) in octets.iter_mut().zip(hosts.chain(ports).chain(counts)) {
            *octet = value;
        }
        octets
    }

    #[inline(always)]
    fn has_port(&self, port: u16) -> bool {
        (self.ports.iter().zip(0..self.port_count)).any(|(named, _)| *named == port)
    }

    #[inline(always)]
    fn has_host(&self, address: &Address) -> bool {
        (self.hosts.iter().zip(0..self.host_count)).any(|(network, _)| network.has(address))
    }
}

#[inline(always)]
fn masked(address: &Address, mask: &Address) -> Address {
    let (Address([a, b]), Address([c, d])) = (address, mask);
    Address([a & c, b & d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(host: [u8; 4], port: u16) -> Key {
        Key {
            lo: Address::v4(host),
            hi_port: port,
            ..Key::default()
        }
    }

    #[test]
    fn an_empty_filter_passes_everything() {
        assert!(Filter::default().passes(&connection([10, 0, 0, 1], 80)));
    }

    #[test]
    fn a_port_on_either_side_passes() {
        let mut filter = Filter {
            port_count: 1,
            ..Filter::default()
        };
        filter.ports[0] = 80;
        assert!(filter.passes(&connection([10, 0, 0, 1], 80)));
        assert!(!filter.passes(&connection([10, 0, 0, 1], 81)));
    }

    #[test]
    fn unused_places_of_the_lists_name_nothing() {
        let filter = Filter {
            port_count: 1,
            ports: [7; MAX_TERMS],
            ..Filter::default()
        };
        assert!(!filter.passes(&connection([10, 0, 0, 1], 0)));
    }

    #[test]
    fn the_octets_follow_the_layout() {
        let mut filter = Filter {
            port_count: 1,
            host_count: 2,
            ..Filter::default()
        };
        filter.ports[1] = 0x0102;
        filter.hosts[1].mask = Address::v4([1, 2, 3, 4]);
        let octets = filter.to_octets();
        let at = |offset: usize| &octets[offset..offset + 4];
        assert_eq!(at(32 + 16 + 12), [1, 2, 3, 4]);
        let ports = core::mem::offset_of!(Filter, ports);
        assert_eq!(at(ports)[2..], 0x0102_u16.to_ne_bytes());
        let counts = core::mem::offset_of!(Filter, port_count);
        assert_eq!(at(counts), 1_u32.to_ne_bytes());
        assert_eq!(at(counts + 4), 2_u32.to_ne_bytes());
    }

    #[test]
    fn a_network_selects_by_its_prefix() {
        let mut filter = Filter {
            host_count: 1,
            ..Filter::default()
        };
        filter.hosts[0] = Network::new(Address::v4([10, 1, 0, 0]), 96 + 16);
        assert!(filter.passes(&connection([10, 1, 2, 3], 80)));
        assert!(!filter.passes(&connection([10, 2, 2, 3], 80)));
    }

    #[test]
    fn a_network_of_all_addresses_is_of_one_version() {
        let v6 = Key {
            lo: Address::v6([0xfd; 16]),
            hi: Address::v6([0xfe; 16]),
            ..Key::default()
        };
        let v4 = Key {
            lo: Address::v4([10, 0, 0, 1]),
            hi: Address::v4([10, 0, 0, 2]),
            ..Key::default()
        };
        for (address, prefix, passes) in [
            (Address::v6([0; 16]), 0, [false, true]),
            (Address::v4([0; 4]), 96, [true, false]),
        ] {
            let mut filter = Filter {
                host_count: 1,
                ..Filter::default()
            };
            filter.hosts[0] = Network::new(address, prefix);
            assert_eq!([filter.passes(&v4), filter.passes(&v6)], passes);
        }
    }
}
