//! IPv6 (RFC 8200): a bounded chain of extension headers, atomic fragments included (RFC 6946).

use super::{Reject, Stop, Transport};
use crate::octets::Octets;

const HEADER_LEN: usize = 40;
/// RFC 8200 §4.1 recommends an order in which no chain to a TCP header is longer than this.
const MAX_EXTENSIONS: usize = 6;

/// More than the longest chain: a frame's VLAN tags and the IPv6 header, and 2048 octets an extension.
const MAX_OFFSET: usize = 0x7fff;

const HOP_BY_HOP: u64 = 0;
const TCP: u64 = 6;
const ROUTING: u64 = 43;
const FRAGMENT: u64 = 44;
const AUTHENTICATION: u64 = 51;
const DESTINATION_OPTIONS: u64 = 60;
const MOBILITY: u64 = 135;

const MORE_FRAGMENTS: u64 = 0x0001;
const FRAGMENT_OFFSET: u64 = 0xfff8;

#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(frame: &F, offset: usize) -> Result<Transport, Stop> {
    // Version, traffic class and flow label; payload length; next header; hop limit.
    let first = frame.be64(offset).ok_or(Reject::TruncatedNetwork)?;
    if first >> 60 != 6 {
        return Err(Reject::BadIpVersion.into());
    }
    let payload_len = (first >> 16 & 0xffff) as usize;
    let mut next = first >> 8 & 0xff;
    let end = if payload_len == 0 {
        // A jumbogram (RFC 2675), or a super-segment above 64 KiB: the buffer tells its length.
        frame.wire_len()
    } else {
        offset + HEADER_LEN + payload_len
    };
    if !frame.reaches(end) {
        return Err(Reject::BadIpLength.into());
    }
    let mut transport = Transport {
        offset: offset + HEADER_LEN,
        end,
        fragment: false,
    };
    if next == TCP {
        return Ok(transport);
    }
    for _ in 0..MAX_EXTENSIONS {
        let extension = match next {
            HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY => {
                let word = frame.be32(transport.offset);
                u64::from(word.ok_or(Reject::TruncatedNetwork)?)
            }
            _ => return Err(Stop::NotTcp),
        };
        let len = (extension >> 16 & 0xff) as usize;
        let extension_len = match next {
            FRAGMENT => {
                if extension & FRAGMENT_OFFSET != 0 {
                    // What the fragment carries is told by the first one only.
                    return Err(Reject::LaterFragment.into());
                }
                transport.fragment = extension & MORE_FRAGMENTS != 0;
                8
            }
            // Counted in words of four octets, less two (RFC 4302 §2.2).
            AUTHENTICATION => (len + 2) * 4,
            _ => (len + 1) * 8,
        };
        // No chain reaches as far as the mask. It makes all chains look alike to the verifier, which
        // otherwise follows the rest of the program for each of them.
        transport.offset = (transport.offset + extension_len) & MAX_OFFSET;
        if transport.offset > transport.end {
            return Err(Reject::BadIpLength.into());
        }
        next = extension >> 24;
        if next == TCP {
            return Ok(transport);
        }
    }
    Err(Reject::TooManyExtensions.into())
}
