//! Captures to read, written octet by octet.

use std::io::Write as _;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use synfin_ebpf::event::Direction;
use synfin_ebpf::wire::Link;

use super::record::Order;
use super::{CaptureError, Captures, News, Next};

/// A number as a file of this order has it.
pub(super) fn u32s(order: Order, numbers: &[u32]) -> Vec<u8> {
    let octets = numbers.iter().map(|number| match order {
        Order::Little => number.to_le_bytes(),
        Order::Big => number.to_be_bytes(),
    });
    octets.flatten().collect()
}

/// As [`u32s`], half as wide.
pub(super) fn u16s(order: Order, numbers: &[u16]) -> Vec<u8> {
    let octets = numbers.iter().map(|number| match order {
        Order::Little => number.to_le_bytes(),
        Order::Big => number.to_be_bytes(),
    });
    octets.flatten().collect()
}

/// The header of a pcap file.
pub(super) fn pcap(order: Order, magic: u32, version: (u16, u16), link_type: u32) -> Vec<u8> {
    [
        u32s(order, &[magic]),
        u16s(order, &[version.0, version.1]),
        u32s(order, &[0, 0, 65_535, link_type]),
    ]
    .concat()
}

/// A record of a pcap file: the packet is one octet again and again.
pub(super) fn record(
    order: Order,
    time: (u32, u32),
    octet: u8,
    len: u32,
    wire_len: u32,
) -> Vec<u8> {
    let header = u32s(order, &[time.0, time.1, len, wire_len]);
    [header, vec![octet; len as usize]].concat()
}

/// A pcap file of microseconds with packets of these octets at these times in ms.
pub(super) fn plain(packets: &[(u8, u32)]) -> Vec<u8> {
    let order = Order::Little;
    let records = packets
        .iter()
        .map(|&(octet, ms)| record(order, (ms / 1_000, ms % 1_000 * 1_000), octet, 60, 60));
    [pcap(order, 0xa1b2_c3d4, (2, 4), 1)]
        .into_iter()
        .chain(records)
        .collect::<Vec<_>>()
        .concat()
}

/// A block of a pcapng file.
pub(super) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len().next_multiple_of(4) + 12).unwrap();
    let mut block = u32s(order, &[kind, len]);
    block.extend(body);
    block.resize(len as usize - 4, 0);
    block.extend(u32s(order, &[len]));
    block
}

/// A section header.
pub(super) fn section(order: Order) -> Vec<u8> {
    let body = [
        u32s(order, &[0x1a2b_3c4d]),
        u16s(order, &[1, 0]),
        vec![0xff; 8],
    ];
    block(order, 0x0a0d_0d0a, &body.concat())
}

/// An option.
pub(super) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap();
    let mut option = u16s(order, &[code, len]);
    option.extend(value);
    option.resize(option.len().next_multiple_of(4), 0);
    option
}

/// The description of an interface.
pub(super) fn interface(order: Order, link_type: u16, snap_len: u32, options: &[u8]) -> Vec<u8> {
    let body = [
        u16s(order, &[link_type, 0]),
        u32s(order, &[snap_len]),
        options.to_vec(),
    ];
    block(order, 1, &body.concat())
}

/// An enhanced packet block.
pub(super) fn enhanced(
    order: Order,
    interface: u32,
    time: u64,
    (octet, len, wire_len): (u8, u32, u32),
    options: &[u8],
) -> Vec<u8> {
    let (high, low) = ((time >> 32) as u32, (time & 0xffff_ffff) as u32);
    let mut packet = vec![octet; len as usize];
    packet.resize(packet.len().next_multiple_of(4), 0);
    let body = [
        u32s(order, &[interface, high, low, len, wire_len]),
        packet,
        options.to_vec(),
    ];
    block(order, 6, &body.concat())
}

/// A packet that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its octets are all the same.
    pub(super) octet: u8,
    pub(super) len: usize,
    pub(super) wire_len: usize,
    pub(super) time_ns: u64,
    pub(super) interface: u32,
    pub(super) direction: Direction,
    pub(super) link: Link,
}

impl Seen {
    /// An Ethernet frame of 60 octets from the first interface.
    pub(super) const fn frame(octet: u8, time_ns: u64) -> Self {
        Self {
            octet,
            len: 60,
            wire_len: 60,
            time_ns,
            interface: 0,
            direction: Direction::Ingress,
            link: Link::Ethernet,
        }
    }
}

/// Everything that reading gives.
#[derive(Debug, Default)]
pub(super) struct All {
    pub(super) packets: Vec<Seen>,
    pub(super) names: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) unread: Vec<(&'static str, u64)>,
}

/// Files with these octets, which are gone when this is dropped.
pub(super) struct Files(pub(super) Vec<PathBuf>);

impl Files {
    pub(super) fn with<O: AsRef<[u8]>>(contents: &[O]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let paths = contents.iter().map(|octets| {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("synfin-capture-{}-{count}", process::id());
            let path = std::env::temp_dir().join(name);
            let mut file = std::fs::File::create_new(&path).unwrap();
            file.write_all(octets.as_ref()).unwrap();
            path
        });
        Self(paths.collect())
    }

    pub(super) fn read(&self) -> Result<All, CaptureError> {
        let mut captures = Captures::open(&self.0)?;
        let mut all = All::default();
        loop {
            match captures.read_on()? {
                Next::Packet(packet) => {
                    let octets = packet.frame.octets;
                    let octet = octets.first().copied().unwrap_or(0);
                    assert!(octets.iter().all(|&other| other == octet), "{octets:?}");
                    all.packets.push(Seen {
                        octet,
                        len: octets.len(),
                        wire_len: packet.frame.wire_len,
                        time_ns: packet.time_ns,
                        interface: packet.vantage.interface,
                        direction: packet.vantage.direction,
                        link: packet.vantage.link,
                    });
                }
                Next::Pause => {}
                Next::End => break,
            }
        }
        while let Some(news) = captures.news() {
            match news {
                News::Interface { name, .. } => all.names.push(name.to_string()),
                News::Warning(words) => all.warnings.push(words),
            }
        }
        all.unread = captures.counts().unread.into_iter().collect();
        Ok(all)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.0 {
            // A file that is gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Reads one capture that has to be one.
pub(super) fn read(octets: &[u8]) -> All {
    Files::with(&[octets]).read().unwrap()
}

/// A reader that gives a few octets at a time.
pub(super) struct Trickle {
    octets: std::io::Cursor<Vec<u8>>,
    at_once: usize,
}

impl Trickle {
    pub(super) fn new(octets: Vec<u8>, at_once: usize) -> Self {
        let octets = std::io::Cursor::new(octets);
        Self { octets, at_once }
    }
}

impl std::io::Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let len = into.len().min(self.at_once);
        self.octets.read(&mut into[..len])
    }
}
