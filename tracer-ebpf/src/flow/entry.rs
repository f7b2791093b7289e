//! What is kept of a connection while it opens or closes.
//!
//! Entries are shared by CPUs without a lock: each number is written before the mark that says it
//! holds, and a step is reported by the one CPU that claims its mark ([`Host::claim`]).

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::{Half, Host};
use crate::event::Side;
use crate::segment::{Options, Segment};
use crate::seq::Seq;

/// What is kept of one connection. All zero is an entry that knows nothing.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Flow {
    marks: AtomicU64,
    lo: Endpoint,
    hi: Endpoint,
}

#[derive(Debug, Default)]
#[repr(C)]
struct Endpoint {
    opened_ns: AtomicU64,
    iss: AtomicU32,
    fin_end: AtomicU32,
    options: [AtomicU32; Options::WORDS],
    options_len: AtomicU32,
    syns: AtomicU32,
}

const _: () = assert!(size_of::<Flow>() == 136);

/// A set of facts about a connection: numbers that hold, steps that were reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    const HALF_BITS: u64 = 8;

    const fn new(half: Half, bit: u64) -> Self {
        match half {
            Half::Lo => Self(1 << bit),
            Half::Hi => Self(1 << (bit + Self::HALF_BITS)),
        }
    }

    /// The half's initial sequence number holds.
    const fn syn(half: Half) -> Self {
        Self::new(half, 0)
    }

    /// The half's FIN number holds.
    const fn fin(half: Half) -> Self {
        Self::new(half, 1)
    }

    /// The ACK that covers the half's SYN was reported.
    #[must_use]
    pub const fn syn_acked(half: Half) -> Self {
        Self::new(half, 2)
    }

    /// The ACK that covers the half's FIN was reported.
    #[must_use]
    pub const fn fin_acked(half: Half) -> Self {
        Self::new(half, 3)
    }

    /// The half's first data segment was reported.
    #[must_use]
    pub const fn first_data(half: Half) -> Self {
        Self::new(half, 4)
    }

    /// The half's first ACK without data was reported.
    #[must_use]
    pub const fn first_ack(half: Half) -> Self {
        Self::new(half, 5)
    }

    /// The first data and first ACK of both halves.
    #[must_use]
    pub const fn firsts() -> Self {
        let lo = Self::first_data(Half::Lo).0 | Self::first_ack(Half::Lo).0;
        Self(lo | lo << Self::HALF_BITS)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set as bits of [`Flow::marks`].
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl Flow {
    /// The set marks, for [`Host::claim`] and [`Host::clear`].
    #[inline(always)]
    #[must_use]
    pub const fn marks(&self) -> &AtomicU64 {
        &self.marks
    }

    /// Takes the numbers of a SYN or SYN-ACK.
    #[inline(always)]
    pub(super) fn take_syn<H: Host>(
        &self,
        segment: &Segment,
        half: Half,
        now_ns: u64,
        host: &H,
    ) {
        let own = self.endpoint(half);
        let again = self.has(Mark::syn(half)) && own.iss.load(Relaxed) == segment.seq.0;
        if segment.flags.ack() {
            if again {
                own.syns.store(own.syns.load(Relaxed).wrapping_add(1), Relaxed);
                return;
            }
            host.clear(self, Mark::syn(half).and(Mark::syn_acked(half)));
        } else {
            let over = self.has(Mark::fin(Half::Lo)) || self.has(Mark::fin(Half::Hi));
            if again && !over {
                own.syns.store(own.syns.load(Relaxed).wrapping_add(1), Relaxed);
                return;
            }
            // A SYN that meets the peer's unanswered SYN is a simultaneous open (RFC 9293 §3.5);
            // any other opens a new incarnation, of which nothing is known yet.
            let peer = half.peer();
            let simultaneous = self.marks.load(Relaxed) == Mark::syn(peer).0;
            let kept = if simultaneous { Mark::syn(peer).0 } else { 0 };
            host.clear(self, Mark(!kept));
        }
        own.opened_ns.store(now_ns, Relaxed);
        own.iss.store(segment.seq.0, Relaxed);
        for (kept, word) in own.options.iter().zip(segment.options.words) {
            kept.store(u32::from_ne_bytes(word), Relaxed);
        }
        own.options_len.store(segment.options.len.into(), Relaxed);
        own.syns.store(1, Relaxed);
        host.claim(self, Mark::syn(half));
    }

    /// Takes the number of a FIN.
    #[inline(always)]
    pub(super) fn take_fin<H: Host>(&self, segment: &Segment, half: Half, host: &H) {
        let own = self.endpoint(half);
        let end = segment.end().0;
        if self.has(Mark::fin(half)) && own.fin_end.load(Relaxed) == end {
            return;
        }
        host.clear(self, Mark::fin(half).and(Mark::fin_acked(half)));
        own.fin_end.store(end, Relaxed);
        host.claim(self, Mark::fin(half));
    }

    /// Whether `ack` covers the half's SYN and that was not reported yet.
    #[inline(always)]
    pub(super) fn syn_covered(&self, half: Half, ack: Seq) -> bool {
        self.has(Mark::syn(half))
            && !self.has(Mark::syn_acked(half))
            // SYN occupies one sequence number (RFC 9293 §3.4).
            && ack.covers(Seq(self.endpoint(half).iss.load(Relaxed)).add(1))
    }

    /// Whether `ack` covers the half's FIN and that was not reported yet.
    #[inline(always)]
    pub(super) fn fin_covered(&self, half: Half, ack: Seq) -> bool {
        self.has(Mark::fin(half))
            && !self.has(Mark::fin_acked(half))
            && ack.covers(Seq(self.endpoint(half).fin_end.load(Relaxed)))
    }

    /// What an event tells of the half.
    #[inline(always)]
    pub(super) fn side(&self, half: Half) -> Side {
        let own = self.endpoint(half);
        let mut side = Side::default();
        if self.has(Mark::syn(half)) {
            side.known |= Side::SYN;
            side.opened_ns = own.opened_ns.load(Relaxed);
            side.iss = own.iss.load(Relaxed);
            for (word, kept) in side.options.iter_mut().zip(&own.options) {
                *word = kept.load(Relaxed).to_ne_bytes();
            }
            side.options_len = own.options_len.load(Relaxed).min(Options::MAX_LEN as u32) as u8;
            side.syns = own.syns.load(Relaxed).min(255) as u8;
        }
        if self.has(Mark::fin(half)) {
            side.known |= Side::FIN;
            side.fin_end = own.fin_end.load(Relaxed);
        }
        side
    }

    #[inline(always)]
    fn has(&self, mark: Mark) -> bool {
        self.marks.load(Relaxed) & mark.0 != 0
    }

    #[inline(always)]
    const fn endpoint(&self, half: Half) -> &Endpoint {
        match half {
            Half::Lo => &self.lo,
            Half::Hi => &self.hi,
        }
    }
}

/// What an event tells of a sender whose connection is not kept: the segment's own numbers.
#[inline(always)]
pub(super) fn lone_side(segment: &Segment, now_ns: u64) -> Side {
    let mut side = Side::default();
    if segment.flags.anomalous() {
        return side;
    }
    if segment.flags.syn() {
        side.known |= Side::SYN;
        side.opened_ns = now_ns;
        side.iss = segment.seq.0;
        side.options = segment.options.words;
        side.options_len = segment.options.len;
        side.syns = 1;
    }
    if segment.flags.fin() {
        side.known |= Side::FIN;
        side.fin_end = segment.end().0;
    }
    side
}
