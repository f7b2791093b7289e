//! Where a side's numbers are: what it sent, what it acknowledged, and the holes in what was seen.

use core::cell::Cell;

use super::counts::{Counts, add};
use crate::event;
use crate::segment::Segment;
use crate::seq::Seq;

/// Segments of a side that a copy is looked for among. A power of two.
pub(super) const STAMPS: usize = 4;
/// Holes in a side's numbers that are remembered; of more, the oldest is forgotten. A power of two,
/// whose remainder the verifier understands.
const HOLES: usize = 4;
/// A segment further from the others than the largest window (RFC 7323 §2.3) is not one of them.
const FARTHEST: u32 = 1 << 30;

/// `next` holds.
pub(super) const NEXT: u32 = event::Side::NEXT as u32;
/// `acked` and `window` hold.
pub(super) const ACKED: u32 = event::Side::ACKED as u32;
/// The side's SYN was seen: it has sent no number before that one.
const SYNCHRONISED: u32 = 1 << 8;
/// `alternate` holds.
const ALTERNATE: u32 = 1 << 9;
/// The last octet before `next` was sent into a closed window.
const PROBED: u32 = 1 << 10;
/// What [`Place::quiet`] says of a closed window.
const CLOSED: u32 = 2;

/// Where a side's numbers are.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Place {
    pub(super) last_ns: Cell<u64>,
    pub(super) stamps: [Cell<u32>; STAMPS],
    pub(super) stamped: Cell<u32>,
    pub(super) known: Cell<u32>,
    pub(super) next: Cell<u32>,
    /// What `next` was by the SYN-ACK before.
    alternate: Cell<u32>,
    pub(super) acked: Cell<u32>,
    pub(super) window: Cell<u32>,
    newest_hole: Cell<u32>,
    /// Where the newest hole begins, and not 0 while it is open.
    newest_start: Cell<u32>,
    is_newest_open: Cell<u32>,
    /// The number that follows the highest that was seen, which `next` is past after a gap.
    sent: Cell<u32>,
    /// Segments with payload that went no further.
    pub(super) behind: Cell<u32>,
    /// Where the last segment that counted was seen.
    pub(super) seen_at: Cell<u32>,
    holes: [Hole; HOLES],
}

/// Numbers that were not seen, though later ones were. Empty where both ends are the same.
#[derive(Debug, Default)]
#[repr(C)]
struct Hole {
    start: Cell<u32>,
    end: Cell<u32>,
}

impl Place {
    pub(super) const fn new() -> Self {
        Self {
            last_ns: Cell::new(0),
            stamps: [const { Cell::new(0) }; STAMPS],
            stamped: Cell::new(0),
            known: Cell::new(0),
            next: Cell::new(0),
            alternate: Cell::new(0),
            acked: Cell::new(0),
            window: Cell::new(0),
            newest_hole: Cell::new(0),
            newest_start: Cell::new(0),
            is_newest_open: Cell::new(0),
            sent: Cell::new(0),
            behind: Cell::new(0),
            seen_at: Cell::new(0),
            holes: [const {
                Hole {
                    start: Cell::new(0),
                    end: Cell::new(0),
                }
            }; HOLES],
        }
    }

    #[inline(always)]
    pub(super) fn clear(&self) {
        self.known.set(0);
        self.behind.set(0);
        self.is_newest_open.set(0);
        for hole in &self.holes {
            hole.end.set(hole.start.get());
        }
    }

    /// Takes the number of a SYN or SYN-ACK.
    #[inline(always)]
    pub(super) fn synchronise(&self, segment: &Segment, counts: &Counts) {
        let known = self.known.get();
        let end = segment.end();
        if known & NEXT == 0 {
            counts.span.set(counts.span.get() + u64::from(segment.len));
        } else if u64::from(Seq(self.next.get()).since(end)) <= counts.span.get() {
            // It came late, or again: the numbers went on meanwhile.
            self.known.set(known | SYNCHRONISED);
            return;
        }
        // Of several SYN-ACKs the acknowledgment tells which one counts.
        let alternate = if known & NEXT == 0 { 0 } else { ALTERNATE };
        self.alternate.set(self.next.get());
        self.next.set(end.0);
        self.sent.set(end.0);
        self.known.set(known | NEXT | SYNCHRONISED | alternate);
    }

    /// Takes the number of the SYN-ACK that is acknowledged.
    #[inline(always)]
    pub(super) fn choose(&self, ack: Seq) {
        let known = self.known.get();
        if (known & ALTERNATE != 0) & (self.alternate.get() == ack.0) {
            self.next.set(ack.0);
            self.sent.set(ack.0);
        }
        self.known.set(known & !ALTERNATE);
    }

    /// Whether the payload goes no further than what the side was seen to send before.
    #[inline(always)]
    pub(super) fn is_behind(&self, segment: &Segment) -> bool {
        let end = segment.end();
        if self.known.get() & NEXT == 0 || Seq(self.sent.get()).before(end) {
            self.sent.set(end.0);
            return false;
        }
        segment.len > 0
    }

    /// Whether the peer, whose place the other is, has no reason to send anything again: this side
    /// acknowledged all, or closed its window ([`CLOSED`]), as far as that is known.
    #[inline(always)]
    pub(super) fn quiet(&self, peer: &Self) -> u32 {
        let answered = self.known.get() & ACKED != 0;
        if answered & (self.window.get() == 0) {
            return CLOSED;
        }
        u32::from(!answered | (self.acked.get() == peer.next.get()))
    }

    /// Takes payload and FIN.
    #[inline(always)]
    pub(super) fn take(&self, segment: &Segment, counts: &Counts, quiet: u32) {
        let (seq, end) = (segment.seq, segment.end());
        let known = self.known.get();
        if known & NEXT == 0 {
            self.next.set(end.0);
            self.known.set(known | NEXT);
            counts
                .span
                .set(counts.span.get() + u64::from(end.since(seq)));
            return;
        }
        let next = Seq(self.next.get());
        // A keepalive repeats the last number, with one octet or none (RFC 9293 §3.8.4), when all was
        // acknowledged; so does a probe of a closed window after the first one.
        let small = (segment.len <= 1) & !segment.flags.fin() & (quiet != 0);
        if small & (seq.add(1) == next) {
            add(&counts.probes);
            return;
        }
        let astray = (FARTHEST < seq.since(next)) & (FARTHEST < next.since(seq));
        // Nothing was sent before the SYN: this was, by a connection before.
        let before = seq.before(next)
            & (known & SYNCHRONISED != 0)
            & (u64::from(next.since(seq)) > counts.span.get());
        if (seq == end) | astray | before {
            return;
        }
        if next.before(end) {
            let progress = end.since(next);
            self.known.set(known & !PROBED);
            if small & (seq == next) & (quiet == CLOSED) {
                add(&counts.probes);
                self.known.set(known | PROBED);
            }
            counts.span.set(counts.span.get() + u64::from(progress));
            self.next.set(end.0);
            if next.before(seq) {
                let unseen = seq.since(next);
                counts.unseen.set(counts.unseen.get() + u64::from(unseen));
                self.leave_hole(next, seq);
                return;
            }
            let mut again = next.since(seq);
            if (again == 1) & (known & PROBED != 0) {
                again = 0;
            }
            counts
                .retransmitted
                .set(counts.retransmitted.get() + u64::from(again));
            if again > 0 {
                add(&counts.retransmissions);
            }
            return;
        }
        let len = end.since(seq);
        let filled = self.fill_hole(seq, end);
        if filled > 0 {
            let unseen = counts.unseen.get();
            counts.unseen.set(unseen.saturating_sub(filled.into()));
        }
        if filled == len {
            add(&counts.out_of_order);
        } else if segment.len > 0 {
            // A FIN by itself carries nothing that could be retransmitted.
            let again = u64::from(segment.len.saturating_sub(filled));
            counts.retransmitted.set(counts.retransmitted.get() + again);
            add(&counts.retransmissions);
        }
    }

    #[inline(always)]
    fn leave_hole(&self, start: Seq, end: Seq) {
        let at = self.newest_hole.get().wrapping_add(1);
        self.newest_hole.set(at);
        self.newest_start.set(start.0);
        self.is_newest_open.set(1);
        if let Some(hole) = self.holes.get(at as usize % HOLES) {
            hole.start.set(start.0);
            hole.end.set(end.0);
        }
    }

    /// Whether an acknowledgment covers the beginning of the newest hole, and the one before did not.
    /// Older holes are left out: every look at one doubles what the verifier has to follow.
    #[inline(always)]
    pub(super) fn is_hole_acked(&self, before: Seq, ack: Seq) -> bool {
        let start = Seq(self.newest_start.get());
        start.covers(before) & start.before(ack) & (self.is_newest_open.get() != 0)
    }

    /// Takes the numbers out of the hole that they lie in or cover; tells how many were in it.
    #[inline(always)]
    fn fill_hole(&self, start: Seq, end: Seq) -> u32 {
        for hole in &self.holes {
            let (hole_start, hole_end) = (Seq(hole.start.get()), Seq(hole.end.get()));
            let inside = start.covers(hole_start) & hole_end.covers(end);
            let around = hole_start.covers(start) & end.covers(hole_end);
            if hole_start == hole_end || !(inside | around) {
                continue;
            }
            // Of a hole that is filled in its middle, the later part is remembered.
            if inside && start != hole_start && end == hole_end {
                hole.end.set(start.0);
                return end.since(start);
            }
            let rest = if around { hole_end } else { end };
            hole.start.set(rest.0);
            if hole_start == Seq(self.newest_start.get()) {
                self.newest_start.set(rest.0);
                self.is_newest_open.set(u32::from(rest != hole_end));
            }
            return rest.since(if around { hole_start } else { start });
        }
        0
    }
}
