//! Ethernet frames with TCP segments in them, from a readable description.
//!
//! In: addresses, numbers, flags, and what is to be around them. Out: octets with right lengths and
//! checksums. A frame that lies is made by changing octets of a right one ([`patch`]).

use std::net::{IpAddr, SocketAddr};

use synfin_ebpf::segment::Flags;

use crate::carriers::{Carrier, Typed};

/// The client's side of the wire; locally administered, and no interface's address.
pub const CLIENT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0c];
/// The server's side of the wire; locally administered, and no interface's address.
pub const SERVER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x05];

/// EtherType of a customer VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// EtherType of a service VLAN tag (IEEE 802.1ad).
pub const SERVICE_VLAN: u16 = 0x88a8;

/// The options of an ordinary SYN: MSS 1460, SACK permitted, timestamps, window scale 7.
pub const SYN_OPTIONS: [u8; 20] = [
    2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
];

const ETHERNET_LEN: usize = 14;
const TAG_LEN: usize = 4;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const TCP_LEN: usize = 20;
const PROTOCOL_TCP: u8 = 6;

/// An IPv6 extension header (RFC 8200 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options: so many words of eight octets beside the first, all padding.
    HopByHop(u8),
    /// A routing header without segments left, of a type for experiments (RFC 3692).
    Routing,
    /// Destination options: so many words of eight octets beside the first, all padding.
    Destination(u8),
    /// A fragment header: the offset in octets, and whether more fragments follow.
    Fragment(u16, bool),
    /// An authentication header with an integrity value of twelve octets (RFC 4302).
    Authentication,
}

/// One TCP segment in its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Sender.
    pub source: SocketAddr,
    /// Receiver; of the sender's address family.
    pub destination: SocketAddr,
    /// Sender's and receiver's link addresses.
    pub macs: [[u8; 6]; 2],
    /// VLAN tags, outer first: EtherType and identifier.
    pub tags: Vec<(u16, u16)>,
    /// What the packet travels in, outer first.
    pub carriers: Vec<Carrier>,
    /// IPv4 options, a multiple of four octets.
    pub ip_options: Vec<u8>,
    /// IPv4 identification.
    pub ident: u16,
    /// IPv4 fragmentation: the offset in octets, and whether more fragments follow.
    pub fragment: (u16, bool),
    /// IPv6 extension headers.
    pub extensions: Vec<Extension>,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// SEG.WND.
    pub window: u16,
    /// TCP options, a multiple of four octets.
    pub options: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// Octets of link-layer padding behind the packet.
    pub padding: usize,
}

impl Frame {
    /// A segment without flags, numbers or payload.
    #[must_use]
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source,
            destination,
            macs: [CLIENT_MAC, SERVER_MAC],
            tags: Vec::new(),
            carriers: Vec::new(),
            ip_options: Vec::new(),
            ident: 0x1234,
            fragment: (0, false),
            extensions: Vec::new(),
            seq: 0,
            ack: 0,
            flags: Flags::default(),
            window: 64240,
            options: Vec::new(),
            payload: Vec::new(),
            padding: 0,
        }
    }

    /// With these control bits.
    #[must_use]
    pub fn flags(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    /// With this sequence number.
    #[must_use]
    pub fn seq(self, seq: u32) -> Self {
        Self { seq, ..self }
    }

    /// With this acknowledgment number, and the ACK flag.
    #[must_use]
    pub fn ack(self, ack: u32) -> Self {
        let flags = self.flags.with(Flags::ACK);
        Self { ack, flags, ..self }
    }

    /// With these TCP options.
    #[must_use]
    pub fn options(self, options: &[u8]) -> Self {
        let options = options.to_vec();
        Self { options, ..self }
    }

    /// With so many octets of payload.
    #[must_use]
    pub fn payload(self, len: usize) -> Self {
        let payload = (b'a'..=b'z').cycle().take(len).collect();
        Self { payload, ..self }
    }

    /// With one more VLAN tag, inside those that are there.
    #[must_use]
    pub fn tagged(mut self, ether_type: u16, id: u16) -> Self {
        self.tags.push((ether_type, id));
        self
    }

    /// In one more carrier, inside those that are there.
    #[must_use]
    pub fn carried(mut self, carrier: Carrier) -> Self {
        self.carriers.push(carrier);
        self
    }

    /// With these IPv4 options.
    #[must_use]
    pub fn ip_options(self, options: &[u8]) -> Self {
        let ip_options = options.to_vec();
        Self { ip_options, ..self }
    }

    /// As an IPv4 fragment.
    #[must_use]
    pub fn fragment(self, offset: u16, more: bool) -> Self {
        let fragment = (offset, more);
        Self { fragment, ..self }
    }

    /// With these IPv6 extension headers.
    #[must_use]
    pub fn extensions(self, extensions: &[Extension]) -> Self {
        let extensions = extensions.to_vec();
        Self { extensions, ..self }
    }

    /// With so much padding behind the packet.
    #[must_use]
    pub fn padded(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Where the IP header starts.
    #[must_use]
    pub fn network(&self) -> usize {
        let (_, packet) = self.packet();
        let (_, carried) = self.in_carriers();
        ETHERNET_LEN + TAG_LEN * self.tags.len() + carried.len() - packet.len()
    }

    /// Where the TCP header starts.
    #[must_use]
    pub fn transport(&self) -> usize {
        let network = match self.source.ip() {
            IpAddr::V4(_) => IPV4_LEN + self.ip_options.len(),
            IpAddr::V6(_) => {
                let extensions = self.extensions.iter().map(|extension| extension.len());
                IPV6_LEN + extensions.sum::<usize>()
            }
        };
        self.network() + network
    }

    /// The frame.
    ///
    /// # Panics
    /// Where the description fits no frame: addresses of two families, or lengths beyond the fields.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let (ether_type, packet) = self.in_carriers();
        let [source, destination] = self.macs;
        let mut frame = [destination, source].concat();
        for (ether_type, id) in &self.tags {
            frame.extend(ether_type.to_be_bytes());
            frame.extend(id.to_be_bytes());
        }
        frame.extend(u16::to_be_bytes(ether_type));
        frame.extend(packet);
        frame.resize(frame.len() + self.padding, 0);
        frame
    }

    fn in_carriers(&self) -> Typed {
        let from_client = self.macs != [SERVER_MAC, CLIENT_MAC];
        let carriers = self.carriers.iter().rev();
        carriers.fold(self.packet(), |inner, carrier| {
            carrier.around(inner, from_client)
        })
    }

    fn packet(&self) -> Typed {
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                (0x0800, self.ipv4(source.octets(), destination.octets()))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                (0x86dd, self.ipv6(source.octets(), destination.octets()))
            }
            _ => panic!(
                "{} and {} are of two families",
                self.source, self.destination
            ),
        }
    }

    fn ipv4(&self, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let segment = self.tcp(&source, &destination);
        let header_len = IPV4_LEN + self.ip_options.len();
        let words = u8::try_from(header_len / 4).expect("IPv4 options of a header's size");
        let (offset, more) = self.fragment;
        let mut header = vec![0x40 | words, 0];
        header.extend(field(header_len + segment.len()));
        header.extend(self.ident.to_be_bytes());
        header.extend(((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
        header.extend([64, PROTOCOL_TCP, 0, 0]);
        header.extend(source);
        header.extend(destination);
        header.extend(&self.ip_options);
        let sum = checksum(&header);
        patch(&mut header, 10, &sum.to_be_bytes());
        header.extend(segment);
        header
    }

    fn ipv6(&self, source: [u8; 16], destination: [u8; 16]) -> Vec<u8> {
        let segment = self.tcp(&source, &destination);
        let mut chain = Vec::new();
        for (index, extension) in self.extensions.iter().enumerate() {
            let next = self
                .extensions
                .get(index + 1)
                .map_or(PROTOCOL_TCP, |next| next.number());
            chain.extend(extension.octets(next));
        }
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(field(chain.len() + segment.len()));
        packet.push(
            self.extensions
                .first()
                .map_or(PROTOCOL_TCP, |first| first.number()),
        );
        packet.push(64);
        packet.extend(source);
        packet.extend(destination);
        packet.extend(chain);
        packet.extend(segment);
        packet
    }

    fn tcp(&self, source: &[u8], destination: &[u8]) -> Vec<u8> {
        let words = u8::try_from((TCP_LEN + self.options.len()) / 4)
            .expect("TCP options of a header's size");
        let mut segment = Vec::new();
        segment.extend(self.source.port().to_be_bytes());
        segment.extend(self.destination.port().to_be_bytes());
        segment.extend(self.seq.to_be_bytes());
        segment.extend(self.ack.to_be_bytes());
        segment.extend([words << 4, self.flags.0]);
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(&self.options);
        segment.extend(&self.payload);
        let len = u32::try_from(segment.len()).expect("a segment of a packet's size");
        // The pseudo-header of IPv4 gives the same sum in the form of IPv6 (RFC 8200 §8.1).
        let pseudo = [
            source,
            destination,
            &len.to_be_bytes(),
            &[0, 0, 0, PROTOCOL_TCP],
            &segment,
        ];
        let sum = checksum(&pseudo.concat());
        patch(&mut segment, 16, &sum.to_be_bytes());
        segment
    }
}

impl Extension {
    /// Its protocol number.
    const fn number(self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Routing => 43,
            Self::Fragment(..) => 44,
            Self::Authentication => 51,
            Self::Destination(_) => 60,
        }
    }

    fn len(self) -> usize {
        self.octets(PROTOCOL_TCP).len()
    }

    fn octets(self, next: u8) -> Vec<u8> {
        match self {
            Self::HopByHop(words) | Self::Destination(words) => {
                let len = 8 + 8 * usize::from(words);
                let mut header = vec![0; len];
                // One PadN option fills the header (RFC 8200 §4.2).
                let padding = u8::try_from(len - 4).expect("options that one PadN fills");
                patch(&mut header, 0, &[next, words, 1, padding]);
                header
            }
            Self::Routing => vec![next, 0, 253, 0, 0, 0, 0, 0],
            Self::Fragment(offset, more) => {
                let [hi, lo] = (offset & !7 | u16::from(more)).to_be_bytes();
                vec![next, 0, hi, lo, 0, 0, 0, 7]
            }
            Self::Authentication => {
                let mut header = vec![0; 24];
                // Counted in words of four octets, less two (RFC 4302 §2.2).
                patch(&mut header, 0, &[next, 4]);
                header
            }
        }
    }
}

/// Writes over octets of a frame.
///
/// # Panics
/// Where the frame ends before them.
pub fn patch(frame: &mut [u8], offset: usize, octets: &[u8]) {
    frame
        .get_mut(offset..offset + octets.len())
        .expect("octets inside the frame")
        .copy_from_slice(octets);
}

/// The Internet checksum (RFC 1071).
pub(crate) fn checksum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|pair| match *pair {
        [hi, lo] => u32::from(u16::from_be_bytes([hi, lo])),
        [hi] => u32::from(hi) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// A length field of two octets.
pub(crate) fn field(len: usize) -> [u8; 2] {
    u16::try_from(len)
        .expect("a packet of a frame's size")
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4() -> Frame {
        Frame::new(([10, 1, 1, 2], 52144).into(), ([10, 1, 1, 1], 21).into())
    }

    #[test]
    fn the_checksum_of_rfc_1071() {
        assert_eq!(
            checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
    }

    #[test]
    fn a_header_with_its_checksum_sums_to_zero() {
        let frame = v4().ip_options(&[1, 1, 1, 0]).octets();
        assert_eq!(frame.get(14..38).map(checksum), Some(0));
    }

    #[test]
    fn the_offsets_are_where_the_headers_are() {
        let frame = v4().tagged(VLAN, 5).ip_options(&[1; 8]);
        let octets = frame.octets();
        assert_eq!(octets.get(frame.network()), Some(&0x47));
        assert_eq!(
            octets.get(frame.transport()..frame.transport() + 2),
            Some(&52144_u16.to_be_bytes()[..])
        );
    }

    #[test]
    fn extension_headers_name_the_next_one() {
        let v6 = Frame::new(
            "[fd00::2]:1".parse().unwrap(),
            "[fd00::1]:2".parse().unwrap(),
        );
        let frame = v6.extensions(&[Extension::HopByHop(0), Extension::Authentication]);
        let octets = frame.octets();
        assert_eq!(octets.get(20), Some(&0));
        assert_eq!(octets.get(54), Some(&51));
        assert_eq!(octets.get(62), Some(&PROTOCOL_TCP));
        assert_eq!(frame.transport(), 14 + 40 + 8 + 24);
    }
}
