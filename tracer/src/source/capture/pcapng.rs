//! The next generation format: blocks, in sections that have an order of octets and interfaces of
//! their own (draft-ietf-opsawg-pcapng).

use std::borrow::Cow;
use std::iter;

use pcap_parser::pcapng::{OptionCode, parse_option_be, parse_option_le};
use synfin_ebpf::event::Direction;

use super::record::{Described, Head, MAX_PACKET, Order, Other, words};

/// Begins a section, and thereby a file.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const MAJOR_VERSION: u16 = 1;

/// Octets of the smallest block: type and length, and the length again.
const MIN_BLOCK_LEN: u32 = 12;
/// Octets that tell what a block is, and what a section is.
const BLOCK_WORDS: usize = 12;
const SECTION_WORDS: usize = 14;
/// The same of a block with a packet.
const MIN_PACKET_BLOCK: u32 = 32;
const MIN_SIMPLE_PACKET_BLOCK: u32 = 16;
/// Words before the packet in its block, and the octets that they take.
const PACKET_WORDS: usize = 7;
const PACKET_OFFSET: u32 = 28;
const SIMPLE_PACKET_WORDS: usize = 3;
const SIMPLE_PACKET_OFFSET: u32 = 12;
/// Octets before the options of an interface.
const INTERFACE_OPTIONS: usize = 16;
/// The most octets of a block that is looked into: a packet, and as much of options.
const MAX_BLOCK: u32 = 2 * MAX_PACKET;
const IMPOSSIBLE: &str = "a block of an impossible length";
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
    snap_len: u32,
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

    /// The packet that the octets begin with, where it is there as a whole.
    #[inline(always)]
    pub(super) fn head(&mut self, octets: &[u8]) -> Option<Head> {
        let [kind, block_len] = self.order.u32s(words(octets)?);
        let head = match kind {
            ENHANCED_PACKET => {
                let [interface] = self.order.u32s(words(octets.get(8..)?)?);
                self.packet(block(octets, block_len, self.order).ok()?, interface)
            }
            OBSOLETE_PACKET => {
                // It has a count of drops beside a number half as wide.
                let interface = self.order.u16(octets, 8)?;
                self.packet(block(octets, block_len, self.order).ok()?, interface.into())
            }
            SIMPLE_PACKET => self.simple_packet(block(octets, block_len, self.order).ok()?),
            _ => return None,
        };
        let head = head.ok()?;
        self.last_ns = head.time_ns;
        Some(head)
    }

    /// What is there where that is no whole packet.
    #[cold]
    pub(super) fn other(&mut self, octets: &[u8]) -> Other {
        let Some([kind, len]) = words(octets).map(|words| self.order.u32s(words)) else {
            return Other::Needs(BLOCK_WORDS);
        };
        if kind == SECTION {
            return self.section(octets);
        }
        if len < MIN_BLOCK_LEN || !len.is_multiple_of(4) {
            return Other::Bad(IMPOSSIBLE);
        }
        let known = [ENHANCED_PACKET, OBSOLETE_PACKET, SIMPLE_PACKET, INTERFACE];
        if !known.contains(&kind) {
            return Other::Unknown(len.into());
        }
        let block = match block(octets, len, self.order) {
            Ok(block) => block,
            Err(lack) => return lack.into(),
        };
        let interface = match kind {
            INTERFACE => return self.interface(block),
            SIMPLE_PACKET => {
                return self
                    .simple_packet(block)
                    .err()
                    .map_or(Other::Bad(IMPOSSIBLE), Other::Bad);
            }
            OBSOLETE_PACKET => self.order.u16(block, 8).map(u32::from),
            _ => self.order.u32(block, 8),
        };
        let packet = self.packet(block, interface.unwrap_or(u32::MAX));
        Other::Bad(packet.err().unwrap_or(IMPOSSIBLE))
    }

    /// A section begins: from here on everything is new.
    fn section(&mut self, octets: &[u8]) -> Other {
        let Some(magic) = Order::Little.u32(octets, 8) else {
            return Other::Needs(BLOCK_WORDS);
        };
        let order = match magic {
            ORDER_MAGIC => Order::Little,
            _ if magic.swap_bytes() == ORDER_MAGIC => Order::Big,
            _ => return Other::Bad("a section without its mark of order"),
        };
        let (Some(len), Some(major)) = (order.u32(octets, 4), order.u16(octets, 12)) else {
            return Other::Needs(SECTION_WORDS);
        };
        if major != MAJOR_VERSION {
            return Other::Bad("a section of an unknown version");
        }
        if len < 28 || !len.is_multiple_of(4) {
            return Other::Bad("a section header of an impossible length");
        }
        self.order = order;
        self.interfaces.clear();
        Other::Section(u64::from(len))
    }

    fn interface(&mut self, block: &[u8]) -> Other {
        // Not by pcap_parser, which takes every one for bad where this machine is big-endian.
        let described = (self.order.u16(block, 8), self.order.u32(block, 12));
        let options = block.get(INTERFACE_OPTIONS..block.len() - 4);
        let ((Some(link_type), Some(snap_len)), Some(options)) = (described, options) else {
            return Other::Bad("a description of an interface that cannot be read");
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Other::Bad("more interfaces than a capture has");
        }
        let Some(interface) = Interface::new(snap_len, options, self.order) else {
            return Other::Bad("an interface with times that cannot be read");
        };
        self.interfaces.push(interface);
        let name = option(options, self.order, OptionCode::IfName)
            .map(|name| String::from_utf8_lossy(name).into_owned());
        let described = Described {
            link_type: link_type.into(),
            name: name.filter(|name| !name.is_empty()),
        };
        Other::Interface(block.len(), Box::new(described))
    }

    #[inline(always)]
    fn packet(&self, block: &[u8], interface: u32) -> Result<Head, &'static str> {
        let words: &[[u8; 4]; PACKET_WORDS] = words(block).ok_or(IMPOSSIBLE)?;
        let [_, record_len, _, high, low, len, wire_len] = self.order.u32s(words);
        let room = record_len.checked_sub(MIN_PACKET_BLOCK).ok_or(IMPOSSIBLE)?;
        if len > MAX_PACKET {
            return Err("a packet longer than any");
        }
        if len > room {
            return Err("a packet longer than its block");
        }
        let described = self.interfaces.get(interface as usize);
        let described = described.ok_or("a packet of an interface that is not described")?;
        let padded = len.next_multiple_of(4);
        Ok(Head {
            time_ns: described.ns(u64::from(high) << 32 | u64::from(low)),
            record_len,
            offset: PACKET_OFFSET,
            len,
            wire_len: wire_len.max(len),
            interface,
            direction: if padded < room {
                let options = block.get((PACKET_OFFSET + padded) as usize..block.len() - 4);
                options.and_then(|options| direction(options, self.order))
            } else {
                None
            },
        })
    }

    fn simple_packet(&self, block: &[u8]) -> Result<Head, &'static str> {
        let words: &[[u8; 4]; SIMPLE_PACKET_WORDS] = words(block).ok_or(IMPOSSIBLE)?;
        let [_, record_len, wire_len] = self.order.u32s(words);
        let described = self.interfaces.first();
        let described = described.ok_or("a packet of an interface that is not described")?;
        let room = record_len
            .checked_sub(MIN_SIMPLE_PACKET_BLOCK)
            .ok_or(IMPOSSIBLE)?;
        let len = wire_len.min(described.snap_len).min(room);
        if len > MAX_PACKET {
            return Err("a packet longer than any");
        }
        Ok(Head {
            time_ns: self.last_ns,
            record_len,
            offset: SIMPLE_PACKET_OFFSET,
            len,
            wire_len,
            interface: 0,
            direction: None,
        })
    }
}

/// A whole block that is looked into.
#[inline(always)]
fn block(octets: &[u8], len: u32, order: Order) -> Result<&[u8], Lack> {
    if len < MIN_BLOCK_LEN || !len.is_multiple_of(4) {
        return Err(Lack::Bad(IMPOSSIBLE));
    }
    if len > MAX_BLOCK {
        return Err(Lack::Bad("a block longer than any packet"));
    }
    let block = octets.get(..len as usize);
    let block = block.ok_or(Lack::Needs(len as usize))?;
    let last = block.last_chunk().map(|last| order.u32s(&[*last]));
    if last != Some([len]) {
        return Err(Lack::Bad("a block whose two lengths differ"));
    }
    Ok(block)
}

/// Why there is no whole block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    Needs(usize),
    Bad(&'static str),
}

impl From<Lack> for Other {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::Needs(needed) => Self::Needs(needed),
            Lack::Bad(what) => Self::Bad(what),
        }
    }
}

impl Interface {
    fn new(snap_len: u32, options: &[u8], order: Order) -> Option<Self> {
        let resolution = option(options, order, OptionCode::IfTsresol);
        let resolution = resolution.and_then(|value| value.first().copied());
        let offset = option(options, order, OptionCode::IfTsoffset);
        let offset = offset.and_then(|value| <[u8; 8]>::try_from(value).ok());
        Some(Self {
            unit: Unit::of(resolution.unwrap_or(6))?,
            offset_s: offset.map_or(0, |octets| match order {
                Order::Little => i64::from_le_bytes(octets),
                Order::Big => i64::from_be_bytes(octets),
            }),
            snap_len: match snap_len {
                0 => u32::MAX,
                len => len,
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

/// The value of the first option of a kind.
fn option(octets: &[u8], order: Order, code: OptionCode) -> Option<&[u8]> {
    options(octets, order).find_map(|(found, value)| (found == code).then_some(value))
}

/// The direction that the options of a packet tell.
fn direction(octets: &[u8], order: Order) -> Option<Direction> {
    match order.u32(option(octets, order, FLAGS_OPTION)?, 0)? & DIRECTION {
        INBOUND => Some(Direction::Ingress),
        OUTBOUND => Some(Direction::Egress),
        _ => None,
    }
}

/// The options of a block, up to the last one or one that is cut short, without their padding.
fn options(mut octets: &[u8], order: Order) -> impl Iterator<Item = (OptionCode, &[u8])> {
    iter::from_fn(move || {
        let parsed = match order {
            Order::Little => parse_option_le::<()>(octets),
            Order::Big => parse_option_be::<()>(octets),
        };
        let (rest, option) = parsed.ok()?;
        octets = rest;
        let Cow::Borrowed(value) = option.value else {
            return None;
        };
        let value = value.get(..option.len.into())?;
        (option.code != OptionCode::EndOfOpt).then_some((option.code, value))
    })
}
