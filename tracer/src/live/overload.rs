//! Watches whether more comes than can be listed or read, and says so.

use super::unread::Unread;
use crate::behind::Behind;
use crate::flood::{Flood, WINDOW_NS};
use crate::loss::Losses;
use crate::say::say;
use crate::totals::Totals;
use synfin_ebpf::counters::Counter;

/// What comes in too large a number.
pub(super) struct Overload {
    pub(super) flood: Flood,
    pub(super) behind: Behind,
    unread: Unread,
    looked_ns: u64,
    /// Events that the programs counted as lost by then.
    ring_full: u64,
    /// Events were taken since then.
    stirred: bool,
}

impl Overload {
    pub(super) fn new(threshold: u32, now_ns: u64) -> Self {
        Self {
            flood: Flood::new(threshold, now_ns),
            behind: Behind::default(),
            unread: Unread::default(),
            looked_ns: now_ns,
            ring_full: 0,
            stirred: false,
        }
    }

    /// Takes the time of the first event of a turn, which began at `now_ns`.
    pub(super) const fn turn(&mut self, first_ns: u64, now_ns: u64) {
        self.stirred = true;
        self.behind.turn(now_ns.saturating_sub(first_ns));
    }

    /// When to look at the counters next; never where nothing stirs.
    pub(super) fn due_ns(&self) -> Option<u64> {
        let watched = self.stirred || self.flood.lasts();
        watched.then(|| self.looked_ns.saturating_add(WINDOW_NS))
    }

    /// Looks at the counters where that is due. `dropped` are the records that the output left no room
    /// for. Tells whether the programs lost events of which no serial number tells yet: the CPU that lost
    /// them may have nothing more to tell for long.
    pub(super) fn look(
        &mut self,
        read: impl FnOnce() -> Totals,
        losses: &Losses,
        dropped: u64,
        now_ns: u64,
    ) -> bool {
        if self.due_ns().is_none_or(|due_ns| now_ns < due_ns) {
            return false;
        }
        let totals = read();
        self.looked_ns = now_ns;
        self.stirred = false;
        let ring_full = totals.get(Counter::RingFull);
        let more = ring_full > self.ring_full.max(losses.total());
        self.ring_full = ring_full;
        let lines = [
            self.flood.look(&totals, now_ns),
            self.behind.look(ring_full, losses.total(), now_ns),
            self.unread.look(dropped, now_ns),
        ];
        lines.iter().flatten().for_each(say);
        more
    }
}

#[cfg(test)]
mod tests {
    use synfin_ebpf::counters::COUNTERS;

    use super::*;

    #[test]
    fn a_loss_that_no_serial_number_tells_of_yet_is_told_once() {
        let mut losses = Losses::default();
        let mut overload = Overload::new(u32::MAX, 0);
        let mut window = 0;
        let mut look = |ring_full: u64, losses: &Losses| {
            window += 1;
            let mut counters = [0; COUNTERS];
            counters[Counter::RingFull.index()] = ring_full;
            overload.turn(window * WINDOW_NS, window * WINDOW_NS);
            overload.look(|| Totals::from(counters), losses, 0, window * WINDOW_NS)
        };
        assert!(!look(0, &losses));
        assert!(look(5, &losses));
        assert!(!look(5, &losses));
        assert!(look(6, &losses));
        losses.settle(0, 9);
        assert!(!look(9, &losses));
        assert!(look(10, &losses));
    }
}
