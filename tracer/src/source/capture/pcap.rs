//! The classic format: a header, then records of 16 octets and a packet each.

use pcap_parser::PcapHeader;

use super::record::{Head, MAX_PACKET, Order, Other, words};

/// Octets of the file's header.
pub(super) const HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: u32 = 16;
/// That of a variant that some Linux distributions wrote, with more in it.
const MODIFIED_RECORD_HEADER_LEN: u32 = 24;

/// How the records of a file are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds in the unit of a time's second half.
    unit_ns: u64,
    lengths: Lengths,
    header_len: u32,
}

/// In which order a record gives the two lengths of its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    /// The kept one first.
    Usual,
    /// The other way round, before version 2.3.
    Swapped,
    /// Version 2.3 was written either way: the kept one is the smaller one.
    Either,
}

impl Pcap {
    pub(super) fn new(header: &PcapHeader) -> Self {
        Self {
            order: if header.is_bigendian() {
                Order::Big
            } else {
                Order::Little
            },
            unit_ns: if header.is_nanosecond_precision() {
                1
            } else {
                1_000
            },
            lengths: match (header.version_major, header.version_minor) {
                (2, 0..=2) => Lengths::Swapped,
                (2, 3) => Lengths::Either,
                _ => Lengths::Usual,
            },
            header_len: if header.is_modified_format() {
                MODIFIED_RECORD_HEADER_LEN
            } else {
                RECORD_HEADER_LEN
            },
        }
    }

    /// The packet that the octets begin with, where it is there as a whole.
    #[inline(always)]
    pub(super) fn head(&self, octets: &[u8]) -> Option<Head> {
        let [seconds, fraction, len, wire_len] = self.header(octets)?;
        if len > MAX_PACKET {
            return None;
        }
        let record_len = self.header_len + len;
        if octets.len() < record_len as usize {
            return None;
        }
        Some(Head {
            time_ns: u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit_ns,
            record_len,
            offset: self.header_len,
            len,
            // A snap length can cut a packet, never lengthen it.
            wire_len: wire_len.max(len),
            interface: 0,
            direction: None,
        })
    }

    /// What is there where that is no whole packet.
    #[cold]
    pub(super) fn other(&self, octets: &[u8]) -> Other {
        match self.header(octets) {
            None => Other::Needs(self.header_len as usize),
            Some([_, _, len, _]) if len > MAX_PACKET => {
                Other::Bad("a record longer than any packet")
            }
            Some([_, _, len, _]) => Other::Needs((self.header_len + len) as usize),
        }
    }

    /// Seconds and their fraction, the kept length and that on the wire.
    #[inline(always)]
    fn header(&self, octets: &[u8]) -> Option<[u32; 4]> {
        let [seconds, fraction, first, second] = self.order.u32s(words(octets)?);
        let (len, wire_len) = match self.lengths {
            Lengths::Usual => (first, second),
            Lengths::Swapped => (second, first),
            Lengths::Either => (first.min(second), first.max(second)),
        };
        Some([seconds, fraction, len, wire_len])
    }
}
