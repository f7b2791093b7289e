//! IPv4 (RFC 791): options are stepped over, fragments told apart.

use super::{Reject, Transport};
use crate::octets::Octets;

const PROTOCOL_TCP: u8 = 6;
const MIN_HEADER_LEN: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(
    frame: &F,
    offset: usize,
) -> Result<Option<Transport>, Reject> {
    let [version_ihl, _, len_hi, len_lo, _, _, frag_hi, frag_lo, _, protocol] =
        frame.read(offset).ok_or(Reject::TruncatedNetwork)?;
    if version_ihl >> 4 != 4 {
        return Err(Reject::BadIpVersion);
    }
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    if header_len < MIN_HEADER_LEN {
        return Err(Reject::BadIpHeaderLength);
    }
    if protocol != PROTOCOL_TCP {
        return Ok(None);
    }
    let total_len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    let end = if total_len == 0 {
        // A super-segment above 64 KiB leaves the field zero (BIG TCP): the buffer tells its length.
        frame.wire_len()
    } else {
        offset + total_len
    };
    if end < offset + header_len || end > frame.wire_len() {
        return Err(Reject::BadIpLength);
    }
    let fragment = u16::from_be_bytes([frag_hi, frag_lo]);
    if fragment & FRAGMENT_OFFSET != 0 {
        return Err(Reject::LaterFragment);
    }
    Ok(Some(Transport {
        offset: offset + header_len,
        end,
        fragment: fragment & MORE_FRAGMENTS != 0,
    }))
}
