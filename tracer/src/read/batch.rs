//! Packets on their way to a lane.

use std::sync::Arc;

use synfin_ebpf::flow::Vantage;
use synfin_ebpf::octets::Captured;
use synfin_ebpf::wire::Located;

use crate::source::Packet;

/// Packets of the connections of one lane, in the order of the capture.
#[derive(Default)]
pub(super) struct Batch {
    octets: Vec<u8>,
    heads: Vec<Head>,
    /// Names of interfaces that the packets may have been seen on.
    pub(super) names: Vec<(u32, Arc<str>)>,
    /// The time of the capture at the end of the batch, in ns since the Unix epoch.
    pub(super) until_ns: u64,
}

/// Where a packet is, and what is known of it.
struct Head {
    located: Located,
    vantage: Vantage,
    time_ns: u64,
    offset: usize,
    len: usize,
    wire_len: usize,
}

impl Batch {
    /// Adds a packet whose TCP header is there.
    #[inline]
    pub(super) fn push(&mut self, packet: &Packet<'_>, located: &Located) {
        self.heads.push(Head {
            located: *located,
            vantage: packet.vantage,
            time_ns: packet.time_ns,
            offset: self.octets.len(),
            len: packet.frame.octets.len(),
            wire_len: packet.frame.wire_len,
        });
        self.octets.extend_from_slice(packet.frame.octets);
    }

    /// The packets and their TCP headers.
    pub(super) fn packets(&self) -> impl Iterator<Item = (Packet<'_>, &Located)> {
        self.heads.iter().filter_map(|head| {
            let octets = self.octets.get(head.offset..)?.get(..head.len)?;
            let frame = Captured {
                octets,
                wire_len: head.wire_len,
            };
            let packet = Packet {
                frame,
                time_ns: head.time_ns,
                vantage: head.vantage,
            };
            Some((packet, &head.located))
        })
    }

    /// Empties it; its memory stays.
    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.heads.clear();
        self.names.clear();
    }
}
