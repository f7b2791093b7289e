//! What a packet travels in between its frame's Ethernet header and its own IP header.

use std::net::IpAddr;

use crate::frames::{checksum, field};

/// EtherType of a whole frame in a tunnel.
const BRIDGED: u16 = 0x6558;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const MPLS: u16 = 0x8847;
const PPPOE: u16 = 0x8864;

const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_GRE: u8 = 47;

/// UDP port of VXLAN.
pub const VXLAN_PORT: u16 = 4789;
/// UDP port of Geneve.
pub const GENEVE_PORT: u16 = 6081;

/// The two ends of a tunnel, the client's first.
pub type Ends = [IpAddr; 2];

/// One thing that a packet travels in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A VLAN tag, where it is not on the outer frame.
    Tag(u16),
    /// A stack of labels, the outer one first.
    Mpls(Vec<u32>),
    /// A PPPoE session.
    Pppoe(u16),
    /// An IP packet.
    Ip(Ends),
    /// GRE.
    Gre(Ends, Gre),
    /// VXLAN to this port, with this identifier.
    Vxlan(Ends, u16, u32),
    /// Geneve with this identifier and so many words of options; a whole frame, or a packet.
    Geneve(Ends, u32, u8, Inner),
}

/// What a tunnel carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inner {
    /// A packet.
    #[default]
    Packet,
    /// An Ethernet frame with a packet in it.
    Frame,
}

/// What a GRE header has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gre {
    /// A key.
    pub key: Option<u32>,
    /// A checksum; a wrong one, since nobody looks at it.
    pub checksum: bool,
    /// A sequence number.
    pub sequence: bool,
    /// What it carries.
    pub inner: Inner,
}

/// A packet or what is around one, and the EtherType that says so.
pub(crate) type Typed = (u16, Vec<u8>);

impl Carrier {
    /// Puts it around a packet that the client sends, or the server.
    pub(crate) fn around(&self, (ether_type, packet): Typed, from_client: bool) -> Typed {
        let ip = |ends: &Ends, protocol: u8, payload: Vec<u8>| {
            let [client, server] = *ends;
            if from_client {
                ip([client, server], protocol, &payload)
            } else {
                ip([server, client], protocol, &payload)
            }
        };
        match self {
            Self::Tag(id) => {
                let head = [id.to_be_bytes(), ether_type.to_be_bytes()];
                (0x8100, [&head.concat()[..], &packet].concat())
            }
            Self::Mpls(labels) => (MPLS, mpls(labels, &packet)),
            Self::Pppoe(session) => (PPPOE, pppoe(*session, ether_type, &packet)),
            Self::Ip(ends) => {
                let protocol = match ether_type {
                    IPV4 => 4,
                    IPV6 => 41,
                    MPLS => 137,
                    other => panic!("IP does not carry {other:#06x}"),
                };
                ip(ends, protocol, packet)
            }
            Self::Gre(ends, gre) => {
                let (ether_type, packet) = gre.inner.of((ether_type, packet));
                ip(ends, PROTOCOL_GRE, gre.around(ether_type, &packet))
            }
            Self::Vxlan(ends, port, id) => {
                let (_, frame) = Inner::Frame.of((ether_type, packet));
                let head = [0x0800_0000, id << 8].map(u32::to_be_bytes).concat();
                ip(ends, PROTOCOL_UDP, udp(*port, &[head, frame].concat()))
            }
            Self::Geneve(ends, id, words, inner) => {
                let (ether_type, packet) = inner.of((ether_type, packet));
                let mut head = vec![*words, 0];
                head.extend(ether_type.to_be_bytes());
                head.extend((id << 8).to_be_bytes());
                head.resize(8 + 4 * usize::from(*words), 0xee);
                ip(
                    ends,
                    PROTOCOL_UDP,
                    udp(GENEVE_PORT, &[head, packet].concat()),
                )
            }
        }
    }
}

impl Inner {
    fn of(self, (ether_type, packet): Typed) -> Typed {
        match self {
            Self::Packet => (ether_type, packet),
            Self::Frame => {
                let head = [&[6; 12][..], &ether_type.to_be_bytes()].concat();
                (BRIDGED, [head, packet].concat())
            }
        }
    }
}

impl Gre {
    fn around(&self, ether_type: u16, packet: &[u8]) -> Vec<u8> {
        let flags = u16::from(self.checksum) << 15
            | u16::from(self.key.is_some()) << 13
            | u16::from(self.sequence) << 12;
        let mut header = [flags.to_be_bytes(), ether_type.to_be_bytes()].concat();
        if self.checksum {
            header.extend([0xbe, 0xef, 0, 0]);
        }
        if let Some(key) = self.key {
            header.extend(key.to_be_bytes());
        }
        if self.sequence {
            header.extend([0, 0, 0, 9]);
        }
        [&header, packet].concat()
    }
}

fn mpls(labels: &[u32], packet: &[u8]) -> Vec<u8> {
    let mut stack = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let bottom = u32::from(index + 1 == labels.len());
        stack.extend((label << 12 | bottom << 8 | 64).to_be_bytes());
    }
    [&stack, packet].concat()
}

fn pppoe(session: u16, ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let protocol: u16 = match ether_type {
        IPV4 => 0x0021,
        IPV6 => 0x0057,
        MPLS => 0x0281,
        other => panic!("PPP does not carry {other:#06x}"),
    };
    let mut header = vec![0x11, 0];
    header.extend(session.to_be_bytes());
    header.extend(field(2 + packet.len()));
    header.extend(protocol.to_be_bytes());
    [&header, packet].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0xc0, 0x01];
    header.extend(port.to_be_bytes());
    header.extend(field(8 + payload.len()));
    header.extend([0, 0]);
    [&header, payload].concat()
}

fn ip(ends: [IpAddr; 2], protocol: u8, payload: &[u8]) -> Typed {
    match ends {
        [IpAddr::V4(source), IpAddr::V4(destination)] => {
            let mut header = vec![0x45, 0];
            header.extend(field(20 + payload.len()));
            header.extend([0, 7, 0x40, 0, 64, protocol, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = checksum(&header).to_be_bytes();
            header.splice(10..12, sum);
            (IPV4, [&header, payload].concat())
        }
        [IpAddr::V6(source), IpAddr::V6(destination)] => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(field(payload.len()));
            header.extend([protocol, 64]);
            header.extend(source.octets());
            header.extend(destination.octets());
            (IPV6, [&header, payload].concat())
        }
        [a, b] => panic!("{a} and {b} are of two families"),
    }
}

/// One of every kind, to be put around anything.
#[must_use]
pub fn samples() -> Vec<(&'static str, Vec<Carrier>)> {
    let address = |text: &str| text.parse().expect("an address");
    let v4 = || [address("192.0.2.1"), address("198.51.100.7")];
    let v6 = || [address("2001:db8::1"), address("2001:db8:7::2")];
    let all = Gre {
        key: Some(0xfeed),
        checksum: true,
        sequence: true,
        inner: Inner::Frame,
    };
    let keyed = Gre {
        key: Some(7),
        ..Gre::default()
    };
    let bridged = Gre {
        inner: Inner::Frame,
        ..Gre::default()
    };
    let vxlan = |ends| Carrier::Vxlan(ends, VXLAN_PORT, 0x00ab_cdef);
    vec![
        ("MPLS", vec![Carrier::Mpls(vec![16, 17, 18])]),
        ("PPPoE", vec![Carrier::Pppoe(0x1234)]),
        (
            "MPLS in PPPoE",
            vec![Carrier::Pppoe(1), Carrier::Mpls(vec![3])],
        ),
        ("VXLAN over IPv4", vec![vxlan(v4())]),
        ("VXLAN over IPv6", vec![vxlan(v6())]),
        ("a tag in VXLAN", vec![vxlan(v4()), Carrier::Tag(7)]),
        (
            "Geneve over IPv4",
            vec![Carrier::Geneve(v4(), 5, 0, Inner::Frame)],
        ),
        (
            "a packet in Geneve over IPv6",
            vec![Carrier::Geneve(v6(), 5, 2, Inner::Packet)],
        ),
        ("GRE over IPv4", vec![Carrier::Gre(v4(), Gre::default())]),
        ("GRE over IPv6", vec![Carrier::Gre(v6(), keyed)]),
        ("frames in GRE", vec![Carrier::Gre(v4(), bridged)]),
        ("GRE with all fields", vec![Carrier::Gre(v6(), all)]),
        (
            "MPLS in GRE",
            vec![
                Carrier::Gre(v4(), Gre::default()),
                Carrier::Mpls(vec![30, 31]),
            ],
        ),
        ("IP in IPv4", vec![Carrier::Ip(v4())]),
        ("IP in IPv6", vec![Carrier::Ip(v6())]),
        (
            "MPLS in IP",
            vec![Carrier::Ip(v6()), Carrier::Mpls(vec![40])],
        ),
        (
            "three tunnels",
            vec![Carrier::Pppoe(9), Carrier::Ip(v4()), vxlan(v6())],
        ),
    ]
}
