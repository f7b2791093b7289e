//! What was counted on the way, by the names that the summary gives it: the same for live traces and
//! for captures.

use synfin_ebpf::counters::{self, COUNTERS, Counter};
use synfin_ebpf::wire::Reject;

use crate::assembler::Counts;
use crate::sink;

/// The tracker's counters, wherever it ran.
#[derive(Clone, Copy, Debug)]
pub struct Totals([u64; COUNTERS]);

impl Default for Totals {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl From<[u64; COUNTERS]> for Totals {
    fn from(counters: [u64; COUNTERS]) -> Self {
        Self(counters)
    }
}

impl Totals {
    /// Adds the counters of one CPU; what is beyond them is not looked at.
    pub fn add(&mut self, counters: &[u64]) {
        for (total, counter) in self.0.iter_mut().zip(counters) {
            *total = total.saturating_add(*counter);
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.at(counter.index())
    }

    /// What the summary tells of them, beside what the assembler counted, what serial numbers
    /// prove to be missing and what the output dropped.
    #[must_use]
    pub fn told(&self, counts: &Counts, lost: u64, dropped: u64) -> Told {
        let ring_full = self.get(Counter::RingFull);
        let rejects = Reject::ALL.map(|reject| (reject.name(), self.at(reject.index())));
        Told {
            events: vec![
                ("frames", counters::frames(&self.0)),
                ("TCP segments", self.get(Counter::Segments)),
                ("SYNs", self.get(Counter::Syns)),
                ("events", self.get(Counter::Events)),
                ("copies", self.get(Counter::Copies)),
                ("late segments", counts.late),
                ("stray segments", counts.stray),
            ],
            rejects: rejects.to_vec(),
            flood: Vec::new(),
            losses: vec![
                ("ring_full", ring_full),
                // Beyond what the programs counted.
                ("unaccounted", lost.saturating_sub(ring_full)),
                // What proves both: it is their sum.
                ("serial_gaps", lost),
                ("held_syn", self.get(Counter::HeldSyn)),
                ("held_syn_ack", self.get(Counter::HeldSynAck)),
                ("held_other", self.get(Counter::HeldOther)),
                ("table_full", self.get(Counter::TableFull)),
                ("accounts_full", self.get(Counter::AccountsFull)),
                ("connections_evicted", counts.evicted),
                ("records_dropped", dropped),
            ],
        }
    }

    fn at(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }
}

/// Counts with their names. A source puts what else it counted beside them.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What was read.
    pub events: Vec<(&'static str, u64)>,
    /// Frames that were not taken for a reason.
    pub rejects: Vec<(&'static str, u64)>,
    /// Floods, and what of them is not listed; nothing where there were none.
    pub flood: Vec<(&'static str, u64)>,
    /// What was seen and did not get here.
    pub losses: Vec<(&'static str, u64)>,
}

impl Told {
    /// As the summary takes them.
    #[must_use]
    pub fn counters(&self) -> sink::Counters<'_> {
        sink::Counters {
            events: &self.events,
            rejects: &self.rejects,
            flood: &self.flood,
            losses: &self.losses,
        }
    }
}
