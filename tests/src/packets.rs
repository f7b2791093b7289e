//! A capture as a list in memory: read, changed, and written again.
//!
//! In: pcap and pcapng. Out: pcap with nanoseconds.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};

/// Link type of Ethernet (tcpdump's list, as are the others).
pub const ETHERNET: u32 = 1;

/// The magic number of pcap with nanoseconds.
const NANOSECOND_MAGIC: u32 = 0xa1b2_3c4d;
/// What libpcap takes for the longest snap length.
const SNAP_LEN: u32 = 262_144;
const NS: u64 = 1_000_000_000;

/// One captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When it was captured, in ns since the Unix epoch.
    pub time_ns: u64,
    /// What was captured of it.
    pub octets: Vec<u8>,
    /// How long it was.
    pub wire_len: usize,
}

/// The frames of a capture, all of one link type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packets {
    /// What each frame begins with.
    pub link_type: u32,
    /// The frames in the order of the file.
    pub packets: Vec<Packet>,
}

impl Packets {
    /// Whole Ethernet frames, each with its time.
    pub fn ethernet(frames: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Self {
        let packets = frames.into_iter().map(|(time_ns, octets)| Packet {
            time_ns,
            wire_len: octets.len(),
            octets,
        });
        Self {
            link_type: ETHERNET,
            packets: packets.collect(),
        }
    }
}

/// How an interface of a capture tells its times.
struct Interface {
    link_type: u32,
    units_per_second: u64,
    snap_len: usize,
}

/// Reads a capture. One that is cut in the middle of a record gives all that came before.
///
/// # Errors
/// Where it is no capture, or has interfaces of several link types.
pub fn read(path: &Path) -> Result<Packets> {
    let mut octets = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    modernise(&mut octets);
    let capacity = octets.len().max(1 << 16);
    let reader = create_reader(capacity, Cursor::new(octets));
    let mut reader = reader.map_err(|error| anyhow!("{}: {error:?}", path.display()))?;
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok((used, block)) => {
                let packet = take(&block, &mut interfaces)
                    .with_context(|| format!("read {}", path.display()))?;
                packets.extend(packet);
                reader.consume(used);
            }
            // The buffer holds the whole file: what is incomplete was cut.
            Err(PcapError::Eof | PcapError::UnexpectedEof | PcapError::Incomplete(_)) => break,
            Err(error) => return Err(anyhow!("{}: {error:?}", path.display())),
        }
    }
    let link_type = interfaces.first().context("no interface")?.link_type;
    ensure!(
        (interfaces.iter()).all(|interface| interface.link_type == link_type),
        "{} has several link types",
        path.display()
    );
    Ok(Packets { link_type, packets })
}

/// Up to version 2.2 of pcap the two lengths of a record stood the other way round: puts them as they
/// stand today, before they are read.
fn modernise(octets: &mut [u8]) {
    let order: fn([u8; 4]) -> u32 = match octets {
        [0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 0..=2, ..] => u32::from_be_bytes,
        [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 0..=2, 0, ..] => u32::from_le_bytes,
        _ => return,
    };
    let mut rest = octets.get_mut(24..).unwrap_or_default();
    while let Some((header, behind)) = rest.split_first_chunk_mut::<16>() {
        let [_, lengths] = header.as_chunks_mut::<8>().0 else {
            return;
        };
        lengths.rotate_left(4);
        let [first, second, third, fourth, ..] = *lengths;
        let captured = order([first, second, third, fourth]) as usize;
        rest = behind.get_mut(captured..).unwrap_or_default();
    }
}

fn take(block: &PcapBlockOwned<'_>, interfaces: &mut Vec<Interface>) -> Result<Option<Packet>> {
    let packet = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let nanoseconds = header.is_nanosecond_precision();
            interfaces.push(Interface {
                link_type: u32::try_from(header.network.0)?,
                units_per_second: if nanoseconds { NS } else { 1_000_000 },
                snap_len: usize::MAX,
            });
            return Ok(None);
        }
        PcapBlockOwned::Legacy(record) => {
            let interface = interfaces.first().context("a record without a header")?;
            let units = u64::from(record.ts_usec);
            Packet {
                time_ns: u64::from(record.ts_sec) * NS + units * NS / interface.units_per_second,
                octets: record.data.to_vec(),
                wire_len: usize::try_from(record.origlen)?,
            }
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            interfaces.push(Interface {
                link_type: u32::try_from(description.linktype.0)?,
                units_per_second: description.ts_resolution().context("a resolution")?,
                snap_len: match description.snaplen {
                    0 => usize::MAX,
                    len => usize::try_from(len)?,
                },
            });
            return Ok(None);
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(record)) => {
            let interface = interfaces.get(usize::try_from(record.if_id)?);
            let interface = interface.context("a record of an interface that is not described")?;
            let units = u128::from(record.ts_high) << 32 | u128::from(record.ts_low);
            let time_ns = units * u128::from(NS) / u128::from(interface.units_per_second);
            let captured = record.data.get(..usize::try_from(record.caplen)?);
            Packet {
                time_ns: u64::try_from(time_ns)?,
                octets: captured.context("a record's octets")?.to_vec(),
                wire_len: usize::try_from(record.origlen)?,
            }
        }
        PcapBlockOwned::NG(Block::SimplePacket(record)) => {
            let interface = interfaces
                .first()
                .context("a record without an interface")?;
            let wire_len = usize::try_from(record.origlen)?;
            let captured = record.data.get(..wire_len.min(interface.snap_len));
            Packet {
                time_ns: 0,
                octets: captured.unwrap_or(record.data).to_vec(),
                wire_len,
            }
        }
        PcapBlockOwned::NG(_) => return Ok(None),
    };
    Ok(Some(packet))
}

/// Writes a capture as pcap with nanoseconds.
///
/// # Errors
/// Where the file cannot be written, or a time or length does not fit into the format.
pub fn write(capture: &Packets, path: &Path) -> Result<()> {
    let mut octets = Vec::new();
    octets.extend(NANOSECOND_MAGIC.to_le_bytes());
    // Version 2.4, and a time zone and an accuracy that nobody uses.
    octets.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    octets.extend(SNAP_LEN.to_le_bytes());
    octets.extend(capture.link_type.to_le_bytes());
    for packet in &capture.packets {
        octets.extend(u32::try_from(packet.time_ns / NS)?.to_le_bytes());
        octets.extend(u32::try_from(packet.time_ns % NS)?.to_le_bytes());
        octets.extend(u32::try_from(packet.octets.len())?.to_le_bytes());
        octets.extend(u32::try_from(packet.wire_len)?.to_le_bytes());
        octets.extend(&packet.octets);
    }
    let mut file = File::create(path).with_context(|| format!("make {}", path.display()))?;
    std::io::Write::write_all(&mut file, &octets).context("write a capture")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_was_written_is_read_again() -> Result<()> {
        let packet = |time_ns, len: u8| Packet {
            time_ns,
            octets: (0..len).collect(),
            wire_len: 100,
        };
        let capture = Packets {
            link_type: ETHERNET,
            packets: vec![packet(1_700_000_000_123_456_789, 60), packet(NS, 0)],
        };
        let scratch = Scratch::new()?;
        let path = scratch.file("capture.pcap");
        write(&capture, &path)?;
        assert_eq!(read(&path)?, capture);
        let octets = fs::read(&path)?;
        fs::write(&path, &octets[..octets.len() - 1])?;
        assert_eq!(read(&path)?.packets, capture.packets[..1]);
        Ok(())
    }

    #[test]
    fn of_old_captures_the_lengths_are_put_as_they_stand_today() -> Result<()> {
        let scratch = Scratch::new()?;
        let path = scratch.file("old.pcap");
        for (order, magic, version) in [
            (
                u32::to_be_bytes as fn(u32) -> [u8; 4],
                [0xa1, 0xb2, 0xc3, 0xd4],
                [0, 2, 0, 2],
            ),
            (u32::to_le_bytes, [0xd4, 0xc3, 0xb2, 0xa1], [2, 0, 2, 0]),
        ] {
            let header = [magic, version, [0; 4], [0; 4], order(96), order(ETHERNET)].concat();
            // Seconds, microseconds, the length on the wire, the captured one.
            let record = [order(7), order(8), order(60), order(3), [1, 2, 3, 0]].concat();
            let (record, _) = record.split_at(19);
            fs::write(&path, [&header, record, record].concat())?;
            let packet = Packet {
                time_ns: 7 * NS + 8_000,
                octets: vec![1, 2, 3],
                wire_len: 60,
            };
            assert_eq!(read(&path)?.packets, [packet.clone(), packet]);
        }
        Ok(())
    }
}
