//! What the two versions of IP have in common.

use super::ethertype;
use crate::octets::Octets;

pub(super) const IPV4: u64 = 4;
pub(super) const TCP: u64 = 6;
pub(super) const UDP: u64 = 17;
pub(super) const IPV6: u64 = 41;
pub(super) const GRE: u64 = 47;
pub(super) const MPLS: u64 = 137;

/// The EtherType of an IP packet by its version, where that is one; `None` where there is no octet.
#[inline(always)]
pub(super) fn ether_type<F: Octets + ?Sized>(frame: &F, offset: usize) -> Option<Option<u16>> {
    let [octet] = frame.read(offset)?;
    Some(match octet >> 4 {
        4 => Some(ethertype::IPV4),
        6 => Some(ethertype::IPV6),
        _ => None,
    })
}
