//! The headers of tunnels: where what they carry begins, by which type, and in which scope.

use super::descent::{Kind, Place};
use super::tunnels::Tunnels;
use super::{Layer, Reject, Stop, ethertype, ip};
use crate::octets::Octets;
use crate::segment::Tunnel;

const UDP_LEN: usize = 8;
const VXLAN_LEN: usize = 8;
/// The network identifier is valid (RFC 7348 §5).
const VXLAN_ID: u64 = 1 << 59;
const GENEVE_PORT: u16 = 6081;
const GENEVE_LEN: usize = 8;

const GRE_LEN: usize = 4;
const GRE_FIELD_LEN: usize = 4;
const GRE_CHECKSUM: u32 = 1 << 31;
const GRE_ROUTING: u32 = 1 << 30;
const GRE_KEY: u32 = 1 << 29;
const GRE_SEQUENCE: u32 = 1 << 28;
const GRE_VERSION: u32 = 7 << 16;

const MPLS_LEN: usize = 4;
/// The last label of its stack (RFC 3032 §2.1).
const MPLS_BOTTOM: u32 = 1 << 8;

/// VXLAN (RFC 7348) or Geneve (RFC 8926), by the port that it is sent to.
#[inline(always)]
pub(super) fn udp<F: Octets + ?Sized>(
    frame: &F,
    place: &Place,
    tunnels: &Tunnels,
) -> Result<Place, Stop> {
    let port = frame.be16(place.offset + 2);
    let port = port.ok_or(Reject::TruncatedTunnel)?;
    let geneve = port == GENEVE_PORT;
    if !geneve && !tunnels.is_vxlan(port) {
        return Err(Stop::NotTcp);
    }
    let offset = place.offset + UDP_LEN;
    let head = frame.be64(offset).ok_or(Reject::TruncatedTunnel)?;
    let id = (head >> 8 & 0xff_ffff) as u32;
    if geneve {
        // Version, length of the options in words of four octets, flags; type; identifier.
        if head >> 62 != 0 {
            return Err(Reject::BadTunnel.into());
        }
        let options_len = (head >> 56 & 0x3f) as usize * 4;
        let inner = offset + GENEVE_LEN + options_len;
        within(place, inner)?;
        return place.inside(Tunnel::Geneve, id, head >> 32 & 0xffff, inner);
    }
    if head & VXLAN_ID == 0 {
        return Err(Reject::BadTunnel.into());
    }
    let inner = offset + VXLAN_LEN;
    within(place, inner)?;
    place.inside(Tunnel::Vxlan, id, ethertype::ETHERNET.into(), inner)
}

/// GRE (RFC 2784) with its key and sequence number (RFC 2890). Version 1 is PPTP's (RFC 2637), and
/// routing went out of use with RFC 1701.
#[inline(always)]
pub(super) fn gre<F: Octets + ?Sized>(frame: &F, place: &Place) -> Result<Place, Stop> {
    let head = frame.be32(place.offset).ok_or(Reject::TruncatedTunnel)?;
    if head & (GRE_ROUTING | GRE_VERSION) != 0 {
        return Err(Reject::BadTunnel.into());
    }
    let mut inner = place.offset + GRE_LEN;
    if head & GRE_CHECKSUM != 0 {
        inner += GRE_FIELD_LEN;
    }
    let id = if head & GRE_KEY == 0 {
        place.address_hash(frame)?
    } else {
        let key = frame.be32(inner);
        inner += GRE_FIELD_LEN;
        key.ok_or(Reject::TruncatedTunnel)?
    };
    if head & GRE_SEQUENCE != 0 {
        inner += GRE_FIELD_LEN;
    }
    within(place, inner)?;
    let kind: Kind = (head & 0xffff).into();
    place.inside(Tunnel::Gre, id, kind, inner)
}

/// One label of a stack (RFC 3032). Nothing says what is below the last one: an IP packet is told by
/// its version, anything else is not followed.
#[inline(always)]
pub(super) fn mpls<F: Octets + ?Sized>(frame: &F, place: &Place) -> Result<Place, Stop> {
    let label = frame.be32(place.offset).ok_or(Reject::TruncatedTunnel)?;
    let offset = place.offset + MPLS_LEN;
    let ether_type = if label & MPLS_BOTTOM == 0 {
        ethertype::MPLS
    } else {
        let inner = ip::ether_type(frame, offset);
        inner.ok_or(Reject::TruncatedTunnel)?.ok_or(Stop::NotTcp)?
    };
    Ok(place.at(Layer::new(ether_type, offset, place.layer().scope)))
}

/// A header lies within the packet that carries it, and is not read from the padding behind.
#[inline(always)]
const fn within(place: &Place, header_end: usize) -> Result<(), Stop> {
    if header_end > place.end {
        return Err(Stop::Reject(Reject::TruncatedTunnel));
    }
    Ok(())
}
