//! What is kept of a connection while it opens or closes.
//!
//! Entries are shared by CPUs without a lock: each number is one aligned word, written before the
//! mark that says it holds; marks change by atomic operations only ([`Host::claim`],
//! [`Host::clear`]), and a step is reported by the one CPU that claims its mark. The words are cells because the BPF target has neither
//! narrow atomics nor atomic loads.

use core::cell::Cell;

use super::{Half, Held, Host, Place, Seen};
use crate::event::Side;
use crate::octets::Octets;
use crate::segment::{OPTION_WORDS, Segment};
use crate::seq::Seq;

/// What is kept of one connection: two cache lines. All zero is an entry that knows nothing.
#[derive(Debug)]
#[repr(C)]
pub struct Flow {
    marks: Cell<u32>,
    /// For whoever keeps the entry: what tells it from others.
    pub identity: Cell<u32>,
    /// For whoever keeps the entry.
    pub keeper: Cell<u32>,
    lo_syn: Cell<u16>,
    hi_syn: Cell<u16>,
    lo: Endpoint,
    hi: Endpoint,
}

#[derive(Debug)]
#[repr(C)]
struct Endpoint {
    opened_ns: Cell<u64>,
    iss: Cell<u32>,
    fin_end: Cell<u32>,
    /// The octets of options as they lie in memory, zero behind the last.
    options: [Cell<u64>; OPTION_WORDS],
}

const _: () = assert!(size_of::<Flow>() == 128);

impl Endpoint {
    const fn new() -> Self {
        Self {
            opened_ns: Cell::new(0),
            iss: Cell::new(0),
            fin_end: Cell::new(0),
            options: [const { Cell::new(0) }; OPTION_WORDS],
        }
    }
}

/// What is counted of a SYN: six bits for the octets of its options, five for the place where it was
/// first seen, and five for how often it came there.
#[derive(Clone, Copy)]
pub(super) struct SynCount(pub(super) u16);

impl SynCount {
    const PLACE_SHIFT: u32 = 6;
    const SYNS_SHIFT: u32 = 11;
    const MOST: u8 = 31;

    pub(super) const fn first(options_len: u8, place: u32) -> Self {
        Self(options_len as u16 | Self::mix(place) << Self::PLACE_SHIFT | 1 << Self::SYNS_SHIFT)
    }

    /// Once more. At another place, of which five bits are given, it is the same one.
    const fn again(self, place: u16) -> Self {
        let here = self.place() == place;
        let more = here & (self.syns() < Self::MOST);
        Self(self.0 + ((more as u16) << Self::SYNS_SHIFT))
    }

    /// Five bits of a place.
    const fn mix(place: u32) -> u16 {
        // Fibonacci hashing (Knuth, TAOCP 3 §6.4): places close to each other are told apart.
        (place.wrapping_mul(0x9e37_79b9) >> 27) as u16
    }

    /// Five bits of the place where it was first seen.
    const fn place(self) -> u16 {
        self.0 >> Self::PLACE_SHIFT & 31
    }

    const fn options_len(self) -> u8 {
        (self.0 & 63) as u8
    }

    const fn syns(self) -> u8 {
        (self.0 >> Self::SYNS_SHIFT) as u8
    }
}

/// A set of facts about a connection: numbers that hold, steps that were reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u32);

impl Mark {
    const HALF_BITS: u32 = 8;

    const fn new(half: Half, bit: u32) -> Self {
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

    /// A RST was seen.
    #[must_use]
    pub const fn reset() -> Self {
        Self::new(Half::Lo, 6)
    }

    /// The half's SYN had an ACK.
    const fn syn_ack(half: Half) -> Self {
        Self::new(half, 7)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set as bits of [`Flow::marks`].
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}

impl Flow {
    /// An entry that knows nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            marks: Cell::new(0),
            identity: Cell::new(0),
            keeper: Cell::new(0),
            lo_syn: Cell::new(0),
            hi_syn: Cell::new(0),
            lo: Endpoint::new(),
            hi: Endpoint::new(),
        }
    }

    /// The set marks, for [`Host::claim`] and [`Host::clear`].
    #[inline(always)]
    #[must_use]
    pub const fn marks(&self) -> &Cell<u32> {
        &self.marks
    }

    /// Whether both sides have acknowledged the other's SYN: somebody real is at either end.
    #[inline(always)]
    pub(super) fn is_proved(&self) -> bool {
        let both = Mark::syn_acked(Half::Lo).and(Mark::syn_acked(Half::Hi));
        self.marks.get() & both.0 == both.0
    }

    /// Whether it was reset, or both FINs were acknowledged.
    #[inline(always)]
    pub(super) fn is_over(&self) -> bool {
        let both = Mark::fin_acked(Half::Lo).and(Mark::fin_acked(Half::Hi));
        self.has(Mark::reset()) || self.marks.get() & both.0 == both.0
    }

    /// Takes the numbers of a SYN or SYN-ACK; tells whether it begins another connection.
    #[inline(always)]
    pub(super) fn take_syn<F: Octets + ?Sized, H: Host>(
        &self,
        seen: &Seen<'_, F>,
        host: &H,
    ) -> bool {
        let (segment, half) = (&seen.segment, seen.half);
        let own = self.endpoint(half);
        let mut begins = false;
        let again = self.has(Mark::syn(half)) && own.iss.get() == segment.seq.0;
        if segment.flags.ack() {
            if again {
                self.count_again(half, SynCount::mix(seen.place));
                return false;
            }
            host.clear(self, Mark::syn(half).and(Mark::syn_acked(half)));
        } else {
            if again && !self.is_closing() {
                self.count_again(half, SynCount::mix(seen.place));
                return false;
            }
            // A SYN that meets the peer's unanswered SYN is a simultaneous open (RFC 9293 §3.5);
            // any other opens a new incarnation, of which nothing is known yet.
            let peer = half.peer();
            let (marks, passive) = (self.marks.get(), Mark::syn_ack(peer).0);
            let simultaneous = marks & !passive == Mark::syn(peer).0;
            let kept = if simultaneous { marks } else { 0 };
            host.clear(self, Mark(!kept));
            begins = !simultaneous;
        }
        own.opened_ns.set(seen.now_ns);
        own.iss.set(segment.seq.0);
        let options_len = seen.located.copy_options(seen.frame, |index, octets| {
            if let Some(word) = own.options.get(index) {
                word.set(octets);
            }
        });
        let count = SynCount::first(options_len, seen.place);
        self.syn_count(half).set(count.0);
        let mark = Mark::syn(half);
        if segment.flags.ack() {
            host.claim(self, mark.and(Mark::syn_ack(half)));
        } else {
            host.claim(self, mark);
        }
        begins
    }

    /// Takes the opening that was held back before this connection's next segment.
    #[inline(always)]
    pub(super) fn recall<H: Host>(&self, place: &Place<'_>, opener: Half, host: &H) {
        let own = self.endpoint(opener);
        if self.has(Mark::syn(opener)) && own.iss.get() == place.syn.seq.get() && !self.is_closing()
        {
            // The SYN was reported before, and held when it came again.
            self.count_again(opener, place.syn.count().place());
        } else {
            host.clear(self, Mark(u32::MAX));
            self.take_held(opener, place.syn);
            host.claim(self, Mark::syn(opener));
        }
        if let Some(answer) = place.answer() {
            let peer = opener.peer();
            self.take_held(peer, answer);
            // Only an answer that acknowledges the SYN is held.
            let marks = Mark::syn(peer).and(Mark::syn_ack(peer));
            host.claim(self, marks.and(Mark::syn_acked(opener)));
        }
    }

    #[inline(always)]
    fn take_held(&self, half: Half, held: &Held) {
        let own = self.endpoint(half);
        own.opened_ns.set(held.time_ns.get());
        own.iss.set(held.seq.get());
        for (to, from) in own.options.iter().zip(&held.options) {
            to.set(from.get());
        }
        self.syn_count(half).set(held.count().0);
    }

    #[inline(always)]
    fn count_again(&self, half: Half, place: u16) {
        let count = self.syn_count(half);
        count.set(SynCount(count.get()).again(place).0);
    }

    /// Whether a FIN or RST was seen.
    #[inline(always)]
    fn is_closing(&self) -> bool {
        self.has(
            Mark::fin(Half::Lo)
                .and(Mark::fin(Half::Hi))
                .and(Mark::reset()),
        )
    }

    /// Takes the number of a FIN.
    #[inline(always)]
    pub(super) fn take_fin<H: Host>(&self, segment: &Segment, half: Half, host: &H) {
        let own = self.endpoint(half);
        let end = segment.end().0;
        if self.has(Mark::fin(half)) && own.fin_end.get() == end {
            return;
        }
        host.clear(self, Mark::fin(half).and(Mark::fin_acked(half)));
        own.fin_end.set(end);
        host.claim(self, Mark::fin(half));
    }

    /// Whether `ack` covers the half's SYN and that was not reported yet.
    #[inline(always)]
    pub(super) fn syn_covered(&self, half: Half, ack: Seq) -> bool {
        self.has(Mark::syn(half))
            && !self.has(Mark::syn_acked(half))
            // SYN occupies one sequence number (RFC 9293 §3.4).
            && ack.covers(Seq(self.endpoint(half).iss.get()).add(1))
    }

    /// Whether `ack` covers the half's FIN and that was not reported yet.
    #[inline(always)]
    pub(super) fn fin_covered(&self, half: Half, ack: Seq) -> bool {
        self.has(Mark::fin(half))
            && !self.has(Mark::fin_acked(half))
            && ack.covers(Seq(self.endpoint(half).fin_end.get()))
    }

    /// What an event tells of the half.
    #[inline(always)]
    pub(super) fn tell(&self, half: Half, side: &mut Side) {
        let own = self.endpoint(half);
        if self.has(Mark::syn(half)) {
            side.known |= Side::SYN;
            if self.has(Mark::syn_ack(half)) {
                side.known |= Side::SYN_ACK;
            }
            side.opened_ns = own.opened_ns.get();
            side.iss = own.iss.get();
            let count = SynCount(self.syn_count(half).get());
            side.options_len = count.options_len();
            for (octets, word) in side.options.chunks_exact_mut(8).zip(&own.options) {
                octets.copy_from_slice(&word.get().to_ne_bytes());
            }
            side.syns = count.syns();
        }
        if self.has(Mark::fin(half)) {
            side.known |= Side::FIN;
            side.fin_end = own.fin_end.get();
        }
    }

    #[inline(always)]
    fn has(&self, mark: Mark) -> bool {
        self.marks.get() & mark.0 != 0
    }

    #[inline(always)]
    const fn syn_count(&self, half: Half) -> &Cell<u16> {
        match half {
            Half::Lo => &self.lo_syn,
            Half::Hi => &self.hi_syn,
        }
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
pub(super) fn tell_lone<F: Octets + ?Sized>(seen: &Seen<'_, F>, side: &mut Side) {
    let segment = &seen.segment;
    if segment.flags.anomalous() {
        return;
    }
    if segment.flags.syn() {
        side.known |= Side::SYN;
        if segment.flags.ack() {
            side.known |= Side::SYN_ACK;
        }
        side.opened_ns = seen.now_ns;
        side.iss = segment.seq.0;
        let options = &mut side.options;
        side.options_len = seen.located.copy_options(seen.frame, |index, octets| {
            if let Some(place) = options.get_mut(index * 8..index * 8 + 8) {
                place.copy_from_slice(&octets.to_ne_bytes());
            }
        });
        side.syns = 1;
    }
    if segment.flags.fin() {
        side.known |= Side::FIN;
        side.fin_end = segment.end().0;
    }
}
