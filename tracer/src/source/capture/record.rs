//! What lies at the beginning of the octets of a capture.

use synfin_ebpf::event::Direction;

/// The most octets of a packet that a record may hold: the largest snap length of libpcap. More than
/// that is taken for a sign that what is read is no record.
pub(super) const MAX_PACKET: u32 = 256 << 10;

/// What lies there instead of a whole packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// A section begins with so many octets: from here on the interfaces are others.
    Section(u64),
    /// An interface, described in so many octets.
    Interface(usize, Box<Described>),
    /// Something that takes so many octets.
    Unknown(u64),
    /// It is not all there: so many octets are needed.
    Needs(usize),
    /// It cannot be a record.
    Bad(&'static str),
}

/// Where a packet lies. It is made for every packet, and therefore small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// When it was seen, in ns since the Unix epoch.
    pub(super) time_ns: u64,
    /// Octets of the whole record.
    pub(super) record_len: u32,
    /// Where the packet begins: in the record, and once gathered in the octets that are there.
    pub(super) offset: u32,
    /// How many octets of it were kept.
    pub(super) len: u32,
    /// How many it had on the wire.
    pub(super) wire_len: u32,
    /// Place of its interface among those of the section.
    pub(super) interface: u32,
    /// Which way it went, where that is known.
    pub(super) direction: Option<Direction>,
}

/// Takes all whole packets that the octets begin with; gives how many octets they take. This is done
/// for a buffer at once, because a short loop does it much faster than a call for every packet.
#[inline(always)]
pub(super) fn gather(
    octets: &[u8],
    heads: &mut Vec<Head>,
    mut head: impl FnMut(&[u8]) -> Option<Head>,
) -> usize {
    let mut at = 0;
    while let Some(rest) = octets.get(at..)
        && let Some(mut head) = head(rest)
        && let Ok(offset) = u32::try_from(at)
    {
        head.offset += offset;
        at += head.record_len as usize;
        heads.push(head);
    }
    at
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
    /// The numbers of these octets.
    #[inline(always)]
    pub(super) fn u32s<const N: usize>(self, octets: &[[u8; 4]; N]) -> [u32; N] {
        match self {
            Self::Little => octets.map(u32::from_le_bytes),
            Self::Big => octets.map(u32::from_be_bytes),
        }
    }

    /// The number of four octets at `offset`.
    #[inline(always)]
    pub(super) fn u32(self, octets: &[u8], offset: usize) -> Option<u32> {
        let octets = octets.get(offset..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(*octets),
            Self::Big => u32::from_be_bytes(*octets),
        })
    }

    /// The number of two octets at `offset`.
    pub(super) fn u16(self, octets: &[u8], offset: usize) -> Option<u16> {
        let octets = octets.get(offset..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(*octets),
            Self::Big => u16::from_be_bytes(*octets),
        })
    }
}

/// The words that octets begin with.
#[inline(always)]
pub(super) fn words<const N: usize>(octets: &[u8]) -> Option<&[[u8; 4]; N]> {
    octets.as_chunks().0.first_chunk()
}
