//! What a frame begins with: its link-layer header, up to the type of what it carries.

use super::{Layer, Link, Reject, Stop, ethertype};
use crate::octets::Octets;
use crate::segment::{Scope, Tunnel};

const ETHERNET_TYPE: usize = 12;
const ETHERNET_LEN: usize = 14;
const COOKED_TYPE: usize = 14;
const COOKED_LEN: usize = 16;
const COOKED_2_LEN: usize = 20;
const FAMILY_LEN: usize = 4;

/// The address and control octets of HDLC framing (RFC 1662 §3.1): all stations, unnumbered.
const PPP_FRAMING: u16 = 0xff03;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// Version 1 and type 1 of a PPPoE header, and the code of a session (RFC 2516 §4).
const PPPOE_SESSION: u32 = 0x1100;
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
        Link::Ethernet => typed(ETHERNET_TYPE, ETHERNET_LEN),
        Link::Cooked => typed(COOKED_TYPE, COOKED_LEN),
        Link::Cooked2 => typed(0, COOKED_2_LEN),
        Link::Ip => match version(frame, 0).ok_or(Reject::TruncatedNetwork)? {
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
        Link::Pppoe => pppoe(frame, 0, scope),
    }
}

/// The type of an IP packet by its version, where that is one.
#[inline(always)]
fn version<F: Octets + ?Sized>(frame: &F, offset: usize) -> Option<Option<u16>> {
    let [octet] = frame.read(offset)?;
    Some(match octet >> 4 {
        4 => Some(ethertype::IPV4),
        6 => Some(ethertype::IPV6),
        _ => None,
    })
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

/// A PPPoE header at `offset`, and the PPP packet in it.
#[inline(always)]
fn pppoe<F: Octets + ?Sized>(frame: &F, offset: usize, scope: Scope) -> Result<Layer, Stop> {
    // Version, type and code; session.
    let head = frame.be32(offset).ok_or(Reject::TruncatedLink)?;
    if head >> 16 != PPPOE_SESSION {
        return Err(Stop::NotTcp);
    }
    let scope = scope.within(Tunnel::Pppoe, head & 0xffff);
    ppp(frame, offset + PPPOE_LEN, scope)
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
        _ => return Err(Stop::NotTcp),
    };
    Ok(Layer::new(ether_type, offset + len, scope))
}
