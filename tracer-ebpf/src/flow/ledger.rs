//! Counts every segment of a connection, where that was asked for: packets, payload, what was sent
//! again, seen twice, out of order, and what was never seen.
//!
//! In: each segment of both sides. Out: the [`Accounts`] of user space, and what a segment was among
//! those of its side. A side is counted by one CPU at a time: its frames arrive in one queue, or
//! leave under one socket's lock. The words are cells for the reason given in `entry`.

use core::cell::Cell;
use core::mem::offset_of;

use super::Half;
use crate::account::{Account, Accounts};
use crate::event::{self, Why};
use crate::segment::Segment;
use crate::seq::Seq;

/// Copies of a segment come within this time: less than the shortest retransmission timeout in use.
const COPY_NS: u64 = 150_000_000;
/// Segments of a side that a copy is looked for among. A power of two.
const STAMPS: usize = 4;
/// Holes in a side's numbers that are remembered; of more, the oldest is forgotten. A power of two,
/// whose remainder the verifier understands.
const HOLES: usize = 4;
/// A segment further from the others than the largest window (RFC 7323 §2.3) is not one of them.
const FARTHEST: u32 = 1 << 30;
/// An acknowledgment further ahead is taken for one of another connection, not for a gap.
const FARTHEST_ACK: u32 = 1 << 24;

/// The counts of both sides of one connection, and what they need to go on. All zero is an entry
/// that has counted nothing.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Ledgers {
    lo: Counts,
    hi: Counts,
    whole: Cell<u64>,
    lo_place: Place,
    hi_place: Place,
}

/// As [`Account`].
#[derive(Debug, Default)]
#[repr(C)]
struct Counts {
    packets: Cell<u64>,
    payload: Cell<u64>,
    retransmitted: Cell<u64>,
    span: Cell<u64>,
    unseen: Cell<u64>,
    retransmissions: Cell<u32>,
    duplicates: Cell<u32>,
    out_of_order: Cell<u32>,
    probes: Cell<u32>,
    zero_windows: Cell<u32>,
    gaps: Cell<u32>,
}

/// Where a side's numbers are.
#[derive(Debug, Default)]
#[repr(C)]
struct Place {
    last_ns: Cell<u64>,
    stamps: [Cell<u32>; STAMPS],
    stamped: Cell<u32>,
    known: Cell<u32>,
    next: Cell<u32>,
    /// What `next` was by the SYN-ACK before.
    alternate: Cell<u32>,
    acked: Cell<u32>,
    window: Cell<u32>,
    newest_hole: Cell<u32>,
    /// Where the newest hole begins, and not 0 while it is open.
    newest_start: Cell<u32>,
    is_newest_open: Cell<u32>,
    /// The number that follows the highest that was seen, which `next` is past after a gap.
    sent: Cell<u32>,
    /// Segments with payload that went no further.
    behind: Cell<u32>,
    holes: [Hole; HOLES],
}

/// Numbers that were not seen, though later ones were. Empty where both ends are the same.
#[derive(Debug, Default)]
#[repr(C)]
struct Hole {
    start: Cell<u32>,
    end: Cell<u32>,
}

// What user space reads comes first, in the layout of `Accounts`.
const _: () = assert!(
    offset_of!(Ledgers, lo) == offset_of!(Accounts, lo)
        && offset_of!(Ledgers, hi) == offset_of!(Accounts, hi)
        && offset_of!(Ledgers, whole) == offset_of!(Accounts, whole)
);
const _: () = assert!(
    size_of::<Counts>() == size_of::<Account>()
        && offset_of!(Counts, unseen) == offset_of!(Account, unseen)
        && offset_of!(Counts, retransmissions) == offset_of!(Account, retransmissions)
        && offset_of!(Counts, gaps) == offset_of!(Account, gaps)
);

/// `next` holds.
const NEXT: u32 = event::Side::NEXT as u32;
/// `acked` and `window` hold.
const ACKED: u32 = event::Side::ACKED as u32;
/// The side's SYN was seen: it has sent no number before that one.
const SYNCHRONISED: u32 = 1 << 8;
/// `alternate` holds.
const ALTERNATE: u32 = 1 << 9;
/// The last octet before `next` was sent into a closed window.
const PROBED: u32 = 1 << 10;
/// What [`Place::quiet`] says of a closed window.
const CLOSED: u32 = 2;

impl Ledgers {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lo: Counts::new(),
            hi: Counts::new(),
            whole: Cell::new(0),
            lo_place: Place::new(),
            hi_place: Place::new(),
        }
    }

    /// The counts.
    #[inline(always)]
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        Accounts {
            lo: self.lo.account(),
            hi: self.hi.account(),
            whole: self.whole.get(),
        }
    }

    /// Whether anything was counted.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lo.packets.get() == 0 && self.hi.packets.get() == 0
    }

    /// Begins anew, with a SYN.
    #[inline(always)]
    pub(super) fn begin(&self) {
        self.lo.clear();
        self.hi.clear();
        self.lo_place.clear();
        self.hi_place.clear();
        self.whole.set(1);
    }

    /// Whether the segment is a copy of one that was counted; copies are counted here.
    #[inline(always)]
    pub(super) fn is_copy(&self, segment: &Segment, half: Half, now_ns: u64) -> bool {
        let (counts, place) = self.side(half);
        let stamp = stamp(segment);
        let soon = now_ns.wrapping_sub(place.last_ns.get()) < COPY_NS;
        // A bare ACK may well be sent twice, and without an identification nothing tells it from a
        // copy.
        let bare = segment.ident == 0 && segment.len == 0 && !segment.flags.significant();
        if soon && !bare && place.stamps.iter().any(|known| known.get() == stamp) {
            add(&counts.duplicates);
            return true;
        }
        place.last_ns.set(now_ns);
        let at = place.stamped.get();
        place.stamped.set(at.wrapping_add(1));
        if let Some(place) = place.stamps.get(at as usize % STAMPS) {
            place.set(stamp);
        }
        false
    }

    /// Counts a segment that is no copy; tells what is worth reporting of it.
    #[inline(always)]
    pub(super) fn count(&self, segment: &Segment, half: Half) -> Why {
        let (counts, place) = self.side(half);
        counts.packets.set(counts.packets.get() + 1);
        counts
            .payload
            .set(counts.payload.get() + u64::from(segment.len));
        let flags = segment.flags;
        if flags.anomalous() || flags.rst() {
            // Nobody's numbers move by a RST, which may be forged.
            return Why::default();
        }
        let mut why = Why::default();
        if flags.syn() {
            // The SYN-ACK may have been seen before its SYN.
            let packets = self.lo.packets.get() + self.hi.packets.get();
            let first = (packets <= 2) & (counts.packets.get() == 1);
            if first & !flags.ack() {
                self.whole.set(1);
            }
            place.synchronise(segment, counts);
        } else {
            if place.is_behind(segment) {
                add(&place.behind);
                why = scaled(&place.behind, Why::BEHIND);
            }
            let (_, peer) = self.side(half.peer());
            place.take(segment, counts, peer.quiet(place));
        }
        if flags.ack() {
            why = why.with(self.acknowledge(segment, half));
        }
        why
    }

    #[inline(always)]
    fn acknowledge(&self, segment: &Segment, half: Half) -> Why {
        let (counts, place) = self.side(half);
        let mut why = Why::default();
        let ack = segment.ack;
        let (sent, peer) = self.side(half.peer());
        if !segment.flags.syn() {
            peer.choose(ack);
        }
        let next = Seq(peer.next.get());
        let beyond = ack.since(next);
        let opened = (peer.known.get() & NEXT != 0) & !segment.flags.syn();
        let mut before = Seq(place.acked.get());
        if place.known.get() & ACKED == 0 {
            before = Seq(ack.0.wrapping_sub(FARTHEST_ACK));
        }
        // What nobody can have sent yet belongs to another connection.
        let astray = opened & next.before(ack) & (beyond > FARTHEST_ACK);
        if !astray {
            if before.before(ack) {
                place.acked.set(ack.0);
            }
            place.window.set(segment.window.into());
            place.known.set(place.known.get() | ACKED);
        }
        if segment.window == 0 && !segment.flags.syn() {
            add(&counts.zero_windows);
            why = scaled(&counts.zero_windows, Why::ZERO_WINDOW);
        }
        let leaps = opened & (1..=FARTHEST_ACK).contains(&beyond);
        if leaps {
            // The peer sent what was not seen: it was lost to this observation.
            let unseen = u64::from(beyond);
            sent.span.set(sent.span.get() + unseen);
            sent.unseen.set(sent.unseen.get() + unseen);
            peer.next.set(ack.0);
        }
        if leaps | peer.is_hole_acked(before, ack) {
            add(&counts.gaps);
            why = why.with(scaled(&counts.gaps, Why::GAP));
        }
        why
    }

    /// What an event tells of the side's numbers.
    #[inline(always)]
    pub(super) fn tell(&self, half: Half, side: &mut event::Side) {
        let (_, place) = self.side(half);
        side.known |= (place.known.get() & 0xff) as u8;
        side.next = place.next.get();
        side.acked = place.acked.get();
        side.window = (place.window.get() & 0xffff) as u16;
    }

    #[inline(always)]
    const fn side(&self, half: Half) -> (&Counts, &Place) {
        match half {
            Half::Lo => (&self.lo, &self.lo_place),
            Half::Hi => (&self.hi, &self.hi_place),
        }
    }
}

impl Place {
    const fn new() -> Self {
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
            holes: [const {
                Hole {
                    start: Cell::new(0),
                    end: Cell::new(0),
                }
            }; HOLES],
        }
    }

    #[inline(always)]
    fn clear(&self) {
        self.known.set(0);
        self.behind.set(0);
        self.is_newest_open.set(0);
        for hole in &self.holes {
            hole.end.set(hole.start.get());
        }
    }

    /// Takes the number of a SYN or SYN-ACK.
    #[inline(always)]
    fn synchronise(&self, segment: &Segment, counts: &Counts) {
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
    fn choose(&self, ack: Seq) {
        let known = self.known.get();
        if (known & ALTERNATE != 0) & (self.alternate.get() == ack.0) {
            self.next.set(ack.0);
            self.sent.set(ack.0);
        }
        self.known.set(known & !ALTERNATE);
    }

    /// Whether the payload goes no further than what the side was seen to send before.
    #[inline(always)]
    fn is_behind(&self, segment: &Segment) -> bool {
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
    fn quiet(&self, peer: &Self) -> u32 {
        let answered = self.known.get() & ACKED != 0;
        if answered & (self.window.get() == 0) {
            return CLOSED;
        }
        u32::from(!answered | (self.acked.get() == peer.next.get()))
    }

    /// Takes payload and FIN.
    #[inline(always)]
    fn take(&self, segment: &Segment, counts: &Counts, quiet: u32) {
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
    fn is_hole_acked(&self, before: Seq, ack: Seq) -> bool {
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

impl Counts {
    const fn new() -> Self {
        Self {
            packets: Cell::new(0),
            payload: Cell::new(0),
            retransmitted: Cell::new(0),
            span: Cell::new(0),
            unseen: Cell::new(0),
            retransmissions: Cell::new(0),
            duplicates: Cell::new(0),
            out_of_order: Cell::new(0),
            probes: Cell::new(0),
            zero_windows: Cell::new(0),
            gaps: Cell::new(0),
        }
    }

    #[inline(always)]
    fn clear(&self) {
        self.packets.set(0);
        self.payload.set(0);
        self.retransmitted.set(0);
        self.span.set(0);
        self.unseen.set(0);
        self.retransmissions.set(0);
        self.duplicates.set(0);
        self.out_of_order.set(0);
        self.probes.set(0);
        self.zero_windows.set(0);
        self.gaps.set(0);
    }

    #[inline(always)]
    fn account(&self) -> Account {
        Account {
            packets: self.packets.get(),
            payload: self.payload.get(),
            retransmitted: self.retransmitted.get(),
            span: self.span.get(),
            unseen: self.unseen.get(),
            retransmissions: self.retransmissions.get(),
            duplicates: self.duplicates.get(),
            out_of_order: self.out_of_order.get(),
            probes: self.probes.get(),
            zero_windows: self.zero_windows.get(),
            gaps: self.gaps.get(),
        }
    }
}

/// What a copy has in common with its original and a retransmission has not.
#[inline(always)]
const fn stamp(segment: &Segment) -> u32 {
    let numbers = (segment.seq.0 as u64) << 32 | segment.ack.0 as u64;
    let rest = (segment.checksum as u64) << 48
        | (segment.ident as u64) << 32
        | (segment.window as u64) << 16
        | (segment.flags.0 as u64) << 8;
    let mixed = (numbers ^ rest.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Never zero, which stands for no stamp.
    ((mixed ^ segment.len as u64) >> 32) as u32 | 1
}

#[inline(always)]
fn add(counter: &Cell<u32>) {
    counter.set(counter.get().saturating_add(1));
}

/// The reason, the 1st, 10th, 100th … time.
#[inline(always)]
fn scaled(counter: &Cell<u32>, why: Why) -> Why {
    match counter.get() {
        1 | 10 | 100 | 1_000 | 10_000 | 100_000 | 1_000_000 => why,
        _ => Why::default(),
    }
}

#[cfg(test)]
mod tests;
