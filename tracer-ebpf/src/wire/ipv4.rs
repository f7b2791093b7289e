//! IPv4 (RFC 791): options are stepped over, fragments told apart.

use super::{Reject, Stop, Transport};
use crate::octets::Octets;

const PROTOCOL_TCP: u8 = 6;
const MIN_HEADER_LEN: usize = 20;
const MORE_FRAGMENTS: u64 = 0x2000;
const FRAGMENT_OFFSET: u64 = 0x1fff;

#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(frame: &F, offset: usize) -> Result<Transport, Stop> {
    // Version, header length and type of service; total length; identification; fragmentation.
    let first = frame.be64(offset).ok_or(Reject::TruncatedNetwork)?;
    let [_, protocol] = frame.read(offset + 8).ok_or(Reject::TruncatedNetwork)?;
    if first >> 60 != 4 {
        return Err(Reject::BadIpVersion.into());
    }
    let header_len = (first >> 56 & 0x0f) as usize * 4;
    if header_len < MIN_HEADER_LEN {
        return Err(Reject::BadIpHeaderLength.into());
    }
    if protocol != PROTOCOL_TCP {
        return Err(Stop::NotTcp);
    }
    let total_len = (first >> 32 & 0xffff) as usize;
    let end = if total_len == 0 {
        // A super-segment above 64 KiB leaves the field zero (BIG TCP): the buffer tells its length.
        frame.wire_len()
    } else {
        offset + total_len
    };
    if end < offset + header_len || !frame.reaches(end) {
        return Err(Reject::BadIpLength.into());
    }
    if first & FRAGMENT_OFFSET != 0 {
        return Err(Reject::LaterFragment.into());
    }
    Ok(Transport {
        offset: offset + header_len,
        end,
        fragment: first & MORE_FRAGMENTS != 0,
    })
}
