//! What is counted of one side, in the layout that user space reads.

use core::cell::Cell;
use core::mem::offset_of;

use crate::account::{Account, COPIED_ON};

/// As [`Account`].
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Counts {
    pub(super) packets: Cell<u64>,
    pub(super) payload: Cell<u64>,
    pub(super) retransmitted: Cell<u64>,
    pub(super) span: Cell<u64>,
    pub(super) unseen: Cell<u64>,
    pub(super) retransmissions: Cell<u32>,
    pub(super) duplicates: Cell<u32>,
    pub(super) out_of_order: Cell<u32>,
    pub(super) probes: Cell<u32>,
    pub(super) zero_windows: Cell<u32>,
    pub(super) gaps: Cell<u32>,
    copied_on: [Cell<u32>; COPIED_ON],
}

const _: () = assert!(
    size_of::<Counts>() == size_of::<Account>()
        && offset_of!(Counts, unseen) == offset_of!(Account, unseen)
        && offset_of!(Counts, retransmissions) == offset_of!(Account, retransmissions)
        && offset_of!(Counts, gaps) == offset_of!(Account, gaps)
        && offset_of!(Counts, copied_on) == offset_of!(Account, copied_on)
);

impl Counts {
    pub(super) const fn new() -> Self {
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
            copied_on: [const { Cell::new(0) }; COPIED_ON],
        }
    }

    #[inline(always)]
    pub(super) fn clear(&self) {
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
        for one in &self.copied_on {
            one.set(0);
        }
    }

    /// Notes where a copy was seen.
    #[inline(always)]
    pub(super) fn copy_seen(&self, place: u32) {
        let interface = (place + 1) >> 1;
        for one in &self.copied_on {
            if one.get() == 0 {
                one.set(interface);
            }
            if one.get() == interface {
                return;
            }
        }
    }

    #[inline(always)]
    pub(super) fn account(&self) -> Account {
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
            copied_on: self.copied_on.each_ref().map(Cell::get),
        }
    }
}

/// Counts one more.
#[inline(always)]
pub(super) fn add(counter: &Cell<u32>) {
    counter.set(counter.get().saturating_add(1));
}
