//! IPv4 (RFC 791): options are stepped over, fragments told apart.

use super::{Reject, Stop, Transport};
use crate::octets::Octets;

const MIN_HEADER_LEN: usize = 20;
/// The place of the bit.
const MORE_FRAGMENTS: u32 = 13;
const FRAGMENT_OFFSET: u64 = 0x1fff;

/// Passes the header where it carries what is followed; the packet may end elsewhere where another
/// one around it is a first fragment.
#[inline(always)]
pub(super) fn header<F: Octets + ?Sized>(
    frame: &F,
    offset: usize,
    fragment: u64,
    followed: impl Fn(u64) -> bool,
) -> Result<Transport, Stop> {
    // Version, header length and type of service; total length; identification; fragmentation.
    let first = frame.be64(offset).ok_or(Reject::TruncatedNetwork)?;
    let second = frame.be16(offset + 8).ok_or(Reject::TruncatedNetwork)?;
    let protocol = u64::from(second & 0xff);
    if first >> 60 != 4 {
        return Err(Reject::BadIpVersion.into());
    }
    let header_len = (first >> 56 & 0x0f) as usize * 4;
    if header_len < MIN_HEADER_LEN {
        return Err(Reject::BadIpHeaderLength.into());
    }
    if !followed(protocol) {
        return Err(Stop::NotTcp);
    }
    let total_len = (first >> 32 & 0xffff) as usize;
    let end = if total_len == 0 {
        // A super-segment above 64 KiB leaves the field zero (BIG TCP): the buffer tells its length.
        frame.wire_len()
    } else {
        offset + total_len
    };
    if end < offset + header_len || !(fragment != 0 || frame.reaches(end)) {
        return Err(Reject::BadIpLength.into());
    }
    if first & FRAGMENT_OFFSET != 0 {
        return Err(Reject::LaterFragment.into());
    }
    Ok(Transport {
        protocol,
        offset: offset + header_len,
        end,
        fragment: first >> MORE_FRAGMENTS & 1,
    })
}
