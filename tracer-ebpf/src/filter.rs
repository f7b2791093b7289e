//! Which connections are followed: `--port` and `--host`, applied before anything is remembered.

use crate::segment::{Endpoint, Segment};

/// The most ports and the most networks that a filter holds.
pub const MAX_TERMS: usize = 16;

/// A network: the bits of an address that `mask` selects, as the halves of [`crate::segment::Address::halves`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Network {
    /// The address, high half first.
    pub address: [u64; 2],
    /// The mask, high half first.
    pub mask: [u64; 2],
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
    /// Whether the segment's connection is to be followed.
    #[inline(always)]
    #[must_use]
    pub fn passes(&self, segment: &Segment) -> bool {
        let (source, destination) = (&segment.source, &segment.destination);
        (self.port_count == 0 || self.has_port(source.port) || self.has_port(destination.port))
            && (self.host_count == 0 || self.has_host(source) || self.has_host(destination))
    }

    #[inline(always)]
    fn has_port(&self, port: u16) -> bool {
        (self.ports.iter().zip(0..self.port_count)).any(|(named, _)| *named == port)
    }

    #[inline(always)]
    fn has_host(&self, endpoint: &Endpoint) -> bool {
        let (high, low) = endpoint.address.halves();
        (self.hosts.iter().zip(0..self.host_count)).any(|(network, _)| {
            let [mask_high, mask_low] = network.mask;
            network.address == [high & mask_high, low & mask_low]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Address;

    fn segment(source: [u8; 4], destination_port: u16) -> Segment {
        let mut segment = Segment::default();
        segment.source.address = Address::v4(source);
        segment.destination.port = destination_port;
        segment
    }

    fn network(address: Address, prefix: u32) -> Network {
        let (high, low) = address.halves();
        let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
        let mask = [(mask >> 64) as u64, mask as u64];
        Network {
            address: [high & mask[0], low & mask[1]],
            mask,
        }
    }

    #[test]
    fn an_empty_filter_passes_everything() {
        assert!(Filter::default().passes(&segment([10, 0, 0, 1], 80)));
    }

    #[test]
    fn a_port_on_either_side_passes() {
        let mut filter = Filter {
            port_count: 1,
            ..Filter::default()
        };
        filter.ports[0] = 80;
        assert!(filter.passes(&segment([10, 0, 0, 1], 80)));
        assert!(!filter.passes(&segment([10, 0, 0, 1], 81)));
    }

    #[test]
    fn unused_places_of_the_lists_name_nothing() {
        let filter = Filter {
            port_count: 1,
            ports: [7; MAX_TERMS],
            ..Filter::default()
        };
        assert!(!filter.passes(&segment([10, 0, 0, 1], 0)));
    }

    #[test]
    fn a_network_selects_by_its_prefix() {
        let mut filter = Filter {
            host_count: 1,
            ..Filter::default()
        };
        filter.hosts[0] = network(Address::v4([10, 1, 0, 0]), 96 + 16);
        assert!(filter.passes(&segment([10, 1, 2, 3], 80)));
        assert!(!filter.passes(&segment([10, 2, 2, 3], 80)));
    }
}
