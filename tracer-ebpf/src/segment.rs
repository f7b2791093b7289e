//! One TCP segment as it was seen: its numbers and flags, and what tells connections apart.
//!
//! Numbers are in host byte order; addresses stay octets.

use crate::seq::Seq;

/// The control bits of a TCP header, in wire order (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number is valid.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is valid.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// Whether any flag of `mask` is set.
    #[inline(always)]
    #[must_use]
    pub const fn any(self, mask: Self) -> bool {
        self.0 & mask.0 != 0
    }

    /// Both sets together.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// SYN is set.
    #[inline(always)]
    #[must_use]
    pub const fn syn(self) -> bool {
        self.any(Self::SYN)
    }

    /// ACK is set.
    #[inline(always)]
    #[must_use]
    pub const fn ack(self) -> bool {
        self.any(Self::ACK)
    }

    /// FIN is set.
    #[inline(always)]
    #[must_use]
    pub const fn fin(self) -> bool {
        self.any(Self::FIN)
    }

    /// RST is set.
    #[inline(always)]
    #[must_use]
    pub const fn rst(self) -> bool {
        self.any(Self::RST)
    }

    /// Whether the set by itself says that an opening, a closing or something odd is going on:
    /// every ordinary segment of a synchronised connection has ACK and none of SYN, FIN and RST.
    #[inline(always)]
    #[must_use]
    pub const fn significant(self) -> bool {
        self.0 & (Self::SYN.0 | Self::FIN.0 | Self::RST.0 | Self::ACK.0) != Self::ACK.0
    }

    /// A set that no TCP sends: SYN or RST combined with FIN, SYN with RST, a FIN without ACK
    /// (which RFC 9293 §3.10.7 drops), or none of SYN, RST and ACK (the NULL and XMAS scans).
    #[inline(always)]
    #[must_use]
    pub const fn anomalous(self) -> bool {
        let combined = self.0 & (Self::SYN.0 | Self::FIN.0 | Self::RST.0);
        (combined & combined.wrapping_sub(1)) != 0
            || (self.fin() && !self.ack())
            || !self.any(Self(Self::SYN.0 | Self::RST.0 | Self::ACK.0))
    }
}

/// The most octets of options that a header's data offset leaves room for (RFC 9293 §3.1).
pub const MAX_OPTIONS: usize = 40;
/// The words of eight octets that they take.
pub const OPTION_WORDS: usize = MAX_OPTIONS / 8;

/// The 16 octets of an address, held in two words in memory order; IPv4 in its IPv6-mapped form
/// `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Address(pub [u64; 2]);

impl Address {
    /// The mapped form of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4([a, b, c, d]: [u8; 4]) -> Self {
        Self([0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])])
    }

    /// An IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self([
            u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
        ])
    }

    /// Whether it is the mapped form of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        let Self([_, prefix]) = Self::v4([0; 4]);
        let Self([_, mask]) = Self::v6([0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
        let Self([high, low]) = *self;
        high == 0 && low & mask == prefix
    }

    /// The octets in wire order.
    #[must_use]
    pub const fn octets(&self) -> [u8; 16] {
        let Self([high, low]) = self;
        let [a, b, c, d, e, f, g, h] = high.to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = low.to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

/// An address and a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Network address.
    pub address: Address,
    /// TCP port.
    pub port: u16,
}

/// What tells apart two connections with the same addresses and ports: the VLAN tags and the tunnel
/// that they travel in.
///
/// Bits 0–11 the outer VLAN identifier, 12–23 the inner one, 24 and 25 whether each tag was there,
/// 28–31 the [`Tunnel`], 32–63 its identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Scope(pub u64);

/// What a packet was carried in, beside VLAN tags. MPLS is not among them: its labels differ by
/// direction, and often only one direction has any (RFC 3031 §3.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u64)]
pub enum Tunnel {
    /// RFC 7348; its network identifier.
    Vxlan = 1,
    /// RFC 8926; its network identifier.
    Geneve = 2,
    /// RFC 2784; its key (RFC 2890), or a hash of the outer addresses.
    Gre = 3,
    /// IP in IP of any two versions (RFC 2003, RFC 4213, RFC 2473); a hash of the outer addresses.
    IpInIp = 4,
    /// RFC 2516; its session.
    Pppoe = 5,
}

impl Tunnel {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::IpInIp => "ip_in_ip",
            Self::Pppoe => "pppoe",
        }
    }
}

impl Scope {
    const ID: u64 = 0xfff;
    const OUTER: u64 = 1 << 24;
    const INNER: u64 = 1 << 25;
    const TUNNEL_SHIFT: u32 = 28;
    const TUNNEL_ID_SHIFT: u32 = 32;
    const VLANS: u64 = (1 << Self::TUNNEL_SHIFT) - 1;

    /// Goes into a tunnel; of nested ones the innermost counts.
    #[inline(always)]
    #[must_use]
    pub const fn within(self, tunnel: Tunnel, id: u32) -> Self {
        Self(
            self.0 & Self::VLANS
                | (tunnel as u64) << Self::TUNNEL_SHIFT
                | (id as u64) << Self::TUNNEL_ID_SHIFT,
        )
    }

    /// The innermost tunnel and its identifier.
    #[must_use]
    pub const fn tunnel(self) -> Option<(Tunnel, u32)> {
        let tunnel = match self.0 >> Self::TUNNEL_SHIFT & 0xf {
            1 => Tunnel::Vxlan,
            2 => Tunnel::Geneve,
            3 => Tunnel::Gre,
            4 => Tunnel::IpInIp,
            5 => Tunnel::Pppoe,
            _ => return None,
        };
        Some((tunnel, (self.0 >> Self::TUNNEL_ID_SHIFT) as u32))
    }

    /// Whether both tags are there.
    #[inline(always)]
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.0 & Self::INNER != 0
    }

    /// Adds a tag inside those that are there; the tag control information's priority bits do not
    /// tell connections apart.
    #[inline(always)]
    #[must_use]
    pub const fn tagged(self, control: u16) -> Self {
        let id = control as u64 & Self::ID;
        if self.0 & Self::OUTER == 0 {
            Self(self.0 | id | Self::OUTER)
        } else {
            Self(self.0 | (id << 12) | Self::INNER)
        }
    }

    /// The VLAN identifiers, outer first.
    pub fn vlans(self) -> impl Iterator<Item = u16> {
        let id = |present: u64, shift: u32| {
            (self.0 & present != 0).then_some(((self.0 >> shift) & Self::ID) as u16)
        };
        [id(Self::OUTER, 0), id(Self::INNER, 12)]
            .into_iter()
            .flatten()
    }
}

/// One segment. Whose it is stands in the connection's key; its options stay in the frame, since
/// only those of a SYN are ever kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; means nothing without the ACK flag.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// SEG.WND as on the wire, without window scaling, in octets.
    pub window: u16,
    /// Payload, in octets (SEG.LEN without SYN and FIN).
    pub len: u32,
    /// Checksum as on the wire; what leaves a host may not have it filled in yet.
    pub checksum: u16,
    /// Identification of an IPv4 packet, 0 for IPv6. With the checksum it tells a copy, which has
    /// the same, from a retransmission.
    pub ident: u16,
}

impl Segment {
    /// The sequence number that follows this segment: SYN and FIN occupy one each (RFC 9293 §3.4).
    #[inline(always)]
    #[must_use]
    pub const fn end(&self) -> Seq {
        let flags = self.flags.syn() as u32 + self.flags.fin() as u32;
        self.seq.add(self.len).add(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_ack_is_not_significant_and_every_other_set_is() {
        for bits in 0..=u8::MAX {
            let flags = Flags(bits);
            let plain = flags.ack() && !flags.syn() && !flags.fin() && !flags.rst();
            assert_eq!(flags.significant(), !plain, "{bits:#04x}");
        }
    }

    #[test]
    fn the_sets_that_tcp_sends_are_not_anomalous() {
        let (syn, ack, fin, rst) = (Flags::SYN, Flags::ACK, Flags::FIN, Flags::RST);
        let ecn = syn.with(Flags::ECE).with(Flags::CWR);
        for flags in [
            syn,
            syn.with(ack),
            ecn,
            ack,
            fin.with(ack),
            rst,
            rst.with(ack),
        ] {
            assert!(!flags.anomalous(), "{flags:?}");
        }
    }

    #[test]
    fn scans_and_impossible_sets_are_anomalous() {
        let (syn, fin, rst) = (Flags::SYN, Flags::FIN, Flags::RST);
        let xmas = fin.with(Flags::PSH).with(Flags::URG);
        for flags in [
            Flags(0),
            xmas,
            syn.with(fin),
            syn.with(rst),
            fin.with(rst),
            fin,
        ] {
            assert!(flags.anomalous(), "{flags:?}");
        }
    }

    #[test]
    fn syn_and_fin_occupy_a_number_each() {
        let segment = Segment {
            seq: Seq(u32::MAX),
            len: 3,
            flags: Flags::FIN.with(Flags::ACK),
            ..Segment::default()
        };
        assert_eq!(segment.end(), Seq(3));
    }

    #[test]
    fn scope_keeps_both_tags_and_forgets_priorities() {
        let scope = Scope::default().tagged(0xe001).tagged(0x0fff);
        assert!(scope.vlans().eq([1, 0xfff]));
        assert_eq!(Scope::default().tagged(0), Scope(1 << 24));
    }
}
