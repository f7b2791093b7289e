//! What lies at the beginning of the octets of a capture.

use synfin_ebpf::event::Direction;

/// The most octets of a packet that a record may hold: the largest snap length of libpcap. More than
/// that is taken for a sign that what is read is no record.
pub(super) const MAX_PACKET: usize = 256 << 10;

/// One look at the octets that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A packet.
    Packet(Head),
    /// A section begins with so many octets: from here on the interfaces are others.
    Section(u64),
    /// An interface, described in so many octets.
    Interface(usize, Box<Described>),
    /// Something else, which takes so many octets.
    Other(u64),
    /// It is not all there: so many octets are needed.
    Needs(usize),
    /// It cannot be a record.
    Bad(&'static str),
}

/// Where a packet lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Octets of the whole record.
    pub(super) record_len: usize,
    /// Where the packet begins in it.
    pub(super) offset: usize,
    /// How many octets of it were kept.
    pub(super) len: usize,
    /// How many it had on the wire.
    pub(super) wire_len: usize,
    /// When it was seen, in ns since the Unix epoch.
    pub(super) time_ns: u64,
    /// Place of its interface among those of the file.
    pub(super) interface: usize,
    /// Which way it went, where that is known.
    pub(super) direction: Option<Direction>,
}

/// A new interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) link_type: u32,
    pub(super) name: Option<String>,
}

/// The order of the octets of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The number of four octets at `offset`.
    #[inline(always)]
    pub(super) fn u32(self, octets: &[u8], offset: usize) -> Option<u32> {
        let octets = octets
            .get(offset..offset.checked_add(4)?)?
            .try_into()
            .ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(octets),
            Self::Big => u32::from_be_bytes(octets),
        })
    }

    /// The number of two octets at `offset`.
    pub(super) fn u16(self, octets: &[u8], offset: usize) -> Option<u16> {
        let octets = octets
            .get(offset..offset.checked_add(2)?)?
            .try_into()
            .ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(octets),
            Self::Big => u16::from_be_bytes(octets),
        })
    }
}
