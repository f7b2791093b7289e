//! From an EtherType to an IP header, past up to two VLAN tags (IEEE 802.1Q, 802.1ad).

use super::{Layer, Network, Reject, Stop, Version};
use crate::octets::Octets;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const VLAN: u16 = 0x8100;
pub(super) const QINQ: u16 = 0x88a8;
pub(super) const MPLS: u16 = 0x8847;
pub(super) const MPLS_MULTICAST: u16 = 0x8848;
/// A session.
pub(super) const PPPOE: u16 = 0x8864;
/// A whole frame, in a tunnel ("transparent Ethernet bridging").
pub(super) const ETHERNET: u16 = 0x6558;

const TAG_LEN: usize = 4;
const MAX_TAGS: usize = 2;

#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(frame: &F, mut layer: Layer) -> Result<Network, Stop> {
    for _ in 0..=MAX_TAGS {
        let version = match layer.ether_type {
            IPV4 => Version::V4,
            IPV6 => Version::V6,
            VLAN | QINQ => {
                layer = tag(frame, &layer)?;
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

/// Passes a VLAN tag.
#[inline(always)]
pub(super) fn tag<F: Octets + ?Sized>(frame: &F, layer: &Layer) -> Result<Layer, Stop> {
    // A device may have taken one off already.
    if layer.scope.is_full() {
        return Err(Reject::TooManyVlanTags.into());
    }
    // Its control information, and the type of what follows.
    let tag = frame.be32(layer.offset).ok_or(Reject::TruncatedLink)?;
    let scope = layer.scope.tagged((tag >> 16) as u16);
    let ether_type = (tag & 0xffff) as u16;
    Ok(Layer::new(ether_type, layer.offset + TAG_LEN, scope))
}
