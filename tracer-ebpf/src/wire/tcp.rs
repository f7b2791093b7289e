//! The TCP header (RFC 9293 §3.1): found and checked here, read out only when it matters.

use super::{Network, Reject, Transport, Version};
use crate::octets::Octets;
use crate::segment::{Address, Endpoint, Flags, Options, Scope, Segment};
use crate::seq::Seq;

const MIN_HEADER_LEN: usize = 20;
const IPV4_ADDRESSES: usize = 12;
const IPV6_ADDRESSES: usize = 8;

/// A checked TCP header inside its frame.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    /// IP version around it.
    pub version: Version,
    /// VLAN tags around it.
    pub scope: Scope,
    /// Control bits.
    pub flags: Flags,
    /// Payload in this packet, in octets.
    pub len: u32,
    network: usize,
    transport: usize,
    options_len: u8,
}

#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(
    frame: &F,
    network: &Network,
    transport: &Transport,
) -> Result<Located, Reject> {
    let available = transport.end.saturating_sub(transport.offset);
    if available < MIN_HEADER_LEN {
        return Err(if transport.fragment {
            Reject::TinyFragment
        } else {
            Reject::TruncatedTransport
        });
    }
    let [data_offset, flags] = frame
        .read(transport.offset + 12)
        .ok_or(Reject::TruncatedTransport)?;
    let header_len = usize::from(data_offset >> 4) * 4;
    if header_len < MIN_HEADER_LEN || header_len > available {
        return Err(Reject::BadDataOffset);
    }
    Ok(Located {
        version: network.version,
        scope: network.scope,
        flags: Flags(flags),
        // A frame is never near 4 GiB: its length came from 16 bits or a kernel's u32.
        len: u32::try_from(available - header_len).unwrap_or(u32::MAX),
        network: network.offset,
        transport: transport.offset,
        options_len: (data_offset >> 4) * 4 - MIN_HEADER_LEN as u8,
    })
}

impl Located {
    /// A hash of the connection, the same in both directions, straight from the frame's words.
    ///
    /// # Errors
    /// [`Reject::TruncatedNetwork`] or [`Reject::TruncatedTransport`] where the frame was cut short.
    #[inline(always)]
    pub fn hash<F: Octets + ?Sized>(&self, frame: &F) -> Result<u32, Reject> {
        let (source, destination) = match self.version {
            Version::V4 => {
                let addresses = frame
                    .read::<8>(self.network + IPV4_ADDRESSES)
                    .ok_or(Reject::TruncatedNetwork)?;
                let [a, b, c, d, e, f, g, h] = addresses;
                (
                    u64::from(u32::from_ne_bytes([a, b, c, d])),
                    u64::from(u32::from_ne_bytes([e, f, g, h])),
                )
            }
            Version::V6 => {
                let read = |offset| frame.read::<8>(self.network + IPV6_ADDRESSES + offset);
                let fold = |offset| {
                    let prefix = u64::from_ne_bytes(read(offset)?);
                    Some(prefix.rotate_left(21) ^ u64::from_ne_bytes(read(offset + 8)?))
                };
                (
                    fold(0).ok_or(Reject::TruncatedNetwork)?,
                    fold(16).ok_or(Reject::TruncatedNetwork)?,
                )
            }
        };
        let [a, b, c, d] = frame
            .read::<4>(self.transport)
            .ok_or(Reject::TruncatedTransport)?;
        let from = source ^ (u64::from(u16::from_ne_bytes([a, b])) << 32);
        let to = destination ^ (u64::from(u16::from_ne_bytes([c, d])) << 32);
        // Both ends enter by sums of their own mixes, so that the direction does not matter.
        let sum = mix(from).wrapping_add(mix(to));
        Ok((sum >> 32) as u32 ^ self.scope.0)
    }

    /// Reads the whole segment.
    ///
    /// # Errors
    /// [`Reject::TruncatedNetwork`] or [`Reject::TruncatedTransport`] where the frame was cut short.
    #[inline(always)]
    pub fn segment<F: Octets + ?Sized>(&self, frame: &F) -> Result<Segment, Reject> {
        let (source, destination) = self.addresses(frame).ok_or(Reject::TruncatedNetwork)?;
        let mut segment = self.header(frame).ok_or(Reject::TruncatedTransport)?;
        segment.source.address = source;
        segment.destination.address = destination;
        if segment.flags.syn() {
            segment.options = self.options(frame).ok_or(Reject::TruncatedTransport)?;
        }
        Ok(segment)
    }

    #[inline(always)]
    fn addresses<F: Octets + ?Sized>(&self, frame: &F) -> Option<(Address, Address)> {
        match self.version {
            Version::V4 => {
                let at = self.network + IPV4_ADDRESSES;
                let source = frame.read(at)?;
                Some((Address::v4(source), Address::v4(frame.read(at + 4)?)))
            }
            Version::V6 => {
                let at = self.network + IPV6_ADDRESSES;
                Some((Address(frame.read(at)?), Address(frame.read(at + 16)?)))
            }
        }
    }

    #[inline(always)]
    fn header<F: Octets + ?Sized>(&self, frame: &F) -> Option<Segment> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, _, _, window @ ..] =
            frame.read::<16>(self.transport)?;
        Some(Segment {
            source: Endpoint {
                port: u16::from_be_bytes([a, b]),
                ..Endpoint::default()
            },
            destination: Endpoint {
                port: u16::from_be_bytes([c, d]),
                ..Endpoint::default()
            },
            scope: self.scope,
            seq: Seq(u32::from_be_bytes([e, f, g, h])),
            ack: Seq(u32::from_be_bytes([i, j, k, l])),
            flags: self.flags,
            window: u16::from_be_bytes(window),
            len: self.len,
            options: Options::default(),
        })
    }

    #[inline(always)]
    fn options<F: Octets + ?Sized>(&self, frame: &F) -> Option<Options> {
        let mut options = Options {
            len: self.options_len,
            ..Options::default()
        };
        for (index, word) in options.words.iter_mut().enumerate() {
            if index * 4 >= usize::from(self.options_len) {
                break;
            }
            *word = frame.read(self.transport + MIN_HEADER_LEN + index * 4)?;
        }
        Some(options)
    }
}

/// A multiplication spreads the low bits upwards, the shift brings them back.
#[inline(always)]
const fn mix(word: u64) -> u64 {
    let spread = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    spread ^ (spread >> 29)
}
