//! The classic format: a header, then records of 16 octets and a packet each.

use pcap_parser::PcapHeader;

use super::record::{Head, MAX_PACKET, Order, Record};

/// Octets of the file's header.
pub(super) const HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;
/// That of a variant that some Linux distributions wrote, with more in it.
const MODIFIED_RECORD_HEADER_LEN: usize = 24;

/// How the records of a file are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds in the unit of a time's second half.
    unit_ns: u64,
    lengths: Lengths,
    header_len: usize,
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

    #[inline(always)]
    pub(super) fn record(&self, octets: &[u8]) -> Record {
        let read = |offset| self.order.u32(octets, offset);
        let (Some(seconds), Some(fraction), Some(first), Some(second)) =
            (read(0), read(4), read(8), read(12))
        else {
            return Record::Needs(self.header_len);
        };
        let (len, wire_len) = match self.lengths {
            Lengths::Usual => (first, second),
            Lengths::Swapped => (second, first),
            Lengths::Either => (first.min(second), first.max(second)),
        };
        let (len, wire_len) = (len as usize, wire_len as usize);
        if len > MAX_PACKET {
            return Record::Bad("a record longer than any packet");
        }
        let record_len = self.header_len + len;
        if octets.len() < record_len {
            return Record::Needs(record_len);
        }
        Record::Packet(Head {
            record_len,
            offset: self.header_len,
            len,
            // A snap length can cut a packet, never lengthen it.
            wire_len: wire_len.max(len),
            time_ns: u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit_ns,
            interface: 0,
            direction: None,
        })
    }
}
