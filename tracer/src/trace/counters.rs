//! The programs' counters, summed over CPUs.

use aya::maps::{MapData, PerCpuArray};
use synfin_ebpf::counters::{COUNTERS, Counter};
use synfin_ebpf::wire::Reject;

use crate::assembler::Counts;
use crate::attach::{AttachError, CpuCounters, Programs};
use crate::sink;

/// Reads the counters.
pub(super) struct Counters(PerCpuArray<MapData, CpuCounters>);

/// The counters at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    counters: [u64; COUNTERS],
    /// Events that each CPU made.
    pub(super) made: Vec<u64>,
}

impl Counters {
    pub(super) fn new(programs: &mut Programs) -> Result<Self, AttachError> {
        programs.take_counters().map(Self)
    }

    /// Zeros where the kernel does not give them.
    pub(super) fn read(&self) -> Totals {
        let mut totals = Totals::default();
        let Ok(cpus) = self.0.get(&0, 0) else {
            return totals;
        };
        for cpu in cpus.iter() {
            for (total, counter) in totals.counters.iter_mut().zip(cpu) {
                *total += counter;
            }
            totals.made.push(cpu[COUNTERS]);
        }
        totals
    }
}

impl Totals {
    /// What the summary tells of them, beside what the assembler counted, what serial numbers
    /// prove to be missing and what the output dropped.
    pub(super) fn told(&self, counts: &Counts, lost: u64, dropped: u64) -> Told {
        let ring_full = self.get(Counter::RingFull);
        Told {
            events: [
                ("frames", self.get(Counter::Frames)),
                ("TCP segments", self.get(Counter::Segments)),
                ("events", self.get(Counter::Events)),
                ("late segments", counts.late),
                ("stray resets", counts.stray_rst),
                ("stray segments", counts.stray),
            ],
            rejects: Reject::ALL.map(|reject| (reject.name(), self.at(reject.index()))),
            losses: [
                ("ring_full", ring_full),
                // Beyond what the programs counted.
                ("unaccounted", lost.saturating_sub(ring_full)),
                ("held_syn", self.get(Counter::HeldSyn)),
                ("held_syn_ack", self.get(Counter::HeldSynAck)),
                ("held_other", self.get(Counter::HeldOther)),
                ("table_full", self.get(Counter::TableFull)),
                ("connections_evicted", counts.evicted),
                ("records_dropped", dropped),
            ],
        }
    }

    fn get(&self, counter: Counter) -> u64 {
        self.at(counter.index())
    }

    fn at(&self, index: usize) -> u64 {
        self.counters.get(index).copied().unwrap_or(0)
    }
}

/// Counts with their names.
pub(super) struct Told {
    events: [Named; 6],
    rejects: [Named; Reject::ALL.len()],
    losses: [Named; 8],
}

type Named = (&'static str, u64);

impl Told {
    pub(super) const fn counters(&self) -> sink::Counters<'_> {
        sink::Counters {
            events: &self.events,
            rejects: &self.rejects,
            losses: &self.losses,
        }
    }
}
