//! Frames that nobody should send, by kind. The same seed gives the same frames.

use fastrand::Rng;
use synfin_ebpf::segment::Flags;
use synfin_tests::carriers::{Carrier, Gre, Inner, VXLAN_PORT};
use synfin_tests::frames::{Extension, Frame, SERVICE_VLAN, VLAN};

use super::{SHORTEST, carried, samples};

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any octets, most of them behind an EtherType that is looked into.
    Random,
    /// A real one with up to six other octets, some of them cut.
    Mutated,
    /// A real one, cut; each place in its turn.
    Truncated,
    /// Fields of length and version that are not so.
    Lying,
    /// Tags, tunnels and extension headers in each other, deeper than anyone follows.
    Nested,
    /// Options of TCP: every kind with every length in its turn, among others of any kind.
    Options,
    /// The one before it again.
    Copy,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Random,
        Self::Mutated,
        Self::Truncated,
        Self::Lying,
        Self::Nested,
        Self::Options,
        Self::Copy,
    ];
}

/// Makes them.
pub(super) struct Frames {
    random: Rng,
    real: Vec<Whole>,
    /// What comes again, as a bridge shows a frame twice.
    last: Option<Vec<u8>>,
    turn: usize,
    /// Which real frame is cut next, and where.
    cut: (usize, usize),
    option: usize,
}

/// After so many frames no connection of those before comes again.
pub(super) const ERA: usize = 10_000;

/// Lengths that are often a limit, beside those next to the true one.
const LIMITS: [u16; 14] = [
    0, 1, 4, 7, 8, 19, 20, 21, 39, 40, 41, 0x7fff, 0x8000, 0xffff,
];
/// Octets that are often a limit.
const OCTETS: [u8; 12] = [0, 1, 4, 5, 0x0f, 0x40, 0x44, 0x45, 0x60, 0x7f, 0x80, 0xff];
/// EtherTypes that are looked into.
const ETHER_TYPES: [u16; 8] = [
    0x0800, 0x86dd, 0x8100, 0x88a8, 0x8847, 0x8848, 0x8864, 0x6558,
];
/// Protocols behind an IP header that are looked into.
const PROTOCOLS: [u8; 12] = [6, 17, 47, 4, 41, 137, 0, 43, 44, 51, 60, 135];
/// Room for the options of a TCP header.
const OPTIONS_LEN: usize = 40;

impl Frames {
    pub(super) fn new(seed: u64) -> anyhow::Result<Self> {
        let real = [samples()?, carried()?].concat();
        Ok(Self {
            random: Rng::with_seed(seed),
            real: real.iter().map(Whole::from).collect(),
            last: None,
            turn: 0,
            // Each seed begins to cut elsewhere.
            cut: (usize::try_from(seed % 64)?, SHORTEST),
            option: usize::try_from(seed % 11_008)?,
        })
    }

    /// The next one.
    pub(super) fn next(&mut self) -> (Kind, Vec<u8>) {
        let kind = Kind::ALL[self.turn % Kind::ALL.len()];
        self.turn += 1;
        let mut frame = match kind {
            Kind::Random => self.any(),
            Kind::Mutated => self.mutated(),
            Kind::Truncated => self.truncated(),
            Kind::Lying => self.lying(),
            Kind::Nested => {
                let frame = self.nested();
                self.salted(Whole::from(&frame))
            }
            Kind::Options => {
                let frame = self.options();
                self.salted(Whole::from(&frame))
            }
            Kind::Copy => self.last.take().unwrap_or_default(),
        };
        if frame.len() < SHORTEST {
            frame.resize(SHORTEST, 0);
        }
        self.last = Some(frame.clone());
        (kind, frame)
    }

    fn any(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        let most = if random.u8(..) < 16 { 1_500 } else { 120 };
        let mut frame = vec![0; random.usize(SHORTEST..=most)];
        random.fill(&mut frame);
        if random.u8(..) < 224 {
            let ether_type = ETHER_TYPES[random.usize(..ETHER_TYPES.len())];
            frame[12..14].copy_from_slice(&ether_type.to_be_bytes());
            let (version, protocol) = if ether_type == 0x86dd {
                (0x60, 20)
            } else {
                (0x45, 23)
            };
            if random.bool() && frame.len() > protocol {
                frame[14] = version;
                frame[protocol] = PROTOCOLS[random.usize(..PROTOCOLS.len())];
            }
        }
        frame
    }

    fn real(&mut self) -> Vec<u8> {
        let number = self.random.usize(..self.real.len());
        self.salted(self.real[number].clone())
    }

    /// With another checksum, so that no frame is by chance a copy of one before, and with addresses of
    /// this era: how long ago something was, the programs and the tracker would have to agree on to the
    /// nanosecond.
    fn salted(&mut self, whole: Whole) -> Vec<u8> {
        let Whole {
            mut octets,
            network,
            transport,
        } = whole;
        let salt = self.random.u16(..).to_be_bytes();
        octets[transport + 16..transport + 18].copy_from_slice(&salt);
        let era = u16::try_from(self.turn / ERA)
            .unwrap_or(u16::MAX)
            .to_be_bytes();
        let ends = if octets[network] >> 4 == 4 {
            [13, 17]
        } else {
            [12, 28]
        };
        for end in ends {
            octets[network + end..network + end + 2].copy_from_slice(&era);
        }
        octets
    }

    fn mutated(&mut self) -> Vec<u8> {
        let mut frame = self.real();
        let random = &mut self.random;
        if random.u8(..) < 64 {
            frame.truncate(random.usize(SHORTEST..=frame.len()));
        }
        for _ in 0..random.usize(1..=6) {
            let place = random.usize(12..frame.len());
            frame[place] = random.u8(..);
        }
        frame
    }

    fn truncated(&mut self) -> Vec<u8> {
        let (number, len) = self.cut;
        let frame = self.real[number % self.real.len()].clone();
        let frame = self.salted(frame);
        let cut = frame[..len.min(frame.len())].to_vec();
        self.cut = if len < frame.len() {
            (number, len + 1)
        } else {
            (number + 1, SHORTEST)
        };
        cut
    }

    fn lying(&mut self) -> Vec<u8> {
        let frame = if self.random.bool() {
            self.plain()
        } else {
            self.nested()
        };
        let mut octets = self.salted(Whole::from(&frame));
        let (network, transport) = (frame.network(), frame.transport());
        let random = &mut self.random;
        for _ in 0..random.usize(1..=3) {
            // The lengths of IPv4, of IPv6 and of UDP, and the offset of a fragment.
            let fields = [
                network + 2,
                network + 4,
                network + 6,
                transport.saturating_sub(4),
            ];
            let place = match random.u8(..) {
                0..128 => fields[random.usize(..fields.len())],
                128..192 => transport + 12,
                _ => random.usize(12..=transport),
            };
            let Some(field) = octets.get_mut(place..place + 2) else {
                continue;
            };
            let [hi, lo] = [field[0], field[1]];
            match random.u8(..4) {
                0 => {
                    let near = u16::from_be_bytes([hi, lo])
                        .wrapping_add(random.u16(..5))
                        .wrapping_sub(2);
                    field.copy_from_slice(&near.to_be_bytes());
                }
                1 => {
                    let limit = LIMITS[random.usize(..LIMITS.len())];
                    field.copy_from_slice(&limit.to_be_bytes());
                }
                2 => field[0] = OCTETS[random.usize(..OCTETS.len())],
                _ => field[0] = random.u8(..),
            }
        }
        octets
    }

    /// A segment of any flags between a few hosts, so that some belong together.
    fn plain(&mut self) -> Frame {
        let random = &mut self.random;
        let (client, server) = if random.bool() {
            (
                ([10, 1, 1, 2], 52_144 + random.u16(..64)).into(),
                ([10, 1, 1, 1], 21).into(),
            )
        } else {
            let host = |last| std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last);
            (
                (host(2), 52_144 + random.u16(..64)).into(),
                (host(1), 21).into(),
            )
        };
        let (from, to) = if random.bool() {
            (client, server)
        } else {
            (server, client)
        };
        let mut frame = Frame::new(from, to)
            .flags(Flags(random.u8(..)))
            .seq(random.u32(..4))
            .payload(random.usize(..40));
        frame.ack = random.u32(..4);
        frame.ident = random.u16(..);
        frame
    }

    fn nested(&mut self) -> Frame {
        let mut frame = self.plain();
        let random = &mut self.random;
        for _ in 0..random.usize(..=4) {
            let ether_type = if random.bool() { VLAN } else { SERVICE_VLAN };
            frame = frame.tagged(ether_type, random.u16(..4_096));
        }
        let options = [1; OPTIONS_LEN];
        frame.ip_options = options[..4 * random.usize(..=10)].to_vec();
        frame.extensions = (0..random.usize(..=9)).map(|_| extension(random)).collect();
        let mut inner = None;
        for _ in 0..random.usize(..=5) {
            let carrier = carrier(random, inner.as_ref());
            frame.carriers.insert(0, carrier.clone());
            inner = Some(carrier);
        }
        frame
    }

    fn options(&mut self) -> Frame {
        let frame = if self.random.u8(..) < 64 {
            self.nested()
        } else {
            self.plain()
        };
        let random = &mut self.random;
        let (kind, len) = (self.option % 256, self.option / 256 % (OPTIONS_LEN + 3));
        self.option += 1;
        let mut options = vec![1; random.usize(..8)];
        options.extend([kind, len].map(|octet| u8::try_from(octet).unwrap_or(u8::MAX)));
        while options.len() < OPTIONS_LEN {
            options.push(match random.u8(..4) {
                0 => random.u8(..),
                _ => random.u8(..12),
            });
        }
        options.truncate(4 * random.usize(1..=10));
        let frame = if random.bool() {
            frame.flags(Flags::SYN.with(Flags(random.u8(..) & Flags::ACK.0)))
        } else {
            frame
        };
        frame.options(&options)
    }
}

/// A frame as it should be, and where its headers are.
#[derive(Clone)]
struct Whole {
    octets: Vec<u8>,
    network: usize,
    transport: usize,
}

impl From<&Frame> for Whole {
    fn from(frame: &Frame) -> Self {
        Self {
            octets: frame.octets(),
            network: frame.network(),
            transport: frame.transport(),
        }
    }
}

fn extension(random: &mut Rng) -> Extension {
    match random.u8(..5) {
        0 => Extension::HopByHop(random.u8(..3)),
        1 => Extension::Routing,
        2 => Extension::Destination(random.u8(..3)),
        3 => Extension::Fragment(random.u16(..3) * 8, random.bool()),
        _ => Extension::Authentication,
    }
}

/// Anything that can be around the inner carrier, or around the packet.
fn carrier(random: &mut Rng, inner: Option<&Carrier>) -> Carrier {
    let v4 = [[192, 0, 2, 1].into(), [198, 51, 100, 7].into()];
    let host = |last| std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
    let v6 = [host(1).into(), host(2).into()];
    let ends = if random.bool() { v4 } else { v6 };
    let form = if random.bool() {
        Inner::Frame
    } else {
        Inner::Packet
    };
    // IP and PPP carry packets and labels only.
    let least = if matches!(inner, Some(Carrier::Tag(_) | Carrier::Pppoe(_))) {
        2
    } else {
        0
    };
    match random.u8(least..7) {
        0 => Carrier::Ip(ends),
        1 => Carrier::Pppoe(random.u16(..)),
        2 => Carrier::Tag(random.u16(..4_096)),
        3 => Carrier::Mpls((0..random.u32(1..9)).collect()),
        4 => Carrier::Vxlan(ends, VXLAN_PORT, random.u32(..1 << 24)),
        5 => Carrier::Geneve(ends, random.u32(..1 << 24), random.u8(..64), form),
        _ => Carrier::Gre(
            ends,
            Gre {
                key: random.bool().then(|| random.u32(..)),
                checksum: random.bool(),
                sequence: random.bool(),
                inner: form,
            },
        ),
    }
}
