//! The next generation format: blocks, in sections that have an order of octets and interfaces of
//! their own (draft-ietf-opsawg-pcapng).

use std::borrow::Cow;

use pcap_parser::pcapng::{
    InterfaceDescriptionBlock, OptionCode, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_option_be, parse_option_le,
};
use synfin_ebpf::event::Direction;

use super::record::{Described, Head, MAX_PACKET, Order, Record};

/// Begins a section, and thereby a file.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const MAJOR_VERSION: u16 = 1;

/// Octets of the smallest block: type and length, and the length again.
const MIN_BLOCK: usize = 12;
/// The same of a block with a packet.
const MIN_PACKET_BLOCK: usize = 32;
const PACKET_OFFSET: usize = 28;
const SIMPLE_PACKET_OFFSET: usize = 12;
/// The most octets of a block that is looked into: a packet, and as much of options.
const MAX_BLOCK: usize = 2 * MAX_PACKET;
/// How many interfaces a section may have.
const MAX_INTERFACES: usize = 1 << 16;

/// Direction of a packet in `epb_flags`.
const DIRECTION: u32 = 0b11;
const OUTBOUND: u32 = 0b10;
const INBOUND: u32 = 0b01;
const FLAGS_OPTION: OptionCode = OptionCode(2);

/// The section that is read.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// The time of the packet before: simple packets have none of their own.
    last_ns: u64,
}

/// What the packets of an interface need to be read.
#[derive(Clone, Copy, Debug)]
struct Interface {
    unit: Unit,
    offset_s: i64,
    snap_len: usize,
}

/// The unit that times count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many ns.
    Ns(u64),
    /// So many of them are a ns.
    OfNs(u64),
    /// A second halved so many times.
    Halves(u32),
}

impl Pcapng {
    /// Before the first section.
    pub(super) const fn new() -> Self {
        Self {
            order: Order::Little,
            interfaces: Vec::new(),
            last_ns: 0,
        }
    }

    #[inline(always)]
    pub(super) fn record(&mut self, octets: &[u8]) -> Record {
        let read = |offset| self.order.u32(octets, offset);
        let (Some(kind), Some(len)) = (read(0), read(4)) else {
            return Record::Needs(MIN_BLOCK);
        };
        if kind == SECTION {
            return self.section(octets);
        }
        let block_len = len as usize;
        if block_len < MIN_BLOCK || !block_len.is_multiple_of(4) {
            return Record::Bad("a block of an impossible length");
        }
        if !matches!(
            kind,
            ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET | INTERFACE
        ) {
            return Record::Other(u64::from(len));
        }
        if block_len > MAX_BLOCK {
            return Record::Bad("a block longer than any packet");
        }
        let Some(block) = octets.get(..block_len) else {
            return Record::Needs(block_len);
        };
        if self.order.u32(block, block_len - 4) != Some(len) {
            return Record::Bad("a block whose two lengths differ");
        }
        match kind {
            INTERFACE => self.interface(block),
            SIMPLE_PACKET => self.simple_packet(block),
            _ => self.packet(block, kind),
        }
    }

    /// A section begins: from here on everything is new.
    fn section(&mut self, octets: &[u8]) -> Record {
        let Some(magic) = Order::Little.u32(octets, 8) else {
            return Record::Needs(MIN_BLOCK);
        };
        let order = match magic {
            ORDER_MAGIC => Order::Little,
            _ if magic.swap_bytes() == ORDER_MAGIC => Order::Big,
            _ => return Record::Bad("a section without its mark of order"),
        };
        let (Some(len), Some(major)) = (order.u32(octets, 4), order.u16(octets, 12)) else {
            return Record::Needs(MIN_BLOCK + 2);
        };
        if major != MAJOR_VERSION {
            return Record::Bad("a section of an unknown version");
        }
        if len < 28 || !len.is_multiple_of(4) {
            return Record::Bad("a section header of an impossible length");
        }
        self.order = order;
        self.interfaces.clear();
        Record::Section(u64::from(len))
    }

    fn interface(&mut self, block: &[u8]) -> Record {
        let parsed = match self.order {
            Order::Little => parse_interfacedescriptionblock_le(block),
            Order::Big => parse_interfacedescriptionblock_be(block),
        };
        let Ok((_, description)) = parsed else {
            return Record::Bad("a description of an interface that cannot be read");
        };
        let Ok(link_type) = u32::try_from(description.linktype.0) else {
            return Record::Bad("a description of an interface that cannot be read");
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Record::Bad("more interfaces than a capture has");
        }
        let Some(interface) = Interface::new(&description, self.order) else {
            return Record::Bad("an interface with times that cannot be read");
        };
        self.interfaces.push(interface);
        let name = option(&description, OptionCode::IfName)
            .map(|name| String::from_utf8_lossy(name).into_owned());
        let described = Described {
            link_type,
            name: name.filter(|name| !name.is_empty()),
        };
        Record::Interface(block.len(), Box::new(described))
    }

    #[inline(always)]
    fn packet(&mut self, block: &[u8], kind: u32) -> Record {
        let read = |offset| self.order.u32(block, offset);
        let (Some(interface), Some(high), Some(low), Some(len), Some(wire_len)) =
            (read(8), read(12), read(16), read(20), read(24))
        else {
            return Record::Bad("a packet block of an impossible length");
        };
        // The obsolete block has a count of drops beside a number half as wide.
        let interface = match kind {
            OBSOLETE_PACKET => self.order.u16(block, 8).map_or(0, u32::from),
            _ => interface,
        } as usize;
        let (len, wire_len) = (len as usize, wire_len as usize);
        if len > MAX_PACKET {
            return Record::Bad("a packet longer than any");
        }
        let Some(room) = block.len().checked_sub(MIN_PACKET_BLOCK) else {
            return Record::Bad("a packet block of an impossible length");
        };
        if len > room {
            return Record::Bad("a packet longer than its block");
        }
        let Some(described) = self.interfaces.get(interface) else {
            return Record::Bad("a packet of an interface that is not described");
        };
        let time = u64::from(high) << 32 | u64::from(low);
        let time_ns = described.ns(time);
        self.last_ns = time_ns;
        let options = PACKET_OFFSET + len.next_multiple_of(4);
        Record::Packet(Head {
            record_len: block.len(),
            offset: PACKET_OFFSET,
            len,
            wire_len: wire_len.max(len),
            time_ns,
            interface,
            direction: block
                .get(options..block.len() - 4)
                .filter(|options| !options.is_empty())
                .and_then(|options| direction(options, self.order)),
        })
    }

    fn simple_packet(&self, block: &[u8]) -> Record {
        let Some(wire_len) = self.order.u32(block, 8) else {
            return Record::Bad("a packet block of an impossible length");
        };
        let Some(described) = self.interfaces.first() else {
            return Record::Bad("a packet of an interface that is not described");
        };
        let wire_len = wire_len as usize;
        let room = block.len().saturating_sub(SIMPLE_PACKET_OFFSET + 4);
        let len = wire_len.min(described.snap_len).min(room);
        if len > MAX_PACKET {
            return Record::Bad("a packet longer than any");
        }
        Record::Packet(Head {
            record_len: block.len(),
            offset: SIMPLE_PACKET_OFFSET,
            len,
            wire_len,
            time_ns: self.last_ns,
            interface: 0,
            direction: None,
        })
    }
}

impl Interface {
    fn new(description: &InterfaceDescriptionBlock<'_>, order: Order) -> Option<Self> {
        let resolution = option(description, OptionCode::IfTsresol);
        let resolution = resolution.and_then(|value| value.first().copied());
        let offset = option(description, OptionCode::IfTsoffset);
        let offset = offset.and_then(|value| <[u8; 8]>::try_from(value).ok());
        Some(Self {
            unit: Unit::of(resolution.unwrap_or(6))?,
            offset_s: offset.map_or(0, |octets| match order {
                Order::Little => i64::from_le_bytes(octets),
                Order::Big => i64::from_be_bytes(octets),
            }),
            snap_len: match description.snaplen {
                0 => usize::MAX,
                len => len as usize,
            },
        })
    }

    #[inline(always)]
    fn ns(&self, time: u64) -> u64 {
        let ns = match self.unit {
            Unit::Ns(ns) => time.saturating_mul(ns),
            Unit::OfNs(parts) => time / parts,
            Unit::Halves(halvings) => {
                let ns = (u128::from(time) * 1_000_000_000) >> halvings;
                u64::try_from(ns).unwrap_or(u64::MAX)
            }
        };
        if self.offset_s == 0 {
            return ns;
        }
        let ns = i128::from(ns) + i128::from(self.offset_s) * 1_000_000_000;
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

impl Unit {
    /// From the value of `if_tsresol`: a negative power of 10, or of 2 where the highest bit is set.
    fn of(resolution: u8) -> Option<Self> {
        let power = u32::from(resolution & 0x7f);
        match resolution {
            0..=9 => Some(Self::Ns(10_u64.pow(9 - power))),
            10..=0x7f => 10_u64.checked_pow(power - 9).map(Self::OfNs),
            0x80.. => Some(Self::Halves(power)),
        }
    }
}

fn option<'a>(
    description: &'a InterfaceDescriptionBlock<'_>,
    code: OptionCode,
) -> Option<&'a [u8]> {
    let mut options = description.options.iter();
    options.find(|option| option.code == code)?.as_bytes().ok()
}

/// The direction that the options of a packet tell.
fn direction(mut options: &[u8], order: Order) -> Option<Direction> {
    loop {
        let parsed = match order {
            Order::Little => parse_option_le::<()>(options),
            Order::Big => parse_option_be::<()>(options),
        };
        let (rest, option) = parsed.ok()?;
        match option.code {
            OptionCode::EndOfOpt => return None,
            FLAGS_OPTION => {
                let Cow::Borrowed(value) = option.value else {
                    return None;
                };
                return match order.u32(value, 0)? & DIRECTION {
                    INBOUND => Some(Direction::Ingress),
                    OUTBOUND => Some(Direction::Egress),
                    _ => None,
                };
            }
            _ => options = rest,
        }
    }
}
