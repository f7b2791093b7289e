//! From a frame's octets to the place of its TCP header.
//!
//! In: a frame. Out: a [`Located`] header, `None` where the frame carries no TCP, or a named
//! [`Reject`]. Absent on purpose: building the segment, which the hot path never needs
//! ([`Located::segment`] does it for the few frames that matter).

mod ethertype;
mod ipv4;
mod ipv6;
mod link;
mod tcp;
#[cfg(test)]
mod tests;

pub use tcp::Located;

use crate::octets::Octets;
use crate::segment::Scope;

/// What begins at an offset of the frame, by its EtherType, and what was around it.
#[derive(Clone, Copy, Debug)]
struct Layer {
    ether_type: u16,
    offset: usize,
    scope: Scope,
}

impl Layer {
    #[inline(always)]
    const fn new(ether_type: u16, offset: usize, scope: Scope) -> Self {
        Self {
            ether_type,
            offset,
            scope,
        }
    }
}

/// Where an IP header starts and what was around it.
#[derive(Clone, Copy, Debug)]
struct Network {
    version: Version,
    offset: usize,
    /// The bits of the [`Scope`].
    scope: u64,
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Link {
    /// Ethernet II (IEEE 802.3).
    #[default]
    Ethernet,
    /// Linux cooked capture, version 1.
    Cooked,
    /// Linux cooked capture, version 2.
    Cooked2,
    /// An IP packet of either version.
    Ip,
    /// BSD loopback: an address family in the byte order of the machine that captured.
    Null,
    /// OpenBSD loopback: an address family in network byte order.
    Loop,
    /// PPP, with or without the address and control octets of HDLC framing (RFC 1661, RFC 1662).
    Ppp,
    /// A PPPoE session (RFC 2516) without its Ethernet header.
    Pppoe,
}

/// The IP version of a packet.
///
/// The representation is as wide as a register of the BPF machine: narrower parts of a value that is
/// returned would be copied through the stack in misaligned pairs, which the verifier refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Version {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// A TCP header's place and the end of its packet, as the network layer tells them.
#[derive(Clone, Copy, Debug)]
struct Transport {
    offset: usize,
    /// Offset past the packet's last octet; what follows is link-layer padding.
    end: usize,
    /// A first fragment: more of the segment follows elsewhere.
    fragment: bool,
}

/// Why the way from the outer header to TCP ended early.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// Another protocol.
    NotTcp,
    /// Malformed, cut short, or without ports.
    Reject(Reject),
}

impl From<Reject> for Stop {
    #[inline(always)]
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

/// Why a frame was dropped from the analysis. Each has a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Reject {
    /// The frame ends inside its link-layer header or VLAN tags.
    TruncatedLink,
    /// More than two VLAN tags.
    TooManyVlanTags,
    /// The frame ends inside its IP header or extension headers.
    TruncatedNetwork,
    /// The EtherType says one IP version, the header another.
    BadIpVersion,
    /// An IPv4 header length below five words (RFC 791 §3.1).
    BadIpHeaderLength,
    /// An IP length smaller than the headers, or larger than the frame.
    BadIpLength,
    /// More IPv6 extension headers than are followed.
    TooManyExtensions,
    /// A fragment past the first: it carries no ports.
    LaterFragment,
    /// A first fragment too short for the TCP header (RFC 1858 §3).
    TinyFragment,
    /// The packet ends inside the TCP header.
    TruncatedTransport,
    /// A data offset below five words, or past the end of the packet (RFC 9293 §3.1).
    BadDataOffset,
    /// The headers lie beyond what can be read of the frame: past a capture's snap length, or past
    /// the linear part of a packet buffer.
    OutOfReach,
}

impl Reject {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 12] = [
        Self::TruncatedLink,
        Self::TooManyVlanTags,
        Self::TruncatedNetwork,
        Self::BadIpVersion,
        Self::BadIpHeaderLength,
        Self::BadIpLength,
        Self::TooManyExtensions,
        Self::LaterFragment,
        Self::TinyFragment,
        Self::TruncatedTransport,
        Self::BadDataOffset,
        Self::OutOfReach,
    ];

    /// Whether the frame seemed to end inside its headers.
    #[inline(always)]
    #[must_use]
    pub const fn truncated(self) -> bool {
        matches!(
            self,
            Self::TruncatedLink | Self::TruncatedNetwork | Self::TruncatedTransport
        )
    }
}

/// Finds the TCP header of a frame.
///
/// `scope` holds tags that the device took off the frame before it was seen.
///
/// # Errors
/// A [`Reject`] where the frame is malformed, cut short, or a fragment without ports.
#[inline(always)]
pub fn locate<F: Octets + ?Sized>(
    frame: &F,
    link: Link,
    scope: Scope,
) -> Result<Option<Located>, Reject> {
    match descend(frame, link, scope) {
        Ok(located) => Ok(Some(located)),
        Err(Stop::NotTcp) => Ok(None),
        Err(Stop::Reject(reject)) => Err(reject),
    }
}

#[inline(always)]
fn descend<F: Octets + ?Sized>(frame: &F, link: Link, scope: Scope) -> Result<Located, Stop> {
    let network = ethertype::locate(frame, link::begin(frame, link, scope)?)?;
    let transport = match network.version {
        Version::V4 => ipv4::locate(frame, network.offset)?,
        Version::V6 => ipv6::locate(frame, network.offset)?,
    };
    Ok(tcp::locate(frame, &network, &transport)?)
}
