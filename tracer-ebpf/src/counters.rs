//! What the programs count, per CPU. Every frame that is not analysed has a counter with a name.

use crate::wire::Reject;

/// One counter. Its value is its place in a CPU's array of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Frames that carry no TCP.
    NotTcp = 0,
    /// TCP segments seen, whether they mattered or not.
    Segments,
    /// SYNs without ACK seen, reported or not.
    Syns,
    /// Segments looked at in full: a significant flag, or a watched connection.
    Examined,
    /// Examined segments that `--port` or `--host` left out.
    Filtered,
    /// Events written to the ring.
    Events,
    /// Events lost because the ring was full.
    RingFull,
    /// SYNs held back because the ring filled, or the budget of a CPU was spent, and their connection
    /// was not proved.
    HeldSyn,
    /// SYN-ACKs held back for the same reason.
    HeldSynAck,
    /// Other segments held back for the same reason.
    HeldOther,
    /// Connections that found no place in the table of openings and closings.
    TableFull,
    /// Copies of segments that were accounted for already.
    Copies,
    /// Connections that found no place in the table of accounts.
    AccountsFull,
    /// The first of the rejects, which follow in the order of [`Reject::ALL`].
    FirstReject,
}

/// How many counters a CPU has.
pub const COUNTERS: usize = Counter::FirstReject as usize + Reject::ALL.len();

/// Frames seen, by what a CPU counted: each of them is a segment, carries no TCP, or was rejected.
#[must_use]
pub fn frames(counters: &[u64]) -> u64 {
    let rejects = Reject::ALL.iter().map(|reject| reject.index());
    [Counter::NotTcp.index(), Counter::Segments.index()]
        .into_iter()
        .chain(rejects)
        .filter_map(|index| counters.get(index))
        .fold(0, |sum, count| sum.saturating_add(*count))
}

impl Counter {
    /// Its place in a CPU's array.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Reject {
    /// The place of its counter in a CPU's array.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        Counter::FirstReject as usize + self as usize
    }

    /// The name that summaries and JSON give it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TruncatedLink => "truncated_link",
            Self::TooManyVlanTags => "too_many_vlan_tags",
            Self::TruncatedNetwork => "truncated_network",
            Self::BadIpVersion => "bad_ip_version",
            Self::BadIpHeaderLength => "bad_ip_header_length",
            Self::BadIpLength => "bad_ip_length",
            Self::TooManyExtensions => "too_many_extensions",
            Self::LaterFragment => "later_fragment",
            Self::TinyFragment => "tiny_fragment",
            Self::TruncatedTransport => "truncated_transport",
            Self::BadDataOffset => "bad_data_offset",
            Self::OutOfReach => "headers_out_of_reach",
            Self::TruncatedTunnel => "truncated_tunnel",
            Self::BadTunnel => "bad_tunnel",
            Self::TunnelTooDeep => "tunnel_too_deep",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reject_has_a_place_of_its_own_behind_the_others() {
        let rejects = Reject::ALL.iter().map(|reject| reject.index());
        assert!(rejects.eq(Counter::FirstReject.index()..COUNTERS));
    }
}
