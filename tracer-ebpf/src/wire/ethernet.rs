//! Ethernet II with up to two VLAN tags (IEEE 802.1Q, 802.1ad).

use super::{Network, Reject, Stop, Version};
use crate::octets::Octets;
use crate::segment::Scope;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;

const TYPE_OFFSET: usize = 12;
const TAG_LEN: usize = 4;
const MAX_TAGS: usize = 2;

#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(frame: &F, mut scope: Scope) -> Result<Network, Stop> {
    let mut offset = TYPE_OFFSET;
    for _ in 0..=MAX_TAGS {
        let [a, b] = frame.read(offset).ok_or(Reject::TruncatedLink)?;
        let version = match u16::from_be_bytes([a, b]) {
            ETHERTYPE_IPV4 => Version::V4,
            ETHERTYPE_IPV6 => Version::V6,
            // A device may have taken one off already.
            ETHERTYPE_VLAN | ETHERTYPE_QINQ if scope.is_full() => break,
            ETHERTYPE_VLAN | ETHERTYPE_QINQ => {
                let control = frame.read(offset + 2).ok_or(Reject::TruncatedLink)?;
                scope = scope.tagged(u16::from_be_bytes(control));
                offset += TAG_LEN;
                continue;
            }
            _ => return Err(Stop::NotTcp),
        };
        return Ok(Network {
            version,
            offset: offset + 2,
            scope: scope.0,
        });
    }
    Err(Reject::TooManyVlanTags.into())
}
