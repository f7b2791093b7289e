//! IPv6 (RFC 8200): a bounded chain of extension headers, atomic fragments included (RFC 6946).

use super::{Reject, Transport};
use crate::octets::Octets;

const HEADER_LEN: usize = 40;
/// RFC 8200 §4.1 recommends an order in which no chain is longer than this.
const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;

const MORE_FRAGMENTS: u16 = 0x0001;
const FRAGMENT_OFFSET: u16 = 0xfff8;

#[inline(always)]
pub(super) fn locate<F: Octets + ?Sized>(
    frame: &F,
    offset: usize,
) -> Result<Option<Transport>, Reject> {
    let [version, _, _, _, len_hi, len_lo, mut next] =
        frame.read(offset).ok_or(Reject::TruncatedNetwork)?;
    if version >> 4 != 6 {
        return Err(Reject::BadIpVersion);
    }
    let payload_len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    let end = if payload_len == 0 {
        // A jumbogram (RFC 2675), or a super-segment above 64 KiB: the buffer tells its length.
        frame.wire_len()
    } else {
        offset + HEADER_LEN + payload_len
    };
    if end > frame.wire_len() {
        return Err(Reject::BadIpLength);
    }
    let mut transport = Transport {
        offset: offset + HEADER_LEN,
        end,
        fragment: false,
    };
    if next == TCP {
        return Ok(Some(transport));
    }
    for _ in 0..MAX_EXTENSIONS {
        let [following, len, hi, lo] = match next {
            HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY => {
                frame.read(transport.offset).ok_or(Reject::TruncatedNetwork)?
            }
            _ => return Ok(None),
        };
        transport.offset += match next {
            FRAGMENT => {
                let fragment = u16::from_be_bytes([hi, lo]);
                if fragment & FRAGMENT_OFFSET != 0 {
                    // What the fragment carries is told by the first one only.
                    return Err(Reject::LaterFragment);
                }
                transport.fragment = fragment & MORE_FRAGMENTS != 0;
                8
            }
            // Counted in words of four octets, less two (RFC 4302 §2.2).
            AUTHENTICATION => (usize::from(len) + 2) * 4,
            _ => (usize::from(len) + 1) * 8,
        };
        if transport.offset > transport.end {
            return Err(Reject::BadIpLength);
        }
        next = following;
        if next == TCP {
            return Ok(Some(transport));
        }
    }
    Err(Reject::TooManyExtensions)
}
