//! From a frame's octets to the place of its TCP header.
//!
//! In: a frame. Out: a [`Located`] header, `None` where the frame carries no TCP, or a named
//! [`Reject`]. Absent on purpose: building the segment, which the hot path never needs
//! ([`Located::segment`] does it for the few frames that matter).

mod descent;
mod ethertype;
mod ip;
mod ipv4;
mod ipv6;
mod link;
mod tcp;
#[cfg(test)]
mod tests;
mod tunnel;
mod tunnels;

pub use tcp::Located;
pub use tunnels::{MAX_VXLAN_PORTS, Tunnels};

use crate::octets::Octets;
use crate::segment::Scope;
use descent::Outer;

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

/// The place of what an IP packet carries and the packet's end.
#[derive(Clone, Copy, Debug)]
struct Transport {
    /// What it carries.
    protocol: u64,
    offset: usize,
    /// Offset past the packet's last octet; what follows is link-layer padding.
    end: usize,
    /// 1 for a first fragment: more of the segment follows elsewhere. A number, since the verifier
    /// follows both ways of a branch, and each truth value is one.
    fragment: u64,
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
    /// The frame ends inside a tunnel's header.
    TruncatedTunnel,
    /// A tunnel's header that is of another version, or lacks what it has to have.
    BadTunnel,
    /// More tunnels one inside the other, or more headers in all, than are followed.
    TunnelTooDeep,
}

impl Reject {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 15] = [
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
        Self::TruncatedTunnel,
        Self::BadTunnel,
        Self::TunnelTooDeep,
    ];

    /// Whether the frame seemed to end inside its headers.
    #[inline(always)]
    #[must_use]
    pub const fn truncated(self) -> bool {
        matches!(
            self,
            Self::TruncatedLink
                | Self::TruncatedNetwork
                | Self::TruncatedTransport
                | Self::TruncatedTunnel
        )
    }
}

/// What is found right behind an Ethernet header, or where a frame begins with an IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A TCP header behind that of an IP packet.
    Tcp(Located),
    /// An IP packet that carries another protocol, which is not looked into.
    NotTcp,
    /// Something that [`locate`] has to go through header by header, or has to reject.
    Other,
}

/// The short way to what most frames are: TCP in IP, in Ethernet where the device has that. It is made
/// of the same parts as [`locate`], and finds the same.
#[inline(always)]
pub fn plain<F: Octets + ?Sized>(frame: &F, link: Link, scope: Scope, tunnels: &Tunnels) -> Plain {
    match plain_tcp(frame, link, scope) {
        Ok(located) => Plain::Tcp(located),
        Err(Stop::NotTcp) if !tunnels.is_on() => Plain::NotTcp,
        Err(_) => Plain::Other,
    }
}

#[inline(always)]
fn plain_tcp<F: Octets + ?Sized>(frame: &F, link: Link, scope: Scope) -> Result<Located, Stop> {
    // Any reject sends it the longer way.
    let (ether_type, offset) = match link {
        Link::Ethernet => {
            let ether_type = frame.be16(link::ETHERNET_TYPE);
            let ether_type = ether_type.ok_or(Reject::TruncatedLink)?;
            (ether_type, link::ETHERNET_LEN)
        }
        Link::Ip => match ip::ether_type(frame, 0) {
            Some(Some(ether_type)) => (ether_type, 0),
            _ => return Err(Reject::BadIpVersion.into()),
        },
        _ => return Err(Reject::TruncatedLink.into()),
    };
    let (version, transport) = match ether_type {
        ethertype::IPV4 => {
            let tcp = |protocol| protocol == ip::TCP;
            (Version::V4, ipv4::header(frame, offset, 0, tcp)?)
        }
        ethertype::IPV6 => {
            let transport = ipv6::header(frame, offset, 0)?;
            match transport.protocol {
                ip::TCP => (Version::V6, transport),
                other if ipv6::is_extension(other) => return Err(Reject::TooManyExtensions.into()),
                _ => return Err(Stop::NotTcp),
            }
        }
        _ => return Err(Reject::TooManyVlanTags.into()),
    };
    let network = Network {
        version,
        offset,
        scope: scope.0,
    };
    Ok(tcp::locate(frame, &network, &transport, Outer::default())?)
}

/// Whether a frame that carries IP, by the EtherType that its device tells, is without the Ethernet header
/// that would say so.
#[inline(always)]
pub fn lacks_ethernet<F: Octets + ?Sized>(frame: &F, ether_type: u16) -> bool {
    matches!(ether_type, ethertype::IPV4 | ethertype::IPV6)
        && frame.be16(link::ETHERNET_TYPE) != Some(ether_type)
}

/// Finds the TCP header of a frame.
///
/// `scope` holds tags that the device took off the frame before it was seen. `forget` gives words
/// back as they are; the kernel's makes the verifier forget what it knows of them.
///
/// # Errors
/// A [`Reject`] where the frame is malformed, cut short, or a fragment without ports.
#[inline(always)]
pub fn locate<F: Octets + ?Sized>(
    frame: &F,
    link: Link,
    scope: Scope,
    tunnels: &Tunnels,
    forget: impl Fn([u64; 3]) -> [u64; 3],
) -> Result<Option<Located>, Reject> {
    let located = match descend(frame, link, scope) {
        // The common way is short; the one through tunnels begins anew.
        Err(Stop::NotTcp) if tunnels.is_on() => {
            descent::descend(frame, link, scope, tunnels, forget)
        }
        located => located,
    };
    match located {
        Ok(located) => Ok(Some(located)),
        Err(Stop::NotTcp) => Ok(None),
        Err(Stop::Reject(reject)) => Err(reject),
    }
}

#[inline(always)]
fn descend<F: Octets + ?Sized>(frame: &F, link: Link, scope: Scope) -> Result<Located, Stop> {
    let network = ethertype::locate(frame, link::begin(frame, link, scope)?)?;
    let transport = match network.version {
        Version::V4 => ipv4::header(frame, network.offset, 0, |protocol| protocol == ip::TCP)?,
        Version::V6 => ipv6::locate(frame, network.offset)?,
    };
    Ok(tcp::locate(frame, &network, &transport, Outer::default())?)
}
