//! The TCP header (RFC 9293 §3.1): found and checked here, read out only when it matters.

use core::cell::Cell;

use super::descent::Outer;
use super::{Network, Reject, Transport, Version};
use crate::octets::Octets;
use crate::segment::{Address, Endpoint, Flags, MAX_OPTIONS, OPTION_WORDS, Scope, Segment};
use crate::seq::Seq;

const MIN_WORDS: u8 = 5;
const MIN_HEADER_LEN: usize = MIN_WORDS as usize * 4;
/// No header begins past this octet of its frame.
const MAX_PLACE: u64 = 0x7fff;
const IPV4_IDENT: usize = 4;
const IPV4_ADDRESSES: usize = 12;
const IPV6_ADDRESSES: usize = 8;

/// A checked TCP header inside its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// IP version around it.
    pub version: Version,
    /// VLAN tags around it.
    pub scope: Scope,
    /// Control bits.
    pub flags: Flags,
    /// Payload in this packet, in octets.
    pub len: u32,
    /// Octets of options, 0 to 40, a multiple of four.
    pub options_len: u8,
    network: usize,
    transport: usize,
    outer: Outer,
}

#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(
    frame: &F,
    network: &Network,
    transport: &Transport,
    outer: Outer,
) -> Result<Located, Reject> {
    let available = transport.end.saturating_sub(transport.offset);
    if available < MIN_HEADER_LEN {
        return Err(if transport.fragment != 0 {
            Reject::TinyFragment
        } else {
            Reject::TruncatedTransport
        });
    }
    let word = frame
        .be16(transport.offset + 12)
        .ok_or(Reject::TruncatedTransport)?;
    let header_len = usize::from(word >> 12) * 4;
    if header_len < MIN_HEADER_LEN || header_len > available {
        return Err(Reject::BadDataOffset);
    }
    Ok(Located {
        version: network.version,
        scope: Scope(network.scope),
        flags: Flags((word & 0xff) as u8),
        // A frame is never near 4 GiB: its length came from 16 bits or a kernel's u32.
        len: u32::try_from(available - header_len).unwrap_or(u32::MAX),
        network: network.offset,
        transport: transport.offset,
        outer,
        options_len: ((word >> 12) as u8).wrapping_sub(MIN_WORDS).wrapping_mul(4),
    })
}

impl Located {
    /// All of it in three words.
    #[inline(always)]
    #[must_use]
    pub const fn pack(&self) -> [u64; 3] {
        let version = matches!(self.version, Version::V6) as u64;
        [
            self.network as u64
                | (self.transport as u64) << 16
                | (self.flags.0 as u64) << 32
                | (self.options_len as u64) << 40
                | version << 48,
            self.len as u64 | self.outer.0 << 32,
            self.scope.0,
        ]
    }

    /// What [`Located::pack`] packed.
    #[inline(always)]
    #[must_use]
    pub const fn unpack([places, ends, scope]: [u64; 3]) -> Self {
        Self {
            version: if places >> 48 == 0 {
                Version::V4
            } else {
                Version::V6
            },
            scope: Scope(scope),
            flags: Flags((places >> 32 & 0xff) as u8),
            len: (ends & 0xffff_ffff) as u32,
            options_len: (places >> 40 & 0x3f) as u8,
            network: (places & MAX_PLACE) as usize,
            transport: (places >> 16 & MAX_PLACE) as usize,
            outer: Outer::new(ends >> 32),
        }
    }

    /// A hash of the connection, the same in both directions, straight from the frame's words.
    ///
    /// # Errors
    /// [`Reject::TruncatedNetwork`] or [`Reject::TruncatedTransport`] where the frame was cut short.
    #[inline(always)]
    pub fn hash<F: Octets + ?Sized>(&self, frame: &F) -> Result<u32, Reject> {
        let ends = address_words(frame, self.version, self.network);
        let (source, destination) = ends.ok_or(Reject::TruncatedNetwork)?;
        let ports = self.ports(frame)?;
        let from = source ^ (u64::from(ports & 0xffff) << 32);
        let to = destination ^ (u64::from(ports >> 16) << 32);
        let scope = (self.scope.0 ^ self.scope.0 >> 32) & 0xffff_ffff;
        Ok(both_ways(from, to) ^ scope as u32)
    }

    /// The ports as they lie in memory, the sender's first.
    ///
    /// # Errors
    /// [`Reject::TruncatedTransport`] where the frame was cut short.
    #[inline(always)]
    pub(crate) fn ports<F: Octets + ?Sized>(&self, frame: &F) -> Result<u32, Reject> {
        let ports = frame.read(self.transport);
        Ok(u32::from_ne_bytes(ports.ok_or(Reject::TruncatedTransport)?))
    }

    /// SEG.SEQ and SEG.ACK.
    ///
    /// # Errors
    /// [`Reject::TruncatedTransport`] where the frame was cut short.
    #[inline(always)]
    pub(crate) fn numbers<F: Octets + ?Sized>(&self, frame: &F) -> Result<(Seq, Seq), Reject> {
        let read = |offset| frame.be32(self.transport + offset).map(Seq);
        let numbers = read(4).zip(read(8));
        numbers.ok_or(Reject::TruncatedTransport)
    }

    /// Reads the segment's numbers.
    ///
    /// # Errors
    /// [`Reject::TruncatedTransport`] where the frame was cut short.
    #[inline(always)]
    pub fn segment<F: Octets + ?Sized>(&self, frame: &F) -> Result<Segment, Reject> {
        let read = || {
            Some(Segment {
                seq: Seq(frame.be32(self.transport + 4)?),
                ack: Seq(frame.be32(self.transport + 8)?),
                flags: self.flags,
                window: frame.be16(self.transport + 14)?,
                len: self.len,
                checksum: frame.be16(self.transport + 16)?,
                ident: match self.version {
                    Version::V4 => frame.be16(self.network + IPV4_IDENT)?,
                    Version::V6 => 0,
                },
            })
        };
        read().ok_or(Reject::TruncatedTransport)
    }

    /// Reads sender and receiver.
    ///
    /// # Errors
    /// [`Reject::TruncatedNetwork`] or [`Reject::TruncatedTransport`] where the frame was cut short.
    #[inline(always)]
    pub fn endpoints<F: Octets + ?Sized>(&self, frame: &F) -> Result<[Endpoint; 2], Reject> {
        let addresses = addresses(frame, self.version, self.network);
        let [source, destination] = addresses.ok_or(Reject::TruncatedNetwork)?;
        let port = |offset| frame.be16(self.transport + offset);
        let endpoint = |address, offset| {
            let port = port(offset).ok_or(Reject::TruncatedTransport)?;
            Ok(Endpoint { address, port })
        };
        Ok([endpoint(source, 0)?, endpoint(destination, 2)?])
    }

    /// Puts away the options, in words as they lie in memory, with zeros behind them; gives the number
    /// of their octets. Of a frame that was cut short, those are put away that it has as a whole.
    #[inline(always)]
    pub fn copy_options<F: Octets + ?Sized>(
        &self,
        frame: &F,
        mut put: impl FnMut(usize, u64),
    ) -> u8 {
        let (offset, len) = (self.transport + MIN_HEADER_LEN, self.options_len);
        if frame.copy_words::<OPTION_WORDS>(offset, len.into(), &mut put) {
            len
        } else if F::MAY_BE_CUT {
            self.copy_whole_options(frame, put)
        } else {
            0
        }
    }

    /// Puts away the options that a frame without its end has as a whole.
    fn copy_whole_options<F: Octets + ?Sized>(
        &self,
        frame: &F,
        mut put: impl FnMut(usize, u64),
    ) -> u8 {
        let offset = self.transport + MIN_HEADER_LEN;
        let len = self.whole_options(frame);
        let octets = Cell::new([0; MAX_OPTIONS]);
        let copied = len > 0 && frame.copy(offset, len.into(), &octets);
        for (index, octets) in octets.get().chunks_exact(8).enumerate() {
            put(
                index,
                u64::from_ne_bytes(octets.try_into().unwrap_or_default()),
            );
        }
        if copied { len } else { 0 }
    }

    /// Where the header ends in the frame.
    #[inline(always)]
    #[must_use]
    pub const fn end(&self) -> usize {
        self.transport + MIN_HEADER_LEN + self.options_len as usize
    }

    /// How many octets the options have that a frame without its end has as a whole.
    fn whole_options<F: Octets + ?Sized>(&self, frame: &F) -> u8 {
        let offset = self.transport + MIN_HEADER_LEN;
        let mut len = 0;
        while len < self.options_len {
            let at = offset + usize::from(len);
            // End of options and no-operation have no length (RFC 9293 §3.2).
            let option_len = match frame.read(at) {
                Some([0 | 1]) => 1,
                _ => match frame.read(at) {
                    Some([_, option_len]) if option_len >= 2 => option_len,
                    _ => break,
                },
            };
            let last = at + usize::from(option_len) - 1;
            if frame.read::<1>(last).is_none() {
                break;
            }
            len = len.saturating_add(option_len);
        }
        len.min(self.options_len)
    }

    /// Copies the beginning of the payload; gives the number of its octets.
    #[inline(always)]
    pub fn copy_payload<F: Octets + ?Sized>(
        &self,
        frame: &F,
        into: &Cell<[u8; MAX_OPTIONS]>,
    ) -> u8 {
        let offset = self.transport + MIN_HEADER_LEN + usize::from(self.options_len);
        const ROOM: u32 = 40;
        const { assert!(ROOM as usize == MAX_OPTIONS) };
        let len = if self.len < ROOM { self.len } else { ROOM };
        if len > 0 && frame.copy(offset, len as usize, into) {
            (len & 0xff) as u8
        } else {
            0
        }
    }

    /// Reads the addresses between which the innermost tunnel runs, this packet's sender first; `None`
    /// outside of tunnels between addresses.
    #[inline(always)]
    #[must_use]
    pub fn outer<F: Octets + ?Sized>(&self, frame: &F) -> Option<[Address; 2]> {
        let (version, network) = self.outer.get()?;
        addresses(frame, version, network)
    }
}

/// Source and destination of an IP header.
#[inline(always)]
fn addresses<F: Octets + ?Sized>(
    frame: &F,
    version: Version,
    network: usize,
) -> Option<[Address; 2]> {
    match version {
        Version::V4 => {
            let at = network + IPV4_ADDRESSES;
            let source = frame.read(at)?;
            Some([Address::v4(source), Address::v4(frame.read(at + 4)?)])
        }
        Version::V6 => {
            let at = network + IPV6_ADDRESSES;
            Some([
                Address::v6(frame.read(at)?),
                Address::v6(frame.read(at + 16)?),
            ])
        }
    }
}

/// Source and destination of an IP header, a word each, to make hashes of.
#[inline(always)]
pub(super) fn address_words<F: Octets + ?Sized>(
    frame: &F,
    version: Version,
    network: usize,
) -> Option<(u64, u64)> {
    match version {
        Version::V4 => {
            let both = u64::from_ne_bytes(frame.read(network + IPV4_ADDRESSES)?);
            Some((both & u64::from(u32::MAX), both >> 32))
        }
        Version::V6 => {
            let fold = |offset| {
                let read = |offset| frame.read(network + IPV6_ADDRESSES + offset);
                let prefix = u64::from_ne_bytes(read(offset)?);
                Some(prefix.rotate_left(21) ^ u64::from_ne_bytes(read(offset + 8)?))
            };
            Some((fold(0)?, fold(16)?))
        }
    }
}

/// One hash of two ends that is the same when they change places: they enter by sums of their own
/// mixes.
#[inline(always)]
pub(super) const fn both_ways(from: u64, to: u64) -> u32 {
    (mix(from).wrapping_add(mix(to)) >> 32) as u32
}

/// A multiplication spreads the low bits upwards, the shift brings them back.
#[inline(always)]
const fn mix(word: u64) -> u64 {
    let spread = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    spread ^ (spread >> 29)
}
