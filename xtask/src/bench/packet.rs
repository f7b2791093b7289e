//! One TCP segment as octets on Ethernet, cut off at the snap length.
//!
//! Options are those that Linux sends: MSS, SACK, timestamps and window scale on a SYN, timestamps
//! on everything else. The payload is all zero, so the checksum is right without adding it up.

/// Octets kept of a packet: what an economical capture of headers keeps.
pub(crate) const SNAP: usize = 96;

/// SYN.
pub(crate) const SYN: u8 = 0x02;
/// FIN.
pub(crate) const FIN: u8 = 0x01;
/// PSH.
pub(crate) const PSH: u8 = 0x08;
/// ACK.
pub(crate) const ACK: u8 = 0x10;

/// Where the IPv4 header begins.
pub(crate) const IP: usize = 14;
/// Where the TCP header begins.
pub(crate) const TCP: usize = IP + 20;

const SYN_OPTIONS: usize = 20;
const OPTIONS: usize = 12;
const FIXED: usize = 20;
const PROTOCOL_TCP: u8 = 6;

/// An IPv4 address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct End {
    /// The address.
    pub(crate) address: u32,
    /// The port.
    pub(crate) port: u16,
}

/// What a segment says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Sender.
    pub(crate) source: End,
    /// Receiver.
    pub(crate) destination: End,
    /// SEG.SEQ.
    pub(crate) seq: u32,
    /// SEG.ACK.
    pub(crate) ack: u32,
    /// Control bits.
    pub(crate) flags: u8,
    /// Octets of payload.
    pub(crate) len: u16,
    /// The clock of the timestamps option.
    pub(crate) clock_ms: u32,
}

/// Its octets, as far as they are captured.
pub(crate) struct Packet {
    octets: [u8; SNAP],
    captured: usize,
    wire: u16,
}

impl Packet {
    /// Writes all headers.
    pub(crate) fn of(segment: &Segment) -> Self {
        let syn = segment.flags & SYN != 0;
        let header = FIXED + if syn { SYN_OPTIONS } else { OPTIONS };
        let header = u8::try_from(header).unwrap_or(u8::MAX);
        let segment_len = u16::from(header) + segment.len;
        let ip_len = 20 + segment_len;
        let mut packet = Self {
            octets: [0; SNAP],
            captured: SNAP.min(IP + usize::from(ip_len)),
            wire: 14 + ip_len,
        };
        // The server's side of the router sends to the tap and back; locally administered.
        packet.put(0, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        packet.put(IP, &[0x45, 0]);
        packet.put(IP + 2, &ip_len.to_be_bytes());
        packet.put(IP + 6, &[0x40, 0, 64, PROTOCOL_TCP]);
        packet.put(IP + 12, &segment.source.address.to_be_bytes());
        packet.put(IP + 16, &segment.destination.address.to_be_bytes());
        let sum = packet.sum(IP, 20);
        packet.put(IP + 10, &checksum(sum));
        packet.put(TCP, &segment.source.port.to_be_bytes());
        packet.put(TCP + 2, &segment.destination.port.to_be_bytes());
        packet.put(TCP + 4, &segment.seq.to_be_bytes());
        packet.put(TCP + 8, &segment.ack.to_be_bytes());
        // As Linux: 64240 octets offered, later 502 times 2⁷.
        let window: u16 = if syn { 64240 } else { 502 };
        packet.put(TCP + 12, &[header << 2, segment.flags]);
        packet.put(TCP + 14, &window.to_be_bytes());
        let clock = segment.clock_ms.to_be_bytes();
        if syn {
            packet.put(TCP + FIXED, &[2, 4, 0x05, 0xb4, 4, 2, 8, 10]);
            packet.put(TCP + FIXED + 8, &clock);
            packet.put(TCP + FIXED + 16, &[1, 3, 3, 7]);
        } else {
            packet.put(TCP + FIXED, &[1, 1, 8, 10]);
            packet.put(TCP + FIXED + 4, &clock);
            packet.put(TCP + FIXED + 8, &clock);
        }
        let pseudo = packet.sum(IP + 12, 8) + u32::from(PROTOCOL_TCP) + u32::from(segment_len);
        let sum = pseudo + packet.sum(TCP, usize::from(header));
        packet.put(TCP + 16, &checksum(sum));
        packet
    }

    /// The octets that a capture keeps.
    pub(crate) fn captured(&self) -> &[u8] {
        self.octets.get(..self.captured).unwrap_or(&self.octets)
    }

    /// The octets that there were.
    pub(crate) fn wire_len(&self) -> u32 {
        self.wire.into()
    }

    fn put(&mut self, offset: usize, octets: &[u8]) {
        if let Some(place) = self.octets.get_mut(offset..offset + octets.len()) {
            place.copy_from_slice(octets);
        }
    }

    /// The sum of the words of a header, which is an even number of octets.
    fn sum(&self, offset: usize, len: usize) -> u32 {
        let words = self.octets.get(offset..offset + len).unwrap_or_default();
        let words = words.chunks_exact(2).map(|pair| match *pair {
            [hi, lo] => u32::from(u16::from_be_bytes([hi, lo])),
            _ => 0,
        });
        words.sum()
    }
}

/// The Internet checksum (RFC 1071) of words that add up to this.
fn checksum(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap_or_default()).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: Segment = Segment {
        source: End {
            address: 0x0a01_0102,
            port: 52144,
        },
        destination: End {
            address: 0x0a01_0101,
            port: 21,
        },
        seq: 7,
        ack: 9,
        flags: PSH | ACK,
        len: 1000,
        clock_ms: 0x1234_5678,
    };

    #[test]
    fn a_long_packet_is_cut_off_and_says_how_long_it_was() {
        let packet = Packet::of(&SEGMENT);
        assert_eq!(packet.captured().len(), SNAP);
        assert_eq!(packet.wire_len(), 14 + 20 + 32 + 1000);
    }

    #[test]
    fn a_syn_is_as_long_as_linux_makes_it() {
        let packet = Packet::of(&Segment {
            flags: SYN,
            len: 0,
            ..SEGMENT
        });
        assert_eq!(packet.captured().len(), 74);
        assert_eq!(packet.wire_len(), 74);
        assert_eq!(packet.captured()[TCP + 12], 10 << 4);
    }

    #[test]
    fn headers_with_their_checksums_add_up_to_zero() {
        let packet = Packet::of(&SEGMENT);
        assert_eq!(checksum(packet.sum(IP, 20)), [0, 0]);
        let pseudo = packet.sum(IP + 12, 8) + u32::from(PROTOCOL_TCP) + 1032;
        assert_eq!(checksum(pseudo + packet.sum(TCP, 32)), [0, 0]);
    }
}
