//! Counts every segment of a connection, where that was asked for: packets, payload, what was sent
//! again, seen twice, out of order, and what was never seen.
//!
//! In: each segment of both sides. Out: the [`Accounts`] of user space, and what a segment was among
//! those of its side. A side is counted by one CPU at a time: its frames arrive in one queue, or
//! leave under one socket's lock. The words are cells for the reason given in `entry`.

mod counts;
mod place;

use core::cell::Cell;
use core::mem::offset_of;

use super::Half;
use crate::account::Accounts;
use crate::event::{self, Why};
use crate::segment::Segment;
use crate::seq::Seq;
use counts::{Counts, add};
use place::{ACKED, NEXT, Place, STAMPS};

/// Copies of a segment come within this time, in ns: less than the shortest retransmission timeout in
/// use.
pub const COPY_NS: u64 = 150_000_000;
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

// What user space reads comes first, in the layout of `Accounts`.
const _: () = assert!(
    offset_of!(Ledgers, lo) == offset_of!(Accounts, lo)
        && offset_of!(Ledgers, hi) == offset_of!(Accounts, hi)
        && offset_of!(Ledgers, whole) == offset_of!(Accounts, whole)
);
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

    /// Whether the segment is a copy of one that was counted; copies are counted here, and where they
    /// were seen is kept.
    #[inline(always)]
    pub(super) fn is_copy(&self, segment: &Segment, half: Half, now_ns: u64, here: u32) -> bool {
        let (counts, place) = self.side(half);
        let stamp = stamp(segment);
        let soon = now_ns.wrapping_sub(place.last_ns.get()) < COPY_NS;
        // A bare ACK may well be sent twice, and without an identification nothing tells it from a
        // copy, where it is not seen at another place.
        let bare = segment.ident == 0 && segment.len == 0 && !segment.flags.significant();
        let elsewhere = place.seen_at.get() != here;
        if soon && (elsewhere || !bare) && place.stamps.iter().any(|known| known.get() == stamp) {
            add(&counts.duplicates);
            if elsewhere {
                counts.copy_seen(here);
            }
            return true;
        }
        place.last_ns.set(now_ns);
        place.seen_at.set(here);
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
