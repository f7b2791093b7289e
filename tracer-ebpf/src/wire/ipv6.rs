//! IPv6 (RFC 8200): a bounded chain of extension headers, atomic fragments included (RFC 6946).

use super::{Reject, Stop, Transport, ip};
use crate::octets::Octets;

const HEADER_LEN: usize = 40;
/// RFC 8200 §4.1 recommends an order in which no chain to a TCP header is longer than this.
pub(super) const MAX_EXTENSIONS: usize = 6;

/// More than the longest chain: what may be in front of the IPv6 header, and 2048 octets an extension.
const MAX_OFFSET: usize = 0x7fff;

const HOP_BY_HOP: u64 = 0;
const ROUTING: u64 = 43;
const FRAGMENT: u64 = 44;
const AUTHENTICATION: u64 = 51;
const DESTINATION_OPTIONS: u64 = 60;
const MOBILITY: u64 = 135;

const MORE_FRAGMENTS: u64 = 0x0001;
const FRAGMENT_OFFSET: u64 = 0xfff8;

/// Passes the header and all extension headers, up to TCP.
#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(frame: &F, offset: usize) -> Result<Transport, Stop> {
    let mut transport = header(frame, offset, 0)?;
    for passed in 0..=MAX_EXTENSIONS {
        if transport.protocol == ip::TCP {
            return Ok(transport);
        }
        transport = extension(frame, &transport, passed)?;
    }
    Err(Reject::TooManyExtensions.into())
}

/// Passes the header; the packet may end elsewhere where it is in a first fragment.
#[inline(always)]
pub(super) fn header<F: Octets + ?Sized>(
    frame: &F,
    offset: usize,
    fragment: u64,
) -> Result<Transport, Stop> {
    // Version, traffic class and flow label; payload length; next header; hop limit.
    let first = frame.be64(offset).ok_or(Reject::TruncatedNetwork)?;
    if first >> 60 != 6 {
        return Err(Reject::BadIpVersion.into());
    }
    let payload_len = (first >> 16 & 0xffff) as usize;
    let end = if payload_len == 0 {
        // A jumbogram (RFC 2675), or a super-segment above 64 KiB: the buffer tells its length.
        frame.wire_len()
    } else {
        offset + HEADER_LEN + payload_len
    };
    if !(fragment != 0 || frame.reaches(end)) {
        return Err(Reject::BadIpLength.into());
    }
    Ok(Transport {
        protocol: first >> 8 & 0xff,
        offset: offset + HEADER_LEN,
        end,
        fragment: 0,
    })
}

/// Passes an extension header, after so many others.
#[inline(always)]
pub(super) fn extension<F: Octets + ?Sized>(
    frame: &F,
    transport: &Transport,
    passed: usize,
) -> Result<Transport, Stop> {
    if !is_extension(transport.protocol) {
        return Err(Stop::NotTcp);
    }
    if passed >= MAX_EXTENSIONS {
        return Err(Reject::TooManyExtensions.into());
    }
    let word = frame.be32(transport.offset);
    let extension = u64::from(word.ok_or(Reject::TruncatedNetwork)?);
    let mut fragment = transport.fragment;
    let len = (extension >> 16 & 0xff) as usize;
    let extension_len = match transport.protocol {
        FRAGMENT => {
            if extension & FRAGMENT_OFFSET != 0 {
                // What the fragment carries is told by the first one only.
                return Err(Reject::LaterFragment.into());
            }
            fragment = extension & MORE_FRAGMENTS;
            8
        }
        // Counted in words of four octets, less two (RFC 4302 §2.2).
        AUTHENTICATION => (len + 2) * 4,
        _ => (len + 1) * 8,
    };
    // No chain reaches as far as the mask. It makes all chains look alike to the verifier, which
    // otherwise follows the rest of the program for each of them.
    let offset = (transport.offset + extension_len) & MAX_OFFSET;
    if offset > transport.end {
        return Err(Reject::BadIpLength.into());
    }
    Ok(Transport {
        protocol: extension >> 24,
        offset,
        end: transport.end,
        fragment,
    })
}

/// Whether this is the number of an extension header that is passed.
#[inline(always)]
pub(super) const fn is_extension(protocol: u64) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY
    )
}
