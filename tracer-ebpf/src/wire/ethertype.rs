//! From an EtherType to an IP header, past up to two VLAN tags (IEEE 802.1Q, 802.1ad).

use super::{Layer, Network, Reject, Stop, Version};
use crate::octets::Octets;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

const TAG_LEN: usize = 4;
const MAX_TAGS: usize = 2;

#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(frame: &F, mut layer: Layer) -> Result<Network, Stop> {
    for _ in 0..=MAX_TAGS {
        let version = match layer.ether_type {
            IPV4 => Version::V4,
            IPV6 => Version::V6,
            // A device may have taken one off already.
            VLAN | QINQ if layer.scope.is_full() => break,
            VLAN | QINQ => {
                // Its control information, and the type of what follows.
                let tag = frame.be32(layer.offset).ok_or(Reject::TruncatedLink)?;
                let scope = layer.scope.tagged((tag >> 16) as u16);
                layer = Layer::new((tag & 0xffff) as u16, layer.offset + TAG_LEN, scope);
                continue;
            }
            _ => return Err(Stop::NotTcp),
        };
        return Ok(Network {
            version,
            offset: layer.offset,
            scope: layer.scope.0,
        });
    }
    Err(Reject::TooManyVlanTags.into())
}
