//! The least that any tool has to do which tells connections apart: read every record, hash
//! addresses and ports, and count per connection. What the others take is told as a multiple of it.
//!
//! It knows the captures that it is given (fixed offsets, no VLAN tags, no options of IP), checks
//! nothing, and is never taken for a reader of captures.

use std::{collections::HashMap, fs::File, io::Read, path::Path};

use anyhow::{Context, Result};
use rustc_hash::FxBuildHasher;

use super::packet::{IP, TCP};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// Octets that are read at once.
const BUFFER: usize = 1 << 20;

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Packets in the capture.
    pub(crate) packets: u64,
    /// Connections in it.
    pub(crate) connections: usize,
}

/// Addresses and ports, the same in both directions.
type Flow = [u64; 2];

/// Scans a capture.
pub(crate) fn file(path: &Path) -> Result<Scanned> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    scan(file).with_context(|| format!("read {}", path.display()))
}

fn scan(mut file: impl Read) -> Result<Scanned> {
    let mut header = [0; FILE_HEADER];
    file.read_exact(&mut header)?;
    let mut flows: HashMap<Flow, u64, FxBuildHasher> = HashMap::default();
    let mut packets = 0;
    let mut buffer = vec![0; BUFFER];
    let mut held = 0;
    loop {
        let read = file.read(buffer.get_mut(held..).unwrap_or_default())?;
        if read == 0 {
            let connections = flows.len();
            return Ok(Scanned {
                packets,
                connections,
            });
        }
        held += read;
        let mut rest = buffer.get(..held).unwrap_or_default();
        while let Some((record, after)) = record(rest) {
            packets += 1;
            if let Some(flow) = flow(record) {
                *flows.entry(flow).or_default() += 1;
            }
            rest = after;
        }
        let left = rest.len();
        buffer.copy_within(held - left..held, 0);
        held = left;
    }
}

/// The octets of the first record, and what comes after it; `None` where it is not all there.
#[inline]
fn record(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = octets.split_at_checked(RECORD_HEADER)?;
    let kept = u32::from_ne_bytes(*header.get(8..)?.first_chunk()?);
    rest.split_at_checked(usize::try_from(kept).ok()?)
}

#[inline]
fn flow(packet: &[u8]) -> Option<Flow> {
    let octets: &[u8; 12] = packet.get(IP + 12..TCP + 4)?.first_chunk()?;
    let [a, b, c, d, e, f, g, h, p, q, r, s] = *octets;
    let source = u64::from_be_bytes([0, 0, a, b, c, d, p, q]);
    let destination = u64::from_be_bytes([0, 0, e, f, g, h, r, s]);
    Some(if source < destination {
        [source, destination]
    } else {
        [destination, source]
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            packet::{ACK, End, Packet, SYN, Segment},
            pcap::Writer,
        },
        *,
    };

    #[test]
    fn both_directions_are_one_connection() {
        let ends = |a, b| [(a, 1000), (b, 80)].map(|(address, port)| End { address, port });
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file).unwrap();
        for ([source, destination], flags) in [
            (ends(1, 2), SYN),
            ([ends(1, 2)[1], ends(1, 2)[0]], SYN | ACK),
            (ends(3, 2), SYN),
        ] {
            let segment = Segment {
                source,
                destination,
                seq: 0,
                ack: 0,
                flags,
                len: 0,
                clock_ms: 0,
            };
            writer.packet(0, &Packet::of(&segment)).unwrap();
        }
        writer.finish().unwrap();
        let expected = Scanned {
            packets: 3,
            connections: 2,
        };
        assert_eq!(scan(file.as_slice()).unwrap(), expected);
    }
}
