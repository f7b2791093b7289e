//! What a frame begins with: its link-layer header, up to the type of what it carries.

use super::{Layer, Link, Reject, Stop, ethertype, ip};
use crate::octets::Octets;
use crate::segment::{Scope, Tunnel};

pub(super) const ETHERNET_TYPE: usize = 12;
pub(super) const ETHERNET_LEN: usize = 14;
const COOKED_TYPE: usize = 14;
const COOKED_LEN: usize = 16;
const COOKED_2_LEN: usize = 20;
const FAMILY_LEN: usize = 4;

/// The address and control octets of HDLC framing (RFC 1662 §3.1): all stations, unnumbered.
const PPP_FRAMING: u16 = 0xff03;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;
/// RFC 3032 §4.3; the second is for multicast.
const PPP_MPLS: [u16; 2] = [0x0281, 0x0283];

/// Version 1 and type 1 (RFC 2516 §4).
const PPPOE_VERSION: u32 = 0x11;
/// The code of what is no discovery.
const PPPOE_SESSION: u32 = 0;
const PPPOE_LEN: usize = 6;

/// Reads the link-layer header.
#[inline(always)]
pub(super) fn begin<F: Octets + ?Sized>(
    frame: &F,
    link: Link,
    scope: Scope,
) -> Result<Layer, Stop> {
    let typed = |at: usize, offset: usize| {
        let ether_type = frame.be16(at).ok_or(Reject::TruncatedLink)?;
        Ok(Layer::new(ether_type, offset, scope))
    };
    match link {
        Link::Ethernet => ethernet(frame, &Layer::new(ethertype::ETHERNET, 0, scope)),
        Link::Cooked => typed(COOKED_TYPE, COOKED_LEN),
        Link::Cooked2 => typed(0, COOKED_2_LEN),
        Link::Ip => match ip::ether_type(frame, 0).ok_or(Reject::TruncatedNetwork)? {
            Some(ether_type) => Ok(Layer::new(ether_type, 0, scope)),
            None => Err(Reject::BadIpVersion.into()),
        },
        Link::Null => {
            let family = frame.be32(0).ok_or(Reject::TruncatedLink)?;
            // Families are small numbers: the octet that is not zero tells the order.
            let family = if family >> 24 == 0 {
                family
            } else {
                family.swap_bytes()
            };
            by_family(family, scope)
        }
        Link::Loop => by_family(frame.be32(0).ok_or(Reject::TruncatedLink)?, scope),
        Link::Ppp => {
            let framing = frame.be16(0).ok_or(Reject::TruncatedLink)?;
            ppp(frame, if framing == PPP_FRAMING { 2 } else { 0 }, scope)
        }
        Link::Pppoe => pppoe(frame, &Layer::new(ethertype::PPPOE, 0, scope)),
    }
}

/// Passes an Ethernet header.
#[inline(always)]
pub(super) fn ethernet<F: Octets + ?Sized>(frame: &F, layer: &Layer) -> Result<Layer, Stop> {
    let ether_type = frame.be16(layer.offset + ETHERNET_TYPE);
    let ether_type = ether_type.ok_or(Reject::TruncatedLink)?;
    let offset = layer.offset + ETHERNET_LEN;
    Ok(Layer::new(ether_type, offset, layer.scope))
}

/// IPv6 has another number in Linux, in NetBSD and OpenBSD, in FreeBSD, and in macOS.
#[inline(always)]
fn by_family(family: u32, scope: Scope) -> Result<Layer, Stop> {
    let ether_type = match family {
        2 => ethertype::IPV4,
        10 | 24 | 28 | 30 => ethertype::IPV6,
        _ => return Err(Stop::NotTcp),
    };
    Ok(Layer::new(ether_type, FAMILY_LEN, scope))
}

/// Passes a PPPoE header, and that of the PPP packet in it.
#[inline(always)]
pub(super) fn pppoe<F: Octets + ?Sized>(frame: &F, layer: &Layer) -> Result<Layer, Stop> {
    // Version, type and code; session.
    let head = frame.be32(layer.offset).ok_or(Reject::TruncatedTunnel)?;
    if head >> 24 != PPPOE_VERSION {
        return Err(Reject::BadTunnel.into());
    }
    if head >> 16 & 0xff != PPPOE_SESSION {
        return Err(Stop::NotTcp);
    }
    let scope = layer.scope.within(Tunnel::Pppoe, head & 0xffff);
    ppp(frame, layer.offset + PPPOE_LEN, scope)
}

/// A PPP packet from its protocol field on, which may be compressed to one octet: that one is odd
/// (RFC 1661 §2, §6.5).
#[inline(always)]
fn ppp<F: Octets + ?Sized>(frame: &F, offset: usize, scope: Scope) -> Result<Layer, Stop> {
    let field = frame.be16(offset).ok_or(Reject::TruncatedLink)?;
    let (protocol, len) = if field & 0x0100 == 0 {
        (field, 2)
    } else {
        (field >> 8, 1)
    };
    let ether_type = match protocol {
        PPP_IPV4 => ethertype::IPV4,
        PPP_IPV6 => ethertype::IPV6,
        protocol if PPP_MPLS.contains(&protocol) => ethertype::MPLS,
        _ => return Err(Stop::NotTcp),
    };
    Ok(Layer::new(ether_type, offset + len, scope))
}
