//! From a frame's link-layer header to TCP through tunnels, one header a step.
//!
//! Between the steps everything that is known is packed into three words: the verifier of the kernel
//! then sees the same state at the beginning of every step, however the place was reached.

use super::tunnels::Tunnels;
use super::{Layer, Link, Located, Network, Reject, Stop, Transport, Version};
use super::{ethertype, ip, ipv4, ipv6, link, tcp, tunnel};
use crate::octets::Octets;
use crate::segment::{Scope, Tunnel};

/// As many tunnels are gone into, each inside the one before.
const MAX_DEPTH: u64 = 3;
/// As many headers are passed: tags, labels, Ethernet, IP and tunnel headers at three tunnels' depth.
const MAX_HEADERS: usize = 20;
/// No header is looked for past this octet. From there the longest chain of IPv6 extension headers
/// still ends before [`MAX_PLACE`].
const LAST_START: usize = 0x3fff;
const MAX_PLACE: u64 = 0x7fff;
/// No packet is as long.
const MAX_END: u64 = 0x7fff_ffff;

/// What begins at a place: an EtherType, or above those a protocol of IP.
pub(super) type Kind = u64;
const TCP: Kind = PROTOCOLS | ip::TCP;
const PROTOCOLS: Kind = 1 << 16;

/// A header that is looked at next, and what was around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) offset: usize,
    pub(super) scope: u64,
    /// The innermost IP header that was passed: its version, its place, and the end of its packet.
    version: Version,
    network: usize,
    pub(super) end: usize,
    /// An IP packet around here is a first fragment: what it carries may end elsewhere.
    fragment: u64,
    /// IPv6 extension headers behind that IP header.
    extensions: usize,
    outer: Outer,
    depth: u64,
}

/// Where the IP header of the innermost tunnel is, if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outer(pub(super) u64);

impl Outer {
    const V6: u64 = 1 << 15;
    const THERE: u64 = 1 << 16;
    const BITS: u64 = MAX_PLACE | Self::V6 | Self::THERE;

    #[inline(always)]
    const fn at(version: Version, offset: usize) -> Self {
        let version = match version {
            Version::V4 => 0,
            Version::V6 => Self::V6,
        };
        Self(offset as u64 & MAX_PLACE | version | Self::THERE)
    }

    /// What the bits of another one say.
    #[inline(always)]
    pub(super) const fn new(bits: u64) -> Self {
        Self(bits & Self::BITS)
    }

    /// The header's version and place.
    #[inline(always)]
    pub(super) const fn get(self) -> Option<(Version, usize)> {
        if self.0 & Self::THERE == 0 {
            return None;
        }
        let version = version(self.0 & Self::V6);
        Some((version, (self.0 & MAX_PLACE) as usize))
    }
}

/// Goes through the frame's tunnels.
#[inline(always)]
pub(super) fn descend<F: Octets + ?Sized>(
    frame: &F,
    link: Link,
    scope: Scope,
    tunnels: &Tunnels,
    forget: impl Fn([u64; 3]) -> [u64; 3],
) -> Result<Located, Stop> {
    // A PPPoE header that the frame begins with is the first tunnel.
    let depth = u64::from(link == Link::Pppoe);
    let mut place = Place::start(link::begin(frame, link, scope)?, depth);
    for _ in 0..MAX_HEADERS {
        if place.offset > LAST_START {
            return Err(Reject::OutOfReach.into());
        }
        place = Place::unpack(forget(step(frame, &place, tunnels)?.pack()));
        if place.kind == TCP {
            return Ok(tcp::locate(
                frame,
                &place.network(),
                &place.transport(),
                place.outer,
            )?);
        }
    }
    Err(Reject::TunnelTooDeep.into())
}

/// Passes one header.
#[inline(always)]
fn step<F: Octets + ?Sized>(frame: &F, place: &Place, tunnels: &Tunnels) -> Result<Place, Stop> {
    match place.kind.checked_sub(PROTOCOLS) {
        Some(ip::UDP) => return tunnel::udp(frame, place, tunnels),
        Some(ip::GRE) => return tunnel::gre(frame, place),
        Some(ip::IPV4) => return place.in_ip(frame, ethertype::IPV4),
        Some(ip::IPV6) => return place.in_ip(frame, ethertype::IPV6),
        Some(ip::MPLS) => return place.in_ip(frame, ethertype::MPLS),
        Some(_) => return place.past_extension(frame),
        None => {}
    }
    match place.layer().ether_type {
        ethertype::IPV4 => {
            let transport = ipv4::header(frame, place.offset, place.fragment, |protocol| {
                matches!(
                    protocol,
                    ip::TCP | ip::UDP | ip::GRE | ip::IPV4 | ip::IPV6 | ip::MPLS
                )
            })?;
            Ok(place.past_ip(Version::V4, &transport))
        }
        ethertype::IPV6 => {
            let transport = ipv6::header(frame, place.offset, place.fragment)?;
            Ok(place.past_ip(Version::V6, &transport))
        }
        ethertype::VLAN | ethertype::QINQ => Ok(place.at(ethertype::tag(frame, &place.layer())?)),
        ethertype::ETHERNET => Ok(place.at(link::ethernet(frame, &place.layer())?)),
        ethertype::MPLS | ethertype::MPLS_MULTICAST => tunnel::mpls(frame, place),
        ethertype::PPPOE => place.at(link::pppoe(frame, &place.layer())?).deeper(),
        _ => Err(Stop::NotTcp),
    }
}

impl Place {
    #[inline(always)]
    fn start(layer: Layer, depth: u64) -> Self {
        Self {
            kind: layer.ether_type.into(),
            offset: layer.offset,
            scope: layer.scope.0,
            version: Version::V4,
            network: 0,
            end: 0,
            fragment: 0,
            extensions: 0,
            outer: Outer::default(),
            depth,
        }
    }

    /// Inside a tunnel whose innermost IP header is the last one that was passed.
    #[inline(always)]
    pub(super) fn inside(
        &self,
        tunnel: Tunnel,
        id: u32,
        kind: Kind,
        offset: usize,
    ) -> Result<Self, Stop> {
        let inside = Self {
            kind,
            offset,
            scope: Scope(self.scope).within(tunnel, id).0,
            outer: Outer::at(self.version, self.network),
            ..*self
        };
        inside.deeper()
    }

    #[inline(always)]
    fn deeper(&self) -> Result<Self, Stop> {
        if self.depth >= MAX_DEPTH {
            return Err(Reject::TunnelTooDeep.into());
        }
        Ok(Self {
            depth: self.depth + 1,
            ..*self
        })
    }

    /// A hash of the addresses of the last IP header, the same in both directions.
    #[inline(always)]
    pub(super) fn address_hash<F: Octets + ?Sized>(&self, frame: &F) -> Result<u32, Stop> {
        let ends = tcp::address_words(frame, self.version, self.network);
        let (source, destination) = ends.ok_or(Reject::TruncatedNetwork)?;
        Ok(tcp::both_ways(source, destination))
    }

    /// Inside a packet that an IP packet carries without a header between them.
    #[inline(always)]
    fn in_ip<F: Octets + ?Sized>(&self, frame: &F, ether_type: u16) -> Result<Self, Stop> {
        let id = self.address_hash(frame)?;
        self.inside(Tunnel::IpInIp, id, ether_type.into(), self.offset)
    }

    /// Past an IP header.
    #[inline(always)]
    fn past_ip(&self, version: Version, transport: &Transport) -> Self {
        let past = Self {
            version,
            network: self.offset,
            extensions: 0,
            ..*self
        };
        past.carried_by(transport)
    }

    /// Past an IPv6 extension header.
    #[inline(always)]
    fn past_extension<F: Octets + ?Sized>(&self, frame: &F) -> Result<Self, Stop> {
        let transport = ipv6::extension(frame, &self.transport(), self.extensions)?;
        let past = Self {
            extensions: self.extensions + 1,
            ..*self
        };
        Ok(past.carried_by(&transport))
    }

    #[inline(always)]
    fn carried_by(&self, transport: &Transport) -> Self {
        Self {
            kind: PROTOCOLS | transport.protocol,
            offset: transport.offset,
            end: transport.end,
            fragment: self.fragment | transport.fragment,
            ..*self
        }
    }

    #[inline(always)]
    pub(super) fn at(&self, layer: Layer) -> Self {
        Self {
            kind: layer.ether_type.into(),
            offset: layer.offset,
            scope: layer.scope.0,
            ..*self
        }
    }

    #[inline(always)]
    pub(super) fn layer(&self) -> Layer {
        let ether_type = (self.kind & 0xffff) as u16;
        Layer::new(ether_type, self.offset, Scope(self.scope))
    }

    #[inline(always)]
    const fn network(&self) -> Network {
        Network {
            version: self.version,
            offset: self.network,
            scope: self.scope,
        }
    }

    #[inline(always)]
    const fn transport(&self) -> Transport {
        Transport {
            protocol: self.kind & 0xff,
            offset: self.offset,
            end: self.end,
            fragment: self.fragment,
        }
    }

    #[inline(always)]
    fn pack(&self) -> [u64; 3] {
        let v6 = u64::from(self.version == Version::V6);
        [
            self.offset as u64
                | (self.network as u64) << 16
                | v6 << 31
                | self.kind << 32
                | self.fragment << 56
                | (self.extensions as u64) << 57
                | self.depth << 60,
            self.end as u64 & MAX_END | self.outer.0 << 32,
            self.scope,
        ]
    }

    #[inline(always)]
    fn unpack([places, ends, scope]: [u64; 3]) -> Self {
        Self {
            kind: places >> 32 & 0x1_ffff,
            offset: (places & MAX_PLACE) as usize,
            scope,
            version: version(places & 1 << 31),
            network: (places >> 16 & MAX_PLACE) as usize,
            end: (ends & MAX_END) as usize,
            fragment: places >> 56 & 1,
            extensions: (places >> 57 & 7) as usize,
            outer: Outer::new(ends >> 32),
            depth: places >> 60,
        }
    }
}

#[inline(always)]
const fn version(v6: u64) -> Version {
    if v6 == 0 { Version::V4 } else { Version::V6 }
}
